"""An interrupted trial continues from its resume state and ends with the numbers of an undisturbed one."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.amp.grad_scaler import GradScaler

from benchmark.numerics import NUMERICS_VERSION
from benchmark.planning.expand import expand
from benchmark.records.lease import Lease, LostLeaseError
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.history import History
from benchmark.trial.resume import RESUME, ResumeFiles, random_state, restore_random_state
from benchmark.trial.run import Outcome, Setting, TransientError, attempt_trial
from benchmark.trial.seeding import seed_everything
from benchmark.trial.train_step import Trainer
from tests.chaos import content
from tests.conftest import TINY_RECIPE, tiny_grid
from tests.drawing import DRAWING
from tests.samples import make_cost

Make = Callable[..., TrialRequest]
WRITTEN_BY = f"numerics version {NUMERICS_VERSION}, cpu, float32"
RECIPE = {**TINY_RECIPE, "epochs": 4, "decay_start": 1, "mixup": 0.5, "noise": True, "loss": "bce", "warmup_steps": 3}


@pytest.fixture(scope="module")
def request_(data_root: Path) -> TrialRequest:
    grid = tiny_grid(methods=[f"aat_ms+{DRAWING}"], overrides=[{"source": "test", "values": RECIPE}])
    return expand(grid, data_root, Path("no-checkpoints")).requests[0]


Left = tuple[dict[str, Any], dict[str, Any], Record]


@pytest.fixture(scope="module")
def undisturbed(request_: TrialRequest, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Return what the trial leaves when nothing disturbs it."""
    setting = Setting(tmp_path_factory.mktemp("calm"), RunOptions(data_root, resume_seconds=0), cost=make_cost())
    assert attempt_trial(request_, setting, quiet) == Outcome("completed")
    return record(setting, request_)


@pytest.fixture
def setting(request_: TrialRequest, data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", RunOptions(data_root, resume_seconds=0), cost=make_cost())


class Killed(BaseException):
    """As a SIGKILL: nothing catches it."""


def interrupt(at: int, error: type[BaseException] = Killed) -> Callable[[dict[str, Any]], None]:
    """Raise after an epoch whose resume state is written."""

    def report(progress: dict[str, Any]) -> None:
        if progress["epoch"] == at:
            raise error

    return report


def quiet(_: dict[str, Any]) -> None:
    pass


def record(setting: Setting, request: TrialRequest) -> Left:
    store = ResultStore(setting.results)
    path = store.record_path(request)
    with np.load(path.with_suffix(".npz")) as predictions:
        return content(path), dict(predictions), store.read(path)


def test_any_interruption_gives_the_same_record(
    undisturbed: Left, request_: TrialRequest, setting: Setting, tmp_path: Path
) -> None:
    calm, predictions, first = undisturbed
    assert first.profile.resumed_epochs == 0
    for at in (1, 2, 4):
        disturbed = replace(setting, results=tmp_path / f"out{at}")
        with pytest.raises(Killed):
            attempt_trial(request_, disturbed, interrupt(at))
        seed_everything(99)  # whatever the next process draws
        assert attempt_trial(request_, disturbed, quiet) == Outcome("completed")
        again, more, resumed = record(disturbed, request_)
        assert again == calm
        assert all(
            np.array_equal(predictions[key], more[key], equal_nan=predictions[key].dtype.kind == "f")
            for key in predictions
        )
        assert resumed.profile.resumed_epochs == min(at, 3)  # after the last epoch no state is written
        assert resumed.profile.seconds["total"] > resumed.profile.seconds["train"]
        assert not (disturbed.results / RESUME / request_.id).exists()


@pytest.mark.slow
def test_with_data_workers_too(undisturbed: Left, request_: TrialRequest, setting: Setting, tmp_path: Path) -> None:
    """The method draws: a number that a worker takes from its generator would move the rest."""
    calm, predictions, _ = undisturbed
    for at in (None, 1, 3):
        shared = replace(setting, results=tmp_path / f"out{at}", workers=1)
        if at is not None:
            with pytest.raises(Killed):
                attempt_trial(request_, shared, interrupt(at))
            seed_everything(99)
        assert attempt_trial(request_, shared, quiet) == Outcome("completed")
        again, more, resumed = record(shared, request_)
        assert resumed.profile.resumed_epochs == (at or 0)
        assert again == calm
        assert np.array_equal(predictions["logits_test"], more["logits_test"])


def rewrite(setting: Setting, request: TrialRequest, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the resume state on disk."""
    resume_files = ResumeFiles.of(setting.results, request.id)
    state = resume_files.load(WRITTEN_BY)
    assert state is not None
    change(state)
    resume_files.remove()
    resume_files.save(state)


def of_a_gpu(state: dict[str, Any]) -> None:
    state["written_by"] = f"numerics version {NUMERICS_VERSION}, cuda, float16 autocast"


def without_a_tensor(state: dict[str, Any]) -> None:
    del state["trainer"]["model"]["v.blocks.0.draws.norm.running_mean"]


def with_another_tensor(state: dict[str, Any]) -> None:
    state["trainer"]["model"]["v.blocks.0.draws.old"] = torch.zeros(1)


def with_another_optimizer(state: dict[str, Any]) -> None:
    state["trainer"]["optimizer"]["param_groups"][0]["params"].pop()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (of_a_gpu, "is of 'numerics version .*, cuda, float16 autocast', and this is '.*, cpu, float32'"),
        (
            without_a_tensor,
            "epoch 1: it does not match the model: v.blocks.0.draws.norm.running_mean",
        ),
        (with_another_tensor, "epoch 1: it does not match the model: v.blocks.0.draws.old"),
        (with_another_optimizer, "epoch 1: it does not match the model: .*group"),
    ],
)
def test_a_state_that_does_not_fit_is_told_and_the_trial_begins_again(
    undisturbed: Left,
    request_: TrialRequest,
    setting: Setting,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: Any,
    line: str,
) -> None:
    calm, _, _ = undisturbed
    disturbed = replace(setting, results=tmp_path / "disturbed")
    with pytest.raises(Killed):
        attempt_trial(request_, disturbed, interrupt(2))
    rewrite(disturbed, request_, change)
    with caplog.at_level("WARNING"):
        assert attempt_trial(request_, disturbed, quiet) == Outcome("completed")
    [said] = [message for message in caplog.messages if "resume state" in message]
    assert re.search(line, said)
    again, _, resumed = record(disturbed, request_)
    assert again == calm
    assert resumed.profile.resumed_epochs == 0


def test_a_state_is_read_to_the_cpu_wherever_it_was_written(
    request_: TrialRequest, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda _: "cuda:0")  # tensors say that they are on a GPU
        with pytest.raises(Killed):
            attempt_trial(request_, setting, interrupt(2))
    state = ResumeFiles.of(setting.results, request_.id).load(WRITTEN_BY)
    assert state is not None
    assert {tensor.device.type for tensor in state["trainer"]["model"].values()} == {"cpu"}
    assert attempt_trial(request_, setting, quiet) == Outcome("completed")
    assert record(setting, request_)[2].profile.resumed_epochs == 2


def test_a_state_without_a_loss_scale_can_be_loaded_where_there_is_one(request_: TrialRequest) -> None:
    """The scale of a CPU is off, and its state empty."""
    trainers = []
    for enabled in (False, True):
        trainer = Trainer(build_model(request_, 3).model, request_, torch.device("cpu"))
        trainer.scaler = GradScaler("cpu", enabled=enabled)
        trainers.append(trainer)
    trainers[1].load_state(trainers[0].state())
    assert trainers[1].scaler.state_dict()["scale"] == GradScaler("cpu").state_dict()["scale"]


@pytest.mark.parametrize("damage", [b"", b"torn", None])
def test_a_torn_state_falls_back_to_the_one_before(
    undisturbed: Left, request_: TrialRequest, setting: Setting, tmp_path: Path, damage: bytes | None
) -> None:
    calm, _, _ = undisturbed
    disturbed = replace(setting, results=tmp_path / "disturbed")
    with pytest.raises(Killed):
        attempt_trial(request_, disturbed, interrupt(4))
    folder = disturbed.results / RESUME / request_.id
    assert sorted(path.name for path in folder.iterdir()) == ["last.state", "previous.state"]
    whole = (folder / "last.state").read_bytes()
    (folder / "last.state").write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert attempt_trial(request_, disturbed, quiet) == Outcome("completed")
    again, _, resumed = record(disturbed, request_)
    assert again == calm
    assert resumed.profile.resumed_epochs == 2


def test_the_state_of_other_code_is_not_used(request_: TrialRequest, setting: Setting) -> None:
    with pytest.raises(Killed):
        attempt_trial(request_, setting, interrupt(3))
    resume_files = ResumeFiles.of(setting.results, request_.id)
    assert resume_files.load(WRITTEN_BY) is not None
    assert resume_files.load("other") is None


def test_a_state_holds_only_what_trains(make_request: Make, setting: Setting) -> None:
    request = make_request(methods=["linear"], overrides=[{"source": "test", "values": RECIPE}])
    with pytest.raises(Killed):
        attempt_trial(request, setting, interrupt(3))
    state = ResumeFiles.of(setting.results, request.id).load(WRITTEN_BY)
    assert state is not None
    assert {name.partition(".")[0] for name in state["trainer"]["model"]} == {"mlp_head"}


def test_asked_to_stop_a_trial_ends_after_its_epoch(
    undisturbed: Left, request_: TrialRequest, setting: Setting, tmp_path: Path
) -> None:
    calm, _, _ = undisturbed
    stop = tmp_path / "stop"
    stopped = replace(setting, results=tmp_path / "stopped", stop=stop)
    told = []

    def ask(progress: dict[str, Any]) -> None:
        told.append(progress["epoch"])
        if progress["epoch"] == 2:
            stop.touch()

    assert attempt_trial(request_, stopped, ask) == Outcome("stopped")
    assert told == [1, 2]
    assert not ResultStore(stopped.results).attempts()
    assert attempt_trial(request_, stopped, quiet) == Outcome("stopped")  # not even begun
    stop.unlink()
    assert attempt_trial(request_, stopped, quiet) == Outcome("completed")
    assert record(stopped, request_)[0] == calm


def test_a_trial_that_is_another_processs_is_left_alone(request_: TrialRequest, setting: Setting) -> None:
    lease = Lease.take(setting.results, request_.id)
    assert lease
    with lease:
        assert attempt_trial(request_, setting, quiet) == Outcome("elsewhere")
    assert attempt_trial(request_, setting, quiet) == Outcome("completed")
    written = ResultStore(setting.results).record_path(request_).stat().st_mtime_ns
    assert attempt_trial(request_, setting, quiet) == Outcome("completed")  # done by another run meanwhile
    assert ResultStore(setting.results).record_path(request_).stat().st_mtime_ns == written


def test_a_leftover_worker_never_overwrites_its_successor(request_: TrialRequest, setting: Setting) -> None:
    """Its lease was taken over while it trained."""

    def take_over(progress: dict[str, Any]) -> None:
        if progress["epoch"] == 2:
            (setting.results / "leases" / f"{request_.id}.json").write_text('{"token": "successor"}')

    outcome = attempt_trial(request_, setting, take_over)
    assert outcome.status == "elsewhere"
    store = ResultStore(setting.results)
    assert not store.has_current(request_)
    assert not store.attempts()
    resume_files = ResumeFiles.of(setting.results, request_.id)
    state = resume_files.load(WRITTEN_BY)
    assert state is not None
    assert len(state["history"]["curves"]) == 2  # nothing written after the takeover


def test_a_fault_that_may_pass_is_raised_for_another_try(
    request_: TrialRequest, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TransientError, match="OSError: the disk is away"):
        attempt_trial(request_, setting, interrupt_with(OSError("the disk is away")))
    store = ResultStore(setting.results)
    [attempt] = store.attempts()
    assert '"failed"' in attempt.read_text()
    assert attempt_trial(request_, setting, quiet) == Outcome("completed")
    assert store.read(store.record_path(request_)).profile.resumed_epochs == 2


def interrupt_with(error: Exception) -> Callable[[dict[str, Any]], None]:
    def report(progress: dict[str, Any]) -> None:
        if progress["epoch"] >= 2:
            raise error

    return report


def test_memory_that_runs_out_is_told_and_not_tried_again(request_: TrialRequest, setting: Setting) -> None:
    for error in (MemoryError("no room"), torch.OutOfMemoryError("CUDA out of memory")):
        outcome = attempt_trial(request_, setting, interrupt_with(error))
        assert outcome.status == "out_of_memory"


def test_every_generator_goes_on_where_it_was() -> None:
    import random

    def draw() -> tuple[float, float, float, float]:
        return random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(1))

    np.random.randn()  # half of a pair is kept inside
    state = random_state()
    first = draw()
    draw()
    restore_random_state(state)
    assert draw() == first


def test_a_state_keeps_no_more_than_the_choice_of_the_epoch_needs(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the trial itself chooses, only the chosen and the last epoch's logits are kept on the way."""
    sizes = []
    original = History.prune

    def spy(self: History, epochs: list[int]) -> None:
        original(self, epochs)
        sizes.append(len(self.logits.get("test", ())))

    monkeypatch.setattr(History, "prune", spy)
    for rule, most in (("last", 1), ("best_on_test", 4)):  # the latter: one epoch is chosen over all folds
        sizes.clear()
        recipe = [{"source": "test", "values": RECIPE}]
        request = make_request(overrides=recipe, switches={"selection": rule})
        attempt_trial(request, setting, quiet)
        assert max(sizes) == most


def test_a_large_state_is_written_and_read_without_copies(tmp_path: Path) -> None:
    """Torch's own tensors are not traced: what is traced are copies of the file's content."""
    size = 32 * 2**20
    tensors = {str(number): torch.full((size // 4 // 8,), float(number)) for number in range(8)}
    files = ResumeFiles(tmp_path / "state")
    files.save({"written_by": "x"})  # what Python loads at the first call
    tracemalloc.start()
    try:
        files.save({"written_by": "x", "tensors": tensors})
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        state = files.load("x")
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert state is not None
    assert all(torch.equal(state["tensors"][name], tensor) for name, tensor in tensors.items())
    assert written < 0.5 * size
    assert read < 0.5 * size


def test_a_state_that_cannot_be_written_leaves_those_before(tmp_path: Path) -> None:
    files = ResumeFiles(tmp_path / "state")
    for number in range(3):
        files.save({"written_by": "x", "number": number})
    with pytest.raises(AttributeError):
        files.save({"written_by": "x", "bad": lambda: 0})
    assert files.load("x") == {"written_by": "x", "number": 2}
    assert sorted(path.name for path in files.folder.iterdir()) == ["last.state", "previous.state"]


def test_superseded_is_one_line() -> None:
    assert "\n" not in str(LostLeaseError("x: another process has taken this trial over"))
