"""The main table: scores of the reported split, above the scores that need no backbone."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.records.floor import NAMES
from benchmark.report.escape import STRONG
from benchmark.report.render import INDEX, Table, rules, wide
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

BELOW = "†"
NO_BACKBONE = "no backbone"


def build(source: TableSource) -> Table:
    """Return the table of scores, with all columns of the cells; it is there even without a cell."""
    cells, reasons = source.results.cells, source.results.untested()
    left_out = f" Without interval or not compared with the best: {'; '.join(reasons)}." if reasons else ""
    below = cells["score"] < cells["floor"]
    floor = f" {BELOW} below a regression on log-mel statistics, which needs no backbone." if below.any() else ""
    introduction = f"{rules(source.results.names.named(cells))}{left_out}{floor}".strip()
    return source.table(cells, score_table(source.results), introduction)


def score_table(results: Results) -> pd.DataFrame:
    """Return the scores as people read them, a column per dataset, with rows for floors where they are known."""
    text = wide(results.names.named(results.cells), score_text)
    floors = results.names.named(_floor_rows(results)).rename(columns=results.names.dataset)
    return (
        pd.concat([text, floors.reindex(columns=text.columns)], ignore_index=True).fillna("") if len(floors) else text
    )


def _floor_rows(results: Results) -> pd.DataFrame:
    """Return a row per protocol and floor; backbones whose recipes differ in length may have different floors."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for _, cell in results.cells.iterrows():
        for name, score in results.floor(cell).items():
            found.setdefault((cell["protocol"], name, cell["dataset"]), {})[f"{100 * score:.1f}"] = None
    rows: list[dict[str, Any]] = []
    for protocol in dict.fromkeys(protocol for protocol, _, _ in found):
        for name in NAMES:
            scores = {key[2]: " / ".join(texts) for key, texts in found.items() if key[:2] == (protocol, name)}
            rows.append({**dict(zip(INDEX, (protocol, NO_BACKBONE, name), strict=True)), **scores})
    return pd.DataFrame(rows)


def score_text(cell: pd.Series) -> str:
    """Return `95.6`, `95.6 ± 0.3` with several seeds, or `4/5` while trials are missing; the best scores are bold."""
    if cell["diverged"]:
        return f"diverged ({cell['diverged']} of {cell['expected']})"
    if cell["done"] < cell["expected"] or pd.isna(cell["score"]):
        return f"{cell['done']}/{cell['expected']}"
    spread = f" ± {100 * cell['seed_sd']:.1f}" if pd.notna(cell["seed_sd"]) else ""
    text = f"{100 * cell['score']:.1f}{spread}{BELOW if cell['score'] < cell['floor'] else ''}"
    return text.join(STRONG) if cell["best"] else text
