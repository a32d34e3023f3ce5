"""Run a list of trials with Ray Tune, in order and under their own ids."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import SearchAlgorithm

from benchmark.orchestrator.ray_compat import make_tune_trial
from benchmark.orchestrator.trainable import run_in_worker
from benchmark.orchestrator.worker_config import WorkerConfig
from benchmark.planning.plan import MAX_ATTEMPTS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueuedTrial:
    """A trial for Ray Tune.

    Attributes:
        id: id of the trial.
        name: readable name.
        config: what its worker receives.
    """

    id: str
    name: str
    config: WorkerConfig


class TuneQueue(SearchAlgorithm):
    """Hand the given trials to Tune in order. Nothing is sampled.

    Args:
        trials: what to run.
        stopping: returns True when no more trials should start.
    """

    def __init__(self, trials: Sequence[QueuedTrial], stopping: Callable[[], bool] = lambda: False) -> None:
        self._trials = trials
        self._stopping = stopping
        self._next = 0
        self._experiment: Experiment | None = None

    @property
    def total_samples(self) -> int:
        """Return the number of trials."""
        return len(self._trials)

    def add_configurations(self, experiments: Any) -> None:
        """Receive the experiment that the trials belong to (called by Tune)."""
        self._experiment = experiments[0] if isinstance(experiments, list) else experiments

    def is_finished(self) -> bool:
        """Return True when no more trials will start (called by Tune)."""
        return super().is_finished() or self._stopping() or self._next >= len(self._trials)

    def next_trial(self) -> Trial | None:
        """Return the next trial, None at the end (called by Tune)."""
        if self.is_finished():
            return None
        assert self._experiment is not None
        trial = self._trials[self._next]
        self._next += 1
        return make_tune_trial(self._experiment, trial.id, trial.name, dict(trial.config))


def resources_of(config: dict[Any, Any]) -> tune.PlacementGroupFactory:
    """Return the resources in a worker's config, on the machines that its labels select."""
    selector: dict[str, Any] = {"bundle_label_selector": [config["labels"]]} if config["labels"] else {}
    return tune.PlacementGroupFactory([config["bundle"]], **selector)


def run_queue(
    trials: Sequence[QueuedTrial],
    callbacks: Sequence[Callback],
    scratch: Path,
    stopping: Callable[[], bool],
    *,
    fresh_processes: bool,
) -> None:
    """Run trials with Ray Tune until all have ended.

    Args:
        trials: what to run, in this order.
        callbacks: Tune's callbacks.
        scratch: folder for Tune's own state.
        stopping: returns True when no more trials should start.
        fresh_processes: run each trial in a new process instead of reusing workers.
    """
    tuner = tune.Tuner(
        tune.with_resources(run_in_worker, resources_of),
        tune_config=tune.TuneConfig(
            search_alg=TuneQueue(trials, stopping),
            reuse_actors=not fresh_processes,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=list(callbacks),
            # After the death of a process or a fault that may pass: again, from the trial's own resume state.
            failure_config=tune.FailureConfig(max_failures=MAX_ATTEMPTS - 1),
        ),
    )
    try:
        tuner.fit()
    except (EOFError, pickle.UnpicklingError):
        # After the last trial Tune reads back the errors that it stored, which a full disk cut off. Nothing needs them.
        logger.warning("%s: Tune's own files are damaged; is the disk full?", scratch)
