"""Choose the epoch that is reported. A trial knows only its own fold."""

from __future__ import annotations

from typing import Literal

from benchmark.data.dataset_info import DatasetInfo
from benchmark.records.schema import Epoch, Rule, Selection, best_epoch
from benchmark.spec.request import TrialRequest


def selection_rule(request: TrialRequest, info: DatasetInfo) -> Rule:
    """Return how the reported epoch of a trial is chosen: on validation clips if the dataset has some.

    A few-shot trial reports its last epoch: few clips per class leave none for validation (Perez, Kiela and Cho 2021,
    "True few-shot learning with language models"). A trial that chooses a setting follows the rule of the final trials,
    with its validation clips in the place of the test clips where the dataset lists none.

    Args:
        request: the trial.
        info: facts of its dataset; of a trial without test clips, those of `hold_out`.
    """
    if request.shots:
        return "last"
    if request.held_out and info.held_out:
        return "last" if request.protocol.selection == "last" else "best_on_validation"
    return "best_on_validation" if info.has_validation else request.protocol.selection


def reported_split(request: TrialRequest) -> Literal["validation", "test"]:
    """Return the split whose score a trial reports."""
    return "validation" if request.held_out else "test"


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
    over_folds = rule == "best_on_test" and len(info.folds) > 1  # the info of a trial without test clips has no folds
    epoch: int | None = None
    if not over_folds and not diverged:
        split = "validation" if rule == "best_on_validation" else reported_split(request)
        epoch = len(curves) if rule == "last" else best_epoch([point.splits[split][info.metric] for point in curves])
    return Selection(
        rule=rule,
        scope="folds" if over_folds else "trial",
        split=reported_split(request),
        metric=info.metric,
        epoch=epoch,
        folds=choosing_folds(request, info) if over_folds else None,
    )


def choosing_folds(request: TrialRequest, info: DatasetInfo) -> tuple[int, ...] | None:
    """Return the folds that choose the epoch of a trial whose epoch is chosen over folds; None for all (D12)."""
    over_folds = selection_rule(request, info) == "best_on_test"
    nine = info.name == "urbansound8k" and request.protocol.us8k_epoch_folds == "9"
    return info.folds[:9] if over_folds and nine else None


def kept_epochs(selection: Selection, epochs: int) -> list[int]:
    """Return the epochs whose predictions are stored: all while the choice is open, else the chosen and the last."""
    if selection.epoch is None:
        return list(range(1, epochs + 1))
    return sorted({selection.epoch, epochs})
