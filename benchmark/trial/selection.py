"""Choose the epoch that is reported. A trial knows only its own fold."""

from __future__ import annotations

from benchmark.data.dataset_info import DatasetInfo
from benchmark.records.schema import Epoch, Rule, Selection, best_epoch
from benchmark.spec.request import TrialRequest


def selection_rule(request: TrialRequest, info: DatasetInfo) -> Rule:
    """Return how the reported epoch of a trial is chosen: on validation clips if the dataset has some.

    Args:
        request: the trial.
        info: facts of its dataset.
    """
    return "best_on_validation" if info.has_validation else request.protocol.selection


def choose(request: TrialRequest, info: DatasetInfo, curves: list[Epoch], *, diverged: bool) -> Selection:
    """Apply the protocol's rule: best on validation if the dataset has such a split, else best on test or the last.

    The epoch stays open (None) if one epoch is chosen over all folds, and in a diverged trial.

    Args:
        request: the trial.
        info: facts of the dataset.
        curves: finished epochs.
        diverged: whether the trial diverged.
    """
    rule = selection_rule(request, info)
    over_folds = rule == "best_on_test" and len(info.folds) > 1
    epoch: int | None = None
    if not over_folds and not diverged:
        split = "validation" if rule == "best_on_validation" else "test"
        epoch = len(curves) if rule == "last" else best_epoch([point.splits[split][info.metric] for point in curves])
    return Selection(
        rule=rule,
        scope="folds" if over_folds else "trial",
        split="test",
        metric=info.metric,
        epoch=epoch,
        folds=choosing_folds(request, info) if over_folds else None,
    )


def choosing_folds(request: TrialRequest, info: DatasetInfo) -> tuple[int, ...] | None:
    """Return the folds that choose the epoch of a trial whose epoch is chosen over folds; None for all (D12)."""
    over_folds = not info.has_validation and request.protocol.selection == "best_on_test"
    nine = info.name == "urbansound8k" and request.protocol.us8k_epoch_folds == "9"
    return info.folds[:9] if over_folds and nine else None


def kept_epochs(selection: Selection, epochs: int) -> list[int]:
    """Return the epochs whose predictions are stored: all while the choice is open, else the chosen and the last."""
    if selection.epoch is None:
        return list(range(1, epochs + 1))
    return sorted({selection.epoch, epochs})
