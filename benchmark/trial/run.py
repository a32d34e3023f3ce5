"""Run one trial until it has a record, or a failed attempt that says why there is none."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from benchmark.places import line_of_error
from benchmark.records.environment import utc_now
from benchmark.records.lease import Lease, LostLeaseError
from benchmark.records.schema import Attempt, Record, Rule
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.assemble import assemble
from benchmark.trial.code_digest import code_digest
from benchmark.trial.device import breaks_cuda, is_out_of_memory, trial_memory
from benchmark.trial.fit import Report, StoppedError, fit
from benchmark.trial.record import Finished, finish
from benchmark.trial.resume import ResumeFiles
from benchmark.trial.setting import Setting

__all__ = ["Finished", "Outcome", "Setting", "TransientError", "attempt_trial", "run_on_validation", "run_trial"]

Status = Literal["completed", "diverged", "failed", "out_of_memory", "timeout", "stopped", "elsewhere"]
TRANSIENT = (OSError, ConnectionError)  # a file system or network that may be back at the next attempt

logger = logging.getLogger(__name__)


class TransientError(Exception):
    """The trial failed for a reason that may pass in another process. Its attempt is written; attempt it again.

    Ray Tune ends the process of a trial that raises, and starts the trial in another one.
    """


class Reported(TypedDict):
    """The epoch that a finished trial reports, and its score.

    Attributes:
        epoch: its number, from 1.
        epochs: number of epochs that were trained.
        rule: how it was chosen.
        metric: name of the dataset's metric.
        scores: the metric by split; of the reported split alone.
    """

    epoch: int
    epochs: int
    rule: Rule
    metric: str
    scores: dict[str, float | None]


def reported_score(record: Record) -> Reported | None:
    """Return which epoch a record reports; None while it is to be chosen over all folds, and in a diverged trial."""
    chosen = record.selection
    if chosen.epoch is None or record.status == "diverged":
        return None
    epochs, scores = len(record.curves), {chosen.split: record.score}
    return Reported(epoch=chosen.epoch, epochs=epochs, rule=chosen.rule, metric=chosen.metric, scores=scores)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        status: `elsewhere`: another run is training this trial.
        error: one line; None where the attempt did not fail.
        reported: the epoch whose score the trial reports, with rule and score; None if it is chosen over all folds.
    """

    status: Status
    error: str | None = None
    reported: Reported | None = field(default=None, compare=False)


def attempt_trial(request: TrialRequest, setting: Setting, report: Report) -> Outcome:
    """Run a trial, continuing from its resume state if there is one; write its record or a failed attempt.

    Args:
        request: what to run.
        setting: where and with what.
        report: called after every epoch, see `EpochProgress`.

    Raises:
        TransientError: the attempt is written, and the trial should be attempted again.
    """
    store = ResultStore(setting.results)
    if setting.asked_to_stop:
        return Outcome("stopped")
    if timed_out := _earlier_timeout(store, request, setting):
        return timed_out
    try:
        lease = Lease.take(store.folder, request.id)
    except OSError as error:
        return _write_failure(request, setting, error)
    if lease is None:
        logger.info("%s: another run is training this trial", request.label)
        return Outcome("elsewhere")
    with lease, trial_memory():
        if store.has_current(request):
            logger.info("%s: another run finished this trial since it was planned", request.label)
            return Outcome("completed")
        return _attempt_with_lease(request, setting, report, store, lease)


def _attempt_with_lease(
    request: TrialRequest, setting: Setting, report: Report, store: ResultStore, lease: Lease
) -> Outcome:
    resume_files = ResumeFiles.of(store.folder, request.id, lease.check)
    try:
        with _deadline(request, setting, store):
            finished = run_trial(request, setting, report, resume_files)
            lease.check()
            store.write(*finished)
            resume_files.remove()
    except StoppedError:
        return Outcome("stopped")
    except LostLeaseError as error:
        return Outcome("elsewhere", str(error))
    except (Exception, SystemExit) as error:  # a method may call sys.exit
        return _write_failure(request, setting, error)
    return Outcome(finished.record.status, reported=reported_score(finished.record))


def _write_failure(request: TrialRequest, setting: Setting, error: BaseException) -> Outcome:
    """Write the attempt of an error that is being handled.

    Raises:
        TransientError: the error may pass, or only this process cannot go on, because its CUDA is broken.
    """
    status: Literal["failed", "out_of_memory"] = "out_of_memory" if is_out_of_memory(error) else "failed"
    line = line_of_error(error)
    logger.info("%s: %s: %s", request.label, status, line)
    try:
        ResultStore(setting.results).write_attempt(
            Attempt.now(request, status, line, traceback.format_exc(), code_digest(request), setting.run)
        )
    except OSError as unwritten:  # such as a full disk, which may be the error itself
        line = f"{line} (its failed attempt was not written: {unwritten})"
        logger.warning("%s: %s", request.label, line)
    if isinstance(error, TRANSIENT) or breaks_cuda(error):
        raise TransientError(line) from error
    return Outcome(status, line)


@contextmanager
def _deadline(request: TrialRequest, setting: Setting, store: ResultStore) -> Iterator[None]:
    """End the process of a trial that exceeds `timeout`.

    A timer thread ends the whole process, because the trial may hang in code that no exception can interrupt.
    """
    timeout = setting.options.timeout
    if timeout is None:
        yield
        return

    def expire() -> None:
        line = f"took longer than {timeout:g} s"
        try:
            store.write_attempt(Attempt.now(request, "timeout", line, line, code_digest(request), setting.run))
        finally:  # on a full disk, too
            os._exit(1)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _earlier_timeout(store: ResultStore, request: TrialRequest, setting: Setting) -> Outcome | None:
    """Return the outcome of a timeout in this run, None if there was none.

    Ray Tune starts a process that ended at its deadline again, because it cannot know why the process ended.
    """
    if not setting.run:
        return None
    attempts = [store.read_attempt(path) for path in store.attempts(request.id)]
    late = [attempt for attempt in attempts if attempt and (attempt.status, attempt.run) == ("timeout", setting.run)]
    return Outcome("timeout", late[-1].error) if late else None


def run_trial(
    request: TrialRequest, setting: Setting, report: Report, resume_files: ResumeFiles | None = None
) -> Finished:
    """Train and evaluate a trial; return its record and what is stored beside it. Only resume state is written.

    Args:
        request: what to run.
        setting: where and with what.
        report: called after every epoch, see `EpochProgress`.
        resume_files: where the trial's resume state is; None keeps none.

    Raises:
        StoppedError: the user asked to stop; the resume state is written.
        BenchmarkError: bad data or a method that does not fit; any other error is a fault of the code.
    """
    started = utc_now()
    parts = assemble(request, setting)
    fitted = fit(request, parts, setting, report, resume_files)
    return finish(request, setting, parts, fitted, started)


def run_on_validation(request: TrialRequest, setting: Setting, report: Report) -> None:
    """Train a trial without its test clips, which are neither read nor evaluated. Write no record.

    Args:
        request: what to train; its manifest digest is the one of `hold_out`.
        setting: where and with what.
        report: called after every epoch with the score on the validation clips; an exception of it ends the training.

    Raises:
        BenchmarkError: as `run_trial`.
    """
    with trial_memory():
        parts = assemble(request, setting, validation_only=True)
        fit(request, parts, setting, report)
