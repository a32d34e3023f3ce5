"""Submit what a plan leaves to do to Ray Tune and wait for it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.orchestrator.plan import current_fingerprints
from benchmark.orchestrator.resources import Share, own_cpus, share
from benchmark.orchestrator.session import ray_session
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest

if TYPE_CHECKING:
    from benchmark.orchestrator.progress import Progress


@dataclass(frozen=True)
class Options:
    """How to run; nothing here changes a result."""

    data_root: Path
    cache: Path | None
    checkpoints: dict[str, Path]
    address: str | None = None
    cpus: int | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    exclusive: bool = False


@dataclass(frozen=True)
class Ended:
    """How a run ended: trials that failed in it, and whether the user stopped it."""

    failed: int
    interrupted: bool


def run_trials(
    requests: Sequence[TrialRequest], store: ResultStore, options: Options, *, before: int, console: Console
) -> Ended:
    """Run trials to their records or attempts.

    Args:
        requests: in the order to submit.
        store: where results go; the caller holds its lock.
        options: machine and resources.
        before: trials of the grid that are done already, for the display.
        console: where progress is shown.

    Raises:
        BenchmarkError: Ray does not start, or the resources never suffice.
    """
    scratch = store.folder / ".tune"
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    cpus = options.cpus or own_cpus()
    began = time.monotonic()
    failures: list[str] = []

    def lost(trial_id: str, reason: str) -> None:
        """A worker that died cannot write its own attempt."""
        failures.append(trial_id)
        if reason:
            _keep_attempt(store, by_id[trial_id], fingerprints[trial_id], reason)

    by_id = {request.id: request for request in requests}
    fingerprints = current_fingerprints(requests)
    try:
        with ray_session(options.address, cpus, None, store.folder / "logs" / "ray.log") as nodes, _stop_on_signals():
            each = share(nodes, options.cpus_per_trial, options.gpus_per_trial, exclusive=options.exclusive)
            at_once = each.slots(nodes)
            console.print(
                f"Ray is up after {time.monotonic() - began:.0f} s: {len(requests)} trials, {at_once} at once, "
                f"each with {each.cpus} CPU{'s' if each.cpus > 1 else ''} and {each.gpus:g} GPUs",
                highlight=False,
            )
            from benchmark.orchestrator.progress import Progress

            progress = Progress({request.id: request.label for request in requests}, before, console, lost)
            setting: dict[str, Any] = {
                "results": store.folder,
                "data_root": options.data_root.absolute(),
                "cache": options.cache and options.cache.absolute(),
                "checkpoints": options.checkpoints,
                "threads": each.cpus,
                "workers": each.cpus - 1 if each.gpus else 0,
                "exclusive": options.exclusive,
                "fresh_process": options.exclusive,
            }
            # Tune keeps one trial pending by default, which leaves slots idle
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once + 2)
            settings = {trial_id: {**setting, "fingerprint": value} for trial_id, value in fingerprints.items()}
            _fit(requests, settings, each, progress, scratch, fresh=options.exclusive)
        return Ended(len(failures), interrupted=False)
    except KeyboardInterrupt:
        return Ended(len(failures), interrupted=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _stop_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: with a summary. Set after Ray has set its own."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep_attempt(store: ResultStore, request: TrialRequest, fingerprint: str, reason: str) -> None:
    store.write_attempt(Attempt.now(request, "failed", reason.splitlines()[-1][:300], reason, fingerprint))


def _fit(
    requests: Sequence[TrialRequest],
    settings: dict[str, dict[str, Any]],
    each: Share,
    progress: Progress,
    scratch: Path,
    *,
    fresh: bool,
) -> None:
    from ray import tune

    from benchmark.orchestrator.search import ExplicitList
    from benchmark.orchestrator.trainable import run_in_worker

    trials = [
        (
            request.id,
            request.path_stem.replace("/", "."),
            {"request": request.model_dump(mode="json"), "setting": settings[request.id]},
        )
        for request in requests
    ]
    tuner = tune.Tuner(
        tune.with_resources(run_in_worker, tune.PlacementGroupFactory([each.bundle])),
        tune_config=tune.TuneConfig(
            search_alg=ExplicitList(trials),
            reuse_actors=not fresh,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"run-{os.getpid()}", storage_path=str(scratch), verbose=0, callbacks=[progress]
        ),
    )
    with progress:
        tuner.fit()
