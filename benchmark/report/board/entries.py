"""The rows of rankings: one per table cell, with its standing and its costs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from benchmark.report.aggregate import GROUP
from benchmark.report.board.read import Board, Section
from benchmark.report.render import row_names
from benchmark.report.results import Results
from benchmark.units import plural

LONGEST_SLUG = 80  # characters


@dataclass(frozen=True)
class Other:
    """Records of the same cell by another submitter than the shown one.

    Attributes:
        submitter: who submitted them.
        score: mean score, in [0, 1]; None while they are incomplete.
        gap: it minus the shown score; None if one of them is incomplete.
        agrees: whether the gap is within the tolerance; None if they are not compared.
    """

    submitter: str
    score: float | None
    gap: float | None
    agrees: bool | None


@dataclass(frozen=True)
class Entry:
    """A row of a ranking.

    Attributes:
        cell: digest of the cell, which names its page.
        section: name of its section.
        names: protocol, backbone, dataset and method as in requests.
        labels: what people read in place of these.
        family: the method without its hyper-parameters, which names its page.
        rank: place by score, from 1; None unless complete.
        is_best: whether it is the best of its ranking, or not significantly different from it.
        score: mean over folds and seeds, in [0, 1]; None unless complete.
        low: lower end of its 95 % interval; None if it is not known.
        high: upper end of the same interval.
        seed_sd: standard deviation over seeds; None with one seed.
        score_text: what stands in place of a missing score: `4/5`, or how many trials diverged.
        metric: accuracy or map.
        folds: number of folds.
        seeds: number of seeds, in few-shot trials of draws.
        standing: incomplete, self-reported, reproduced or disputed.
        submitter: who submitted the shown records.
        others: records of other submitters.
        trainable: number of trainable parameters.
        share: trainable parameters as a share of all, in [0, 1].
        time_ratio: time per epoch as a share of that of full fine-tuning on the same hardware; None if not known.
        memory_ratio: the same of GPU memory.
        hardware: what was used.
        releases: releases of the suite that made the records.
        marks: reasons why it is not comparable with the paper.
    """

    cell: str
    section: str
    names: tuple[str, str, str, str]
    labels: tuple[str, str, str, str]
    family: str
    rank: int | None
    is_best: bool
    score: float | None
    low: float | None
    high: float | None
    seed_sd: float | None
    score_text: str
    metric: str
    folds: int
    seeds: int
    standing: str
    submitter: str
    others: Sequence[Other]
    trainable: int | None
    share: float | None
    time_ratio: float | None
    memory_ratio: float | None
    hardware: str
    releases: Sequence[str]
    marks: Sequence[str]

    @property
    def page(self) -> str:
        """Path of the page of its records."""
        return f"cells/{self.cell}.html"

    @property
    def method_page(self) -> str:
        """Path of the page of its method."""
        return method_page(self.family)

    @property
    def ranking_page(self) -> str:
        """Path of the page of its ranking."""
        return ranking_page(self.names[1], self.names[2])

    @property
    def reproduced_by(self) -> list[str]:
        """Other submitters whose records agree."""
        return [other.submitter for other in self.others if other.agrees]

    @property
    def disputed_by(self) -> list[str]:
        """Other submitters whose records do not agree."""
        return [other.submitter for other in self.others if other.agrees is False]


@dataclass
class Ranking:
    """The methods of one section, protocol, backbone and dataset.

    Attributes:
        section: its section.
        labels: labels of protocol, backbone and dataset.
        entries: ranked by score, then those without one.
        marks: marks that all entries share.
    """

    section: Section
    labels: tuple[str, str, str]
    entries: list[Entry] = field(default_factory=list)

    @property
    def marks(self) -> list[str]:
        """Marks that all entries share."""
        return shared_marks(self.entries)

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
    by_cell = {str(cell): rows for cell, rows in board.standings.groupby("cell", sort=False)}
    return [ranking for section in board.sections for ranking in _of_section(board, section, by_cell)]


def _of_section(board: Board, section: Section, by_cell: dict[str, pd.DataFrame]) -> Iterable[Ranking]:
    results = section.results
    named = results.names.named(results.cells)
    cells = results.cells.assign(row=row_names(named), **{f"{key}_label": named[key] for key in GROUP})
    releases = {str(cell): tuple(sorted(set(found))) for cell, found in results.trials.groupby("cell")["release"]}
    for _, group in cells.groupby(GROUP, sort=False):
        rows = group.sort_values("score", ascending=False, kind="stable", na_position="last")
        first = rows.iloc[0]
        ranking = Ranking(section, tuple(str(first[f"{key}_label"]) for key in GROUP))  # type: ignore[arg-type]
        scores = list(rows["score"])
        for place, (_, row) in enumerate(rows.iterrows()):
            rank = None if pd.isna(scores[place]) else scores.index(scores[place]) + 1  # equal scores share a rank
            cell = str(row["cell"])
            ranking.entries.append(_entry(row, rank, section.name, results, by_cell[cell], board.shown[cell], releases))
        yield ranking


def _entry(
    row: pd.Series, rank: int | None, section: str, results: Results, found: pd.DataFrame, shown: str,
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
    own = found[found["submitter"] == shown].iloc[0]
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
        others=[_other(other, own) for _, other in found.iterrows() if other["submitter"] != shown],
        trainable=_count(row["trainable"]),
        share=None if pd.isna(row["trainable"]) else float(row["trainable"] / row["total"]),
        time_ratio=_known(row["time_ratio"]),
        memory_ratio=_known(row["memory_ratio"]),
        hardware=str(row["device"]),
        releases=releases.get(cell, ()),
        marks=[mark for mark in str(row["marks"]).split("; ") if mark],
    )


def _other(other: pd.Series, shown: pd.Series) -> Other:
    """Return what another submitter has of a cell; the tolerance is that of the comparison with the first one."""
    score, limit = _known(other["score"]), _known(other["tolerance"])
    gap = None if score is None or pd.isna(shown["score"]) else score - float(shown["score"])
    agrees = None if gap is None or limit is None else abs(gap) <= limit
    return Other(str(other["submitter"]), score, gap, agrees)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _count(value: float) -> int | None:
    return None if pd.isna(value) else int(value)


def shared_marks(entries: Sequence[Entry]) -> list[str]:
    """Return the marks that all entries have, in the order of the first."""
    if not entries:
        return []
    shared = set.intersection(*(set(entry.marks) for entry in entries))
    return [mark for mark in entries[0].marks if mark in shared]


def method_page(family: str) -> str:
    """Return the path of the page of a method, named without hyper-parameters."""
    return f"methods/{slug(family)}.html"


def ranking_page(backbone: str, dataset: str) -> str:
    """Return the path of the page of a backbone and dataset."""
    return f"rankings/{slug(backbone)}--{slug(dataset)}.html"


def slug(text: str) -> str:
    """Return a name for a path: letters, digits, `_`, `-`; a digest makes it unique where it differs from the text."""
    safe = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:LONGEST_SLUG]
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".strip("-")


def size_text(entry: Entry) -> str:
    """Return `5 x 3`, folds x seeds, in words: `5 folds x 3 seeds`."""
    return f"{plural(entry.folds, 'fold')} x {plural(entry.seeds, 'seed')}"
