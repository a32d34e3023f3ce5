"""The records that a number comes from: what the page of a table cell shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from benchmark.report.board.entries import Entry
from benchmark.report.board.rankings import by_cell
from benchmark.report.board.read import Board
from benchmark.report.render import RULES

COLUMNS = [
    "id", "fold", "seed", "draw", "status", "score", "epoch", "epochs", "submitter", "submission", "release", "device",
    "finished", "record",
]  # fmt: skip
SAME = 5e-7  # a difference of scores below it is rounding


def cell_pages(board: Board, entries: Mapping[str, Entry]) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Yield each entry with the content of its page.

    Args:
        board: the board.
        entries: rows of the rankings, by cell.
    """
    numbered = board.trials.assign(draw=board.trials["draw"].fillna(0).astype(int))
    trials = by_cell(numbered[["cell", *COLUMNS]])
    standings = by_cell(board.standings)
    for cell, entry in entries.items():
        request = board.submitters[entry.submitter].notes.requests[cell]
        first = board.submitters[entry.submitter].notes.first_records[cell]
        yield entry, {
            "standings": standings[cell],
            "trials": list(_with_gaps(trials[cell], entry.submitter)),
            "has_draws": request.shots is not None,
            "rule": RULES[first.selection.rule],
            "method": [(part.name, part.options, part.source) for part in request.method.parts],
            "recipe": request.recipe.values,
            "changes": request.recipe_changes,
            "switches": request.protocol.switches,
            "backbone": {
                "weights": request.backbone.weights, "checkpoint": request.backbone.checkpoint_status,
                "sha256": request.backbone.sha256,
            },
            "data": {
                "kind": first.data.kind, "clips": f"{first.data.clips} of {first.data.official_clips}",
                "used": ", ".join(f"{number} {split}" for split, number in first.data.used.items()),
                "manifest": request.dataset.manifest,
            },
        }  # fmt: skip


def _with_gaps(trials: Iterable[dict[str, Any]], shown: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a cell, with the gap of a trial to an earlier row of the same trial.

    Args:
        trials: trials of all submitters.
        shown: the submitter whose record of a trial comes first.
    """
    first: dict[str, float] = {}
    ordered = sorted(trials, key=lambda row: (row["seed"], row["fold"], row["draw"], row["submitter"] != shown))
    for row in ordered:
        score = None if pd.isna(row["score"]) else float(row["score"])
        gap = None
        if score is not None:
            gap = score - first[row["id"]] if row["id"] in first else None
            first.setdefault(row["id"], score)
        yield {**row, "score": score, "gap": 0.0 if gap is not None and abs(gap) < SAME else gap}
