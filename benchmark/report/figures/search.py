"""The configurations that a search tried; no records, and no results of the benchmark."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.figures.costs import draw_front
from benchmark.report.figures.style import empty, finish, grid, shown_looks

COSTS = {"trainable": ("trainable parameters (M)", 1e-6), "peak_bytes": ("counted memory of a step (GB)", 1e-9)}
FAINT = 0.35


def pareto_search(rows: pd.DataFrame, title: str, measure: str, warnings: list[str]) -> Figure:
    """Validation score against parameters and memory; what was stopped early is faint.

    Args:
        rows: a configuration each, with `name` of the method, `state`, `score` (share of 1), `trainable`, `peak_bytes`.
        title: above the figure.
        measure: the metric as it is written on an axis.
        warnings: why the numbers do not speak for the paper.
    """
    if rows.empty:
        return empty(title, "no configuration was trained")
    known = shown_looks(rows["name"], [])
    figure, [panels] = grid(1, len(COSTS), sharey=True)
    for panel, (cost, (label, scale)) in zip(panels, COSTS.items(), strict=True):
        for row in rows.to_dict("records"):
            look, alpha = known[row["name"]], 1.0 if row["state"] == "finished" else FAINT
            place = row[cost] * scale, 100 * row["score"]
            panel.plot(*place, color=look.colour, marker=look.marker, markersize=7, linestyle="", alpha=alpha)
        draw_front(panel, rows[cost] * scale, 100 * rows["score"])
        panel.set_xlabel(label)
    panels[0].set_ylabel(f"{measure}, validation")
    return finish(figure, title, warnings, known)
