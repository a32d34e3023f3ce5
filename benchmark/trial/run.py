"""Run one trial and leave a record, or an attempt that says why there is none."""

from __future__ import annotations

import gc
import os
import resource
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from benchmark.data.registry import get_dataset
from benchmark.data.validation_split import hold_out
from benchmark.errors import BenchmarkError
from benchmark.methods.registry import externals, load_externals
from benchmark.models.checkpoint import Checkpoint, read_checkpoint
from benchmark.models.weights import digest
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.environment import capture, utc_now
from benchmark.records.lease import Lease, LostLeaseError
from benchmark.records.schema import Attempt, Cost, Parameters, Plugin, Profile, Record
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.adapter_file import pack
from benchmark.trial.build import build_model
from benchmark.trial.data import prepare
from benchmark.trial.fingerprint import code_fingerprint
from benchmark.trial.fit import Predictions, Report, Runner, StoppedError
from benchmark.trial.resume import ResumeFiles
from benchmark.trial.selection import choose, kept_epochs
from benchmark.trial.train_step import Trainer, device_name

Status = Literal["completed", "diverged", "failed", "out_of_memory", "timeout", "stopped", "elsewhere"]
CUDA_BYTES = 700 * 2**20  # of a GPU's memory, that every process takes besides its tensors; 685 MiB on an H100
TRANSIENT = (OSError, ConnectionError)  # worth another try: a file system or network that was away


class TransientError(Exception):
    """Raised out of a trial whose attempt is written, so that it is tried again."""


@dataclass(frozen=True)
class Setting:
    """Where and with what a trial runs; nothing here changes its result beyond rounding.

    `cache` is the folder of the audio cache (None: decode each time), `checkpoints` are paths by sha256, `threads` for
    arithmetic, `workers` processes that load data, `exclusive` when nothing else uses the device, `fresh_process` when
    this process runs no other trial, `numerics_version` of the code that submitted the trial, `cost` of a step where it
    was counted before, `gpu_share` the part of a GPU that the trial may fill, `deterministic` when a GPU is to use
    algorithms that repeat bit for bit, `stop` a file that asks to stop behind the running epoch, `timeout` seconds
    after which a trial is given up, `began` when the run did, `methods` places of those from outside the suite by name,
    `keep_weights` when what was trained is to stay beside the record.
    """

    results: Path
    data_root: Path
    cache: Path | None
    checkpoints: Mapping[str, Path]
    device: str
    threads: int
    workers: int
    exclusive: bool
    fresh_process: bool
    numerics_version: int = NUMERICS_VERSION
    cost: Cost | None = None
    gpu_share: float = 1.0
    deterministic: bool = False
    stop: Path | None = None
    timeout: float | None = None
    began: str = ""
    methods: Mapping[str, str] = field(default_factory=dict)
    keep_weights: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a try ended; `error` is one line. `elsewhere`: another run is at work on the trial."""

    status: Status
    error: str | None = None


class Finished(NamedTuple):
    """What a trial leaves: the record, and what is stored beside it; `weights` is a file's content, if asked for."""

    record: Record
    predictions: Predictions
    weights: bytes | None


def attempt_trial(request: TrialRequest, setting: Setting, report: Report) -> Outcome:
    """Run a trial, from its last checkpoint where it has one; an error of the trial itself becomes an attempt.

    Args:
        request: what to run.
        setting: where.
        report: called after every epoch with `epoch`, `epochs`, `loss`, and `metric`, `split` and `value` of the score.

    Raises:
        TransientError: the attempt is written, and the trial is worth another try.
    """
    store = ResultStore(setting.results)
    if setting.stop is not None and setting.stop.exists():
        return Outcome("stopped")
    if late := _timed_out(store, request, setting):
        return late
    lease = Lease.take(store.folder, request.id)
    if lease is None:
        return Outcome("elsewhere")
    with lease:
        if store.has_current(request):  # by another run, since this one was planned
            return Outcome("completed")
        return _attempt(request, setting, report, store, lease)


def _attempt(request: TrialRequest, setting: Setting, report: Report, store: ResultStore, lease: Lease) -> Outcome:
    snapshots = ResumeFiles(store.folder / "checkpoints" / request.id, lease.check)
    try:
        with _deadline(request, setting, store):
            finished = run_trial(request, setting, report, snapshots)
            lease.check()
            store.write(*finished)
            snapshots.remove()
    except StoppedError:
        return Outcome("stopped")
    except LostLeaseError as error:
        return Outcome("elsewhere", str(error))
    except (Exception, SystemExit) as error:
        memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        status: Literal["failed", "out_of_memory"] = "out_of_memory" if memory else "failed"
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        store.write_attempt(Attempt.now(request, status, line, traceback.format_exc(), code_fingerprint(request)))
        if isinstance(error, TRANSIENT):
            raise TransientError(line) from error
        return Outcome(status, line)
    finally:
        _free_memory()
    return Outcome(finished.record.status)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _deadline(request: TrialRequest, setting: Setting, store: ResultStore) -> Iterator[None]:
    """Give a trial up that takes longer than it may: whatever it hangs in, its process ends."""
    if setting.timeout is None:
        yield
        return

    def expire() -> None:
        line = f"took longer than {setting.timeout:g} s"
        store.write_attempt(Attempt.now(request, "timeout", line, line, code_fingerprint(request)))
        os._exit(1)

    timer = threading.Timer(setting.timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _timed_out(store: ResultStore, request: TrialRequest, setting: Setting) -> Outcome | None:
    """A process that ended at its deadline is started again by Tune, which cannot know why it ended."""
    attempts = [store.read_attempt(path) for path in store.attempts(request.id)]
    late = [each for each in attempts if each and each.status == "timeout" and each.finished >= setting.began]
    return Outcome("timeout", late[-1].error) if late and setting.began else None


def run_trial(
    request: TrialRequest, setting: Setting, report: Report, snapshots: ResumeFiles | None = None
) -> Finished:
    """Train and evaluate. The weights of a trial that diverged are not kept.

    Raises:
        StoppedError: asked to stop; the checkpoint is written.
        BenchmarkError: bad data or a method that does not fit; anything else is a fault of the code.
    """
    started = utc_now()
    runner, parameters = _assemble(request, setting, report, snapshots)
    info, inputs, trainer, device = runner.info, runner.inputs, runner.trainer, runner.trainer.clock.device
    history, resumed = runner.run()
    diverged = history.diverged(info.metric)
    selection = choose(request, info, history.curves, diverged=diverged)
    history.prune(kept_epochs(selection, len(history.curves)))
    environment, environment_hash = capture(
        device=device_name(device),
        cuda=torch.version.cuda if device.type == "cuda" else None,
        threads=setting.threads,
        deterministic=setting.deterministic,
    )
    record = Record(
        id=request.id,
        request=request,
        status="diverged" if diverged else "completed",
        data=inputs.data,
        selection=selection,
        curves=history.curves,
        parameters=parameters,
        cost=setting.cost or _cost(request, inputs.data.classes),
        profile=_profile(setting, trainer, len(history.curves) * inputs.data.used["train"], resumed),
        environment=environment,
        environment_hash=environment_hash,
        numerics_version=NUMERICS_VERSION,
        fingerprint=code_fingerprint(request),
        plugins={
            name: Plugin(distribution=each.distribution, version=each.version)
            for name, each in externals([request.method]).items()
        },
        started=started,
        finished=utc_now(),
    )
    weights = None
    if setting.keep_weights and not diverged:
        front_end = inputs.splits["test"].front_end
        weights = pack(trainer.model, request, history.curves[-1], selection, info.classes, front_end)
    return Finished(record, history.predictions(request, inputs, info.metric), weights)


def run_on_validation(request: TrialRequest, setting: Setting, report: Report) -> None:
    """Train a trial without its test clips, which are neither read nor evaluated; leaves no record.

    Args:
        request: what to train, made for the manifest of `hold_out`.
        setting: where.
        report: as in `attempt_trial`, of the validation clips; what it raises ends the training.

    Raises:
        BenchmarkError: as `run_trial`.
    """
    try:
        _assemble(request, setting, report, None, validate=True)[0].run()
    finally:
        _free_memory()


def _assemble(
    request: TrialRequest, setting: Setting, report: Report, snapshots: ResumeFiles | None, *, validate: bool = False
) -> tuple[Runner, Parameters]:
    """Everything that a trial needs to begin, and the counts of its model."""
    began = time.perf_counter()
    load_externals(setting.methods)
    if setting.numerics_version != NUMERICS_VERSION:
        raise BenchmarkError(
            f"numerics version {NUMERICS_VERSION} here, but the trial was submitted by version "
            f"{setting.numerics_version}; give the `run` again"
        )
    torch.set_num_threads(setting.threads)
    _be_deterministic(setting.deterministic)
    torch.set_default_dtype(torch.float32)  # in case an earlier trial of this process changed it
    device = torch.device(setting.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        # a trial that outgrows its share fails by itself, not its neighbours
        torch.cuda.set_per_process_memory_fraction(allocator_share(setting.gpu_share, torch.cuda.mem_get_info()[1]))
    manifest = get_dataset(request.dataset.name).manifest(setting.data_root)
    if validate:
        manifest = hold_out(manifest, request.fold).manifest
    inputs = prepare(request, manifest, setting.cache)
    model, parameters, groups = build_model(request, inputs.data.classes, _checkpoint(request, setting))
    trainer = Trainer(model.to(device), request, device, groups)
    trainer.clock.began = began
    trainer.clock.seconds["setup"] = time.perf_counter() - began
    runner = Runner(
        request=request,
        info=manifest.info,
        inputs=inputs,
        trainer=trainer,
        snapshots=snapshots,
        workers=setting.workers,
        stop=setting.stop,
        report=report,
        told="validation" if validate else "test",
    )
    return runner, parameters


def allocator_share(share: float, total: int) -> float:
    """The part of a GPU of `total` bytes that a trial's tensors may fill: CUDA itself takes some of its share."""
    return max(share - CUDA_BYTES / total, share / 2) if 0 < share < 1 else 1.0


def _be_deterministic(on: bool) -> None:
    """Bit-equal repetitions on a GPU, which cost speed; an operation that cannot is an error. A CPU repeats anyway."""
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.deterministic = on


def _cost(request: TrialRequest, classes: int) -> Cost:
    from benchmark.trial.cost import count_cost  # takes a second to import

    return count_cost(request, classes)


def _checkpoint(request: TrialRequest, setting: Setting) -> Checkpoint | None:
    """Read the weights, after making sure that they are those of the request."""
    backbone = request.backbone
    if backbone.random_weights:
        return None
    path = setting.checkpoints.get(backbone.sha256 or "")
    if path is None or digest(path) != backbone.sha256:
        raise BenchmarkError(f"{backbone.variant}: its checkpoint changed since this trial was planned; run again")
    return read_checkpoint(path)


def _profile(setting: Setting, trainer: Trainer, trained_clips: int, resumed: int) -> Profile:
    device, seconds = trainer.clock.device, trainer.clock.so_far()
    cuda = device.type == "cuda"
    # Linux counts in KiB; the peak belongs to the process, so a process that ran other trials tells nothing
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if setting.fresh_process else None
    return Profile(
        device=device_name(device),
        precision=trainer.precision.name,
        exclusive=setting.exclusive,
        resumed_epochs=resumed,
        seconds=seconds,
        train_clips_per_second=trained_clips / (seconds["train"] + seconds["data"]),
        gpu_allocated_bytes=torch.cuda.max_memory_allocated(device) if cuda else None,
        gpu_reserved_bytes=torch.cuda.max_memory_reserved(device) if cuda else None,
        host_rss_bytes=rss,
    )
