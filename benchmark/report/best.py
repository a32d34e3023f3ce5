"""The best method of each dataset and its distance to full fine-tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmark.console import Block, Sheet
from benchmark.report.aggregate import GROUP
from benchmark.report.full_rows import FULL
from benchmark.report.results import Results
from benchmark.units import percent

EXPLANATION = (
    "minus full: points above full fine-tuning. ties: other methods that are not significantly different from the best."
)
ONE_SEED = "One seed: these trained models are compared, not the methods."


@dataclass(frozen=True)
class Best:
    """The best method of one dataset.

    Attributes:
        protocol: name of the protocol.
        backbone: the backbone with its options.
        dataset: name of the dataset.
        method: the method with the highest mean score, with its hyper-parameters.
        score: mean score over folds and seeds, in [0, 1].
        difference: its score minus that of full fine-tuning, in points; None if full fine-tuning is not finished.
        low: lower end of the difference's 95 % interval; None if it is not known.
        high: upper end of the same interval.
        about_methods: whether the interval includes the differences between seeds.
        tied: number of other methods that are not significantly different from it.
        labels: what people read in place of protocol, backbone, dataset and method.
    """

    protocol: str
    backbone: str
    dataset: str
    method: str
    score: float
    difference: float | None
    low: float | None
    high: float | None
    about_methods: bool
    tied: int
    labels: tuple[str, str, str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON; without labels."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "labels"}


def best_methods(results: Results) -> list[Best]:
    """Return the best method of each dataset, backbone and protocol that has a complete table cell.

    Args:
        results: the results folder.
    """
    found, names = [], results.names
    for key, cells in results.cells[results.cells["score"].notna()].groupby(GROUP, sort=False):
        best = cells.sort_values("score", ascending=False, kind="stable").iloc[0]
        full = cells[cells["method"] == FULL]
        difference = low = high = None
        about_methods = len(str(best["seeds"]).split()) > 1
        if not full.empty and best["method"] != FULL:
            difference = 100 * float(best["score"] - full.iloc[0]["score"])
            if estimate := results.difference(best, full.iloc[0]):
                low, high = (100 * end for end in estimate.interval())
                about_methods = estimate.about_methods
        protocol, backbone, dataset = map(str, key)
        labels = (
            names.protocol(protocol), names.backbone(backbone), names.dataset(dataset), names.method(best["method"])
        )  # fmt: skip
        found.append(
            Best(
                protocol, backbone, dataset, str(best["method"]), float(best["score"]), difference, low, high,
                about_methods, int(cells["best"].sum()) - 1, labels,
            )
        )  # fmt: skip
    return found


def best_blocks(rows: Iterable[Best]) -> Iterator[Block]:
    """Yield a table for each protocol and backbone: the best method of every dataset.

    Args:
        rows: the best methods.
    """
    groups: dict[tuple[str, str], list[Best]] = {}
    for row in rows:
        groups.setdefault((row.labels[1], row.labels[0]), []).append(row)
    for (backbone, protocol), found in groups.items():
        columns = ["dataset", "best method", "score", "minus full", "95 % interval", "ties"]
        cells = [[*row.labels[2:], percent(row.score, 1), *_distance(row), row.tied] for row in found]
        yield Sheet(f"Best method, {backbone}, protocol {protocol}", columns, cells)
    if groups:
        yield EXPLANATION
    if not all(row.about_methods for found in groups.values() for row in found):
        yield ONE_SEED


def _distance(row: Best) -> tuple[str, str]:
    """Return the difference to full fine-tuning and its interval."""
    if row.method == FULL:
        return "", ""
    if row.difference is None:
        return "?", "full is missing"
    interval = "?" if row.low is None or row.high is None else f"[{row.low:+.1f}, {row.high:+.1f}]"
    return f"{row.difference:+.1f}", interval
