"""Figures from table cells (matplotlib, seaborn palettes); PNG and PDF."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt  # the backend is set first
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

MARKERS = "os^DvPX*<>hp"
MIN_SPAN = 5.0  # per cent: smaller differences are not blown up to the height of a panel
FEW_DECADES = 200  # ratio on the axis up to which 1, 2 and 5 are labelled
PANEL_INCHES = (3.4, 2.8)
CAPTION_INCHES = 1.1
FORMATS: dict[str, dict[str, str | None]] = {"png": {}, "pdf": {"CreationDate": None}}


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure in all formats, without a date, so that equal data gives equal files."""
    paths = []
    for ending, metadata in FORMATS.items():
        paths.append(folder / f"{name}.{ending}")
        figure.savefig(paths[-1], dpi=160, metadata=metadata)
    plt.close(figure)
    return paths


def scatter(cells: pd.DataFrame, title: str, warnings: list[str]) -> Figure:
    """Score against trainable parameters: a row per dataset, a column per protocol and backbone, a marker per method.

    Methods are told apart by colour and by shape. Incomplete cells are left out; with nothing left the figure says so.
    """
    shown = cells[cells["score"].notna()].copy()
    if shown.empty:
        return _empty(title, "no method has all its trials finished yet")
    shown["column"] = shown["protocol"] + "\n" + shown["backbone"]
    shown["name"] = shown["method"] + shown["settings"].map(lambda text: f" ({text})" if text else "")
    columns, rows, names = (list(dict.fromkeys(shown[key])) for key in ("column", "dataset", "name"))
    looks = {
        name: (colour, MARKERS[i % len(MARKERS)])
        for i, (name, colour) in enumerate(zip(names, sns.color_palette("colorblind", len(names)), strict=True))
    }
    width = PANEL_INCHES[0] * len(columns) + 2.2
    height = PANEL_INCHES[1] * len(rows) + CAPTION_INCHES
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(width, height), squeeze=False, sharey="row", layout="constrained"
    )
    for i, dataset in enumerate(rows):
        for j, column in enumerate(columns):
            panel = shown[(shown["dataset"] == dataset) & (shown["column"] == column)]
            _panel(axes[i][j], panel, looks)
            axes[i][j].set_title(f"{column}, {dataset}", fontsize=9)
        low, high = axes[i][0].get_ylim()  # shared by the row, so only now complete
        missing = max(0.0, MIN_SPAN - (high - low)) / 2
        axes[i][0].set_ylim(low - missing, high + missing)
        axes[i][0].set_ylabel(f"{shown.loc[shown['dataset'] == dataset, 'metric'].iloc[0]} (%)")
    handles = [Line2D([], [], color=c, marker=m, linestyle="none", label=name) for name, (c, m) in looks.items()]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    if warnings:
        caption = f"Not comparable with the paper: {'; '.join(warnings)}"
        figure.supxlabel(textwrap.fill(caption, int(width * 13)), fontsize=8)
    return figure


def _panel(axes: Axes, cells: pd.DataFrame, looks: dict[str, tuple[tuple[float, float, float], str]]) -> None:
    for _, cell in cells.iterrows():
        colour, marker = looks[cell["name"]]
        spread = 100 * cell["seed_sd"] if pd.notna(cell["seed_sd"]) else None
        axes.errorbar(
            cell["trainable"] / 1e6, 100 * cell["score"], yerr=spread, color=colour, marker=marker, markersize=7,
            markeredgecolor="white", markeredgewidth=0.5, capsize=2,
        )  # fmt: skip
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < FEW_DECADES else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("trainable parameters (M)")
    axes.grid(visible=True, alpha=0.3)


def _empty(title: str, reason: str) -> Figure:
    figure, axes = plt.subplots(figsize=PANEL_INCHES, layout="constrained")
    axes.axis("off")
    axes.text(0.5, 0.5, f"{title}:\n{reason}", ha="center", va="center", wrap=True)
    return figure
