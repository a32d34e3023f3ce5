"""Scores are those of the predictions beside them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from benchmark.metrics import of_split
from benchmark.metrics.ranking import Scores
from benchmark.records.schema import Record
from benchmark.records.store import PREDICTIONS
from benchmark.submissions.arrays import OF_A_SPLIT, SHARED, Arrays
from benchmark.submissions.bundle import Failure
from benchmark.submissions.checks.context import Context
from benchmark.submissions.reading import RefusedError, hidden_character

TOLERANCE = 1e-9  # of a mean that another processor adds up in another order
VALUES = ("values", "parts")


def recomputed(context: Context) -> Iterator[Failure]:
    """Metrics of the reported epoch follow from the logits; no two trials have the same ones."""
    epochs = context.bundle.epochs()
    logits: dict[str, str] = {}
    for path, record in context.bundle.all_records.items():
        if str(PurePosixPath(path).with_suffix(PREDICTIONS)) not in context.bundle.files:
            continue  # said by another rule
        try:
            arrays = context.bundle.arrays(path)
            faults = list(_faults(record, arrays, epochs[path]))
        except RefusedError as error:
            yield Failure(str(PurePosixPath(path).with_suffix(PREDICTIONS)), str(error))
            continue
        if not faults:
            digest = hashlib.sha256(arrays[f"logits_{record.selection.split}"].tobytes()).hexdigest()
            if (other := logits.setdefault(digest, path)) != path:
                faults = [f"are those of {other}"]
        for fault in faults:
            yield Failure(path, f"its predictions: {fault}; submit the files that the suite wrote")


def _faults(record: Record, arrays: Arrays, epoch: int) -> Iterator[str]:
    """Yield what is wrong with predictions.

    Args:
        record: the record beside them.
        arrays: the predictions.
        epoch: the reported epoch.
    """
    split = record.selection.split
    if fault := next(_other_forms(record, arrays, epoch), None):
        yield fault
        return
    scored = (arrays[f"logits_{split}"][0], arrays[f"targets_{split}"], arrays[f"observed_{split}"])
    rule, metric = record.request.ranking, of_split.as_metric(record.selection.metric)
    reported = record.curves[epoch - 1].splits[split]
    for name, value in of_split.evaluate(*scored, rule).items():
        stated = reported.get(name)
        if name in reported and not _is_equal(stated, value):
            shown = ["none" if score is None else f"{100 * score:.4f} %" for score in (value, stated)]
            yield f"give {shown[0]} {name} at epoch {epoch}, the record says {shown[1]}"
    computed: dict[str, Scores] = {
        "values": of_split.by_clip(*scored, rule, metric),
        "parts": of_split.parts(*scored, rule, metric),
    }
    for name in VALUES:
        stored = arrays.get(f"{name}_{split}")
        if stored is not None and not _are_equal(stored[0], computed[name]):
            yield f"have {name}_{split} that do not follow from the logits"


def _other_forms(record: Record, arrays: Arrays, epoch: int) -> Iterator[str]:
    """Yield how arrays are not those of the reported epoch of the reported split; a later rule needs the earlier ones.

    Args:
        record: the record beside them.
        arrays: the predictions.
        epoch: the reported epoch.
    """
    split = record.selection.split
    names = {f"{name}_{split}" for name in OF_A_SPLIT}
    needed = {*SHARED, *names} - {f"{name}_{split}" for name in VALUES} - {"classes", f"groups_{split}"}
    if missing := needed - arrays.keys():
        yield f"lack {min(missing)}"
    if additional := arrays.keys() - names - set(SHARED):
        yield f"have {min(additional)}, which no check uses"
    if arrays["epochs"].tolist() != [epoch]:
        yield f"are of epochs {arrays['epochs'].tolist()[:5]}, not of epoch {epoch} alone"
    clips, classes = arrays[f"clips_{split}"], record.data.classes
    if len(clips) != (used := record.data.used.get(split)):
        yield f"are of {len(clips)} clips, the record says {used}"
    shapes: dict[str, tuple[int, ...]] = {f"{name}_{split}": (len(clips), classes) for name in ("targets", "observed")}
    shapes |= {f"logits_{split}": (1, len(clips), classes), f"clips_{split}": (len(clips),)}
    shapes |= {"classes": (classes,), f"groups_{split}": (len(clips),), f"values_{split}": (1, len(clips))}
    for name, shape in shapes.items():
        if name in arrays and arrays[name].shape != shape:
            yield f"have {name} of shape {arrays[name].shape}, not {shape}"
    texts = ("classes", f"clips_{split}", f"groups_{split}")
    if wrong := [name for name, array in arrays.items() if (array.dtype.kind == "U") != (name in texts)]:
        yield f"have {min(wrong)} of type {arrays[min(wrong)].dtype.str}"
    if len(np.unique(clips)) != len(clips):
        yield "have a clip twice"
    if any(hidden_character(text) for name in texts if name in arrays for text in arrays[name].tolist()):
        yield "have a name with an invisible character"
    targets, observed = arrays[f"targets_{split}"], arrays[f"observed_{split}"]
    if not (np.isin(targets, (0, 1)).all() and np.isin(observed, (0, 1)).all()):
        yield "have labels that are neither 0 nor 1"
    if record.selection.metric == "accuracy" and not (targets.sum(1) == 1).all():
        yield "have clips without exactly one label"


def _is_equal(stated: float | None, value: float | None) -> bool:
    if stated is None or value is None:
        return stated is value
    return math.isclose(stated, value, rel_tol=0, abs_tol=TOLERANCE)


def _are_equal(stored: Scores, computed: Scores) -> bool:
    return stored.shape == computed.shape and bool(np.allclose(stored, computed, rtol=0, atol=1e-6, equal_nan=True))
