"""Figure of a hyper-parameter search: validation score against cost. It shows no results of the benchmark."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.figures.costs import draw_front
from benchmark.report.figures.default_style import default_style
from benchmark.report.figures.style import empty, finish, grid, literal, shown_looks

COSTS = {
    "trainable": ("trainable parameters (M)", 1e-6),
    "peak_bytes": ("computed memory of a step (GB)", 1e-9),
}
PRUNED_ALPHA = 0.35


@default_style()
def pareto_search(rows: pd.DataFrame, title: str, measure: str, warnings: list[str]) -> Figure:
    """Plot validation score against parameters and memory, with the Pareto front; pruned configurations are faint.

    Args:
        rows: one row per trained configuration: `name` of the method, `state`, `score` (share of 1), `trainable`
            (parameters), `peak_bytes` (bytes).
        title: title of the figure.
        measure: the metric, as the axis shows it.
        warnings: reasons why the scores are not comparable with the paper.
    """
    if rows.empty:
        return empty(title, "no configuration was trained")
    rows = rows.assign(name=rows["name"].map(literal))
    known = shown_looks(rows["name"], [])
    figure, [panels] = grid(1, len(COSTS), sharey=True)
    for panel, (cost, (label, scale)) in zip(panels, COSTS.items(), strict=True):
        for row in rows.to_dict("records"):
            look, alpha = known[row["name"]], 1.0 if row["state"] == "finished" else PRUNED_ALPHA
            x, y = row[cost] * scale, 100 * row["score"]
            panel.plot(x, y, color=look.colour, marker=look.marker, markersize=7, linestyle="", alpha=alpha)
        draw_front(panel, rows[cost] * scale, 100 * rows["score"])
        panel.set_xlabel(label)
    panels[0].set_ylabel(f"{measure}, validation")
    return finish(figure, title, warnings, known)
