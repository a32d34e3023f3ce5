"""Which trials of a grid are done, stale, failed or missing. Reads records, runs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from benchmark.methods.registry import methods_current
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest

State = Literal["done", "stale", "failed", "missing"]
STATES: tuple[State, ...] = get_args(State)
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Entry:
    """A trial and its state.

    Attributes:
        request: the trial.
        state: `stale`: its record is of another numerics version or of another source of its method; `failed`: it has
            attempts but no record.
        attempts: number of failed attempts.
        seconds: time of the finished trial; 0 without a record.
        score: its reported score in [0, 1]; None without one.
        keeps_weights: whether its trained parameters are there, for `export`.
    """

    request: TrialRequest
    state: State
    attempts: int
    seconds: float = 0.0
    score: float | None = None
    keeps_weights: bool = False


@dataclass(frozen=True)
class Plan:
    """The trials of a grid or of a results folder, with their states."""

    entries: list[Entry]

    def counts(self) -> dict[State, int]:
        """Return the number of trials in each state."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in STATES}

    def to_run(self, rerun: Collection[str] = ()) -> list[TrialRequest]:
        """Return what a run submits: missing trials, failed ones below the attempt limit, and the states in `rerun`."""
        return [
            entry.request
            for entry in self.entries
            if entry.state == "missing"
            or entry.state in rerun
            or (entry.state == "failed" and entry.attempts < MAX_ATTEMPTS)
        ]


def make_plan(requests: Iterable[TrialRequest], store: ResultStore) -> Plan:
    """Compare requests with the records and attempts of a results folder."""
    finished = store.finished()
    attempts = Counter(path.stem.rpartition("-")[0] for path in store.attempts())
    entries = []
    for request in requests:
        state: State = "missing"
        record = finished.get(request.id)
        if record:
            state = "done" if record.is_current and methods_current(request.method) else "stale"
        elif attempts[request.id]:
            state = "failed"
        known = (record.seconds, record.score, record.keeps_weights) if record else ()
        entries.append(Entry(request, state, attempts[request.id], *known))
    return Plan(entries)
