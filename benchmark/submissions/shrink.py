"""Predictions as a store keeps them: of the reported epoch and split, and as small as the score allows."""

from __future__ import annotations

import io

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.metrics import of_split
from benchmark.records.schema import Record
from benchmark.submissions.arrays import OF_A_SPLIT, SHARED, Arrays


def shrink(record: Record, arrays: Arrays, epoch: int) -> Arrays:
    """Return what is needed to compute the reported score and its error again.

    Logits become half precision if every metric, and what each clip adds to it, stays exactly the same.

    Args:
        record: the record.
        arrays: its predictions, of several epochs.
        epoch: the reported epoch.

    Raises:
        BenchmarkError: the predictions are older or of other epochs, or do not give the score of the record.
    """
    split = record.selection.split
    stored = arrays.get("epochs", np.empty(0)).tolist()
    needed = [f"{name}_{split}" for name in ("clips", "targets", "observed", "logits")]
    if epoch not in stored or any(name not in arrays for name in needed):
        raise BenchmarkError("its predictions lack the logits of the reported epoch; run the trial again")
    place = stored.index(epoch)
    by_epoch = {f"{name}_{split}" for name in ("logits", "parts", "values")}
    names = [name for name in (*SHARED, *(f"{name}_{split}" for name in OF_A_SPLIT)) if name in arrays]
    kept = {name: arrays[name][place : place + 1] if name in by_epoch else arrays[name] for name in names}
    kept["epochs"] = np.array([epoch])
    if f"values_{split}" in kept:
        kept.pop(f"parts_{split}", None)  # they follow from the logits, and nothing reads them beside the values
    half = kept[f"logits_{split}"].astype(np.float16)
    if _same(record, kept, half):
        kept[f"logits_{split}"] = half
    return kept


def _same(record: Record, arrays: Arrays, logits: np.ndarray) -> bool:
    """Return whether other logits give the same scores, clip by clip."""
    split, rule = record.selection.split, record.request.ranking
    truth = arrays[f"targets_{split}"], arrays[f"observed_{split}"], rule
    metric = of_split.as_metric(record.selection.metric)
    one, other = arrays[f"logits_{split}"][0], logits[0]
    same_values = np.array_equal(
        of_split.by_clip(one, *truth, metric), of_split.by_clip(other, *truth, metric), equal_nan=True
    )
    return same_values and of_split.evaluate(one, *truth) == of_split.evaluate(other, *truth)


def pack(arrays: Arrays) -> bytes:
    """Return the content of a predictions file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes no mapping
    return buffer.getvalue()
