"""Submit what a plan leaves to do to Ray Tune and wait for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from rich.console import Console

from benchmark.data.parallel import usable_cores
from benchmark.methods.registry import externals
from benchmark.numerics import NUMERICS_VERSION
from benchmark.orchestrator.interrupt import Stop, wait_while, watchdog
from benchmark.orchestrator.ray_session import ray_session
from benchmark.planning.estimate import Estimate
from benchmark.planning.packing import Node, Share, pack
from benchmark.planning.plan import MAX_ATTEMPTS
from benchmark.records.environment import utc_now
from benchmark.records.lease import leased
from benchmark.records.schema import Attempt, Cost
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.fingerprint import code_fingerprint

if TYPE_CHECKING:
    from ray.tune import Callback

    from benchmark.orchestrator.remote_results import Address
    from benchmark.orchestrator.tune_queue import Named

LOOK_EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Ended:
    """How a run ended: trials that failed in it, and whether the user stopped it."""

    failed: int
    interrupted: bool


def run_trials(
    requests: Sequence[TrialRequest],
    estimates: Mapping[str, Estimate],
    store: ResultStore,
    options: RunOptions,
    *,
    before: int,
    console: Console,
) -> Ended:
    """Run trials to their records or attempts, the longest first; those that another run is at work on are waited for.

    Args:
        requests: what to run.
        estimates: time and memory, by trial id.
        store: where results go.
        options: machine and resources.
        before: trials of the grid that are done already, for the display.
        console: where progress is shown.

    Raises:
        BenchmarkError: Ray does not start, or the resources never suffice.
    """
    scratch, stop = scratch_folder(store.folder), Stop(store.folder, console)
    began, began_at = time.monotonic(), utc_now()
    failures: list[str] = []

    def lost(trial_id: str, reason: str) -> None:
        """A worker that died cannot write its own attempt."""
        failures.append(trial_id)
        if reason:
            _keep_attempt(store, by_id[trial_id], reason)

    by_id = {request.id: request for request in requests}
    try:
        with (
            ray_session(
                options.address, options.cpus or usable_cores(), None, store.folder / "logs" / "ray.log"
            ) as nodes,
            stop.on_signals(),
            watchdog(stop),
            contextlib.ExitStack() as held,
        ):
            shares = pack(
                nodes,
                {request.id: estimates[request.id].memory_bytes for request in requests},
                options.cpus_per_trial,
                options.gpus_per_trial,
                exclusive=options.exclusive,
            )
            at_once = max(each.slots(nodes) for each in shares.values())
            console.print(
                f"Ray is up after {time.monotonic() - began:.0f} s: {len(requests)} trials, {_describe(shares, nodes)}",
                highlight=False,
            )
            from benchmark.orchestrator.loggers import make_loggers
            from benchmark.orchestrator.progress import Progress
            from benchmark.orchestrator.remote_results import Gather, keeping

            # Tune keeps one trial pending by default, which leaves slots idle
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once + 2)
            address, helpers = None, []
            if options.address is not None:  # a cluster, whose machines may not see the results folder
                address, keeper = held.enter_context(keeping(store.folder, scratch / "here"))
                helpers = [Gather(store, lambda: stop.asked, keeper)]
            external = externals(request.method for request in requests)
            places = {name: each.place for name, each in external.items()}
            common = {**common_setting(options, store), "stop": stop.file, "began": began_at, "methods": places}
            trials = {
                name: _trial(
                    request,
                    worker_config(request, shares[name], estimates[name].cost, common),
                    address,
                )
                for name, request in by_id.items()
            }
            seconds = {request.id: estimates[request.id].seconds or 0.0 for request in requests}
            waiting, round_number = sorted(requests, key=lambda request: -seconds[request.id]), 0
            while waiting and not stop.asked:
                labels = {request.id: request.label for request in waiting}
                progress = Progress(labels, before + len(requests) - len(waiting), console, lost, seconds)
                callbacks = [*helpers, progress, *make_loggers(options.loggers, store.folder, labels)]
                mine = [trials[request.id] for request in waiting]
                with progress:
                    _fit(mine, callbacks, scratch / f"round-{round_number}", stop, fresh=options.exclusive)
                waiting = _others_work([by_id[name] for name in progress.elsewhere], store, stop, console)
                round_number += 1
        return Ended(len(failures), interrupted=stop.asked)
    except KeyboardInterrupt:
        return Ended(len(failures), interrupted=True)
    finally:
        tidy(scratch)


def _describe(shares: Mapping[str, Share], nodes: Sequence[Node]) -> str:
    """What trials get; the most common share first."""
    kinds = [
        f"{each.slots(nodes)} at once, each with {each.cpus} CPU{'s' if each.cpus > 1 else ''} and {each.gpus:g} GPUs"
        for each, _ in Counter(shares.values()).most_common()
    ]
    return "; ".join(kinds)


def _others_work(requests: list[TrialRequest], store: ResultStore, stop: Stop, console: Console) -> list[TrialRequest]:
    """Wait for trials of other runs; returns those whose run died or gave them up."""

    def unfinished() -> list[TrialRequest]:
        return [request for request in requests if not store.has_current(request)]

    def busy() -> bool:
        left = {request.id for request in unfinished()}
        return bool(left) and left <= leased(store.folder)

    if requests and busy():
        console.print(f"waiting for {len(requests)} trials that another run is at work on", soft_wrap=True)
        wait_while(busy, stop, LOOK_EVERY_SECONDS)
    return unfinished()  # those that are still held are met again in the next round


def scratch_folder(results: Path) -> Path:
    """A folder for Tune's own state, which nothing reads; those of dead runs of this machine are removed."""
    parent = results / ".tune"
    for path in parent.glob("run-*"):
        with contextlib.suppress(ValueError):
            if not psutil.pid_exists(int(path.name.rpartition("-")[2])):
                shutil.rmtree(path, ignore_errors=True)
    return parent / f"run-{os.getpid()}"


def tidy(scratch: Path) -> None:
    """Remove that folder, and of the results folder's own those that are empty: another run may be at work there."""
    shutil.rmtree(scratch, ignore_errors=True)
    for name in (scratch.parent.name, "leases", "checkpoints"):
        with contextlib.suppress(OSError):
            (scratch.parent.parent / name).rmdir()


def _keep_attempt(store: ResultStore, request: TrialRequest, reason: str) -> None:
    store.write_attempt(
        Attempt.now(request, "failed", reason.splitlines()[-1][:300], reason, code_fingerprint(request))
    )


def common_setting(options: RunOptions, store: ResultStore) -> dict[str, Any]:
    """What all trials of a run are told."""
    return {
        "results": store.folder,
        "data_root": options.data_root.absolute(),
        "cache": options.cache and options.cache.absolute(),
        "checkpoints": options.checkpoints,
        "exclusive": options.exclusive,
        "fresh_process": options.exclusive,
        "timeout": options.timeout,
        "deterministic": options.deterministic,
        "keep_weights": options.keep_weights,
    }


def worker_config(request: TrialRequest, each: Share, cost: Cost | None, common: dict[str, Any]) -> dict[str, Any]:
    """What a worker is told of a trial."""
    setting = {
        **common,
        "numerics_version": NUMERICS_VERSION,
        "cost": cost,
        "threads": each.cpus,
        "workers": each.cpus - 1 if each.gpus else 0,
        "gpu_share": each.gpus,
    }
    return {"request": request.model_dump(mode="json"), "setting": setting, "bundle": each.bundle}


def _trial(request: TrialRequest, config: dict[str, Any], address: Address | None) -> Named:
    """A trial as Tune gets it."""
    return request.id, request.path_stem.replace("/", "."), {**config, "address": address}


def _fit(trials: list[Named], callbacks: Sequence[Callback], scratch: Path, stop: Stop, *, fresh: bool) -> None:
    from ray import tune

    from benchmark.orchestrator.trainable import run_in_worker
    from benchmark.orchestrator.tune_queue import TuneQueue

    tuner = tune.Tuner(
        tune.with_resources(run_in_worker, lambda config: tune.PlacementGroupFactory([config["bundle"]])),
        tune_config=tune.TuneConfig(
            search_alg=TuneQueue(trials, lambda: stop.asked),
            reuse_actors=not fresh,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=list(callbacks),
            # a process that died or a fault that may pass: again, from the trial's own checkpoint
            failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS - 1),
        ),
    )
    tuner.fit()
