"""The figure of few-shot training: score against training clips per class."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.figures.style import Look, empty, finish, grid, known_looks, literal, with_labels
from benchmark.report.render import marks
from benchmark.report.results import Results
from benchmark.report.tables.shots import shot_rows

SHIFT = 0.03  # of the points of one method from those of the next, as a share of a doubling, so that bars are seen


def shots(results: Results, title: str) -> Figure | None:
    """Draw score against shots with 95 % intervals: a row per dataset, a column per protocol and backbone.

    Incomplete cells are left out. None without few-shot trials.
    """
    rows = shot_rows(results)
    if rows.empty:
        return None
    few = results.cells[results.cells["shots"].notna()]
    labels = with_labels(results, few).set_index("cell")[["column", "name", "measure"]]
    shown = rows[rows["score"].notna()].join(labels, on="cell")
    if shown.empty:
        return empty(title, "no method has all its trials finished yet")
    known = known_looks(shown["name"], results)
    columns, datasets = list(dict.fromkeys(shown["column"])), list(dict.fromkeys(shown["dataset"]))
    figure, axes = grid(len(datasets), len(columns), sharey=True)
    for row, dataset in zip(axes, datasets, strict=True):
        for panel, column in zip(row, columns, strict=True):
            _curves(panel, shown[(shown["dataset"] == dataset) & (shown["column"] == column)], known)
            panel.set_title(f"{column}, {literal(results.names.dataset(dataset))}", fontsize=9)
        row[0].set_ylabel(shown.loc[shown["dataset"] == dataset, "measure"].iloc[0])
    return finish(figure, title, marks(few), known)


def _curves(axes: Axes, rows: pd.DataFrame, known: dict[str, Look]) -> None:
    """Draw one line per method, with the intervals of its points."""
    names = list(dict.fromkeys(rows["name"]))
    for place, name in enumerate(names):
        of_method, look = rows[rows["name"] == name].sort_values("shots"), known[name]
        shift = 2 ** (SHIFT * (place - (len(names) - 1) / 2))
        score = 100 * of_method["score"]
        spread = [
            (score - 100 * of_method["low"]).clip(lower=0).fillna(0),
            (100 * of_method["high"] - score).clip(lower=0).fillna(0),
        ]
        axes.errorbar(
            of_method["shots"] * shift, score, yerr=spread, color=look.colour, marker=look.marker, linestyle=look.dash,
            linewidth=1.2, markersize=5, capsize=2,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    ticks = sorted(rows["shots"].unique())
    axes.set_xticks(ticks, [str(number) for number in ticks])
    axes.set_xlabel("training clips per class")
    axes.grid(visible=True, alpha=0.3)
