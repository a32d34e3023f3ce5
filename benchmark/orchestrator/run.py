"""Run trials with Ray Tune and wait until they have ended."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmark.console import say
from benchmark.errors import BenchmarkError
from benchmark.orchestrator.interrupt import Stop, wait_while
from benchmark.orchestrator.ray_watchdog import watched_ray
from benchmark.orchestrator.scratch import scratch_folder
from benchmark.orchestrator.worker_config import make_worker_config, run_setting
from benchmark.planning.estimate import Estimate
from benchmark.planning.node import Node
from benchmark.planning.packing import Share, beyond_memory, describe, pack
from benchmark.planning.plan import MAX_ATTEMPTS
from benchmark.records.lease import leased
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.code_digest import code_digest
from benchmark.units import plural

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
        BenchmarkError: Ray does not start or died, the resources are too small for a trial, or the disk is full.
    """
    stop = Stop(store.folder, console)
    try:
        with scratch_folder(store.folder) as scratch:
            return _Run(requests, estimates, store, options, before, console, scratch, stop).run()
    except OSError as error:  # of Tune's own files
        raise BenchmarkError(
            f"{store.folder}: the run ended: {error}; make room and call run again: it continues where it was"
        ) from error


@dataclass
class _Run:
    """A run with its scratch folder.

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
    done: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    name: str = field(default_factory=lambda: secrets.token_hex(6))

    def run(self) -> Ended:
        """Start Ray, run all trials, and end Ray."""
        options, log = self.options, self.store.folder / "logs" / "ray.log"
        try:
            with watched_ray(
                self.stop, log, address=options.address, cpus=options.cpus, restart=options.restart_on_ray_death
            ) as nodes:
                self.train(nodes)
        except KeyboardInterrupt:
            return Ended(self.failed, interrupted=True)
        return Ended(self.failed, interrupted=self.stop.asked)

    def train(self, nodes: Sequence[Node]) -> None:
        """Run rounds until no trial is left or the user stops."""
        shares = self._divide(nodes)
        with self._file_relay() as (relay, collectors):
            queue = self._queue(shares, relay)
            waiting = sorted(self.requests, key=lambda request: -self._seconds(request))
            if self.options.gang:
                waiting = leaders_first(waiting)
            for number in itertools.count():
                if not waiting or self.stop.asked:
                    return
                elsewhere, lost = self._round(number, waiting, queue, collectors)
                waiting = [*self._wait_for(elsewhere), *self._again(lost)]

    def _divide(self, nodes: Sequence[Node]) -> dict[str, Share]:
        """Divide the machines between the trials, and show how."""
        options = self.options
        needs = {request.id: self.estimates[request.id].need for request in self.requests}
        shares = pack(nodes, needs, options.cpus_per_trial, options.gpus_per_trial, exclusive=options.exclusive)
        if too_large := beyond_memory(nodes, shares, needs):
            first = next(request for request in self.requests if request.id in too_large)
            number = f" (and {plural(len(too_large) - 1, 'more trial')})" if len(too_large) > 1 else ""
            raise BenchmarkError(
                f"{first.label}{number} {too_large[first.id]}; split its batches with --set recipe.micro_batch=8, or "
                "leave it out with --method"
            )
        say(
            self.console,
            f"Ray started in {time.monotonic() - self.began:.0f} s: {plural(len(self.requests), 'trial')}, "
            f"{describe(shares, nodes)}",
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

        with file_relay(self.store.folder, self.scratch, self.stop.file) as (address, relay):
            yield address, [CollectResults(self.store, relay)]

    def _queue(self, shares: Mapping[str, Share], relay: RelayAddress | None) -> dict[str, QueuedTrial]:
        from benchmark.orchestrator.tune_queue import QueuedTrial

        setting = run_setting(
            self.options,
            self.store.folder,
            self.requests,
            stop=self.stop.file,
            run=self.name,
            features=self.scratch / "features" if self.options.gang else None,
        )
        sharers = Counter(request.batches_key for request in self.requests)
        return {
            request.id: QueuedTrial(
                id=request.id,
                name=request.path_stem.replace("/", "."),
                config=make_worker_config(
                    request,
                    shares[request.id],
                    self.estimates[request.id].cost,
                    setting,
                    relay,
                    sharers[request.batches_key],
                ),
            )
            for request in self.requests
        }

    def _round(
        self,
        number: int,
        waiting: Sequence[TrialRequest],
        queue: Mapping[str, QueuedTrial],
        collectors: Sequence[Callback],
    ) -> tuple[list[TrialRequest], list[TrialRequest]]:
        """Run the waiting trials once; return those that another run is training, and those whose record was lost."""
        from benchmark.orchestrator.guard import Guarded
        from benchmark.orchestrator.loggers import make_loggers
        from benchmark.orchestrator.progress import Progress
        from benchmark.orchestrator.tune_queue import run_queue

        by_id = {request.id: request for request in self.requests}
        labels = {request.id: _without_switches(request) for request in waiting}
        progress = Progress(
            labels,
            self.before + self.done,
            self.console,
            self._on_failure,
            {request.id: self._seconds(request) for request in self.requests},
            has_record=lambda trial_id: self.store.has_current(by_id[trial_id]),
            failed=self.failed,
        )
        # Collectors come first: Progress may ask for an attempt that they bring.
        callbacks = [
            *(Guarded(collector, progress.refuse) for collector in collectors),
            Guarded(progress, progress.warn),
            *(
                Guarded(curves, progress.warn)
                for curves in make_loggers(self.options.loggers, self.store.folder, labels)
            ),
        ]
        with progress:
            run_queue(
                [queue[request.id] for request in waiting],
                callbacks,
                self.scratch / f"round-{number}",
                self.stop.is_asked,  # Tune pickles it: a lambda would bring this object and its console
                fresh_processes=self.options.exclusive,
            )
        self.done += progress.tally.done
        return [by_id[name] for name in progress.elsewhere], [by_id[name] for name in progress.lost]

    def _on_failure(self, trial_id: str, reason: str) -> None:
        """Count a failed trial, and write its attempt if its process died before it could."""
        self.failed += 1
        if reason:
            request = next(request for request in self.requests if request.id == trial_id)
            try:
                write_lost_attempt(self.store, request, reason)
            except OSError as error:  # such as a full disk
                say(self.console, f"{request.label}: its failed attempt was not written: {error}")

    def _again(self, lost: Sequence[TrialRequest]) -> list[TrialRequest]:
        """Return the trials to run again of those whose record was lost; the others end as failed attempts."""
        self.losses.update(request.id for request in lost)
        again = [request for request in lost if self.losses[request.id] < MAX_ATTEMPTS]
        for request in lost:
            if request not in again:
                reason = f"its record was lost {MAX_ATTEMPTS} times on the way to the results folder"
                say(self.console, f"failed: {request.label}: {reason}")
                self._on_failure(request.id, reason)
        return again

    def _wait_for(self, requests: Sequence[TrialRequest]) -> list[TrialRequest]:
        """Wait for trials of other runs; return those that still have no record, such as those of a dead run."""

        def unfinished() -> list[TrialRequest]:
            return [request for request in requests if not self.store.has_current(request)]

        def all_leased() -> bool:
            left = {request.id for request in unfinished()}
            return bool(left) and left <= leased(self.store.folder)

        if requests and all_leased():
            say(self.console, f"Waiting for {plural(len(requests), 'trial')} of another run")
            wait_while(all_leased, self.stop, LOOK_EVERY_SECONDS)
        left = unfinished()
        self.done += len(requests) - len(left)
        if left:
            logger.info("%d trials of another run have no record yet; they are run here", len(left))
        return left

    def _seconds(self, request: TrialRequest) -> float:
        return self.estimates[request.id].seconds or 0.0


def _without_switches(request: TrialRequest) -> str:
    """Return the label of a trial without the switches of its protocol: all trials of a run share them."""
    name = request.protocol.name
    return request.label.replace(name, name.partition("+")[0], 1)


def leaders_first(requests: Sequence[TrialRequest]) -> list[TrialRequest]:
    """Return one trial of every group with the same batches, then the second ones, and so on: few wait for another."""
    ranks, numbers = dict[str, int](), Counter[str]()
    for request in requests:
        ranks[request.id] = numbers[request.batches_key]
        numbers[request.batches_key] += 1
    return sorted(requests, key=lambda request: ranks[request.id])


def write_lost_attempt(store: ResultStore, request: TrialRequest, reason: str) -> None:
    """Write the attempt of a trial whose process died.

    Args:
        store: where results go.
        request: the trial.
        reason: what is known; its last line becomes the error.
    """
    store.write_attempt(Attempt.now(request, "failed", reason.splitlines()[-1][:300], reason, code_digest(request)))
