"""The table of papers' scores beside the measured ones."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.paper_scores import PaperScore, measured_score
from benchmark.report.papers import Paper
from benchmark.report.render import Table
from benchmark.report.results import Results
from benchmark.report.tables import TableSource
from benchmark.spec.grammar import unordered

Name = tuple[str, str, tuple[str, ...]]  # backbone, dataset, and the parts of the method
COLUMNS = [*KEYS, "paper", "measured", "difference", "of", "source", "publication", "marks"]


def build(source: TableSource) -> Table | None:
    """Return the table; None if there is neither a score of a paper nor a measured one."""
    papers = source.papers.of(source.results)
    data = paper_rows(source.results, papers)
    if data.empty:
        return None
    text = source.results.names.named(data).drop(columns="marks")
    return source.table(data, text, _legend(papers))


def _legend(papers: Iterable[Paper]) -> str:
    """Return what the keys of the sources mean; empty without a score."""
    keys = {
        f"{paper.about.label} {score.source}: {paper.score_sources[score.source]}": None
        for paper in papers
        for score in paper.scores
    }
    return f"Sources: {'; '.join(keys)}." if keys else ""


def paper_rows(results: Results, papers: Iterable[Paper]) -> pd.DataFrame:
    """Return one row per table cell or score of a paper, in per cent, with the columns `COLUMNS`."""
    by_name: dict[Name, list[pd.Series]] = {}
    for _, cell in results.cells.iterrows():
        by_name.setdefault((cell["backbone"], cell["dataset"], unordered(cell["method"])), []).append(cell)
    by_cell: dict[str, list[tuple[Paper, PaperScore]]] = {}
    not_run: list[dict[str, str]] = []
    for name, paper, score in _scores(papers):
        if name in by_name:
            nearest = _nearest(by_name[name], paper, results)
            by_cell.setdefault(nearest, []).append((paper, score))
        else:
            method = paper.method(score.method, score.dataset)
            names = {"protocol": "", "backbone": score.backbone, "dataset": score.dataset, "method": method}
            not_run.append({**names, **_values(score, None), "publication": paper.about.label, "marks": "not run"})
    rows = []
    for _, cell in results.cells.iterrows():
        names = {key: cell[key] for key in KEYS}
        of_papers = by_cell.get(cell["cell"], [])
        for paper, score in of_papers:
            measured = measured_score(results, cell, score.split, score.epoch)
            marks = paper.marks(results.requests[cell["cell"]], cell["marks"])
            rows.append({**names, **_values(score, measured), "publication": paper.about.label, "marks": marks})
        if not of_papers:
            measured = measured_score(results, cell, "test", "reported")
            rows.append({**names, **_values(None, measured), "publication": "", "marks": cell["marks"]})
    return pd.DataFrame([*rows, *not_run], columns=COLUMNS)


def _scores(papers: Iterable[Paper]) -> list[tuple[Name, Paper, PaperScore]]:
    """Return the scores with the names of their cells; of several scores of one cell, the first."""
    found: dict[tuple[str, Name], tuple[Name, Paper, PaperScore]] = {}
    for paper in papers:
        for score in paper.scores:
            name = (score.backbone, score.dataset, unordered(paper.method(score.method, score.dataset)))
            found.setdefault((paper.name, name), (name, paper, score))
    return list(found.values())


def _nearest(cells: list[pd.Series], paper: Paper, results: Results) -> str:
    """Return the cell that is nearest to a paper's: comparable, complete and of its protocol, in this order."""

    def distance(cell: pd.Series) -> tuple[bool, bool, bool]:
        is_marked = paper.marks(results.requests[cell["cell"]], cell["marks"]) != ""
        return is_marked, bool(pd.isna(cell["score"])), cell["protocol"] != paper.about.protocol

    return str(min(cells, key=distance)["cell"])


def _values(paper: PaperScore | None, measured: float | None) -> dict[str, str]:
    """Return scores as text with one digit, or as many as the paper's number has."""
    digits = max(1, len(f"{paper.score:g}".partition(".")[2])) if paper else 1
    return {
        "paper": f"{paper.score:.{digits}f}" if paper else "",
        "measured": "" if measured is None else f"{100 * measured:.{digits}f}",
        "difference": f"{100 * measured - paper.score:+.{digits}f}" if paper and measured is not None else "",
        "of": f"{paper.split}, {paper.epoch} epoch" if paper else "",
        "source": paper.source if paper else "",
    }
