"""The functions that Ray Tune calls in a worker."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def run_in_worker(config: dict[str, Any]) -> None:
    """Run `config["request"]`; faults of the trial are kept as attempts, so the worker stays usable.

    The record is written before Tune hears of it, so that whatever Tune loses, the result is there.
    """
    import ray
    from ray import tune

    from benchmark.orchestrator.remote_results import Away
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest
    from benchmark.trial.run import Setting, attempt_trial

    device = "cuda" if ray.get_gpu_ids() else "cpu"
    request = TrialRequest.model_validate(config["request"])
    setting = Setting(device=device, **config["setting"])
    away = Away.of(request, config["address"])
    if away:
        away.fetch()
        setting = dataclasses.replace(setting, results=away.store.folder, stop=away.stop)

    with _log(ResultStore(setting.results).log_path(request.id), request.label) as say:

        def report(progress: dict[str, Any]) -> None:
            value = progress["value"]
            score = "" if value is None else f", {progress['metric']} {100 * value:.1f} % ({progress['split']})"
            say(f"epoch {progress['epoch']}/{progress['epochs']}: loss {progress['loss']:.4f}{score}")
            if away:
                away.after_epoch()
            tune.report({"status": "running", **progress})

        try:
            outcome = attempt_trial(request, setting, report)
            say(f"{outcome.status}{f': {outcome.error}' if outcome.error else ''}")
        finally:
            if away:
                away.send()
    tune.report({"status": outcome.status, "error": outcome.error})


def search_in_worker(config: dict[str, Any]) -> None:
    """Train `config["request"]` on validation data; Tune hears the best score so far behind every epoch.

    A fault of the configuration is reported with the worst score, so that the worker stays usable and the search
    learns of it.
    """
    import ray
    from ray import tune

    from benchmark.errors import BenchmarkError
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest
    from benchmark.trial.fit import StoppedError
    from benchmark.trial.run import Setting, run_on_validation

    setting = Setting(device="cuda" if ray.get_gpu_ids() else "cpu", **config["setting"])
    began, values = time.monotonic(), list[float]()

    def report(progress: dict[str, Any]) -> None:
        if progress["value"] is None:
            raise BenchmarkError(f"no score behind epoch {progress['epoch']}: loss or outputs are not finite")
        values.append(progress["value"])
        stopped = bool(setting.stop and setting.stop.exists() and progress["epoch"] < progress["epochs"])
        told = {"epoch": progress["epoch"], "epochs": progress["epochs"], "value": values[-1], "stopped": stopped}
        tune.report({**told, "score": max(values), "seconds": time.monotonic() - began})
        if stopped:
            raise StoppedError

    request = TrialRequest.model_validate(config["request"])
    try:
        with _log(ResultStore(setting.results).log_path(request.id), request.label) as say:
            try:
                run_on_validation(request, setting, report)
            except Exception:
                say(traceback.format_exc())
                raise
    except StoppedError:
        return
    except Exception as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        tune.report({"epoch": len(values), "score": 0.0, "seconds": time.monotonic() - began, "error": line})


@contextmanager
def _log(path: Path, name: str) -> Iterator[Callable[[str], None]]:
    """A function that adds a line to the trial's log; what the trial prints and warns of goes there too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as handle:

        def say(text: str) -> None:
            handle.write(f"{time.strftime('%F_%T')} {text}\n")

        say(f"{name}, process {os.getpid()}")
        with contextlib.redirect_stdout(handle), contextlib.redirect_stderr(handle):
            yield say
