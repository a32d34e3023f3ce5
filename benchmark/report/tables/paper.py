"""The table of the paper's scores beside the measured ones."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.paper_scores import PaperScore, load_paper_scores, measured_score
from benchmark.report.render import Table
from benchmark.report.results import Results
from benchmark.report.tables import TableSource
from benchmark.spec.grammar import unordered

COLUMNS = [*KEYS, "paper", "measured", "difference", "of", "source", "marks"]


def build(source: TableSource) -> Table | None:
    """Return the table; None if there is neither a score of the paper nor a measured one."""
    scores, _ = load_paper_scores(source.paper)
    data = paper_rows(source.results, scores)
    return None if data.empty else source.table(data, source.results.names.named(data).drop(columns="marks"))


def paper_rows(results: Results, scores: Iterable[PaperScore]) -> pd.DataFrame:
    """Return one row per table cell or score of the paper, in per cent, with the columns `COLUMNS`."""
    by_name: dict[tuple[object, ...], PaperScore] = {}
    for score in scores:
        by_name.setdefault((score.backbone, score.dataset, unordered(score.method)), score)
    rows = []
    for _, cell in results.cells.iterrows():
        paper = by_name.pop((cell["backbone"], cell["dataset"], unordered(cell["method"])), None)
        split, epoch = (paper.split, paper.epoch) if paper else ("test", "reported")
        measured = measured_score(results, cell, split, epoch)
        rows.append({**{key: cell[key] for key in KEYS}, **_values(paper, measured), "marks": cell["marks"]})
    for paper in by_name.values():
        names = {"protocol": "", "backbone": paper.backbone, "dataset": paper.dataset, "method": paper.method}
        rows.append({**names, **_values(paper, None), "marks": "not run"})
    return pd.DataFrame(rows, columns=COLUMNS)


def _values(paper: PaperScore | None, measured: float | None) -> dict[str, str]:
    """Return scores as text with one digit, the precision of the paper."""
    return {
        "paper": f"{paper.score:.1f}" if paper else "",
        "measured": "" if measured is None else f"{100 * measured:.1f}",
        "difference": f"{100 * measured - paper.score:+.1f}" if paper and measured is not None else "",
        "of": f"{paper.split}, {paper.epoch} epoch" if paper else "",
        "source": paper.source if paper else "",
    }
