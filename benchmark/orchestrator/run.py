"""Submit what a plan leaves to do to Ray Tune and wait for it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.orchestrator.resources import Share, own_cpus, share
from benchmark.orchestrator.session import ray_session
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest

if TYPE_CHECKING:
    from benchmark.orchestrator.progress import Progress


@dataclass(frozen=True)
class Options:
    """How to run; nothing here changes a result."""

    data_root: Path
    checkpoints: dict[str, Path]
    address: str | None = None
    cpus: int | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    exclusive: bool = False


def run_trials(
    requests: Sequence[TrialRequest], store: ResultStore, options: Options, *, before: int, console: Console
) -> bool:
    """Run trials to their records or attempts.

    Args:
        requests: in the order to submit.
        store: where results go; the caller holds its lock.
        options: machine and resources.
        before: trials of the grid that are done already, for the display.
        console: where progress is shown.

    Returns:
        False when the user interrupted.

    Raises:
        BenchmarkError: Ray does not start, or the resources never suffice.
    """
    scratch = store.folder / ".tune"
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    cpus = options.cpus or own_cpus()
    began = time.monotonic()
    try:
        with ray_session(options.address, cpus, None, store.folder / "logs" / "ray.log") as machine:
            each = share(machine, options.cpus_per_trial, options.gpus_per_trial, exclusive=options.exclusive)
            at_once = each.slots(machine)
            console.print(
                f"Ray is up after {time.monotonic() - began:.0f} s: {len(requests)} trials, {at_once} at once, "
                f"each with {each.cpus} CPU{'s' if each.cpus > 1 else ''} and {each.gpus:g} GPUs",
                highlight=False,
            )
            from benchmark.orchestrator.progress import Progress

            progress = Progress({request.id: request.label for request in requests}, before, console)
            setting: dict[str, Any] = {
                "results": store.folder,
                "data_root": options.data_root.absolute(),
                "checkpoints": options.checkpoints,
                "threads": each.cpus,
                "workers": each.cpus - 1 if each.gpus else 0,
                "exclusive": options.exclusive or at_once == 1,
                "fresh_process": options.exclusive,
            }
            # Tune keeps one trial pending by default, which leaves slots idle
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once + 2)
            _fit(requests, setting, each, progress, scratch)
        return True
    except KeyboardInterrupt:
        return False
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fit(
    requests: Sequence[TrialRequest], setting: dict[str, Any], each: Share, progress: Progress, scratch: Path
) -> None:
    from ray import tune

    from benchmark.orchestrator.search import ExplicitList
    from benchmark.orchestrator.trainable import run_in_worker

    trials = [
        (
            request.id,
            request.path_stem.replace("/", "."),
            {"request": request.model_dump(mode="json"), "setting": setting},
        )
        for request in requests
    ]
    tuner = tune.Tuner(
        tune.with_resources(run_in_worker, tune.PlacementGroupFactory([each.bundle])),
        tune_config=tune.TuneConfig(
            search_alg=ExplicitList(trials),
            reuse_actors=not setting["fresh_process"],
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"run-{os.getpid()}", storage_path=str(scratch), verbose=0, callbacks=[progress]
        ),
    )
    with progress:
        tuner.fit()
