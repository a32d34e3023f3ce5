"""Rankings: the table cells of one section, protocol, backbone and dataset, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.report.aggregate import GROUP
from benchmark.report.board.entries import Entry, Other, shared_kinds
from benchmark.report.board.read import Board, Section
from benchmark.report.render import marks, row_names
from benchmark.report.results import Results

Standings = dict[str, list[dict[str, Any]]]  # rows of submitters by cell, as `by_cell` returns them


@dataclass(frozen=True)
class Ranking:
    """The methods of one section, protocol, backbone and dataset.

    Attributes:
        section: its section.
        labels: labels of protocol, backbone and dataset.
        entries: ranked by score, then those without one.
        marks: reasons why its numbers are not comparable with papers; those of some rows with their number.
    """

    section: Section
    labels: tuple[str, str, str]
    entries: list[Entry]
    marks: list[str]

    @property
    def shared_kinds(self) -> set[str]:
        """Kinds of marks that all entries have: `marks` says them for all rows."""
        return shared_kinds(self.entries)

    @property
    def best(self) -> Entry | None:
        """The entry with the highest score; None without a complete one."""
        return next((entry for entry in self.entries if entry.rank == 1), None)

    @property
    def page(self) -> str:
        """Path of its page."""
        return self.entries[0].ranking_page


def rankings_of(board: Board) -> list[Ranking]:
    """Return the rankings of all sections, in the order of the tables."""
    standings = by_cell(board.standings)
    return [ranking for section in board.sections for ranking in _of_section(board, section, standings)]


def by_cell(rows: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each cell as mappings: a frame per cell would take much longer."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        found.setdefault(str(row["cell"]), []).append({str(key): value for key, value in row.items()})
    return found


def _of_section(board: Board, section: Section, standings: Standings) -> Iterator[Ranking]:
    results = section.results
    named = results.names.named(results.cells)
    cells = results.cells.assign(row=row_names(named), **{f"{key}_label": named[key] for key in GROUP})
    releases = {str(cell): tuple(sorted(set(found))) for cell, found in results.trials.groupby("cell")["release"]}
    for _, group in cells.groupby(GROUP, sort=False):
        ordered = group.sort_values("score", ascending=False, kind="stable", na_position="last")
        scores, entries = list(ordered["score"]), []
        for score, row in zip(scores, ordered.to_dict("records"), strict=True):
            cell = str(row["cell"])
            rank = None if pd.isna(score) else scores.index(score) + 1  # equal scores share a rank
            entries.append(_entry(row, rank, section.name, results, standings[cell], board.shown[cell], releases))
        yield Ranking(section, entries[0].labels[:3], entries, marks(group))


def _entry(
    row: Mapping[Any, Any], rank: int | None, section: str, results: Results, found: list[dict[str, Any]], shown: str,
    releases: dict[str, tuple[str, ...]],
) -> Entry:  # fmt: skip
    """Return the entry of a table cell.

    Args:
        row: the table cell, with labels.
        rank: its place.
        section: name of its section.
        results: the records of the section.
        found: standings of the cell, a row per submitter.
        shown: the submitter whose records are shown.
        releases: releases by cell.
    """
    cell = str(row["cell"])
    own = next(one for one in found if one["submitter"] == shown)
    return Entry(
        cell=cell,
        section=section,
        names=(str(row["protocol"]), str(row["backbone"]), str(row["dataset"]), str(row["method"])),
        labels=(str(row["protocol_label"]), str(row["backbone_label"]), str(row["dataset_label"]), str(row["row"])),
        family=results.requests[cell].method.name,
        rank=rank,
        is_best=bool(row["best"]),
        score=_known(row["score"]),
        low=_known(row["low"]),
        high=_known(row["high"]),
        seed_sd=_known(row["seed_sd"]),
        score_text=(
            f"diverged ({row['diverged']} of {row['expected']})"
            if row["diverged"]
            else f"{row['done']}/{row['expected']}"
        ),
        metric=str(row["metric"]),
        folds=len(str(row["folds"]).split()),
        seeds=int(row["draws"]) if pd.notna(row["draws"]) else len(str(row["seeds"]).split()),
        standing=str(own["standing"]),
        submitter=shown,
        others=[_other(other, own) for other in found if other["submitter"] != shown],
        trainable=_count(row["trainable"]),
        share=None if pd.isna(row["trainable"]) else float(row["trainable"] / row["total"]),
        time_ratio=_known(row["time_ratio"]),
        memory_ratio=_known(row["memory_ratio"]),
        hardware=str(row["device"]),
        releases=releases.get(cell, ()),
        marks=[mark for mark in str(row["marks"]).split("; ") if mark],
    )


def _other(other: Mapping[str, Any], shown: Mapping[str, Any]) -> Other:
    """Return what another submitter has of a cell; the tolerance is that of the comparison with the first one."""
    score, limit = _known(other["score"]), _known(other["tolerance"])
    gap = None if score is None or pd.isna(shown["score"]) else score - float(shown["score"])
    agrees = None if gap is None or limit is None else abs(gap) <= limit
    return Other(str(other["submitter"]), score, gap, agrees)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _count(value: float) -> int | None:
    return None if pd.isna(value) else int(value)
