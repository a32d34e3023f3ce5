"""The main table: scores of the reported split."""

from __future__ import annotations

import pandas as pd

from benchmark.report.render import STRONG, Table, rules, wide
from benchmark.report.tables import TableSource


def build(source: TableSource) -> Table:
    """Return the table of scores, with all columns of the cells; it is there even without a cell."""
    cells, reasons = source.results.cells, source.results.untested()
    left_out = f" Not compared with the best: {'; '.join(reasons)}." if reasons else ""
    return source.table(cells, wide(cells, score_text), f"{rules(cells)}{left_out}")


def score_text(cell: pd.Series) -> str:
    """Return `95.6`, `95.6 ± 0.3` with several seeds, or `4/5` while trials are missing; the best scores are bold."""
    if cell["diverged"]:
        return f"diverged ({cell['diverged']} of {cell['expected']})"
    if cell["done"] < cell["expected"] or pd.isna(cell["score"]):
        return f"{cell['done']}/{cell['expected']}"
    spread = f" ± {100 * cell['seed_sd']:.1f}" if pd.notna(cell["seed_sd"]) else ""
    text = f"{100 * cell['score']:.1f}{spread}"
    return text.join(STRONG) if cell["best"] else text
