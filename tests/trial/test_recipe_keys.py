"""Trials with the recipe keys that are off by default: interrupted, shared, stopped early, with windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.amp.grad_scaler import GradScaler

from benchmark.errors import BenchmarkError
from benchmark.planning.expand import expand
from benchmark.planning.windows import WindowCounts
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.recipe import OFF
from benchmark.spec.request import TrialRequest
from benchmark.trial.assemble import assemble
from benchmark.trial.build import build_model
from benchmark.trial.evaluation_plan import stops_early
from benchmark.trial.resume import ResumeFiles
from benchmark.trial.run import run_trial
from benchmark.trial.seeding import seed_everything
from benchmark.trial.setting import Setting
from benchmark.trial.train_step import Trainer
from tests.conftest import TINY_RECIPE, tiny_grid
from tests.samples import make_cost
from tests.trial.test_shared_features import numbers

Make = Callable[..., TrialRequest]
EVERYTHING = {
    "schedule": "cosine", "warmup_steps": 2, "min_lr_share": 0.1, "class_weights": "balanced", "sampling": "balanced",
    "label_smoothing": 0.1, "clip_norm": 0.5, "layer_decay": 0.8, "head_dropout": 0.3, "windows": "random",
    "loss": "bce", "mixup": 0.5, "noise": True, "epochs": 3,
}  # fmt: skip


def with_values(make_request: Make, method: str = "linear", **values: object) -> TrialRequest:
    return make_request(methods=[method], overrides=[{"source": "test", "values": {**TINY_RECIPE, **values}}])


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", RunOptions(data_root, tmp_path / "cache", resume_seconds=0), cost=make_cost())


class Killed(BaseException):
    """As a SIGKILL: nothing catches it."""


def interrupted(request: TrialRequest, setting: Setting, at: int) -> ResumeFiles:
    """Run a trial until it is killed after an epoch; return its resume state."""
    resume = ResumeFiles.of(ResultStore(setting.results).folder, request.id)

    def kill(progress: Any) -> None:
        if progress["epoch"] == at:
            raise Killed

    with pytest.raises(Killed):
        run_trial(request, setting, kill, resume)
    seed_everything(99)
    return resume


def test_what_is_off_changes_no_id(make_request: Make) -> None:
    base = with_values(make_request)
    assert with_values(make_request, **OFF).id == base.id
    assert OFF.keys().isdisjoint(base.recipe.model_dump())
    assert OFF.items() <= base.recipe.values.items()
    assert not OFF.keys() & base.recipe_changes.keys()
    on = {key: EVERYTHING.get(key, 1) for key in OFF if key not in {"min_lr_share", "early_stop"}}
    others = {with_values(make_request, **{key: value}).id for key, value in on.items()}
    assert len({base.id, *others}) == 1 + len(on)
    assert with_values(make_request, windows="all").recipe_changes["windows"] == "all"


def test_an_interrupted_trial_ends_as_an_undisturbed_one(make_request: Make, setting: Setting) -> None:
    request = with_values(make_request, "aat_ms", **EVERYTHING)
    expected = numbers(run_trial(request, setting, lambda _: None))
    resumed = run_trial(request, setting, lambda _: None, interrupted(request, setting, at=2))
    assert resumed.record.profile.resumed_epochs == 2
    assert numbers(resumed) == expected


@pytest.mark.parametrize("values", [{"windows": "all", "sampling": "balanced"}, {"windows": "random"}])
def test_a_gang_shares_batches_and_windows(make_request: Make, setting: Setting, values: dict[str, object]) -> None:
    own: list[dict[str, object]] = [
        {"class_weights": "balanced"},
        {"label_smoothing": 0.2, "clip_norm": 0.1, "schedule": "cosine", "layer_decay": 0.5},
    ]
    requests = [with_values(make_request, **values, **mine, frames=128, limit_clips=6, epochs=1) for mine in own]
    assert len({request.batches_key for request in requests}) == 1
    expected = [numbers(run_trial(request, setting, lambda _: None)) for request in requests]
    shared = Setting(
        setting.results, setting.options, cost=make_cost(), run="x", features=setting.results.parent / "f", sharers=2
    )
    for request, alone in zip(requests, expected, strict=True):
        found = run_trial(request, shared, lambda _: None)
        assert found.record.profile.shares_features
        assert numbers(found) == alone


def test_a_dropout_of_the_head_is_drawn_by_each_trial(make_request: Make, setting: Setting) -> None:
    request = with_values(make_request, head_dropout=0.5, epochs=1)
    assert request.batches_key != with_values(make_request, epochs=1).batches_key
    shared = Setting(
        setting.results, setting.options, cost=make_cost(), run="x", features=setting.results.parent / "f", sharers=2
    )
    assert not run_trial(request, shared, lambda _: None).record.profile.shares_features
    model = build_model(request, 3).model
    pooled = torch.randn(50, model.width)
    torch.manual_seed(0)
    dropped = model.train().head(pooled)
    torch.manual_seed(0)
    norm, linear = model.mlp_head
    assert torch.equal(dropped, linear(torch.nn.Dropout(0.5)(norm(pooled))))
    assert torch.equal(model.eval().head(pooled), linear(norm(pooled)))


@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_clipped_as_by_torch(make_request: Make, scaled: bool) -> None:
    """Also where the loss is scaled: its scale is removed first."""
    batch = [(torch.randn(4, 64, 128), torch.eye(3)[[0, 1, 2, 0]], torch.ones(4, 3))]
    found = []
    for clip_norm in (None, 0.01):
        request = with_values(make_request, clip_norm=clip_norm)
        trainer = Trainer(build_model(request, 3).model, request, torch.device("cpu"))
        if scaled:
            trainer.scaler = GradScaler("cpu", init_scale=1024.0)
        trainer.train(batch)
        trained = [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
        if clip_norm is None:
            assert torch.nn.utils.clip_grad_norm_(trained, 0.01) > 0.01
        found.append([parameter.grad for parameter in trained])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_evaluation_averages_the_logits_of_all_windows(make_request: Make, setting: Setting) -> None:
    """Clips of 5 s have 498 frames, 8 windows of 64; predictions and counts of clips are per clip."""
    request = with_values(make_request, windows="all", epochs=2)
    finished = run_trial(request, setting, lambda _: None)
    data = finished.record.data
    assert data.used == {"train": 12, "test": 3}
    assert data.windows == data.inputs == {"train": 96, "test": 24}
    parts = assemble(request, setting)
    clips = parts.data.splits["test"]
    assert list(finished.predictions["clips_test"]) == [clip.path for clip in clips.recordings]
    assert finished.predictions["logits_test"].shape == (2, 3, parts.data.data.classes)
    assert finished.predictions["targets_test"].sum(1).tolist() == [1, 1, 1]
    sizes = {"train": 12, "test": 3}
    info = parts.info
    manifest = expand(tiny_grid(), setting.options.data_root, Path()).manifests["esc50"]
    assert WindowCounts().inputs(request.recipe, sizes, info, manifest) == data.windows  # what a plan expects
    assert WindowCounts().inputs(request.recipe, sizes, info, None) == data.windows
    for windows, train in (("first", 12), ("random", 12)):
        recipe = request.recipe.model_copy(update={"windows": windows})
        assert WindowCounts().inputs(recipe, sizes, info, manifest)["train"] == train


def test_the_logits_of_a_clip_are_the_means_over_its_windows(make_request: Make, setting: Setting) -> None:
    request = with_values(make_request, "aat_m", windows="random", epochs=1)
    parts = assemble(request, setting)
    clips = parts.data.splits["test"]
    model = parts.trainer.model.eval()
    with torch.inference_mode():
        banks = [torch.from_numpy(clips.audio.bank(clip)) for clip in clips.recordings]
        starts = [number * (len(bank) - 64) // 7 for bank in banks for number in range(8)]
        assert clips.windows is not None
        assert clips.windows.starts.tolist() == starts
        inputs = [bank[start : start + 64] for bank in banks for start in starts[:8]]
        scaled = (torch.stack(inputs) - request.recipe.mean) / (2 * request.recipe.std)
        expected = model(scaled).view(3, 8, -1).mean(1)
    from benchmark.data.loader import evaluation_batches
    from benchmark.trial.evaluation import Evaluation

    batches = {"test": evaluation_batches(clips, 8, None, torch.device("cpu"))}
    evaluation = Evaluation(request, parts.info, parts.trainer, batches, test_curves=True, kept_bytes=0)
    logits, targets, _ = evaluation._predict("test", batches["test"], is_last=False)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    assert targets.argmax(1).tolist() == [clip.labels[0] for clip in clips.recordings]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Return a data root with a folder of own audio that has validation clips."""
    folder = tmp_path / "root" / "mine"
    for number, split in enumerate(("train", "validation", "test") * 2):
        path = folder / split / "ab"[number // 3] / "x.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 8000), 16_000)
    values = {"frames": 64, "mean": 0, "std": 1, "time_mask": 12, "loss": "cross_entropy"}
    (folder / "recipe.yaml").write_text(f"source: x\nvalues: {values}\n")
    return folder.parent


def test_training_ends_when_patience_with_the_validation_score_ends(listed: Path, tmp_path: Path) -> None:
    """A rate near 0 changes no score: the first epoch stays the best one."""
    values = {**TINY_RECIPE, "epochs": 9, "early_stop": 2, "lr": 1e-30}
    grid = tiny_grid(datasets=["folder:mine"], folds="all", overrides=[{"source": "test", "values": values}])
    [request] = expand(grid, listed, Path("none")).requests
    setting = Setting(tmp_path / "out", RunOptions(listed, None, resume_seconds=0), cost=make_cost())
    finished = run_trial(request, setting, lambda _: None)
    record = finished.record
    assert (len(record.curves), record.stopped_early, record.selection.epoch) == (3, 3, 1)
    assert [sorted(point.splits) for point in record.curves] == [
        ["test", "validation"], ["validation"], ["test", "validation"],
    ]  # fmt: skip
    for at in (2, 3):
        resumed = run_trial(request, setting, lambda _: None, interrupted(request, setting, at))
        assert resumed.record.stopped_early == 3
        assert numbers(resumed) == numbers(finished)


def test_only_validation_clips_can_stop_a_trial(data_root: Path, make_request: Make) -> None:
    with pytest.raises(BenchmarkError, match=r"esc50: recipe\.early_stop needs validation clips, and it lists none"):
        with_values(make_request, early_stop=2)
    assert [stops_early("best_on_validation", [0.5, 0.6, 0.6, 0.4][:n], 2) for n in (1, 2, 3, 4)] == [0, 0, 0, 1]
    assert stops_early("best_on_validation", [None, None], 2)
    assert not stops_early("best_on_validation", [0.5, 0.4, 0.3], None)
    assert not stops_early("last", [], 1)
