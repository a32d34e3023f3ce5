"""Run trials with Ray Tune and wait until they have ended."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError
from benchmark.orchestrator.interrupt import Stop, wait_while
from benchmark.orchestrator.ray_session import ray_session
from benchmark.orchestrator.ray_watchdog import watchdog
from benchmark.orchestrator.scratch import scratch_folder, tidy
from benchmark.orchestrator.worker_config import make_worker_config, run_setting
from benchmark.planning.estimate import Estimate
from benchmark.planning.node import Node
from benchmark.planning.packing import Share, beyond_memory, describe, pack
from benchmark.records.environment import utc_now
from benchmark.records.lease import leased
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.code_digest import code_digest

if TYPE_CHECKING:
    from ray.tune import Callback

    from benchmark.orchestrator.remote_results import RelayAddress
    from benchmark.orchestrator.tune_queue import QueuedTrial

LOOK_EVERY_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        failed: number of trials that failed in this run.
        interrupted: True when the user stopped the run.
    """

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
    """Run trials, longest first, until each has a record or a failed attempt. Wait for trials of other runs.

    Args:
        requests: what to run.
        estimates: time and memory by trial id.
        store: where results go.
        options: options of the run.
        before: number of trials of the grid that are done already, for the display.
        console: where progress is shown.

    Raises:
        BenchmarkError: Ray does not start or died, or the resources are too small for a trial.
    """
    scratch, stop = scratch_folder(store.folder), Stop(store.folder, console)
    run = _Run(requests, estimates, store, options, before, console, scratch, stop)
    try:
        with (
            ray_session(
                options.address, options.cpus or usable_cores(), None, store.folder / "logs" / "ray.log"
            ) as nodes,
            stop.on_signals(),
            watchdog(stop, restart=options.restart_on_ray_death),
        ):
            run.train(nodes)
    except KeyboardInterrupt:
        return Ended(run.failed, interrupted=True)
    finally:
        tidy(scratch)
    return Ended(run.failed, interrupted=stop.asked)


@dataclass
class _Run:
    """A run while Ray is up.

    Trials that another run is training are waited for. Those that are still without a record then form another round.
    """

    requests: Sequence[TrialRequest]
    estimates: Mapping[str, Estimate]
    store: ResultStore
    options: RunOptions
    before: int
    console: Console
    scratch: Path
    stop: Stop
    failed: int = 0
    began: float = field(default_factory=time.monotonic)
    began_at: str = field(default_factory=utc_now)

    def train(self, nodes: Sequence[Node]) -> None:
        """Run rounds until no trial is left or the user stops."""
        shares = self._divide(nodes)
        with self._file_relay() as (relay, collectors):
            queue = self._queue(shares, relay)
            waiting = sorted(self.requests, key=lambda request: -self._seconds(request))
            for number in itertools.count():
                if not waiting or self.stop.asked:
                    return
                of_other_runs = self._round(number, waiting, queue, collectors)
                waiting = self._wait_for(of_other_runs)

    def _divide(self, nodes: Sequence[Node]) -> dict[str, Share]:
        """Divide the machines between the trials, and show how."""
        options = self.options
        needs = {request.id: self.estimates[request.id].need for request in self.requests}
        shares = pack(nodes, needs, options.cpus_per_trial, options.gpus_per_trial, exclusive=options.exclusive)
        if too_large := beyond_memory(nodes, shares, needs):
            first = next(request for request in self.requests if request.id in too_large)
            number = f" (and {len(too_large) - 1} more trials)" if len(too_large) > 1 else ""
            raise BenchmarkError(
                f"{first.label}{number} {too_large[first.id]}; split its batches with --set recipe.micro_batch=8, or "
                "leave it out with --method"
            )
        self.console.print(
            f"Ray started in {time.monotonic() - self.began:.0f} s: {len(self.requests)} trials, "
            f"{describe(shares, nodes)}",
            highlight=False,
        )
        # By default Tune keeps one trial pending, which leaves slots idle.
        at_once = max(share.slots(nodes) for share in shares.values())
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once + 2)
        return shares

    @contextmanager
    def _file_relay(self) -> Iterator[tuple[RelayAddress | None, list[Callback]]]:
        """On a cluster, whose machines may not see the results folder: start the relay that brings results here."""
        if self.options.address is None:
            yield None, []
            return
        from benchmark.orchestrator.remote_results import CollectResults, file_relay

        with file_relay(self.store.folder, self.scratch / "here") as (address, relay):
            yield address, [CollectResults(self.store, self.stop.is_asked, relay)]

    def _queue(self, shares: Mapping[str, Share], relay: RelayAddress | None) -> dict[str, QueuedTrial]:
        from benchmark.orchestrator.tune_queue import QueuedTrial

        setting = run_setting(self.options, self.store.folder, self.requests, stop=self.stop.file, began=self.began_at)
        return {
            request.id: QueuedTrial(
                id=request.id,
                name=request.path_stem.replace("/", "."),
                config=make_worker_config(request, shares[request.id], self.estimates[request.id].cost, setting, relay),
            )
            for request in self.requests
        }

    def _round(
        self,
        number: int,
        waiting: Sequence[TrialRequest],
        queue: Mapping[str, QueuedTrial],
        collectors: Sequence[Callback],
    ) -> list[TrialRequest]:
        """Run the waiting trials once; return those that another run is training."""
        from benchmark.orchestrator.loggers import make_loggers
        from benchmark.orchestrator.progress import Progress
        from benchmark.orchestrator.tune_queue import run_queue

        labels = {request.id: request.label for request in waiting}
        progress = Progress(
            labels,
            self.before + len(self.requests) - len(waiting),
            self.console,
            self._on_failure,
            {request.id: self._seconds(request) for request in self.requests},
        )
        # Collectors come first: Progress may ask for an attempt that they bring.
        callbacks = [*collectors, progress, *make_loggers(self.options.loggers, self.store.folder, labels)]
        with progress:
            run_queue(
                [queue[request.id] for request in waiting],
                callbacks,
                self.scratch / f"round-{number}",
                self.stop.is_asked,  # Tune pickles it: a lambda would bring this object and its console
                fresh_processes=self.options.exclusive,
            )
        return [request for request in self.requests if request.id in set(progress.elsewhere)]

    def _on_failure(self, trial_id: str, reason: str) -> None:
        """Count a failed trial, and write its attempt if its process died before it could."""
        self.failed += 1
        if reason:
            request = next(request for request in self.requests if request.id == trial_id)
            write_lost_attempt(self.store, request, reason)

    def _wait_for(self, requests: Sequence[TrialRequest]) -> list[TrialRequest]:
        """Wait for trials of other runs; return those that still have no record, such as those of a dead run."""

        def unfinished() -> list[TrialRequest]:
            return [request for request in requests if not self.store.has_current(request)]

        def all_leased() -> bool:
            left = {request.id for request in unfinished()}
            return bool(left) and left <= leased(self.store.folder)

        if requests and all_leased():
            self.console.print(f"Waiting for {len(requests)} trials of another run", soft_wrap=True)
            wait_while(all_leased, self.stop, LOOK_EVERY_SECONDS)
        left = unfinished()
        if left:
            logger.info("%d trials of another run have no record yet; they are run here", len(left))
        return left

    def _seconds(self, request: TrialRequest) -> float:
        return self.estimates[request.id].seconds or 0.0


def write_lost_attempt(store: ResultStore, request: TrialRequest, reason: str) -> None:
    """Write the attempt of a trial whose process died.

    Args:
        store: where results go.
        request: the trial.
        reason: what is known; its last line becomes the error.
    """
    store.write_attempt(Attempt.now(request, "failed", reason.splitlines()[-1][:300], reason, code_digest(request)))
