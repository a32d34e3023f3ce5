"""Trials that train only the head share its input, and end with the results of trials of their own."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmark.data.loader import Batches
from benchmark.orchestrator.interrupt import Stop
from benchmark.orchestrator.run import _Run, leaders_first
from benchmark.planning.estimate import Estimate
from benchmark.planning.packing import Share
from benchmark.records.frame import to_frame
from benchmark.records.lease import Lease
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial import shared_features as room
from benchmark.trial.fit import StoppedError
from benchmark.trial.frozen_features import FrozenPart
from benchmark.trial.record import Finished
from benchmark.trial.resume import ResumeFiles
from benchmark.trial.run import run_trial
from benchmark.trial.setting import Setting
from tests.conftest import TINY_RECIPE, Cli
from tests.samples import make_cost, make_record

Make = Callable[..., TrialRequest]
RATES = (1e-3, 1e-2)


def with_rate(make_request: Make, lr: float, method: str = "linear", **recipe: object) -> TrialRequest:
    values = {**TINY_RECIPE, "lr": lr, **recipe}
    return make_request(methods=[method], overrides=[{"source": "test", "values": values}])


@pytest.fixture
def alone(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", RunOptions(data_root, tmp_path / "cache"), cost=make_cost(), run="x")


@pytest.fixture
def gang(alone: Setting, tmp_path: Path) -> Setting:
    return dataclasses.replace(alone, features=tmp_path / "features", sharers=len(RATES))


def run(request: TrialRequest, setting: Setting, resume: ResumeFiles | None = None) -> Finished:
    return run_trial(request, setting, lambda _: None, resume)


def numbers(finished: Finished) -> tuple[object, ...]:
    """Return everything that must be equal, with the bytes of the predictions."""
    record = finished.record.model_dump(mode="json")
    curves = [{key: value for key, value in point.items() if key != "seconds"} for point in record["curves"]]
    predictions = {name: array.tobytes() for name, array in finished.predictions.items()}
    return record["id"], record["status"], record["selection"], curves, predictions


def refuse(*_: object) -> torch.Tensor:
    raise AssertionError("computed again")


@pytest.mark.parametrize(
    "recipe",
    [{"mixup": 0.5, "loss": "bce", "noise": True, "precision": "bf16"}, {"micro_batch": 3, "weight_decay": 0.1}],
)
def test_results_are_those_of_trials_of_their_own(
    recipe: dict[str, object], make_request: Make, alone: Setting, gang: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [with_rate(make_request, lr, **recipe) for lr in RATES]
    expected = [numbers(run(request, alone)) for request in requests]
    assert expected[0] != expected[1]
    first = run(requests[0], gang)
    assert numbers(first) == expected[0]
    assert len(list((gang.features or Path()).glob("*/epoch-*"))) == 2
    used: list[str] = []
    monkeypatch.setattr(Batches, "__iter__", counted(Batches.__iter__, used))
    second = run(requests[1], gang)
    assert numbers(second) == expected[1]
    assert set(used) == {"evaluation"}  # no training clip was read again
    assert list((gang.features or Path()).iterdir()) == []  # the last one removes the files
    for profile in (first.record.profile, second.record.profile):
        assert profile.shares_features
        assert profile.train_clips_per_second is None


def counted(original: Callable[[Batches], object], used: list[str]) -> Callable[[Batches], object]:
    def iterate(batches: Batches) -> object:
        used.append("evaluation" if isinstance(batches.items, list) else "training")
        return original(batches)

    return iterate


def test_records_of_a_gang_have_no_time_to_compare(make_request: Make) -> None:
    record = make_record(make_request(), [0.5])
    profile = {**record.profile.model_dump(), "shares_features": True, "train_clips_per_second": None}
    table = to_frame([record, Record.model_validate({**record.model_dump(), "profile": profile})])
    assert list(table["seconds_per_epoch"].isna()) == [False, True]
    assert list(table["data_seconds_per_epoch"].isna()) == [False, True]


@pytest.mark.parametrize("method", ["aat_m", "full", "bitfit"])
def test_what_trains_more_than_the_head_shares_nothing(method: str, make_request: Make, gang: Setting) -> None:
    found = run(with_rate(make_request, 1e-3, method, epochs=1), gang)
    assert not found.record.profile.shares_features
    assert not (gang.features or Path()).exists()


def test_a_single_trial_and_a_folder_of_another_machine_share_nothing(
    make_request: Make, gang: Setting, tmp_path: Path
) -> None:
    request = with_rate(make_request, 1e-3, epochs=1)
    for setting in (
        dataclasses.replace(gang, sharers=1),
        dataclasses.replace(gang, features=tmp_path / "elsewhere" / "features"),
    ):
        assert not run(request, setting).record.profile.shares_features
    assert not (tmp_path / "elsewhere").exists()


def test_one_waits_for_what_another_is_computing(
    make_request: Make, alone: Setting, gang: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [with_rate(make_request, lr, epochs=1) for lr in RATES]
    expected = numbers(run(requests[1], alone))
    run(requests[0], gang)
    [path] = (gang.features or Path()).glob("*/epoch-1")
    hidden = path.rename(path.with_name("hidden"))
    lease = Lease.take(path.parent, path.name)
    assert lease is not None

    def arrive() -> None:
        with lease:
            time.sleep(0.3)
            hidden.rename(path)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenPart, "before", refuse_in_training(FrozenPart.before))
        other = threading.Thread(target=arrive)
        other.start()
        assert numbers(run(requests[1], gang)) == expected
        other.join()


def refuse_in_training(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def before(part: FrozenPart, features: torch.Tensor) -> torch.Tensor:
        return refuse() if part.model.training else original(part, features)

    return before


def test_what_one_does_not_finish_another_computes(
    make_request: Make, alone: Setting, gang: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [with_rate(make_request, lr, batch_size=4) for lr in RATES]
    expected = numbers(run(requests[1], alone))
    original, calls = FrozenPart.before, list[int]()

    def fail_late(part: FrozenPart, features: torch.Tensor) -> torch.Tensor:
        calls.append(len(features))
        if part.model.training and len(calls) > 1:
            raise MemoryError("no room")
        return original(part, features)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenPart, "before", fail_late)
        with pytest.raises(MemoryError):
            run(requests[0], gang)
    assert [path.name for path in (gang.features or Path()).rglob("*") if path.is_file()] == []
    assert numbers(run(requests[1], gang)) == expected


def test_a_disk_without_room_costs_no_trial(
    make_request: Make, alone: Setting, gang: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = with_rate(make_request, RATES[0], batch_size=4)
    expected = numbers(run(request, alone))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        assert numbers(run(request, gang)) == expected
    with monkeypatch.context() as patch:
        patch.setattr(room, "SPARE_BYTES", float("inf"))
        assert numbers(run(request, gang)) == expected
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "take", full)
        assert numbers(run(request, gang)) == expected
    assert list((gang.features or Path()).rglob("epoch-*")) == []


def test_an_interrupted_trial_goes_on_with_the_files_of_the_others(
    make_request: Make, alone: Setting, gang: Setting, tmp_path: Path
) -> None:
    requests = [with_rate(make_request, lr, epochs=3) for lr in RATES]
    expected = numbers(run(requests[0], alone))
    stop = tmp_path / "stop"
    stop.touch()
    resume = ResumeFiles.of(ResultStore(gang.results).folder, requests[0].id)
    with pytest.raises(StoppedError):
        run(requests[0], dataclasses.replace(gang, stop=stop), resume)
    run(requests[1], gang)
    found = run(requests[0], gang, resume)
    assert found.record.profile.resumed_epochs == 1
    assert numbers(found) == expected


def test_only_what_the_optimizer_sees_may_differ(make_request: Make) -> None:
    base = with_rate(make_request, 1e-3)
    for same in ({"lr": 1e-2}, {"weight_decay": 0.5}, {"decay_start": 1}, {"decay_gamma": 0.1}, {"warmup_steps": 3}):
        assert with_rate(make_request, **{"lr": 1e-3, **same}).batches_key == base.batches_key  # type: ignore[arg-type]
    for other in ({"mixup": 0.5, "loss": "bce"}, {"batch_size": 4}, {"micro_batch": 2}, {"mean": 0.0}, {"epochs": 5}):
        assert with_rate(make_request, 1e-3, **other).batches_key != base.batches_key
    for field in ({"seeds": [1]}, {"folds": [2]}, {"protocol": "corrected"}):
        assert make_request(**field).batches_key != make_request().batches_key


def test_one_of_every_group_starts_first(make_request: Make) -> None:
    made = [
        make_request(seeds=[seed], overrides=[{"source": "test", "values": {**TINY_RECIPE, "lr": lr}}])
        for seed in (0, 1)
        for lr in (1e-3, 1e-2, 1e-1)
    ]
    assert [(one.seed, one.recipe.lr) for one in leaders_first(made)] == [
        (0, 1e-3), (1, 1e-3), (0, 1e-2), (1, 1e-2), (0, 1e-1), (1, 1e-1),
    ]  # fmt: skip


SWEEP = """
description: learning rates
backbones: ["ast[size=demo;weights=random:0]"]
datasets: [esc50]
methods: [linear, bitfit]
folds: [1]
recipe: {epochs: 1, batch_size: 8, frames: 64, time_mask: 12, stride: [16, 16]}
sweep: {lr: [1.0e-3, 1.0e-2]}
"""


def test_the_command_line_shares_among_heads_and_refuses_to_measure_so(
    cli: Cli, data_root: Path, tmp_path: Path
) -> None:
    grid = tmp_path / "sweep.yaml"
    grid.write_text(SWEEP)
    command = ["run", "--grid", grid, "--data-root", data_root, "--results", tmp_path / "out", "--no-report", "--gang"]
    for other in ("exclusive", "compile"):
        refused = cli(*command, f"--{other}")
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[-1].startswith(f"error: gang and {other}: ")
    done = cli(*command)
    assert done.returncode == 0, done.stderr
    records = list(ResultStore(tmp_path / "out").records())
    found = sorted((record.request.method.name, record.profile.shares_features) for record in records)
    assert found == [("bitfit", False), ("bitfit", False), ("linear", True), ("linear", True)]
    assert list((tmp_path / "out" / "features").iterdir()) == []


def test_a_worker_knows_the_folder_and_how_many_share_it(make_request: Make, tmp_path: Path) -> None:
    requests = [*(with_rate(make_request, lr) for lr in RATES), with_rate(make_request, RATES[0], "aat_m")]
    estimates = {request.id: Estimate(None, 1.0, "operations", 0.0, 0, 0, 0) for request in requests}
    shares = dict.fromkeys(estimates, Share(1, 0))
    for gang, folder in ((True, tmp_path / "scratch" / "features"), (False, None)):
        options = RunOptions(tmp_path, gang=gang)
        stop = Stop(tmp_path, Console(quiet=True))
        run_ = _Run(
            requests, estimates, ResultStore(tmp_path), options, 0, Console(quiet=True), tmp_path / "scratch", stop
        )
        settings = [run_._queue(shares, None)[request.id].config["setting"] for request in requests]
        assert [(setting.features, setting.sharers) for setting in settings] == [(folder, 2), (folder, 2), (folder, 1)]
