"""Figures of scores: against parameters, by epoch, between backbones, against full fine-tuning, and ranks."""

from __future__ import annotations

import warnings as python_warnings
from collections import defaultdict

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import friedmanchisquare

from benchmark.records.frame import Curve
from benchmark.report.figures.style import (
    PANEL_INCHES,
    Look,
    draw_floor,
    empty,
    finish,
    grid,
    known_looks,
    label_decades,
    literal,
    with_labels,
)
from benchmark.report.full_rows import FULL
from benchmark.report.outcomes import ALPHA
from benchmark.report.overall import widely_complete, with_roles
from benchmark.report.results import Results

MIN_SPAN = 5.0  # per cent: the smallest range of a vertical axis, so that small differences look small
FEWEST_DATASETS, FEWEST_METHODS = 5, 3  # of a critical-difference diagram
NOTHING = "no method has all its trials finished yet"


def scatter(results: Results, title: str) -> Figure:
    """Draw score against trainable parameters: a row per dataset, a column per protocol and backbone.

    The bars are 95 % intervals. Incomplete cells are left out.
    """
    shown = _complete(results)
    if shown.empty:
        return empty(title, NOTHING)
    known = known_looks(shown["name"], results)
    columns, datasets = list(dict.fromkeys(shown["column"])), list(dict.fromkeys(shown["dataset"]))
    figure, axes = grid(len(datasets), len(columns), sharey=True)
    for row, dataset in zip(axes, datasets, strict=True):
        for panel, column in zip(row, columns, strict=True):
            _points(panel, shown[(shown["dataset"] == dataset) & (shown["column"] == column)], known)
            panel.set_title(f"{column}, {dataset}", fontsize=9)
        _widen(row[0])
        _draw_floors(row, columns, shown[shown["dataset"] == dataset])
        row[0].set_ylabel(shown.loc[shown["dataset"] == dataset, "measure"].iloc[0])
    return finish(figure, title, results.marks, known)


def _points(axes: Axes, cells: pd.DataFrame, known: dict[str, Look]) -> None:
    """Draw a point with its interval for each cell, on a logarithmic axis of parameters."""
    for _, cell in cells.iterrows():
        look, score = known[cell["name"]], 100 * cell["score"]
        if pd.notna(cell["low"]):
            below, above = score - 100 * cell["low"], 100 * cell["high"] - score
            spread = [[max(0.0, below)], [max(0.0, above)]]
        else:
            spread = None
        axes.errorbar(
            cell["trainable"] / 1e6, score, yerr=spread, color=look.colour, marker=look.marker, markersize=7,
            markeredgecolor="white", markeredgewidth=0.5, capsize=2,
        )  # fmt: skip
    axes.set_xscale("log")
    if not cells.empty and cells["trainable"].nunique() == 1:
        axes.set_xlim(*(cells["trainable"].iloc[0] / 1e6 * factor for factor in (0.5, 2)))
    label_decades(axes)
    axes.set_xlabel("trainable parameters (M)")
    axes.grid(visible=True, alpha=0.3)


def curves(results: Results, title: str) -> Figure:
    """Draw the score by epoch, where it was evaluated: on validation clips if they choose it, else as reported."""
    cells = with_labels(results, results.cells).set_index("cell")
    labels = cells[["dataset", "column", "name", "measure"]].to_dict("index")
    panels: dict[tuple[str, str], dict[str, list[Curve]]] = defaultdict(lambda: defaultdict(list))
    measures = {}
    trials = results.trials
    for cell, trial in zip(trials["cell"], trials["id"], strict=True):
        label = labels[cell]
        panels[label["dataset"], label["column"]][label["name"]].append(100 * results.curves[trial])
        measures[label["dataset"]] = label["measure"]
    if not panels:
        return empty(title, "there is no record yet")
    names = cells[cells.index.isin(set(trials["cell"]))]["name"]
    known = known_looks(names, results)
    # where the last epoch counts, the test clips may have been evaluated once: no curve
    datasets = list(
        dict.fromkeys(dataset for (dataset, _), found in panels.items() if any(map(is_curve, found.values())))
    )
    if not datasets:
        return empty(title, "the scores of one epoch only are known; `run --test-curves` evaluates every epoch")
    order = [results.names.dataset(name) for name in results.order.datasets]
    datasets.sort(key=lambda name: [*order, name].index(name))
    columns = list(dict.fromkeys(column for _, column in panels))
    figure, axes = grid(len(datasets), len(columns), sharey=True)
    for row, dataset in zip(axes, datasets, strict=True):
        for panel, column in zip(row, columns, strict=True):
            _curves_of(panel, panels[dataset, column], known)
            panel.set_title(f"{column}, {dataset}", fontsize=9)
        _widen(row[0])
        # floors are scores of test clips
        _draw_floors(row, columns, cells[(cells["dataset"] == dataset) & (cells["rule"] != "best_on_validation")])
        row[0].set_ylabel(measures[dataset])
    return finish(figure, title, results.marks, known)


def _curves_of(axes: Axes, curves_by_name: dict[str, list[Curve]], known: dict[str, Look]) -> None:
    """Draw the mean curve of each method, with points where all its trials that trained so long have a score."""
    for name, trials in curves_by_name.items():
        epochs, means = mean_curve(trials)
        look = known[name]
        axes.plot(
            epochs, means, color=look.colour, linestyle=look.dash, marker=look.marker,
            markevery=max(1, len(epochs) // 6), markersize=4, linewidth=1.2,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.grid(visible=True, alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def is_curve(trials: list[Curve]) -> bool:
    """Return whether there is more than one point, or one because there was one epoch."""
    return len(mean_curve(trials)[0]) > 1 or max(map(len, trials)) == 1


def mean_curve(trials: list[Curve]) -> tuple[list[int], list[float]]:
    """Return the epochs at which all trials that trained so long have a score, and their mean scores."""
    points: dict[int, float] = {}
    for epoch in range(1, max(map(len, trials)) + 1):
        scores = [values[epoch - 1] for values in trials if len(values) >= epoch]
        if not np.isnan(scores).any():
            points[epoch] = float(np.mean(scores))
    return list(points), list(points.values())


def slopes(results: Results, title: str) -> Figure:
    """Draw the score of each method on AST at the left and on SSAST at the right, a panel per dataset."""
    shown = _complete(results)
    shown[["kind", "variant"]] = shown["backbone"].str.extract(r"^(SSAST|AST)(?:, )?(.*)$")
    keys = ["protocol", "dataset", "variant"]
    shown = shown[shown.groupby([*keys, "name"])["kind"].transform("nunique") == 2]
    if shown.empty:
        return empty(title, "no method is complete on both AST and SSAST yet")
    known = known_looks(shown["name"], results)
    panels = list(dict.fromkeys(zip(shown["protocol_line"], shown["dataset"], shown["variant"], strict=True)))
    columns = min(3, len(panels))
    figure, axes = grid(-(-len(panels) // columns), columns)
    flat = [panel for row in axes for panel in row]
    for panel, (line, dataset, variant) in zip(flat, panels, strict=False):
        of_panel = (shown["protocol_line"] == line) & (shown["dataset"] == dataset) & (shown["variant"] == variant)
        for name, cells in shown[of_panel].groupby("name", sort=False):
            look, by_kind = known[str(name)], cells.set_index("kind")["score"]
            panel.plot(
                [0, 1], [100 * by_kind["AST"], 100 * by_kind["SSAST"]], color=look.colour, marker=look.marker,
                linestyle=look.dash, linewidth=1.2, markersize=5,
            )  # fmt: skip
        panel.set_xticks([0, 1], ["AST", "SSAST"])
        panel.set_xlim(-0.2, 1.2)
        panel.set_title(f"{line}{dataset} {variant}".rstrip(), fontsize=9)
        panel.set_ylabel(shown.loc[of_panel, "measure"].iloc[0])
        _widen(panel)
    for panel in flat[len(panels) :]:
        panel.axis("off")
    return finish(figure, title, results.marks, known)


def heatmap(results: Results, title: str) -> Figure:
    """Draw the difference to full fine-tuning in points, a panel per protocol and backbone."""
    shown, full = _complete(results), results.names.method(FULL)
    panels = {}
    for column, cells in shown.groupby("column", sort=False):
        table = 100 * cells.pivot_table(index="name", columns="dataset", values="score", sort=False)
        if full in table.index and len(table) > 1:
            panels[column] = (table - table.loc[full]).drop(index=full).dropna(axis=1, how="all")
    if not panels:
        return empty(title, "full fine-tuning and another method are not both complete on any dataset yet")
    rows = max(len(table) for table in panels.values())
    figure, axes = grid(1, len(panels))
    figure.set_size_inches(PANEL_INCHES[0] * 1.7 * len(panels) + 0.5, 0.45 * rows + 2.6)
    limit = max(1.0, *(float(np.nanmax(np.abs(table.to_numpy()))) for table in panels.values()))
    for panel, (column, table) in zip(axes[0], panels.items(), strict=True):
        sns.heatmap(
            table, ax=panel, annot=True, fmt="+.1f", center=0, vmin=-limit, vmax=limit, cmap="PuOr_r", linewidths=0.5,
            cbar=False, annot_kws={"fontsize": 8},
        )  # fmt: skip
        panel.set_title(f"{column}\npoints", fontsize=9)
        panel.set(xlabel="", ylabel="")
        panel.tick_params(axis="x", rotation=30, labelsize=8)
        panel.tick_params(axis="y", rotation=0, labelsize=8)
        for label in panel.get_xticklabels():
            label.set_horizontalalignment("right")
    return finish(figure, title, results.marks, {})


def ranks(results: Results, title: str) -> Figure:
    """Draw average ranks over datasets, a panel per protocol and backbone.

    Bars join methods without a significant difference (Nemenyi). Datasets are the blocks: two backbones on one dataset
    are not independent, and datasets that share recordings are one block. Source of the diagram: Demsar 2006.
    """
    shown, related = _complete(results), [list(map(results.names.dataset, group)) for group in results.order.related]
    shown = shown[shown["shots"].isna()]  # numbers of shots are not independent datasets
    shown = with_roles(shown, results, {name: literal(label) for name, label in results.row_labels.items()})
    # a chosen setting and the default beside it are not two methods: two panels
    panels = [
        f"{column}, {role} settings" if role else column
        for column, role in zip(shown["column"], shown["role"], strict=True)
    ]
    shown = shown.assign(column=panels)
    tables = {}
    for column, cells in shown.groupby("column", sort=False):
        everywhere = _blocks(widely_complete(cells, "score").astype(float), related)
        if len(everywhere) >= FEWEST_DATASETS and everywhere.shape[1] >= FEWEST_METHODS:
            tables[column] = everywhere
    if not tables:
        most = int(shown.groupby("column")["dataset"].nunique().max()) if len(shown) else 0
        methods = int(shown.groupby("column")["name"].nunique().max()) if len(shown) else 0
        need = f"needs {FEWEST_METHODS} methods that are complete on the same {FEWEST_DATASETS} datasets"
        return empty(title, f"{need} with one backbone; there are at most {most} datasets and {methods} methods")
    figure, axes = grid(len(tables), 1)
    figure.set_size_inches(8, sum(2.0 + 0.25 * table.shape[1] for table in tables.values()))
    for row, (column, table) in zip(axes, tables.items(), strict=True):
        _draw_ranks(row[0], table, str(column))
    return finish(figure, title, results.marks, {})


def _blocks(table: pd.DataFrame, related: list[list[str]]) -> pd.DataFrame:
    """Return scores by block, in rows, and method: datasets that share recordings are one block, with their mean."""
    names = {name: "+".join(group) for group in related for name in group}
    return table.T.groupby(lambda name: names.get(name, name), sort=False).mean()


def _draw_ranks(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """Draw a critical-difference diagram of scores: a row per dataset, a column per method."""
    import scikit_posthocs  # takes two seconds to import

    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        overall = float(friedmanchisquare(*(table[name] for name in table)).pvalue)
        pairs = scikit_posthocs.posthoc_nemenyi_friedman(table.to_numpy())
    average = table.rank(axis=1, ascending=False).mean()
    names = list(average.index)
    drawn = scikit_posthocs.critical_difference_diagram(  # by number: the order of names would differ between processes
        average.reset_index(drop=True), pairs, ax=axes, alpha=ALPHA, label_fmt_left="{label}",
        label_fmt_right="{label}", text_h_margin=0.06, color_palette=["0.15"] * len(names), label_props={"fontsize": 8},
    )  # fmt: skip
    for label in drawn["labels"]:
        name = names[int(label.get_text())]
        label.set_text(f"{name} ({average[name]:.2f})")
    text = f"{column}: {len(table)} independent datasets, Friedman p = {overall:.2g}"
    axes.set_title(f"{text}; joined: not significantly different at 5 % (Nemenyi)", fontsize=8, pad=16)


def _complete(results: Results) -> pd.DataFrame:
    """Return the complete cells, with labels."""
    return with_labels(results, results.cells[results.cells["score"].notna()])


def _draw_floors(row: list[Axes], columns: list[str], cells: pd.DataFrame) -> None:
    """Draw the floors of a row of panels, whose common axis has its final limits."""
    for panel, column in zip(row, columns, strict=True):
        draw_floor(panel, cells[cells["column"] == column])


def _widen(axes: Axes) -> None:
    """Give the vertical axis a range of at least `MIN_SPAN`."""
    low, high = axes.get_ylim()
    missing = max(0.0, MIN_SPAN - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)
