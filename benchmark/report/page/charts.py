"""The numbers of the page's charts, one point or curve per table cell, however many trials it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from matplotlib.colors import to_hex

from benchmark.report.by_class.read import shown_rows
from benchmark.report.by_class.result import ByClass
from benchmark.report.figures.scores import is_curve, mean_curve
from benchmark.report.figures.style import known_looks, measure
from benchmark.report.render import row_names
from benchmark.report.results import Results

MATRIX_CLASSES = 60  # the most that a matrix shows: those of the most confused pairs
DIGITS = 5  # significant digits of numbers
SHAPES = {  # outlines of matplotlib's markers in a square of 10
    "o": "M5 0A5 5 0 1 1 5 10A5 5 0 1 1 5 0Z",
    "s": "M.7 .7H9.3V9.3H.7Z",
    "^": "M5 0L10 9.5H0Z",
    "D": "M5 0L10 5L5 10L0 5Z",
    "v": "M5 10L10 .5H0Z",
    "P": "M3.3 0H6.7V3.3H10V6.7H6.7V10H3.3V6.7H0V3.3H3.3Z",
    "X": "M2.2 0L5 2.8L7.8 0L10 2.2L7.2 5L10 7.8L7.8 10L5 7.2L2.2 10L0 7.8L2.8 5L0 2.2Z",
    "*": "M5 0L6.2 3.6H10L6.9 5.9L8.1 9.6L5 7.3L1.9 9.6L3.1 5.9L0 3.6H3.8Z",
    "<": "M0 5L9.5 0V10Z",
    ">": "M10 5L.5 0V10Z",
    "h": "M5 0L9.3 2.5V7.5L5 10L.7 7.5V2.5Z",
    "p": "M5 0L10 3.7L8.1 9.6H1.9L0 3.7Z",
}
DASHES: dict[str, str | list[int]] = {"-": "solid", "--": "dashed", ":": "dotted", "-.": [8, 3, 2, 3]}


@dataclass(frozen=True)
class ChartCost:
    """A cost that scores are drawn against.

    Attributes:
        column: column of the table cells.
        label: label of the axis.
        scale: factor from the column to the unit of the label.
        chart: which chart offers it. Times are ratios: seconds of different machines are not compared.
    """

    column: str
    label: str
    scale: float
    chart: Literal["parameters", "memory", "time"]


COSTS = (
    ChartCost("trainable", "trainable parameters (M)", 1e-6, "parameters"),
    ChartCost("total", "all parameters (M)", 1e-6, "parameters"),
    ChartCost("memory_ratio", "peak GPU memory / full fine-tuning", 1.0, "memory"),
    ChartCost("gpu_allocated_bytes", "peak GPU memory (MB)", 1e-6, "memory"),
    ChartCost("saved_bytes", "activations kept per batch, counted (MB)", 1e-6, "memory"),
    ChartCost("optimizer_bytes", "optimizer state, counted (MB)", 1e-6, "memory"),
    ChartCost("stored_bytes", "stored per task, counted (MB)", 1e-6, "memory"),
    ChartCost("time_ratio", "time per epoch / full fine-tuning", 1.0, "time"),
    ChartCost("train_flops", "training step, counted (GFLOPs per clip)", 1e-9, "time"),
)


@dataclass(frozen=True)
class _Shown:
    """The table cells of the charts.

    Attributes:
        cells: table cells with the columns `group`, `dataset_label` and `row`, which people read.
        numbers: the number of each group, dataset and row, by these columns.
        places: cell, and number of its group, dataset and method, by cell.
    """

    cells: pd.DataFrame
    numbers: dict[str, dict[str, int]]
    places: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, results: Results) -> _Shown:
        cells = _labelled(results)
        numbers = {
            column: {name: number for number, name in enumerate(dict.fromkeys(cells[column]))}
            for column in ("group", "dataset_label", "row")
        }
        places = {
            str(cell["cell"]): {
                "cell": str(cell["cell"]),
                "group": numbers["group"][cell["group"]],
                "dataset": numbers["dataset_label"][cell["dataset_label"]],
                "method": numbers["row"][cell["row"]],
            }
            for _, cell in cells.iterrows()
        }
        return cls(cells, numbers, places)


def chart_data(results: Results) -> dict[str, Any]:
    """Return names and looks of methods, costs, points, curves and results by class.

    Points, curves and results by class name their cell, and by number their group (protocol and backbone), dataset and
    method. Scores are in per cent.
    """
    shown = _Shown.of(results)
    return {
        **_score_data(results, shown),
        "curves": [{**shown.places[cell], "points": points} for cell, points in _curves(results)],
        "classes": [
            {**shown.places[cell], **_classes(results.by_class.by_cell[cell])} for cell in shown_rows(results)["cell"]
        ],
    }


def score_data(results: Results) -> dict[str, Any]:
    """Return what `chart_data` does, without curves and results by class."""
    return {**_score_data(results, _Shown.of(results)), "curves": [], "classes": []}


def _score_data(results: Results, shown: _Shown) -> dict[str, Any]:
    cells = shown.cells
    costs = [cost for cost in COSTS if cells[cost.column].notna().any()]
    complete = cells[cells["score"].notna()]
    metrics = cells.drop_duplicates("dataset_label").set_index("dataset_label")["metric"]
    return {
        "methods": _methods(results, shown.numbers["row"]),
        "groups": list(shown.numbers["group"]),
        "datasets": list(shown.numbers["dataset_label"]),
        "measures": [measure(str(metric)) for metric in metrics],
        "costs": [{"label": cost.label, "chart": cost.chart} for cost in costs],
        "points": [{**shown.places[cell["cell"]], **_point(cell, costs)} for _, cell in complete.iterrows()],
    }


def _labelled(results: Results) -> pd.DataFrame:
    """Return the cells with the columns `group`, `dataset_label` and `row`, which people read."""
    named = results.names.named(results.cells)
    several = named["protocol"].nunique() > 1
    group = named["backbone"] + (", protocol " + named["protocol"] if several else "")
    return results.cells.assign(group=group, dataset_label=named["dataset"], row=row_names(named))


def _methods(results: Results, rows: Iterable[str]) -> list[dict[str, Any]]:
    names = list(rows)
    looks = known_looks(names, results)
    return [
        {
            "name": name,
            "colour": to_hex(looks[name].colour),
            "shape": SHAPES[looks[name].marker],
            "dash": DASHES[looks[name].dash],
        }
        for name in names
    ]


def _point(cell: pd.Series, costs: Iterable[ChartCost]) -> dict[str, Any]:
    bounds = [_per_cent(cell[name]) for name in ("low", "high")]
    number = int(cell["done"])
    return {
        "score": _per_cent(cell["score"]),
        "interval": None if None in bounds else bounds,
        "floor": _per_cent(cell["floor"]),
        "trials": number,
        "shared": bool(cell["shared"]),
        "costs": [_number(cell[cost.column], cost.scale) for cost in costs],
    }


def _per_cent(value: Any) -> float | None:
    return None if pd.isna(value) else round(100 * float(value), 2)


def _number(value: Any, scale: float) -> float | None:
    return None if pd.isna(value) else float(f"{float(value) * scale:.{DIGITS}g}")


def _curves(results: Results) -> Iterable[tuple[str, list[tuple[int, float]]]]:
    """Yield cells and their mean scores by epoch, where more than one epoch was evaluated."""
    for cell, trials in results.trials.groupby("cell", sort=False):
        found = [100 * results.curves[trial] for trial in trials["id"]]
        if is_curve(found):
            epochs, means = mean_curve(found)
            yield str(cell), [(epoch, round(mean, 2)) for epoch, mean in zip(epochs, means, strict=True)]


def _classes(found: ByClass) -> dict[str, Any]:
    values = [entry.values[found.score] for entry in found.present]
    return {
        "number": "average precision" if found.score == "ap" else found.score,
        "names": [entry.name for entry in found.present],
        "support": [entry.support for entry in found.present],
        "values": [_per_cent(value.mean) for value in values],
        "matrix": _matrix(found),
    }


def _matrix(found: ByClass) -> dict[str, Any] | None:
    """Return the confusion matrix: names and support of classes, and its entries [true, predicted, clips] above zero.

    Of more than `MATRIX_CLASSES` classes, those of the most confused pairs are kept; `omitted` counts the others.
    """
    if found.confusion is None:
        return None
    counts = found.confusion
    used = [number for number in range(len(counts)) if any(counts[number]) or any(row[number] for row in counts)]
    numbers = {entry.name: number for number, entry in enumerate(found.classes)}
    confused = [numbers[entry.name] for pair in found.confused() for entry in pair[:2]]
    kept = sorted(list(dict.fromkeys([*confused, *used]))[:MATRIX_CLASSES])
    return {
        "names": [found.classes[number].name for number in kept],
        "support": [found.classes[number].support for number in kept],
        "entries": [
            [row, column, round(counts[true][predicted], 2)]
            for row, true in enumerate(kept)
            for column, predicted in enumerate(kept)
            if counts[true][predicted]
        ],
        "omitted": len(used) - len(kept),
    }
