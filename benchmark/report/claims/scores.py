"""Claims about scores: orders, shares, numbers of the paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmark.report.claims.bench import Bench, base_of, with_verdict
from benchmark.report.claims.ledger import Claim, Judged, Relation, Verdict
from benchmark.report.statistics import COVERAGE, Interval, mean_of
from benchmark.report.tables.paper import measured, paper_cells


def order(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """One method against another, on each dataset and on their average."""
    datasets = claim.datasets or bench.datasets
    gaps = {}
    for dataset in datasets:
        needs = ((claim.backbone, dataset, claim.left), (claim.backbone, dataset, claim.right))
        base = base_of(claim, bench, dataset if len(datasets) > 1 else "", needs)
        if lacking := bench.lacking(needs):
            yield with_verdict(base, *lacking)
            continue
        one, other = (bench.cell(*need) for need in needs)
        gap = bench.results.difference(one, other) if one is not None and other is not None else None
        if gap is None:
            yield with_verdict(base, "not comparable", "no predictions of shared seeds to compare")
            continue
        gaps[dataset] = gap
        yield _compared(base, gap, claim)
    if len(datasets) > 1:
        every = tuple((claim.backbone, name, method) for name in datasets for method in (claim.left, claim.right))
        base = base_of(claim, bench, "average", every)
        if len(gaps) == len(datasets):
            yield _compared(base, mean_of(list(gaps.values())), claim)
        else:
            yield with_verdict(base, *(bench.lacking(every) or ("not run", "not every dataset can be compared")))


def _compared(base: Judged, gap: Interval, claim: Claim) -> Judged:
    low, high = 100 * gap.low, 100 * gap.high
    verdict, why = decide(low, high, claim.relation, claim.margin)
    return dataclasses.replace(
        base, verdict=verdict, why=why, unit="points", measured=100 * gap.mean, low=low, high=high,
        difference=100 * gap.mean, n=f"{gap.parts} clips or classes x {gap.seeds} seeds",
    )  # fmt: skip


def decide(low: float, high: float, relation: Relation, margin: float = 0.0) -> tuple[Verdict, str]:
    """Whether a difference with this 95 % interval is as stated.

    Args:
        low: end of the interval.
        high: its other end.
        relation: `above` zero, `below` zero, or `at_least` zero but for the margin.
        margin: how far below zero still counts as equal.
    """
    if relation == "below":
        low, high = -high, -low
    bound = -margin if relation == "at_least" else 0.0
    if low > bound:
        return "reproduced", "the whole interval is on the stated side"
    if high < bound:
        return "differs", "the whole interval is on the other side"
    return "underpowered", "the interval has both sides: more seeds or folds would tell"


def relative(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """The share of full fine-tuning's score that a method has, on AST less on SSAST, mean over datasets."""
    needs = tuple(
        (backbone, name, method)
        for name in bench.datasets
        for backbone in ("ast", "ssast")
        for method in (claim.left, claim.right)
    )
    base = base_of(claim, bench, "", needs)
    if lacking := bench.lacking(needs):
        yield with_verdict(base, *lacking)
        return
    draws, means = [], []
    for name in bench.datasets:
        shares = []
        for backbone in ("ast", "ssast"):
            found = []
            for method in (claim.left, claim.right):
                cell = bench.cell(backbone, name, method)
                paired = bench.results.paired(cell) if cell is not None else None
                if cell is None or paired is None:
                    yield with_verdict(base, "not comparable", "no predictions to compare")
                    return
                found.append(paired.interval(cell["cell"]))
            shares.append((found[0].mean / found[1].mean, found[0].draws / found[1].draws))
        means.append(shares[0][0] - shares[1][0])
        draws.append(shares[0][1] - shares[1][1])
    low, high = np.percentile(np.mean(draws, axis=0), COVERAGE)
    verdict, why = decide(float(low), float(high), "above")
    mean = float(np.mean(means))
    yield dataclasses.replace(
        base, verdict=verdict, why=why, unit="share of full's score", measured=mean, difference=mean, low=float(low),
        high=float(high), n=f"{len(means)} datasets",
    )  # fmt: skip


def score(claim: Claim, bench: Bench) -> Iterator[Judged]:
    """Every number of the paper, within its own tolerance and half the measured interval."""
    cells, sources = paper_cells(bench.paper)
    for known in cells:
        needs = ((known.backbone, known.dataset, known.method),)
        base = dataclasses.replace(
            base_of(claim, bench, "", needs),
            id=f"score-{known.backbone}-{known.dataset}-{known.method}-{known.split}",
            statement=f"{known.method} on {known.dataset} ({known.backbone}): {known.score} % on {known.split}, "
            f"{known.epoch} epoch",
            source=f"{known.source}: {sources.get(known.source, 'the user')}",
            unit="per cent",
            paper=f"{known.score}",
        )
        if lacking := bench.lacking(needs):
            yield with_verdict(base, *lacking)
            continue
        cell = bench.cell(*needs[0])
        value = measured(bench.results, cell, known) if cell is not None else None
        if cell is None or value is None:
            yield with_verdict(base, "not run", f"no {known.split} score at the {known.epoch} epoch")
            continue
        half = (cell["high"] - cell["low"]) / 2 if pd.notna(cell["low"]) else 0.0
        low, high = 100 * (value - half), 100 * (value + half)
        inside = low - known.tolerance <= known.score <= high + known.tolerance
        yield dataclasses.replace(
            base, verdict="reproduced" if inside else "differs", measured=100 * value, low=low, high=high,
            difference=100 * value - known.score, n=f"{cell['done']} trials",
            why="the paper's number is " + ("within" if inside else "outside") + " the interval and its own tolerance",
        )  # fmt: skip
