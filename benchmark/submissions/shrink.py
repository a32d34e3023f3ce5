"""Predictions as a store keeps them: of the reported epoch and split, and as small as the score allows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.metrics import of_split
from benchmark.records.leftovers import Leftover
from benchmark.records.schema import Record
from benchmark.records.store import PREDICTIONS, ResultStore
from benchmark.submissions.arrays import DAMAGED, OF_A_SPLIT, SHARED, Arrays
from benchmark.submissions.bundle import reported_epochs


@dataclass(frozen=True)
class LargePredictions(Leftover):
    """A predictions file that is larger than its score needs; `size` is what would be saved.

    Attributes:
        content: of a file that has what the score needs.
    """

    content: bytes = field(repr=False)

    def remove(self) -> None:
        """Replace the file by the smaller one."""
        write_atomic(self.path, self.content)


def find_large(results: ResultStore) -> Iterator[LargePredictions]:
    """Yield the predictions files of a results folder that can become smaller.

    Those that are missing, damaged or older stay as they are. Where folds choose an epoch together, predictions stay
    until all trials are finished.
    """
    unfinished = {request.id for request in results.submitted()} - set(results.finished())
    for records in (results.records(), results.choice_records()):
        for place, record, epoch in with_epochs(results, records):
            if unfinished and record.selection.scope == "folds":
                continue
            path = place.with_suffix(PREDICTIONS)
            try:
                content = read_small(path, record, epoch)
                saved = path.stat().st_size - len(content)
            except (BenchmarkError, OSError):
                continue
            if saved > 0:
                yield LargePredictions(path, saved, "predictions larger than their scores need", content)


def with_epochs(results: ResultStore, records: Iterable[Record]) -> Iterator[tuple[Path, Record, int]]:
    """Yield path, record and reported epoch, see `reported_epochs`, of records in a results folder."""
    paths = {str(results.record_path(record.request)): record for record in records}
    for path, epoch in reported_epochs(paths).items():
        yield Path(path), paths[path], epoch


def read_small(path: Path, record: Record, epoch: int) -> bytes:
    """Return the content of a predictions file with what `shrink` keeps.

    Raises:
        BenchmarkError: it is missing, damaged or older.
    """
    try:
        with np.load(path) as stored:
            arrays: Arrays = dict(stored)
    except DAMAGED as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise BenchmarkError(f"{path}: {reason}; run the trial again") from None
    try:
        return pack(shrink(record, arrays, epoch))
    except BenchmarkError as error:
        raise BenchmarkError(f"{path.with_suffix('.json')}: {error}") from None


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
