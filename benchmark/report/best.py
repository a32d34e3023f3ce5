"""The best method of each dataset, how it differs from the others, and its distance to full fine-tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.console import Block
from benchmark.report.aggregate import GROUP
from benchmark.report.full_rows import FULL
from benchmark.report.render import row_names
from benchmark.report.results import Results
from benchmark.units import percent, plural

LINEAR = "linear"  # compared with where there is no full fine-tuning
EXPLANATION = (
    "In brackets: points above the method named there, with the 95 % interval of this comparison alone. "
    "Significantly: at 5 %, by Holm's method over all pairs of methods."
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
        equal: other methods with exactly the same score.
        score: mean score over folds and seeds, in [0, 1].
        other: the method of `difference`: full, or linear if full was not submitted; None without both.
        difference: its score minus that of `other`, in points; None if `other` is not finished or is the best itself.
        low: lower end of the difference's 95 % interval; None if it is not known.
        high: upper end of the same interval.
        about_methods: whether the interval includes the differences between seeds.
        tied: number of other methods that are not significantly different from it.
        lower: number of other methods that are significantly lower.
        not_compared: number of other methods that cannot be compared with it clip by clip.
        clips: number of test clips of all folds; None if they are not known.
        seeds: number of seeds.
        labels: what people read in place of protocol, backbone, dataset, the methods with the highest score, `other`.
    """

    protocol: str
    backbone: str
    dataset: str
    method: str
    equal: tuple[str, ...]
    score: float
    other: str | None
    difference: float | None
    low: float | None
    high: float | None
    about_methods: bool
    tied: int
    lower: int
    not_compared: int
    clips: int | None
    seeds: int
    labels: tuple[str, str, str, str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON; without labels."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "labels"}

    @property
    def group(self) -> str:
        """What people read in place of backbone and protocol."""
        return f"{self.labels[1]}, protocol {self.labels[0]}"

    @property
    def sentence(self) -> str:
        """Say which method is best, and what differs from it."""
        _, _, dataset, methods, other = self.labels
        distance = ""
        if self.difference is not None:
            known = self.low is not None and self.high is not None
            interval = f" [{self.low:+.1f}, {self.high:+.1f}]" if known else ", interval not known"
            distance = f" (minus {other}: {self.difference:+.1f}{interval})"
        elif self.other is not None and self.other not in {self.method, *self.equal}:
            distance = f" ({other} is not finished)"
        clips = [] if self.clips is None else [plural(self.clips, "test clip")]
        over = ", ".join([*clips, plural(self.seeds, "seed")])
        return f"{dataset}: highest {methods}, {percent(self.score, 1)}{distance}; {self._others()} ({over})."

    def _others(self) -> str:
        """Say how many other methods are lower."""
        others = self.tied + self.lower + self.not_compared
        if not others:
            return "no other method is finished"
        if self.tied == others:
            return f"none of the {others + 1} methods differs significantly"
        if self.lower == others:
            return "all other methods are significantly lower"
        parts = (
            (self.tied, "not significantly different"),
            (self.lower, "significantly lower"),
            (self.not_compared, "not compared"),
        )
        return f"of the {others} others: {', '.join(f'{number} {text}' for number, text in parts if number)}"


def best_methods(results: Results) -> list[Best]:
    """Return the best method of each dataset, backbone and protocol that has a complete table cell.

    Args:
        results: the results folder.
    """
    cells = results.cells.assign(label=row_names(results.names.named(results.cells)))
    return [_best(results, rows) for _, rows in cells.groupby(GROUP, sort=False) if rows["score"].notna().any()]


def _best(results: Results, cells: pd.DataFrame) -> Best:
    complete = cells[cells["score"].notna()].sort_values("score", ascending=False, kind="stable")
    best = complete.iloc[0]
    highest = complete[complete["score"] == best["score"]]
    others = complete.iloc[1:]
    is_compared = pd.Series([results.obstacle(best, row) is None for _, row in others.iterrows()], others.index, bool)
    other = next((name for name in (FULL, LINEAR) if name in set(cells["method"])), None)
    reference = complete[complete["method"] == other]
    difference = low = high = None
    about_methods = len(str(best["seeds"]).split()) > 1
    if not reference.empty and other not in set(highest["method"]):
        difference = 100 * float(best["score"] - reference.iloc[0]["score"])
        if estimate := results.difference(best, reference.iloc[0]):
            low, high = (100 * end for end in estimate.interval())
            about_methods = estimate.about_methods
    outcome, names = results.outcome(best["cell"]), results.names
    return Best(
        protocol=str(best["protocol"]),
        backbone=str(best["backbone"]),
        dataset=str(best["dataset"]),
        method=str(best["method"]),
        equal=tuple(map(str, highest["method"].iloc[1:])),
        score=float(best["score"]),
        other=other,
        difference=difference,
        low=low,
        high=high,
        about_methods=about_methods,
        tied=int((is_compared & others["best"]).sum()),
        lower=int((is_compared & ~others["best"].astype(bool)).sum()),
        not_compared=int((~is_compared).sum()),
        clips=None if outcome is None else sum(len(fold.clips) for fold in outcome.folds.values()),
        seeds=len(str(best["seeds"]).split()),
        labels=(
            names.protocol(str(best["protocol"])),
            names.backbone(str(best["backbone"])),
            names.dataset(str(best["dataset"])),
            _listed(list(highest["label"])),
            names.method(other) if other else "",
        ),
    )


def _listed(names: list[str]) -> str:
    """Return `A, B and C`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def best_blocks(rows: Iterable[Best]) -> Iterator[Block]:
    """Yield for each protocol and backbone a heading, and a sentence per dataset: which method is best.

    Args:
        rows: the best methods.
    """
    groups: dict[str, list[Best]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    for group, found in groups.items():
        yield f"Which method is best? {group}"
        yield from (f"  {row.sentence}" for row in found)
    if groups:
        yield from notes(row for found in groups.values() for row in found)


def notes(rows: Iterable[Best]) -> list[str]:
    """Return sentences that explain the comparisons."""
    return [EXPLANATION, *([] if all(row.about_methods for row in rows) else [ONE_SEED])]
