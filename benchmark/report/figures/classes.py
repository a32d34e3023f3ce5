"""Figures of results by class: confused classes, and how far the model's confidence can be trusted."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.by_class.read import shown_rows
from benchmark.report.by_class.result import ByClass
from benchmark.report.figures.style import CAPTION_INCHES, Look, empty, finish, grid, known_looks, literal, with_labels
from benchmark.report.render import short
from benchmark.report.results import Results

MATRIX_CLASSES = 20  # more are not readable as a matrix: the most confused pairs are drawn
NUMBERED_CLASSES = 12  # up to this number, the entries of a matrix are written out
DARK = 55  # per cent above which numbers are white
PAIRS = 15  # the most that a panel shows
PANEL_INCHES = (4.6, 4.2)
COLUMNS = 4  # panels in a row
SMALLEST_POINT, LARGEST_POINT = 3, 15  # width of a marker: of a bin with hardly any and with all answers


def confusion(results: Results, title: str) -> Figure:
    """Draw a panel per shown cell: its confusion matrix, or the most confused pairs of many classes."""
    found = results.by_class.by_cell
    shown = with_labels(results, shown_rows(results))
    shown = shown[[found[cell].confusion is not None for cell in shown["cell"]]]
    if shown.empty:
        return empty(title, _nothing(results, "no complete method has predictions with one label per clip"))
    columns = min(COLUMNS, len(shown))
    figure, axes = grid(-(-len(shown) // columns), columns)
    figure.set_size_inches(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * len(axes) + CAPTION_INCHES)
    flat = [panel for row in axes for panel in row]
    for panel, (_, cell) in zip(flat, shown.iterrows(), strict=False):
        _draw_confusion(panel, found[cell["cell"]])
        panel.set_title(f"{cell['column']}, {cell['dataset']}\n{cell['name']}", fontsize=9)
    for panel in flat[len(shown) :]:
        panel.axis("off")
    return finish(figure, title, results.marks, {})


def _draw_confusion(axes: Axes, found: ByClass) -> None:
    counts = np.array(found.confusion)
    rows = counts.sum(1) > 0
    used = rows | (counts.sum(0) > 0)
    if used.sum() > MATRIX_CLASSES:
        _draw_pairs(axes, found)
        return
    names = [literal(short(entry.name)) for entry, is_used in zip(found.classes, used, strict=True) if is_used]
    matrix = counts[used][:, used]
    shares = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    places = range(len(names))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")  # seaborn's draws the figure for every panel
    if len(names) <= NUMBERED_CLASSES:
        for row, column in np.argwhere(shares > 0):
            colour = "white" if shares[row, column] > DARK else "0.1"
            text = f"{shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("true (rows: 100 %)", fontsize=8)
    axes.tick_params(axis="x", rotation=90, labelsize=7)
    axes.tick_params(axis="y", rotation=0, labelsize=7)


def _draw_pairs(axes: Axes, found: ByClass) -> None:
    """Draw the most confused pairs as bars, the largest share of a class at the top."""
    pairs = found.confused()[:PAIRS]
    names = [f"{literal(short(true.name))} → {literal(short(predicted.name))}" for true, predicted, _ in pairs]
    shares = [100 * clips / true.support for true, _, clips in pairs]
    places = range(len(pairs))
    axes.barh(places, shares, color=sns.color_palette("colorblind")[0], height=0.7)
    axes.set_yticks(places, names, fontsize=7)
    axes.set_ylim(PAIRS - 0.5, -0.5)
    for place, (true, _, clips), share in zip(places, pairs, shares, strict=True):
        axes.text(share, place, f" {clips:.3g} of {true.support}", va="center", fontsize=6)
    axes.set_xlim(0, max([1.0, *shares]) * 1.25)
    axes.set_xlabel("per cent of the clips of the true class", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)


def calibration(results: Results, title: str) -> Figure:
    """Draw the share of true answers against confidence: a row per dataset, a column per protocol and backbone.

    Points are bins of confidence; their size grows with the share of the answers in them.
    """
    found, shown = results.by_class.by_cell, with_labels(results, shown_rows(results))
    if shown.empty:
        return empty(title, _nothing(results, "no complete method has predictions of every clip"))
    known = known_looks(shown["name"], results)
    columns, datasets = list(dict.fromkeys(shown["column"])), list(dict.fromkeys(shown["dataset"]))
    figure, axes = grid(len(datasets), len(columns))
    for row, dataset in zip(axes, datasets, strict=True):
        for panel, column in zip(row, columns, strict=True):
            panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
            panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
            panel.grid(visible=True, alpha=0.3)
            panel.set_title(f"{column}, {dataset}", fontsize=9)
            lines = []
            for _, cell in shown[(shown["dataset"] == dataset) & (shown["column"] == column)].iterrows():
                of_cell = found[cell["cell"]]
                _draw_bins(panel, of_cell, known[cell["name"]])
                lines.append(f"{cell['name']}: error {of_cell.summary['ece'].text} %")
            panel.text(
                0.98, 0.04, "\n".join(lines), transform=panel.transAxes, ha="right", fontsize=7,
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            )  # fmt: skip
        row[0].set_ylabel("share of true answers")
    for panel in axes[-1]:
        panel.set_xlabel("confidence")
    return finish(figure, title, results.marks, known)


def _draw_bins(axes: Axes, found: ByClass, look: Look) -> None:
    bins = [entry for entry in found.calibration if entry.share]
    confidence, correct = (np.array([getattr(entry, name) for entry in bins]) for name in ("confidence", "correct"))
    sizes = [(SMALLEST_POINT + (LARGEST_POINT - SMALLEST_POINT) * entry.share**0.5) ** 2 for entry in bins]
    axes.plot(confidence, correct, color=look.colour, linestyle=look.dash, linewidth=1)
    axes.scatter(confidence, correct, sizes, color=look.colour, marker=look.marker, alpha=0.7, linewidths=0)


def _nothing(results: Results, reason: str) -> str:
    """Return why there is nothing to draw."""
    return "; ".join([reason, *results.by_class.left_out[:1]])
