"""The function that Ray Tune calls in a worker."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.orchestrator.worker_config import WorkerConfig
    from benchmark.trial.fit import EpochProgress


def run_in_worker(config: WorkerConfig) -> None:
    """Run a trial. Its faults become attempts, so that the worker can be used again.

    The record is written before Tune is informed: whatever Tune loses, the result is on disk.
    """
    import ray
    from ray import tune

    from benchmark.orchestrator.remote_results import RemoteWorkspace
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest
    from benchmark.trial.run import attempt_trial
    from benchmark.units import score_text

    request = TrialRequest.model_validate(config["request"])
    setting = dataclasses.replace(config["setting"], device="cuda" if ray.get_gpu_ids() else "cpu")
    workspace = RemoteWorkspace.if_needed(request, config["relay"])
    if workspace:
        workspace.fetch_resume_state()
        setting = dataclasses.replace(setting, results=workspace.store.folder, stop=workspace.stop)

    with _trial_log(ResultStore(setting.results).log_path(request.id), request.label) as write_line:

        def report(progress: EpochProgress) -> None:
            score = score_text(progress["metric"], progress["scores"])
            line = f"epoch {progress['epoch']}/{progress['epochs']}: loss {progress['loss']:.4f}"
            write_line(f"{line}, {score}" if score else line)
            if workspace:
                workspace.after_epoch()
            tune.report({"status": "running", **progress})

        try:
            outcome = attempt_trial(request, setting, report)
            write_line(f"{outcome.status}{f': {outcome.error}' if outcome.error else ''}")
        finally:
            if workspace:
                workspace.send_result()
    tune.report({"status": outcome.status, "error": outcome.error, "reported": outcome.reported})


class _Log(io.TextIOWrapper):
    """A log file whose errors, such as a full disk, do not reach the trial."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def _open_log(path: Path) -> _Log:
    """Open a log to add lines; one that cannot be written takes them and keeps none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = io.FileIO(path, "a")
    except OSError:
        raw = io.FileIO(os.devnull, "a")
    return _Log(io.BufferedWriter(raw), encoding="utf-8", line_buffering=True)


@contextmanager
def _trial_log(path: Path, label: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that adds a line to the trial's log. Printed text and warnings go to the log, too."""
    with _open_log(path) as handle:

        def write_line(text: str) -> None:
            handle.write(f"{time.strftime('%F_%T')} {text}\n")

        write_line(f"{label}, process {os.getpid()}")
        with contextlib.redirect_stdout(handle), contextlib.redirect_stderr(handle):
            yield write_line
