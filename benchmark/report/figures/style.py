"""What the figures share: the look of each method, captions, and writing files."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmark.records.floor import REGRESSION
from benchmark.report.escape import one_line
from benchmark.report.figures.default_style import default_style
from benchmark.report.render import row_names
from benchmark.report.results import Results

MARKERS = "os^DvPX*<>hp"
Dash = Literal["-", "--", "-.", ":"]
DASHES: tuple[Dash, ...] = get_args(Dash)
HATCHES = ["", "//", "xx", "..", "\\\\", "++", "oo", "--"]
PANEL_INCHES = (3.4, 2.8)
CAPTION_INCHES = 1.1
LEGEND_INCHES = 2.2
CAPTION_CHARACTERS_PER_INCH = 13
FEW_DECADES = 200  # up to this ratio of the axis limits, 1, 2 and 5 of each decade are labelled
# Metadata without a date: equal data gives equal files.
FORMATS: dict[str, dict[str, str | None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


@dataclass(frozen=True)
class Look:
    """How a method is drawn in every figure; shape, dash and hatch distinguish it without colour.

    Attributes:
        colour: red, green and blue, each in [0, 1].
        marker: shape of points.
        dash: style of lines.
        hatch: pattern of bars.
    """

    colour: tuple[float, float, float]
    marker: str
    dash: Dash
    hatch: str


def looks(names: Iterable[str], order: list[str]) -> dict[str, Look]:
    """Return a look for each name.

    Args:
        names: names to draw.
        order: names that always have the same look; other names get the next looks.
    """
    all_names = [*order, *(name for name in dict.fromkeys(names) if name not in order)]
    colours = itertools.cycle(sns.color_palette("colorblind", 10))
    styles = zip(colours, itertools.cycle(MARKERS), itertools.cycle(DASHES), itertools.cycle(HATCHES), strict=False)
    return {name: Look(*style) for name, style in zip(all_names, styles, strict=False)}


def shown_looks(shown: Iterable[str], order: list[str]) -> dict[str, Look]:
    """Return the looks of the shown names only, as `looks` does, in the given order."""
    names = list(shown)
    return {name: look for name, look in looks(names, order).items() if name in set(names)}


def label_decades(axes: Axes) -> None:
    """Label a logarithmic horizontal axis with plain numbers; its limits must be final."""
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < FEW_DECADES else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def literal(text: str) -> str:
    """Return text of a user for a figure, where dollar signs would begin a formula; control characters are shown."""
    return one_line(text).replace("$", r"\$")


def measure(metric: str) -> str:
    """Return the label of a metric on an axis."""
    return f"{'mAP' if metric == 'map' else metric} (%)"


def with_labels(results: Results, cells: pd.DataFrame) -> pd.DataFrame:
    """Return table cells with labels for figures, in place of the names of protocol, backbone and dataset.

    `name` is the method with its distinguishing settings, `column` the protocol and backbone, `protocol_line` the
    protocol alone, `measure` the label of the metric. A protocol that all cells share is left out of `column` and
    `protocol_line`, because the title of the figure names it.
    """
    named = results.names.named(cells).map(lambda value: literal(value) if isinstance(value, str) else value)
    has_one_protocol = named["protocol"].nunique() < 2
    line = "" if has_one_protocol else named["protocol"] + "\n"
    measures, column = cells["metric"].map(measure), line + named["backbone"]
    return named.assign(
        method=cells["method"], protocol_line=line, column=column, measure=measures, name=row_names(named)
    )


def known_looks(shown: Iterable[str], results: Results) -> dict[str, Look]:
    """Return the looks of the shown labels only; methods of the layout look the same in every figure."""
    return shown_looks(shown, [results.names.method(name) for name in results.order.methods])


def grid(rows: int, columns: int, *, sharey: bool = False) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with panels of equal size and room for a legend at the right.

    Args:
        rows: number of rows.
        columns: number of columns.
        sharey: whether the panels of a row share their vertical axis.
    """
    size = (PANEL_INCHES[0] * columns + LEGEND_INCHES, PANEL_INCHES[1] * rows + CAPTION_INCHES)
    figure = _figure(size)
    axes = figure.subplots(rows, columns, squeeze=False, sharey="row" if sharey else "none")
    return figure, axes.tolist()


def _figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure; pyplot would ask for the user's backend."""
    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, title: str, warnings: list[str], known: dict[str, Look], *, bars: bool = False) -> Figure:
    """Add title, legend and caption to a figure.

    Args:
        figure: the figure.
        title: heading.
        warnings: reasons why the numbers are not comparable with the paper.
        known: looks of the methods in the legend.
        bars: whether the legend shows bars instead of lines.
    """
    if known:
        handles: list[Patch | Line2D] = [
            Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=name)
            if bars
            else Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash, label=name)
            for name, look in known.items()
        ]
        figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8, handlelength=3)
    figure.suptitle(literal(title), fontsize=10)
    if warnings:
        caption = literal(f"Not comparable with the paper: {'; '.join(warnings)}")
        width = int(figure.get_figwidth() * CAPTION_CHARACTERS_PER_INCH)
        figure.supxlabel(textwrap.fill(caption, width), fontsize=8)
    return figure


def draw_floor(axes: Axes, cells: pd.DataFrame) -> None:
    """Draw a line at what a regression on log-mel statistics scores, with its name; nothing where it is unknown.

    A floor far from the other points is only named at the edge, as the line would press them together.

    Args:
        axes: where to draw.
        cells: table cells of one panel.
    """
    low, high = axes.get_ylim()
    for score in 100 * cells["floor"].dropna().unique():
        text, place, coordinates = REGRESSION, score, "data"
        if not 2 * low - high <= score <= 2 * high - low:
            below = score < low
            text, place = f"{REGRESSION} {score:.1f} {'↓' if below else '↑'}", 0.0 if below else 0.94
            coordinates = "axes fraction"
        else:
            axes.axhline(score, color="0.35", linewidth=1, linestyle=(0, (1, 1.5)), zorder=0)
        axes.annotate(
            text, (1, place), xycoords=("axes fraction", coordinates), xytext=(-2, 2),
            textcoords="offset points", ha="right", fontsize=6, color="0.35",
        )  # fmt: skip


def empty(title: str, reason: str) -> Figure:
    """Return a figure that says why there is nothing to show."""
    figure = _figure(PANEL_INCHES)
    axes = figure.subplots()
    axes.axis("off")
    axes.text(0.5, 0.5, textwrap.fill(literal(f"{title}: {reason}"), 40), ha="center", va="center")
    return figure


@default_style()
def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure in all formats, without a date; return the paths.

    Args:
        figure: the figure.
        folder: an existing folder.
        name: name of the files, without ending.
    """
    paths = []
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # the layout is computed once; with an engine each format would be drawn twice
    for ending, metadata in FORMATS.items():
        paths.append(folder / f"{name}.{ending}")
        figure.savefig(paths[-1], dpi=160, metadata=metadata)
    return paths


@default_style()
def to_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, without a date."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=FORMATS["svg"])
    return buffer.getvalue()
