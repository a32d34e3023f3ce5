"""After which epochs each held-out split is evaluated, and what evaluation may keep. Also for plans: without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmark.records.schema import Cost, Rule, best_epoch
from benchmark.spec.recipe import EVAL_FACTOR

# Outputs of the frozen part that a trial may keep. They stay in memory during training. 1 GiB of a GPU is a small part
# of it, and holds 400 clips of ESC-50 at base size; a CPU trial has a few GiB in all.
KEPT_BYTES = {"cuda": 2**30, "cpu": 2**28}
MOST_EVALUATED = 16  # training batches; the data workers hold them in the machine's memory
BEST_SHARE = 0.5  # of epochs that are the best so far on validation: scores rise at first, then level off


def is_test_needed(rule: Rule, validation: Sequence[float | None], *, is_last: bool) -> bool:
    """Return whether the test split is to be evaluated after an epoch.

    Args:
        rule: how the reported epoch is chosen.
        validation: scores of the validation split so far, this epoch's included; not read by other rules.
        is_last: whether training ends with this epoch.
    """
    if is_last or rule == "best_on_test":
        return True
    return rule == "best_on_validation" and best_epoch(validation) == len(validation)


def stops_early(rule: Rule, validation: Sequence[float | None], patience: int | None) -> bool:
    """Return whether training ends early after an epoch.

    Args:
        rule: how the reported epoch is chosen; without validation clips, training never ends early.
        validation: scores of the validation split so far, this epoch's included.
        patience: epochs without a better score after which training ends; None for never.
    """
    if patience is None or rule != "best_on_validation":
        return False
    return len(validation) - (best_epoch(validation) or 0) >= patience


def expected_passes(rule: Rule, epochs: int, splits: Sequence[str], *, test_curves: bool) -> dict[str, float]:
    """Return how often each held-out split is evaluated; the best epochs so far are guessed (`BEST_SHARE`).

    Args:
        rule: how the reported epoch is chosen.
        epochs: of the recipe.
        splits: the held-out splits.
        test_curves: whether the test split is evaluated after every epoch.
    """
    of_test = {"best_on_test": epochs, "last": 1, "best_on_validation": 1 + BEST_SHARE * (epochs - 1)}
    return {
        split: of_test[rule] if split == "test" and not test_curves else epochs for split in sorted(splits, key=is_test)
    }


def is_test(split: str) -> bool:
    """Return True for the test split. As a sort key, it puts the test split last."""
    return split == "test"


def kept_splits(sizes: Mapping[str, int], bytes_per_clip: int, limit: int) -> list[str]:
    """Return the splits whose outputs are kept.

    Args:
        sizes: clips of the splits that are evaluated more than once, in the order of their evaluation.
        bytes_per_clip: size of the frozen part's output; 0 if nothing is frozen.
        limit: largest size of what is kept.
    """
    kept, room = [], limit
    for split, clips in sizes.items():
        if 0 < clips * bytes_per_clip <= room:
            kept.append(split)
            room -= clips * bytes_per_clip
    return kept


def eval_factor(cost: Cost) -> int:
    """Return how many training batches a GPU evaluates at once: a power of two, as the memory of training allows."""
    if cost.eval_peak_bytes is None:
        return EVAL_FACTOR
    constant = cost.weight_bytes + cost.optimizer_bytes
    per_batch, factor = (cost.eval_peak_bytes - constant) / EVAL_FACTOR, EVAL_FACTOR
    while 2 * factor <= MOST_EVALUATED and constant + 2 * factor * per_batch <= cost.peak_bytes:
        factor *= 2
    return factor
