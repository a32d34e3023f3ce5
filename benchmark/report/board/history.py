"""How results changed with the releases of the suite that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.report.board.entries import Entry
from benchmark.report.board.rankings import Ranking
from benchmark.report.board.read import Board


@dataclass(frozen=True)
class Release:
    """A release of the suite, as submissions name it.

    Attributes:
        name: its name.
        first: day of its first submission.
        submissions: number of submissions.
        records: number of records.
        submitters: number of submitters.
        numerics: numerics versions of the records.
    """

    name: str
    first: str
    submissions: int
    records: int
    submitters: int
    numerics: str


@dataclass(frozen=True)
class Best:
    """The best complete cell of a ranking among all submissions up to a release.

    Attributes:
        entry: its row.
        score: mean score of these submissions, in [0, 1].
        is_new: whether it was another one before, or none.
    """

    entry: Entry
    score: float
    is_new: bool


@dataclass(frozen=True)
class Repeated:
    """A cell with records of several releases.

    Attributes:
        entry: its row.
        scores: mean score by release, in [0, 1]; of several submitters, the first.
    """

    entry: Entry
    scores: dict[str, float]


@dataclass(frozen=True)
class History:
    """What the page of the history shows.

    Attributes:
        releases: releases, by their first submission.
        best: the best cell after each release, by ranking.
        repeated: cells with complete records of several releases.
    """

    releases: list[Release]
    best: list[tuple[Ranking, list[Best | None]]]
    repeated: list[Repeated]


def history_of(board: Board, rankings: Sequence[Ranking]) -> History:
    """Return the history of a store.

    Args:
        board: the board.
        rankings: its rankings.
    """
    releases = _releases(board)
    order = {release.name: place for place, release in enumerate(releases)}
    scores = _scores(board, order)
    best = [(ranking, _best(ranking, scores, len(releases))) for ranking in rankings]
    repeated = []
    for entry in (entry for ranking in rankings for entry in ranking.entries):
        rows = scores.get(entry.cell, [])
        by_release = {releases[place].name: score for place, score in reversed(rows)}
        if len(by_release) > 1:
            repeated.append(Repeated(entry, {name: by_release[name] for name in order if name in by_release}))
    return History(releases, best, repeated)


def _releases(board: Board) -> list[Release]:
    trials, found = board.trials, []
    for name in dict.fromkeys(one.release for one in reversed(board.submissions)):
        submissions = [one for one in board.submissions if one.release == name]
        rows = trials[trials["release"] == name]
        versions = " ".join(map(str, sorted(set(rows["numerics_version"]))))
        found.append(
            Release(
                name, submissions[-1].submitted[:10], len(submissions), len(rows),
                len({one.submitter for one in submissions}), versions,
            )
        )  # fmt: skip
    return found


def _scores(board: Board, order: dict[str, int]) -> dict[str, list[tuple[int, float]]]:
    """Return the complete scores of each cell with the place of their release: the last that a submitter used."""
    places = board.trials.assign(place=board.trials["release"].map(order)) if len(board.trials) else None
    found: dict[str, list[tuple[int, float]]] = {}
    if places is None:
        return found
    last = places.groupby(["cell", "submitter"])["place"].max()
    for row in board.standings.to_dict("records"):
        if row["complete"] and pd.notna(row["score"]):
            place = int(last[row["cell"], row["submitter"]])
            found.setdefault(str(row["cell"]), []).append((place, float(row["score"])))
    return found


def _best(ranking: Ranking, scores: dict[str, list[tuple[int, float]]], releases: int) -> list[Best | None]:
    best: list[Best | None] = []
    for place in range(releases):
        known = {
            entry.cell: next((score for when, score in scores.get(entry.cell, []) if when <= place), None)
            for entry in ranking.entries
        }
        entries = {entry.cell: entry for entry in ranking.entries}
        first = max(
            (cell for cell, score in known.items() if score is not None),
            key=lambda cell: known[cell] or 0.0,
            default=None,
        )
        before = best[-1] if best else None
        score = known[first] if first else None
        if first is None or score is None:
            best.append(None)
        else:
            best.append(Best(entries[first], score, before is None or before.entry.cell != first))
    return best
