"""Join the results folders of several machines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.records.schema import Record
from benchmark.records.store import BESIDE, WEIGHTS, ResultStore

TIMES = {"profile", "started", "finished", "environment", "environment_hash"}
CODE = {"fingerprint", "numerics_version", "schema_version", "cost"}


@dataclass
class Merged:
    """What was joined; `gaps` are trials that two folders have with different results."""

    records: int = 0
    equal: int = 0
    attempts: int = 0
    profiles: int = 0
    gaps: list[str] = field(default_factory=list)


def merge(sources: Sequence[Path], target: Path) -> Merged:
    """Copy records with what lies beside them, failed tries and profiles, and join the lists of submitted trials.

    Of a trial with different results the one that is there first stays; the other goes to `conflicts/`.

    Raises:
        BenchmarkError: a source is no results folder, or holds the target.
    """
    into, found = ResultStore(target), Merged()
    stores = [ResultStore(source) for source in sources]
    for store in stores:
        store.require()
        if store.folder == into.folder:
            raise BenchmarkError(f"{store.folder}: is the target itself")
    with into.lock():
        for store in stores:
            into.submit([*store.submitted()])
            for record in store.records():
                _record(store, into, record, found)
            for path in store.attempts():
                attempt = store.read_attempt(path)
                known = [into.read_attempt(other) for other in into.attempts(path.stem.rpartition("-")[0])]
                if attempt and attempt not in known:
                    into.write_attempt(attempt)
                    found.attempts += 1
            for profile in store.profiles():
                into.write_profile(profile)
                found.profiles += 1
    return found


def _record(store: ResultStore, into: ResultStore, record: Record, found: Merged) -> None:
    source, place = store.record_path(record.request), into.record_path(record.request)
    if place.is_file():
        mine, theirs = _result(json.loads(place.read_bytes())), _result(json.loads(source.read_bytes()))
        if mine == theirs:
            found.equal += 1
            if not place.with_suffix(WEIGHTS).is_file():  # equal results are of equal weights
                _copy(source.with_suffix(WEIGHTS), place.with_suffix(WEIGHTS))
            return
        scores = [_score(content) for content in (mine, theirs)]
        found.gaps.append(f"{record.request.label}: {scores[0]} here, {scores[1]} in {store.folder}")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
        place = into.folder / "conflicts" / f"{record.request.path_stem}-{digest}.json"
    for suffix in (*BESIDE, place.suffix):  # the record last: it says that all is there
        _copy(source.with_suffix(suffix), place.with_suffix(suffix))
    found.records += 1


def _copy(source: Path, place: Path) -> None:
    if source.is_file():
        write_atomic(place, source.read_bytes())


def _result(content: dict[str, Any]) -> dict[str, Any]:
    """What has to be equal on all machines: times, environment and the code's version aside."""
    kept = {key: value for key, value in content.items() if key not in TIMES | CODE}
    kept["curves"] = [{key: value for key, value in point.items() if key != "seconds"} for point in content["curves"]]
    return kept


def _score(content: dict[str, Any]) -> str:
    chosen, last = content["selection"], content["curves"][-1]
    value = last["splits"][chosen["split"]][chosen["metric"]]
    return "no score" if value is None else f"{100 * value:.2f} % at the last epoch"
