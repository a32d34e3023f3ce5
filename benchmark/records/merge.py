"""Join the results folders of several machines."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.floor import read_floors, write_floor
from benchmark.records.schema import Record
from benchmark.records.store import BESIDE, CONFLICTS, DamagedRecordError, ResultStore

logger = logging.getLogger(__name__)

# Fields of a record that may differ between equal results.
TIMES = {"profile", "started", "finished", "environment", "environment_hash"}
CODE = {"fingerprint", "numerics_version", "schema_version", "cost"}


@dataclass
class Merged:
    """What was joined.

    Attributes:
        records: number of records that were added, with those under `conflicts/`.
        equal: number of records that were already there with equal results.
        attempts: number of failed attempts that were added.
        profiles: number of step and sharing profiles that were copied.
        gaps: one line for each trial with different results in two folders.
    """

    records: int = 0
    equal: int = 0
    attempts: int = 0
    profiles: int = 0
    gaps: list[str] = field(default_factory=list)


def merge(sources: Sequence[Path], target: Path) -> Merged:
    """Copy records with the files beside them, attempts, floors and profiles, and join the lists of submitted trials.

    If two folders have different results of a trial, the first record is kept and the other is put into `conflicts/`.

    Args:
        sources: results folders to join.
        target: results folder to join them into.

    Raises:
        BenchmarkError: a source is not a results folder, or is the target.
    """
    into, merged = ResultStore(target), Merged()
    stores = [ResultStore(source) for source in sources]
    for store in stores:
        store.require()
        if store.folder == into.folder:
            raise BenchmarkError(f"{store.folder}: is the target itself; name other folders as sources")
    with into.lock():
        for store in stores:
            logger.info("merging %s into %s", store.folder, into.folder)
            into.submit(store.submitted())
            for record in itertools.chain(store.records(), store.choice_records()):
                _merge_record(store, into, record, merged)
            _merge_choices(store, into)
            _merge_attempts(store, into, merged)
            known = read_floors(into.folder)
            for key, floor in read_floors(store.folder).items():
                if key not in known:
                    write_floor(into.folder, floor)
            for profile in store.profiles():
                into.write_profile(profile)
                merged.profiles += 1
            for sharing in store.sharing():
                into.write_sharing(sharing)
                merged.profiles += 1
    return merged


def _merge_record(store: ResultStore, into: ResultStore, record: Record, merged: Merged) -> None:
    """Copy a record, put it into `conflicts/`, or skip it if an equal one is already there.

    Args:
        store: the source.
        into: the target.
        record: a record of the source.
        merged: counts to update.
    """
    source, place = store.record_path(record.request), into.record_path(record.request)
    known = _read(into, place)
    if known is not None:
        here, there = (each.model_dump(mode="json") for each in (known, record))
        if _is_same(here, there):
            logger.debug("%s: already there with equal results", record.id)
            merged.equal += 1
            for suffix in BESIDE:  # equal results come from equal predictions and weights
                if not place.with_suffix(suffix).is_file():
                    _copy(source.with_suffix(suffix), place.with_suffix(suffix))
            return
        merged.gaps.append(f"{record.request.label}: {_score(here)} here, {_score(there)} in {store.folder}")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
        place = into.folder / CONFLICTS / f"{record.request.path_stem}-{digest}.json"
    for suffix in (*BESIDE, place.suffix):  # the record last: a trial with a record is complete
        _copy(source.with_suffix(suffix), place.with_suffix(suffix))
    merged.records += 1


def _read(store: ResultStore, path: Path) -> Record | None:
    """Return a record of the target; None if there is none, or a damaged one, which the source's replaces."""
    try:
        return store.read(path)
    except DamagedRecordError:
        return None


def _merge_choices(store: ResultStore, into: ResultStore) -> None:
    """Copy choices of settings; an open one does not replace one that was made."""
    made = {choice.id for choice in into.choices() if choice.chosen is not None}
    for choice in store.choices():
        if choice.id not in made:
            into.write_choice(choice)


def _merge_attempts(store: ResultStore, into: ResultStore, merged: Merged) -> None:
    for path in store.attempts():
        attempt = store.read_attempt(path)
        known = [into.read_attempt(other) for other in into.attempts(path.stem.rpartition("-")[0])]
        if attempt and attempt not in known:
            into.write_attempt(attempt)
            merged.attempts += 1


def _copy(source: Path, place: Path) -> None:
    if source.is_file():
        write_atomic(place, source.read_bytes())


def _result(content: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal on all machines: everything but times, environment and the version of the code."""
    kept = {key: value for key, value in content.items() if key not in TIMES | CODE}
    kept["data"] = {key: value for key, value in content["data"].items() if key != "verified"}
    kept["curves"] = [{key: value for key, value in point.items() if key != "seconds"} for point in content["curves"]]
    return kept


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two records have equal results. Splits that only one evaluated after an epoch do not count."""
    results = _result(one), _result(other)
    for points in zip(*(result["curves"] for result in results), strict=False):
        common = set.intersection(*(set(point["splits"]) for point in points))
        for point in points:
            point["splits"] = {split: scores for split, scores in point["splits"].items() if split in common}
    return results[0] == results[1]


def _score(content: dict[str, Any]) -> str:
    chosen, last = content["selection"], content["curves"][-1]
    value = last["splits"][chosen["split"]][chosen["metric"]]
    return "no score" if value is None else f"{100 * value:.2f} % at the last epoch"
