"""When a search stops a configuration early: asynchronous successive halving (ASHA)."""

from __future__ import annotations

import copy
import functools

import optuna
from optuna.trial import FrozenTrial, TrialState

REDUCTION = 3  # of three configurations that reach a rung, one goes on
RUNGS = REDUCTION**2  # the first rung is at a ninth of the epochs
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)  # without interrupted ones, which are repeated


def make_pruner(epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner of a search whose longest training has that many epochs."""
    return Halving(min_resource=max(1, epochs // RUNGS), reduction_factor=REDUCTION)


class Halving(optuna.pruners.SuccessiveHalvingPruner):
    """Asynchronous successive halving (ASHA) that ignores interrupted configurations, which are trained again."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether to stop a configuration after its last reported epoch."""
        view = copy.copy(study)
        view.get_trials = functools.partial(study.get_trials, states=COUNTED)  # type: ignore[method-assign]
        return super().prune(view, trial)
