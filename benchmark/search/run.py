"""A search with Ray Tune over methods, combinations, hyper-parameters and learning rates."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from rich.console import Console

from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError
from benchmark.methods.registry import externals
from benchmark.orchestrator.interrupt import Stop, watchdog
from benchmark.orchestrator.ray_session import ray_session
from benchmark.orchestrator.run import common_setting, scratch_folder, tidy, worker_config
from benchmark.planning.estimate import machine_here, needed_bytes
from benchmark.planning.packing import Share, pack
from benchmark.records.lease import Lease
from benchmark.records.store import ResultStore
from benchmark.search.history import Ledger, spent
from benchmark.search.space import Limits, Space, Verdict
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest

if TYPE_CHECKING:
    from ray.tune.schedulers import ASHAScheduler

    from benchmark.search.sampler import Fitting


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other searches off a results folder.

    Raises:
        BenchmarkError: one is at work there.
    """
    lease = Lease.take(folder, "search")
    if lease is None:
        raise BenchmarkError(f"{folder}: another search is at work there")
    try:
        with lease:
            yield
    finally:
        with contextlib.suppress(OSError):
            lease.path.parent.rmdir()


def run_search(
    space: Space, limits: Limits, ledger: Ledger, budget: int, seed: int, options: RunOptions, console: Console
) -> bool:
    """Try configurations until the budget is spent; what is in the ledger counts. Returns whether the user stopped it.

    Args:
        space: what to draw from.
        limits: what fits.
        ledger: where everything is kept.
        budget: configurations in all.
        seed: of the draws.
        options: machine and resources.
        console: where it is told how it goes.

    Raises:
        BenchmarkError: Ray does not start, or the resources never suffice.
    """
    store = ResultStore(ledger.path.parent)
    scratch, stop, began = scratch_folder(store.folder), Stop(store.folder, console), time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    epochs = max(request.recipe.epochs for request in space.bases.values())
    left = budget - spent(ledger.configurations)
    places = {name: each.place for name, each in externals(base.method for base in space.bases.values()).items()}
    common = {**common_setting(options, store), "stop": stop.file, "methods": places}
    try:
        with (
            ray_session(None, options.cpus or usable_cores(), None, store.folder / "logs" / "ray.log") as nodes,
            stop.on_signals(),
            watchdog(stop),
        ):
            machine = machine_here()

            def share(need: int) -> Share:
                [found] = pack(
                    nodes, {"": need}, options.cpus_per_trial, options.gpus_per_trial, exclusive=False
                ).values()
                return found

            def give(request: TrialRequest, verdict: Verdict) -> dict[str, Any]:
                each = share(needed_bytes(verdict.peak_bytes or 0, None, machine))
                return worker_config(request, each, None, common)

            at_once = share(0).slots(nodes)
            console.print(f"Ray is up after {time.monotonic() - began:.0f} s: up to {at_once} at once", highlight=False)

            def say(text: str) -> None:
                console.print(text, markup=False, highlight=False, soft_wrap=True)

            from benchmark.search.sampler import Fitting, asha

            searcher = Fitting(space, limits, ledger, seed, give, stop, say)
            _fit(searcher, asha(epochs, ledger.configurations), left, at_once, scratch)
        return stop.asked
    except KeyboardInterrupt:
        return True
    finally:
        tidy(scratch)


def _fit(searcher: Fitting, scheduler: ASHAScheduler, number: int, at_once: int, scratch: Path) -> None:
    from ray import tune

    from benchmark.orchestrator.trainable import search_in_worker

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)
    tuner = tune.Tuner(
        tune.with_resources(search_in_worker, lambda config: tune.PlacementGroupFactory([config["bundle"]])),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=number,
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(scratch), verbose=0, callbacks=[]),
    )
    tuner.fit()
