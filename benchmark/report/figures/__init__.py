"""Figures (matplotlib, seaborn palettes), written as PNG, PDF and SVG.

A figure is a function here that takes results and a title, and an entry in `FIGURES` and in `paper_tables/layout.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.report.figures.default_style import default_style  # comes first: it imports matplotlib

# isort: split
from matplotlib.figure import Figure

from benchmark.progress import Progress, no_progress
from benchmark.report.figures import classes, costs, overall, scores, shots
from benchmark.report.figures.style import save, to_svg
from benchmark.report.layout import load_layout
from benchmark.report.results import Results

FIGURES: dict[str, Callable[[Results, str], Figure | None]] = {  # None: a figure that other results have
    "scatter": scores.scatter,
    "curves": scores.curves,
    "shots": shots.shots,
    "time": costs.time,
    "memory": costs.memory,
    "slopes": scores.slopes,
    "heatmap": scores.heatmap,
    "pareto": costs.pareto,
    "ranks": scores.ranks,
    "improvement": overall.improvements,
    "profiles": overall.profiles,
    "confusion": classes.confusion,
    "calibration": classes.calibration,
}


@dataclass(frozen=True)
class NamedFigure:
    """One figure of the report.

    Attributes:
        name: name of its files.
        title: its title in the layout.
        figure: the drawing.
    """

    name: str
    title: str
    figure: Figure


@default_style()
def build_figures(results: Results, progress: Progress = no_progress) -> list[NamedFigure]:
    """Draw the figures of the layout; the title names the protocol if there is only one.

    Args:
        results: the results folder.
        progress: called with what is drawn, how many figures are done, and of how many.
    """
    protocols = results.cells["protocol"].unique()
    protocol = f", protocol {results.names.protocol(protocols[0])}" if len(protocols) == 1 else ""
    found, entries = [], load_layout().figures
    for number, entry in enumerate(entries):
        progress("figures drawn", number, len(entries))
        figure = FIGURES[entry.name](results, entry.title + protocol)
        if figure is not None:
            found.append(NamedFigure(entry.name, entry.title, figure))
    return found


__all__ = ["FIGURES", "NamedFigure", "build_figures", "save", "to_svg"]
