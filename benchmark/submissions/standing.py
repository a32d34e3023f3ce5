"""Whether the results of a table cell have been reproduced by another submitter."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from benchmark.records.frame import tabulate
from benchmark.records.schema import Record
from benchmark.submissions.layout import Store, StoredRecord, StoreInfo, Submission

Standing = Literal["incomplete", "self-reported", "reproduced", "disputed"]
COLUMNS = {
    "cell": "digest of the request without fold, seed and draw",
    "protocol": "protocol name, with switches that were set one by one",
    "backbone": "backbone, with the options that differ from its declared entry",
    "dataset": "dataset name; few-shot trials with their training clips per class",
    "method": "method, with the hyper-parameters that differ from their defaults",
    "metric": "accuracy or map (mean average precision)",
    "submitter": "who submitted the records",
    "submission": "names of the submitter's submissions with records of the cell",
    "folds": "folds of the records",
    "official_folds": "number of folds of the dataset",
    "seeds": "seeds of the records; in few-shot trials their draws",
    "complete": "whether each seed has each fold, and each has a score; a store that accepts partial runs asks for the "
    "folds of the records only",
    "score": "mean over folds and seeds, in [0, 1]; empty unless complete",
    "sd": "standard deviation over seeds of the mean over folds; empty with one seed",
    "gap": "score minus that of the first submitter; empty for the first, and unless both are complete",
    "tolerance": "largest gap to the first submitter that counts as a reproduction; empty as `gap`",
    "standing": "incomplete, self-reported, reproduced or disputed",
}
NUMBERS = ("score", "sd", "gap", "tolerance")  # null is nan
PRIOR_SEEDS = 4  # degrees of freedom that the expected spread over seeds counts as
MODELS_DIFFER = 0.005  # part of that spread that no number of test clips removes
LEVEL = 0.95
ROUNDING = 1e-6  # of scores of equal models on other machines


@dataclass(frozen=True)
class Scores:
    """What one submitter reports of one cell.

    Attributes:
        by_seed: mean over folds of each seed or draw, in [0, 1].
        clips: number of test clips, over all folds.
    """

    by_seed: Sequence[float]
    clips: int

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.by_seed))

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None with one seed."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None


def tolerance(one: Scores, other: Scores) -> float:
    """Return the largest difference of two means that is expected of the same cell, trained twice.

    The variance over seeds is that of both submitters, pooled with an expected one that counts as `PRIOR_SEEDS` degrees
    of freedom: that of independent answers to each clip, and of models that differ by half a point. See "When a result
    is reproduced" in the documentation.

    Args:
        one: scores of a submitter.
        other: scores of another one on the same clips.
    """
    mean, clips = (one.mean + other.mean) / 2, min(one.clips, other.clips)
    share = (clips * mean + 0.5) / (clips + 1)  # never exactly 0 or 1
    expected = share * (1 - share) / clips + MODELS_DIFFER**2
    freedom, total = float(PRIOR_SEEDS), PRIOR_SEEDS * expected
    for scores in (one, other):
        if scores.sd is not None:
            freedom += len(scores.by_seed) - 1
            total += (len(scores.by_seed) - 1) * scores.sd**2
    error = math.sqrt(total / freedom * (1 / len(one.by_seed) + 1 / len(other.by_seed)))
    return float(stdtrit(freedom, (1 + LEVEL) / 2)) * error + ROUNDING


@dataclass(frozen=True)
class _Entry:
    """What one submitter has of one cell.

    Attributes:
        since: when the first of its records was submitted.
        row: the columns that do not depend on other submitters.
        scores: the scores; None unless the cell is complete.
    """

    since: str
    row: Mapping[str, Any]
    scores: Scores | None

    def gap(self, other: _Entry) -> tuple[float, float] | None:
        """Return the mean minus that of another submitter, and its tolerance; None if they cannot be compared."""
        if not self.scores or not other.scores or self.row["folds"] != other.row["folds"]:
            return None
        return self.scores.mean - other.scores.mean, tolerance(self.scores, other.scores)


@dataclass(frozen=True)
class Reported:
    """What a standing needs of a record beside its row in `benchmark.records.frame`.

    Attributes:
        submission: the submission that it belongs to.
        columns: the columns of `COLUMNS` that are those of its request.
        clips: number of clips of the reported split.
    """

    submission: Submission
    columns: Mapping[str, Any]
    clips: int

    @classmethod
    def of(cls, stored: StoredRecord) -> Reported:
        """Return what is needed of a record, so that the record itself need not be kept."""
        record, request = stored.record, stored.record.request
        columns = {
            "protocol": request.protocol.name,
            "backbone": request.backbone.variant,
            "dataset": request.task,
            "method": request.method.variant,
            "metric": record.selection.metric,
            "official_folds": record.data.official_folds,
        }
        return cls(stored.submission, columns, record.data.used.get(record.selection.split, 0))


Submitted = tuple[pd.DataFrame, Mapping[str, Reported]]  # trials of a submitter, and what else is needed, by trial id


def standings(store: Store) -> pd.DataFrame:
    """Return one row per cell and submitter, see `standings_of`.

    Raises:
        BenchmarkError: a submission is damaged.
    """
    submitters = itertools.groupby(store.records(), key=lambda stored: stored.submission.submitter)
    return standings_of((_tabulated(records) for _, records in submitters), store.info)


def _tabulated(records: Iterable[StoredRecord]) -> Submitted:
    reported: dict[str, Reported] = {}

    def noted() -> Iterator[Record]:
        for stored in records:
            reported[stored.record.id] = Reported.of(stored)
            yield stored.record

    return tabulate(noted())[0], reported


def standings_of(submitters: Iterable[Submitted], info: StoreInfo) -> pd.DataFrame:
    """Return one row per cell and submitter, with the columns `COLUMNS`; within a cell, the first submitter is first.

    A cell is *reproduced* if another submitter has complete records of the same cell and folds, and the difference of
    both means is within `tolerance`; *disputed* if there are such records of others, and all of them differ by more.

    Args:
        submitters: records of each submitter.
        info: what their store accepts.
    """
    cells: dict[str, list[_Entry]] = defaultdict(list)
    for trials, reported in submitters:
        for entry in _entries(trials, reported, all_folds="partial" not in info.accepts):
            cells[entry.row["cell"]].append(entry)
    rows = [row for entries in cells.values() for row in _compared(entries)]
    order = ["protocol", "backbone", "dataset", "method", "cell"]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(NUMBERS, float))
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _entries(trials: pd.DataFrame, reported: Mapping[str, Reported], *, all_folds: bool) -> Iterator[_Entry]:
    """Yield the cells of one submitter.

    Args:
        trials: one row per trial, as in `benchmark.records.frame`.
        reported: what else is needed, by trial id.
        all_folds: whether a cell is complete only with all folds of its dataset.
    """
    for cell, rows in trials.groupby("cell", sort=False):
        of_cell = [reported[trial] for trial in rows["id"]]
        columns, submissions = of_cell[0].columns, {one.submission.name: one.submission for one in of_cell}
        clips = {fold: one.clips for fold, one in zip(rows["fold"], of_cell, strict=True)}
        folds = sorted(set(rows["fold"]))
        complete = is_complete(rows) and (not all_folds or len(folds) >= columns["official_folds"])
        scores = Scores(list(rows.groupby("unit")["score"].mean()), max(1, sum(clips.values()))) if complete else None
        row = {
            **columns,
            "cell": cell,
            "submitter": of_cell[0].submission.submitter,
            "submission": " ".join(sorted(submissions)),
            "folds": " ".join(map(str, folds)),
            "seeds": " ".join(map(str, sorted(set(rows["unit"])))),
            "complete": complete,
            "score": scores.mean if scores else None,
            "sd": scores.sd if scores else None,
        }
        yield _Entry(min(one.submitted for one in submissions.values()), row, scores)


def is_complete(trials: pd.DataFrame) -> bool:
    """Return whether each seed and draw of a cell has each fold that any of them has, and all have a score.

    Args:
        trials: rows of one cell, as in `benchmark.records.frame`.
    """
    draws = trials["draw"].fillna(0)
    finished = set(zip(trials["fold"], trials["seed"], draws, strict=True))
    expected = set(itertools.product(set(trials["fold"]), set(trials["seed"]), set(draws)))
    return finished == expected and bool(trials["score"].notna().all())


def _compared(entries: Sequence[_Entry]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one cell with gap, tolerance and standing, the first submitter's first."""
    ordered = sorted(entries, key=lambda entry: (entry.since, entry.row["submitter"]))
    for entry in ordered:
        gaps = [gap for other in ordered if other is not entry and (gap := entry.gap(other))]
        to_first = None if entry is ordered[0] else entry.gap(ordered[0])
        difference, limit = to_first or (None, None)
        yield {**entry.row, "gap": difference, "tolerance": limit, "standing": _standing(entry, gaps)}


def _standing(entry: _Entry, gaps: Sequence[tuple[float, float]]) -> Standing:
    if entry.scores is None:
        return "incomplete"
    if not gaps:
        return "self-reported"
    return "reproduced" if any(abs(gap) <= limit for gap, limit in gaps) else "disputed"
