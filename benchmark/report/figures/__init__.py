"""Figures (matplotlib, seaborn palettes); PNG, PDF and SVG."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from benchmark.report.figures import costs, scores
from benchmark.report.figures.style import save
from benchmark.report.results import Results

FIGURES: dict[str, Callable[[Results, str], Figure]] = {
    "scatter": scores.scatter,
    "curves": scores.curves,
    "time": costs.time,
    "memory": costs.memory,
    "slopes": scores.slopes,
    "heatmap": scores.heatmap,
    "pareto": costs.pareto,
    "ranks": scores.ranks,
}

__all__ = ["FIGURES", "save"]
