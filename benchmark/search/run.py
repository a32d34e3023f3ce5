"""The search loop: Optuna proposes and prunes configurations, Ray runs their trainings in parallel."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from rich.console import Console

from benchmark.console import say
from benchmark.errors import BenchmarkError
from benchmark.orchestrator.interrupt import Stop
from benchmark.orchestrator.ray_watchdog import RESTARTS, watched_ray
from benchmark.orchestrator.worker_config import run_setting, trial_setting
from benchmark.places import line_of_error
from benchmark.planning.flops import count_costs
from benchmark.planning.memory import Need, need_of
from benchmark.planning.node import Node
from benchmark.planning.packing import Share, pack
from benchmark.records.lease import Lease, held_by_this_process
from benchmark.records.schema import Cost
from benchmark.records.store import ResultStore
from benchmark.search.history import Configuration, configurations, spent, write_table
from benchmark.search.pruner import COUNTED
from benchmark.search.space import METHOD, Limits, Size, Space, compute_size
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.fit import EpochProgress, StoppedError
from benchmark.trial.run import run_on_validation
from benchmark.trial.seeding import stream
from benchmark.trial.setting import Setting

logger = logging.getLogger(__name__)

MAX_DRAWS = 100  # in a row that exceed the limits
LOOK_EVERY_SECONDS = 1.0  # so that Ctrl-C is noticed while all are training


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other searches out of a results folder.

    Raises:
        BenchmarkError: another search is running there.
    """
    path = folder / "leases" / "search.json"
    if RESTARTS in os.environ:  # started again in the same process, because Ray died: the old lease looks alive
        with contextlib.suppress(OSError):
            if held_by_this_process(path):
                path.unlink()
    lease = Lease.take(folder, path.stem)
    if lease is None:
        raise BenchmarkError(f"{folder}: another search is running there")
    try:
        with lease:
            yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def train(trial: optuna.Trial, request: TrialRequest, setting: Setting) -> None:
    """Train a configuration in a worker process. Every epoch is reported to the study, which may prune it.

    Args:
        trial: Optuna's trial, with the study's storage and pruner.
        request: what to train.
        setting: where to train; output goes to the trial's log there.
    """
    began, best = time.monotonic(), 0.0

    def report(progress: EpochProgress) -> None:
        nonlocal best
        epoch, epochs, value = progress["epoch"], progress["epochs"], progress["scores"]["validation"]
        if value is None:
            raise BenchmarkError(f"no score after epoch {epoch}: loss or outputs are not finite")
        print(f"epoch {epoch}/{epochs}: {progress['metric']} {100 * value:.1f} %", flush=True)
        best = max(best, value)
        trial.report(best, epoch)  # the best epoch so far decides about pruning
        if epoch < epochs:
            if trial.should_prune():
                raise optuna.TrialPruned
            _check_stop(setting)

    log = ResultStore(setting.results).log_path(request.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            _check_stop(setting)
            run_on_validation(request, setting, report)
        except StoppedError:
            return  # trained again when the search is continued
        except optuna.TrialPruned:
            _finish(trial, TrialState.PRUNED, time.monotonic() - began)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            _fail(trial, line_of_error(error), time.monotonic() - began)
        else:
            _finish(trial, TrialState.COMPLETE, time.monotonic() - began, best)


def _cost(request: TrialRequest) -> Cost | None:
    """Return the counted cost of a training's step, which drawing it has stored."""
    return count_costs([request], Console(quiet=True)).costs.get(request.step_key)


def _check_stop(setting: Setting) -> None:
    if setting.asked_to_stop:
        raise StoppedError


def _finish(
    trial: optuna.Trial, state: TrialState, seconds: float, score: float | None = None, error: str | None = None
) -> None:
    trial.set_user_attr("seconds", seconds)
    trial.set_user_attr("error", error)
    trial.study.tell(trial, score, state)


def _fail(trial: optuna.Trial, error: str, seconds: float = 0.0) -> None:
    """Store a failed configuration: with the worst score, so that Optuna avoids its like."""
    _finish(trial, TrialState.COMPLETE, seconds, 0.0, error)


@dataclass(frozen=True)
class Search:
    """A search that runs in this process.

    Attributes:
        space: what to choose from.
        limits: limits on a configuration.
        study: Optuna's study; its configurations count against the budget.
        folder: results folder, absolute.
        seed: seed of the draws.
        options: machine and resources.
        console: where progress is shown.
    """

    space: Space
    limits: Limits
    study: optuna.Study
    folder: Path
    seed: int
    options: RunOptions
    console: Console

    def run(self, budget: int) -> bool:
        """Try configurations until the budget is spent; return whether the user stopped the search.

        Raises:
            BenchmarkError: Ray does not start, or the machine lacks the resources for one training.
        """
        began, stop = time.monotonic(), Stop(self.folder, self.console)
        try:
            log, options = self.folder / "logs" / "ray.log", self.options
            with watched_ray(stop, log, cpus=options.cpus, restart=options.restart_on_ray_death) as nodes:
                at_once = self._share(nodes, Need()).slots(nodes)
                self._say(f"Ray is up after {time.monotonic() - began:.0f} s: up to {at_once} at once")
                self._loop(budget, at_once, nodes, stop)
            return stop.asked
        except KeyboardInterrupt:  # the second Ctrl-C
            return True

    def _loop(self, budget: int, at_once: int, nodes: list[Node], stop: Stop) -> None:
        import ray
        from ray.exceptions import RayError

        running: dict[Any, optuna.Trial] = {}
        drawn: tuple[optuna.Trial, TrialRequest] | None
        while True:
            left = budget - spent(configurations(self.study)) - len(running)
            for _ in range(min(left, at_once - len(running))):
                if (drawn := self._draw(stop)) is None:
                    budget = 0
                    break
                trial, request = drawn
                cost = _cost(request)
                share = self._share(nodes, need_of(cost, request.recipe))
                # with GPUs as an argument of `remote`, Ray starts a fresh process for the task
                task: Any = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, memory=share.memory, max_retries=0)(
                    train
                )
                running[task.remote(trial, request, self._setting(share, cost, stop))] = trial
            if not running:
                return
            for ended in ray.wait(list(running), timeout=LOOK_EVERY_SECONDS)[0]:
                trial = running.pop(ended)
                try:
                    ray.get(ended)
                except RayError as error:
                    logger.warning("configuration %d: %s", trial.number, error)
                    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # it died after its end
                        _fail(trial, "its process died")
                self._show(trial)

    def _draw(self, stop: Stop) -> tuple[optuna.Trial, TrialRequest] | None:
        """Return the next configuration within the limits; None if the user stopped, or none is found."""
        for _ in range(MAX_DRAWS):
            if stop.asked:
                return None
            # seeded by position: a continued search draws what an undisturbed one would draw
            number = len(self.study.get_trials(deepcopy=False, states=COUNTED))
            self.study.sampler = optuna.samplers.TPESampler(seed=stream("search", self.seed, number) % 2**32)
            trial = self.study.ask()
            self.space.draw(trial)
            name, request = str(trial.params[METHOD]), None
            values = {"name": name, "method": name, "lr": 0.0}
            try:
                values["method"], request = self.space.request(trial.params)
                values["lr"] = request.recipe.lr
                size = compute_size(request, self.limits)
            except BenchmarkError as error:  # the method refuses the values, or the trial
                size = Size(error=str(error))
            for key, value in {**values, **dataclasses.asdict(size)}.items():
                trial.set_user_attr(key, value)
            if request and not size.error:
                write_table(self.folder, self.study)
                return trial, request
            self.study.tell(trial, state=TrialState.PRUNED)
            self._show(trial)
        self._say(f"{MAX_DRAWS} configurations in a row exceed the limits: the search ends")
        return None

    def _show(self, trial: optuna.Trial) -> None:
        """Write the table, and print what became of a configuration."""
        write_table(self.folder, self.study)
        number = spent(configurations(self.study))
        ended = self.study.get_trials(deepcopy=False)[trial.number]
        if ended.state.is_finished():
            self._say(f"[{number}] {Configuration.of(ended, number)}")

    def _share(self, nodes: list[Node], need: Need) -> Share:
        """Return the resources of a training that needs that much memory."""
        options = self.options
        [share] = pack(nodes, {"": need}, options.cpus_per_trial, options.gpus_per_trial, exclusive=False).values()
        return share

    def _setting(self, share: Share, cost: Cost | None, stop: Stop) -> Setting:
        requests = self.space.bases.values()
        setting = run_setting(self.options, self.folder, requests, stop=stop.file)
        device = "cuda" if share.gpus else "cpu"
        return dataclasses.replace(trial_setting(setting, share, cost), device=device)

    def _say(self, text: str) -> None:
        say(self.console, text)
