"""The trial that a user means: by its id, or by backbone, dataset and method."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import BenchmarkError, closest
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.grammar import unordered
from benchmark.spec.request import TrialRequest


def pick_trial(store: ResultStore, words: Sequence[str], fold: int | None = None, seed: int | None = None) -> Record:
    """Return the record that is meant; of those that kept weights, the first seed's first fold.

    Scores are no reason to prefer one: the fold or seed with the best test score is not the better model.

    Args:
        store: the results folder.
        words: an id or its beginning; or backbone, dataset and method in any order.
        fold: only this fold; None for any.
        seed: only this seed; None for any.

    Raises:
        BenchmarkError: no trial fits, or trials of several settings do.
    """
    if len(words) == 1 and fold is None and seed is None:
        return store.find(words[0])
    store.require()
    records = [each for each in store.records() if not each.request.held_out]
    for word in words:
        known = {name for record in records for name in _names(record.request)}
        records = [record for record in records if unordered(word) in map(unordered, _names(record.request))]
        if not records:
            raise BenchmarkError(f"{store.folder}: no finished trial of '{word}'{closest(word, known)}")
    for name, number in (("fold", fold), ("seed", seed)):
        if number is not None:
            there = sorted({getattr(record.request, name) for record in records})
            records = [record for record in records if getattr(record.request, name) == number]
            if not records:
                raise BenchmarkError(f"no finished trial of {name} {number}; there are {', '.join(map(str, there))}")
    kept = [record for record in records if store.weights_path(record.request).is_file()]
    records = kept or records  # without any, the caller says that there are none
    if len({record.request.cell for record in records}) > 1:
        trials = {record.request.cell: f"{record.id} ({record.request.label})" for record in records}
        raise BenchmarkError(
            f"{' '.join(words)}: several settings fit; give the id of one: {', '.join(trials.values())}"
        )
    return min(records, key=lambda record: (record.request.seed, record.request.fold))


def _names(request: TrialRequest) -> set[str]:
    """Return what a trial may be called by."""
    method, backbone = request.method, request.backbone
    return {request.id, request.dataset.name, backbone.name, backbone.variant, method.name, method.variant}
