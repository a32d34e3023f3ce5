"""What the figures share: looks of methods, captions, files."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt  # the backend is set first
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmark.report.render import named

mpl.rcParams["svg.hashsalt"] = "aat-benchmark"  # equal data gives equal files
MARKERS = "os^DvPX*<>hp"
Dash = Literal["-", "--", "-.", ":"]
DASHES: tuple[Dash, ...] = get_args(Dash)
HATCHES = ["", "//", "xx", "..", "\\\\", "++", "oo", "--"]
PANEL_INCHES = (3.4, 2.8)
CAPTION_INCHES = 1.1
LEGEND_INCHES = 2.2
FORMATS: dict[str, dict[str, str | None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


@dataclass(frozen=True)
class Look:
    """How one method looks everywhere: told apart by colour, and in grey by shape, dash or hatch."""

    colour: tuple[float, float, float]
    marker: str
    dash: Dash
    hatch: str


def looks(names: Iterable[str], order: list[str]) -> dict[str, Look]:
    """A look for each name: those of the order have theirs for good, others follow."""
    every = [*order, *(name for name in dict.fromkeys(names) if name not in order)]
    colours = itertools.cycle(sns.color_palette("colorblind", 10))
    rest = zip(colours, itertools.cycle(MARKERS), itertools.cycle(DASHES), itertools.cycle(HATCHES), strict=False)
    return {name: Look(*look) for name, look in zip(every, rest, strict=False)}


def shown_looks(shown: Iterable[str], order: list[str]) -> dict[str, Look]:
    """The looks of the names that are shown, in the order."""
    present = list(shown)
    return {name: look for name, look in looks(present, order).items() if name in set(present)}


def measure(metric: str) -> str:
    """A metric as it is written on an axis."""
    return f"{'mAP' if metric == 'map' else metric} (%)"


def with_columns(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with what heads a panel and what the method with its settings is called.

    `column` is protocol and backbone, `protocol_line` the former alone. A protocol that all cells share is left out, it
    stands above the figure. `measure` is the metric as it is written on an axis.
    """
    shared = cells["protocol"].nunique() < 2
    line = "" if shared else cells["protocol"] + "\n"
    measures = cells["metric"].map(measure)
    return cells.assign(protocol_line=line, column=line + cells["backbone"], measure=measures, name=named(cells))


def grid(rows: int, columns: int, *, sharey: bool = False) -> tuple[Figure, list[list[Axes]]]:
    """Panels of one size with room for a legend at the right."""
    size = (PANEL_INCHES[0] * columns + LEGEND_INCHES, PANEL_INCHES[1] * rows + CAPTION_INCHES)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, squeeze=False, sharey="row" if sharey else "none", layout="constrained"
    )
    return figure, axes.tolist()


def finish(figure: Figure, title: str, warnings: list[str], known: dict[str, Look], *, bars: bool = False) -> Figure:
    """Title, legend of the methods that are shown, and why the numbers do not speak for the paper."""
    if known:
        handles: list[Patch | Line2D] = [
            Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=name)
            if bars
            else Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash, label=name)
            for name, look in known.items()
        ]
        figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8, handlelength=3)
    figure.suptitle(title, fontsize=10)
    if warnings:
        caption = f"Not comparable with the paper: {'; '.join(warnings)}"
        figure.supxlabel(textwrap.fill(caption, int(figure.get_figwidth() * 13)), fontsize=8)
    return figure


def empty(title: str, reason: str) -> Figure:
    """A figure that says why there is nothing to show."""
    figure, axes = plt.subplots(figsize=PANEL_INCHES, layout="constrained")
    axes.axis("off")
    axes.text(0.5, 0.5, textwrap.fill(f"{title}: {reason}", 40), ha="center", va="center")
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure in all formats, without a date, so that equal data gives equal files."""
    paths = []
    figure.canvas.draw()
    figure.set_layout_engine("none")  # laid out once, not for every format
    for ending, metadata in FORMATS.items():
        paths.append(folder / f"{name}.{ending}")
        figure.savefig(paths[-1], dpi=160, metadata=metadata)
    plt.close(figure)
    return paths
