"""Figures of costs: ratios to full fine-tuning, and Pareto fronts of score against cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report.figures.style import Look, empty, finish, grid, known_looks, label_decades, literal, with_labels
from benchmark.report.full_rows import full_rows
from benchmark.report.results import Results

LABEL_CHARACTERS = 104  # that fit below an axis without rotation
COUNTED_COSTS = {
    "train_flops": "operations per step",
    "saved_bytes": "kept for the backward pass",
    "optimizer_bytes": "optimizer state",
    "stored_bytes": "stored per task",
}
COSTS = {
    "trainable": "trainable parameters (M)",
    "train_flops": "GFLOPs per clip",
    "saved_bytes": "MB kept for backward",
}
SCALE = {"trainable": 1e-6, "train_flops": 1e-9, "saved_bytes": 1e-6}


def time(results: Results, title: str) -> Figure:
    """Draw time relative to full fine-tuning: of epochs in trials, and of steps in profiles."""
    cells = with_labels(results, results.cells)
    cells = cells.assign(panel=cells["column"].str.replace("\n", " ") + ", epochs", ratio=cells["time_ratio"])
    profiled = results.steps
    profiled = profiled.assign(
        name=profiled["method"].map(results.names.method).map(literal), ratio=profiled["time_ratio"],
        dataset=profiled["dataset"].map(results.names.dataset).map(literal),
        panel="steps of " + _models(results, profiled) + " on " + profiled["device"],
    )  # fmt: skip
    columns = ["panel", "dataset", "method", "name", "ratio"]
    shown = pd.concat([cells[columns], profiled[columns]])
    shown = shown[shown["ratio"].notna() & (shown["method"] != "full")]
    if shown.empty:
        return empty(title, "full fine-tuning and another method were not both timed on the same device")
    known = known_looks(shown["name"], results)
    panels = list(dict.fromkeys(shown["panel"]))
    figure, axes = grid(len(panels), 1)
    figure.set_figwidth(8)
    for panel, axis in zip(panels, (row[0] for row in axes), strict=True):
        _bars(axis, shown[shown["panel"] == panel], known, "dataset")
        axis.set_title(panel, fontsize=9)
        axis.set_ylabel("time / time of full fine-tuning")
    return finish(figure, title, results.marks, known, bars=True)


def _models(results: Results, profiled: pd.DataFrame) -> pd.Series:
    """Return `AST, size base` for each profile."""
    return profiled["backbone"].map(results.names.backbone).map(literal) + ", size " + profiled["size"]


def memory(results: Results, title: str) -> Figure:
    """Draw counted costs and measured GPU memory relative to full fine-tuning, mean over datasets."""
    cells, profiled = with_labels(results, results.cells), results.steps
    values = [*COUNTED_COSTS, "gpu_allocated_bytes"]
    columns = ["kind", "dataset", "method", "name", "request", *values]
    by_step = {profile.request.step_key: profile.request for profile in results.profiles}
    trials = cells.assign(kind=cells["column"], request=cells["cell"].map(results.requests))
    shapes = profiled.assign(
        kind=_models(results, profiled),
        name=profiled["method"].map(results.names.method).map(literal),
        request=profiled["step_key"].map(by_step),
        dataset=profiled["dataset"].map(results.names.dataset).map(literal),
    )
    shown = pd.concat([trials[trials["train_flops"].notna()][columns], shapes[columns]], ignore_index=True)
    ratios = _ratios_to_full(shown, values)
    if ratios.empty:
        return empty(title, "there are no records or profiles of both full fine-tuning and another method")
    means = ratios.groupby(["name", "cost"], sort=False)["ratio"].mean().reset_index()
    known = known_looks(means["name"], results)
    figure, axes = grid(1, 1)
    figure.set_figwidth(8.5)
    _bars(axes[0][0], means, known, "cost")
    axes[0][0].set_ylabel("ratio to full fine-tuning, mean over datasets")
    return finish(figure, title, results.marks, known, bars=True)


def _ratios_to_full(shown: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """Return `name`, `cost` and `ratio` for every cost that a method and full fine-tuning both have."""
    rows = []
    requests = dict(enumerate(shown["request"]))
    for value in values:
        cost = COUNTED_COSTS.get(value, "peak GPU memory, measured")
        for _, group in shown[shown[value].notna()].groupby(["kind", "dataset"], sort=False):
            for label, full in full_rows(group, requests).items():
                of_method, of_full = float(group[value][label]), float(group[value][full])
                if of_full and group["method"][label] != "full":
                    rows.append({"name": group["name"][label], "cost": cost, "ratio": of_method / of_full})
    return pd.DataFrame(rows, columns=["name", "cost", "ratio"])


def pareto(results: Results, title: str) -> Figure:
    """Draw the mean score over datasets against three costs, with the Pareto front as a line."""
    cells = with_labels(results, results.cells)
    complete = cells[cells["score"].notna()]
    columns = list(dict.fromkeys(complete["column"]))
    tables = {}
    for column in columns:
        of_column = complete[complete["column"] == column]
        datasets = of_column["dataset"].nunique()
        by_name = of_column.groupby("name", sort=False)
        means = by_name[["score", *COSTS]].mean(numeric_only=False).astype(float)
        means = means[by_name["dataset"].nunique() == datasets]  # a mean over fewer datasets is not comparable
        if len(means) > 1:
            tables[column] = (means, datasets)
    if not tables:
        return empty(title, "no two methods are complete on the same datasets yet")
    known = known_looks(complete["name"], results)
    figure, axes = grid(len(tables), len(COSTS), sharey=True)
    for row, (column, (means, datasets)) in zip(axes, tables.items(), strict=True):
        for panel, (cost, label) in zip(row, COSTS.items(), strict=True):
            _front(panel, means, cost, known)
            panel.set_xlabel(label)
            panel.set_title(column, fontsize=9)
        row[0].set_ylabel(f"mean score over {datasets} datasets (%)" if datasets > 1 else "score (%)")
    return finish(figure, title, results.marks, known)


def _front(panel: Axes, means: pd.DataFrame, cost: str, known: dict[str, Look]) -> None:
    points = means[means[cost].notna()]
    for name, row in points.iterrows():
        look = known[str(name)]
        panel.plot(row[cost] * SCALE[cost], 100 * row["score"], color=look.colour, marker=look.marker, markersize=7)
    draw_front(panel, points[cost] * SCALE[cost], 100 * points["score"])


def draw_front(panel: Axes, costs: pd.Series, scores: pd.Series) -> None:
    """Draw the Pareto front as a line.

    Args:
        panel: where to draw; its cost axis becomes logarithmic if all costs are positive.
        costs: cost of each point.
        scores: score of each point.
    """
    points = pd.DataFrame({"cost": costs, "score": scores}).sort_values(["cost", "score"], ascending=[True, False])
    front = points[points["score"] > points["score"].cummax().shift(fill_value=-np.inf)]
    panel.plot(front["cost"], front["score"], color="0.4", linewidth=1, zorder=0, drawstyle="steps-post")
    if (costs > 0).all() and costs.nunique() > 1:
        panel.set_xscale("log")
        label_decades(panel)
    panel.grid(visible=True, alpha=0.3)


def _bars(axes: Axes, rows: pd.DataFrame, known: dict[str, Look], group_by: str) -> None:
    """Draw bars of `ratio`, one per method, in groups.

    Args:
        axes: where to draw.
        rows: table with `name`, `ratio` and the column of the groups.
        known: looks of the methods, in the order of the bars.
        group_by: column of the groups.
    """
    groups, names = list(dict.fromkeys(rows[group_by])), [name for name in known if name in set(rows["name"])]
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        heights = rows[rows["name"] == name].groupby(group_by)["ratio"].mean()
        places = [groups.index(group) + (number - (len(names) - 1) / 2) * width for group in heights.index]
        look = known[name]
        axes.bar(places, heights, width, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0.5)
    axes.axhline(1, color="0.3", linewidth=1)
    rotation, side = (20, "right") if len(groups) * max(map(len, groups)) > LABEL_CHARACTERS else (0, "center")
    axes.set_xticks(range(len(groups)), groups, fontsize=8, rotation=rotation, ha=side)
    if rows["ratio"].min() > 0 and rows["ratio"].min() < 0.05:
        axes.set_yscale("log")
    axes.grid(visible=True, axis="y", alpha=0.3)
