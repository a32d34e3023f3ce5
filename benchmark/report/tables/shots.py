"""The table of few-shot training: score by the number of training clips per class."""

from __future__ import annotations

import math

import pandas as pd

from benchmark.report.aggregate import KEYS
from benchmark.report.escape import STRONG
from benchmark.report.names import split_shots
from benchmark.report.render import Table, row_names
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

COLUMNS = [
    "cell", *KEYS, "settings", "shots", "share", "score", "low", "high", "seed_sd", "fold_sd", "best", "draws", "seeds",
    "folds", "done", "expected", "trainable", "marks",
]  # fmt: skip


def build(source: TableSource) -> Table | None:
    """Return the table; None without few-shot trials."""
    data = shot_rows(source.results)
    if data.empty:
        return None
    return source.table(data, shots_text(source.results.names.named(data)), _shares(source.results, data))


def _shares(results: Results, data: pd.DataFrame) -> str:
    """Return a sentence that says which share of the training clips a draw takes; empty if it is not known."""
    known = data[data["share"].notna()]
    of_datasets = [
        f"{results.names.dataset(str(dataset))} "
        + ", ".join(f"{100 * share:.2g} % ({shots})" for shots, share in sorted(dict(zip(*pair, strict=True)).items()))
        for dataset, rows in known.groupby("dataset", sort=False)
        for pair in [(rows["shots"], rows["share"])]
    ]
    return f"Share of the training clips that a draw takes (shots): {'; '.join(of_datasets)}." if of_datasets else ""


def shot_rows(results: Results) -> pd.DataFrame:
    """Return one row per table cell of few-shot trials, with the columns `COLUMNS`.

    `dataset` is the bare name, `share` the drawn part of the training clips, in (0, 1], of the first recorded trial.
    """
    cells = results.cells[results.cells["shots"].notna()]
    cells = cells.assign(share=[_share(results, cell) for cell in cells["cell"]])
    bare = [split_shots(name)[0] for name in cells["dataset"]]
    return cells.assign(dataset=bare, shots=cells["shots"].astype(int))[COLUMNS].reset_index(drop=True)


def _share(results: Results, cell: str) -> float:
    """Return the drawn share of the training clips; nan if no record says it."""
    record = results.first_records.get(cell)
    if record is None or not record.data.drawn_from:
        return math.nan
    return record.data.used["train"] / record.data.drawn_from


def shots_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method and dataset, and a column per number of shots: `67.3 [60.1, 74.5]`, or `3/5`."""
    rows = table.assign(method=row_names(table), text=[_text(row) for _, row in table.iterrows()])
    wide = rows.pivot_table(index=KEYS, columns="shots", values="text", aggfunc=" / ".join, sort=False)
    wide = wide[sorted(wide.columns)].rename(columns=lambda number: f"{number} shot{'' if number == 1 else 's'}")
    draws = rows.groupby(list(wide.index.names), sort=False)["draws"].max()
    wide.insert(0, "draws", [f"{draws[place]:.0f}" for place in wide.index])
    return wide.fillna("").reset_index().rename_axis(columns=None)


def _text(row: pd.Series) -> str:
    if pd.isna(row["score"]):
        return f"{row['done']}/{row['expected']}"
    text = f"{100 * row['score']:.1f}"
    if pd.notna(row["low"]):
        text += f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return text.join(STRONG) if row["best"] else text
