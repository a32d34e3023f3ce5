"""Few-shot trials: which clips they use, and what differs between draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.planning.estimate import split_sizes
from benchmark.planning.expand import expand
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import choose_clips, prepare
from benchmark.trial.run import Setting, run_trial
from benchmark.trial.seeding import Seeds
from tests.conftest import TINY_RECIPE, tiny_grid
from tests.samples import make_cost

Make = Callable[..., TrialRequest]


def paths(request: TrialRequest, data_root: Path) -> dict[str, list[str]]:
    manifest = get_dataset("esc50").manifest(data_root)
    return {name: [clip.path for clip in clips] for name, clips in choose_clips(request, manifest).items()}


def test_all_methods_and_seeds_share_the_draws_and_the_test_clips_stay_whole(
    make_request: Make, data_root: Path
) -> None:
    whole = paths(make_request(), data_root)
    first = paths(make_request(shots=[2]), data_root)
    assert first == paths(make_request(shots=[2], methods=["full"], seeds=[5]), data_root)
    assert len(first["train"]) == 2 * 3
    assert set(paths(make_request(shots=[1]), data_root)["train"]) < set(first["train"]) < set(whole["train"])
    assert first["test"] == whole["test"]
    requests = expand(tiny_grid(shots=[2], draws=3), data_root, Path("none")).requests
    assert len({tuple(paths(request, data_root)["train"]) for request in requests}) == 3


def test_a_draw_has_a_head_and_an_order_of_its_own(data_root: Path) -> None:
    first, second = expand(tiny_grid(shots=[2], draws=2), data_root, Path("none")).requests
    assert Seeds(first).head() != Seeds(second).head()
    assert Seeds(first).order(1) != Seeds(second).order(1)


def test_the_last_epoch_is_reported_and_validation_is_not_read(tmp_path: Path) -> None:
    get_dataset("gtzan").synthesize(tmp_path, classes=2, clips_per_class=2, seconds=0.7, seed=0)
    request = make_request_of(tmp_path)
    setting = Setting(tmp_path, RunOptions(tmp_path, None), cost=make_cost())
    record = run_trial(request, setting, lambda _: None).record
    assert record.data.used == {"train": 2, "test": 4}
    assert record.data.drawn_from == 4
    assert record.data.used == split_sizes(request, get_dataset("gtzan").info, get_dataset("gtzan").manifest(tmp_path))
    assert (record.selection.rule, record.selection.epoch) == ("last", 2)
    assert "few-shot (1 training clip per class)" in record.marks


def test_bad_files_are_replaced_so_that_each_class_has_its_shots(tmp_path: Path) -> None:
    dataset = get_dataset("gtzan")
    dataset.synthesize(tmp_path, classes=2, clips_per_class=3, seconds=0.7, seed=0)
    request = make_request_of(tmp_path, on_bad_audio="skip")
    manifest = dataset.manifest(tmp_path)
    drawn = choose_clips(request, manifest)["train"]
    for path in (manifest.folder / clip.path for clip in drawn):
        path.write_bytes(b"x" * path.stat().st_size)
    for cache in (None, tmp_path / "cache"):
        data = prepare(request, manifest, cache).data
        assert data.used["train"] == 2
        assert set(data.skipped) == {clip.path for clip in drawn}
    labels = {clip.labels for clip in choose_clips(request, manifest, data.skipped)["train"]}
    assert labels == {clip.labels for clip in drawn}
    of_class = [clip for clip in manifest.clips if clip.split == "train" and clip.labels == drawn[0].labels]
    for path in (manifest.folder / clip.path for clip in of_class):
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(BenchmarkError, match=r"has 0 readable training clips, too few for 1 shot$"):
        prepare(request, manifest, None)


def make_request_of(root: Path, **recipe: object) -> TrialRequest:
    overrides = [{"source": "test", "values": {**TINY_RECIPE, "mixup": 0, "noise": False, **recipe}}]
    grid = tiny_grid(datasets=["gtzan"], shots=[1], draws=1, protocol="reference", overrides=overrides)
    return expand(grid, root, Path("none")).requests[0]


def test_shots_above_the_smallest_class_are_one_line(data_root: Path) -> None:
    with pytest.raises(
        BenchmarkError, match=r"shots 5: esc50: class '.*' has 4 training clips of fold 1; at most 4 shots"
    ):
        expand(tiny_grid(shots=[1, 5]), data_root, Path("none"))
