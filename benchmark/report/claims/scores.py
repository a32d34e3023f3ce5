"""Claims about scores: which of two methods is better, relative scores, and numbers of the paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmark.report.claims.evidence import Evidence, unjudged, with_verdict
from benchmark.report.claims.ledger import Claim, Judged, Relation, Verdict
from benchmark.report.layout import load_layout
from benchmark.report.paper_scores import PaperScore, load_paper_scores, measured_score
from benchmark.report.statistics import COVERAGE, Array, Interval, mean_of, pooled_draws
from benchmark.units import plural

BACKBONES = ("ast", "ssast")


def order(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge which of two methods is better, on each dataset and on the average of all datasets."""
    datasets = claim.datasets or evidence.datasets
    differences = {}
    for dataset in datasets:
        needs = ((claim.backbone, dataset, claim.left), (claim.backbone, dataset, claim.right))
        base = unjudged(claim, evidence, dataset if len(datasets) > 1 else "", needs)
        if obstacle := evidence.obstacle(needs):
            yield with_verdict(base, *obstacle)
            continue
        left, right = (evidence.cell(*need) for need in needs)
        difference = evidence.results.difference(left, right) if left is not None and right is not None else None
        if difference is None:
            yield with_verdict(base, "not comparable", "no predictions of shared seeds to compare")
            continue
        differences[dataset] = difference
        yield _with_difference(base, difference, claim)
    if len(datasets) > 1:
        all_needs = tuple((claim.backbone, name, method) for name in datasets for method in (claim.left, claim.right))
        base = unjudged(claim, evidence, "average", all_needs)
        if len(differences) == len(datasets):
            yield _with_difference(base, mean_of(differences, load_layout().related), claim)
        else:
            obstacle = evidence.obstacle(all_needs) or ("not run", "not every dataset can be compared")
            yield with_verdict(base, *obstacle)


def _with_difference(base: Judged, difference: Interval, claim: Claim) -> Judged:
    low, high = 100 * difference.low, 100 * difference.high
    verdict, why = decide(low, high, claim.relation, claim.margin)
    return dataclasses.replace(
        base, verdict=verdict, why=why, unit="points", measured=100 * difference.mean, low=low, high=high,
        difference=100 * difference.mean, n=f"{difference.parts} clips or classes x {plural(difference.seeds, 'seed')}",
    )  # fmt: skip


def decide(low: float, high: float, relation: Relation, margin: float = 0.0) -> tuple[Verdict, str]:
    """Return the verdict and reason for a difference with this 95 % interval.

    Args:
        low: lower end of the interval.
        high: upper end of the interval.
        relation: the claim: `above` zero, `below` zero, or `at_least` zero minus the margin.
        margin: difference below zero that still counts as equal.
    """
    if relation == "below":
        low, high = -high, -low
    bound = -margin if relation == "at_least" else 0.0
    if low > bound:
        return "reproduced", "the whole interval is on the claimed side"
    if high < bound:
        return "differs", "the whole interval is on the other side"
    limit = "zero" if bound == 0 else f"the margin ({bound:g})"
    return "underpowered", f"the interval includes {limit}; more seeds or folds are needed"


def relative(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge whether a method reaches a larger share of full fine-tuning's score on AST than on SSAST.

    The difference of the shares is averaged over the datasets.
    """
    needs = tuple(
        (backbone, name, method)
        for name in evidence.datasets
        for backbone in BACKBONES
        for method in (claim.left, claim.right)
    )
    base = unjudged(claim, evidence, "", needs)
    if obstacle := evidence.obstacle(needs):
        yield with_verdict(base, *obstacle)
        return
    means, draws = [], dict[str, Array]()
    for dataset in evidence.datasets:
        on_ast, on_ssast = (_share(claim, evidence, backbone, dataset) for backbone in BACKBONES)
        if on_ast is None or on_ssast is None:
            yield with_verdict(base, "not comparable", "no predictions to compare")
            return
        means.append(on_ast[0] - on_ssast[0])
        draws[dataset] = on_ast[1] - on_ssast[1]
    low, high = np.percentile(pooled_draws(draws, load_layout().related), COVERAGE)
    verdict, why = decide(float(low), float(high), "above")
    mean = float(np.mean(means))
    yield dataclasses.replace(
        base, verdict=verdict, why=why, unit="share of full's score", measured=mean, difference=mean, low=float(low),
        high=float(high), n=f"{len(means)} datasets",
    )  # fmt: skip


def _share(claim: Claim, evidence: Evidence, backbone: str, dataset: str) -> tuple[float, Array] | None:
    """Return the score of one method divided by that of the other, and its (draws,) resampled values."""
    intervals = []
    for method in (claim.left, claim.right):
        cell = evidence.cell(backbone, dataset, method)
        paired = evidence.results.paired(cell) if cell is not None else None
        if cell is None or paired is None:
            return None
        intervals.append(paired.interval(cell["cell"]))
    left, right = intervals
    return left.mean / right.mean, left.draws / right.draws


def score(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge every score of the paper: it must be within its tolerance and half the measured interval."""
    scores, sources = load_paper_scores(evidence.paper)
    for paper in scores:
        needs = ((paper.backbone, paper.dataset, paper.method),)
        base = dataclasses.replace(
            unjudged(claim, evidence, "", needs),
            id=f"score-{paper.backbone}-{paper.dataset}-{paper.method}-{paper.split}",
            statement=f"{paper.method} on {paper.dataset} ({paper.backbone}): {paper.score} % on {paper.split}, "
            f"{paper.epoch} epoch",
            source=f"{paper.source}: {sources.get(paper.source, 'file of the user')}",
            unit="per cent",
            paper=f"{paper.score}",
        )
        obstacle, cell = evidence.obstacle(needs), evidence.cell(*needs[0])
        if obstacle:
            yield with_verdict(base, *obstacle)
        elif cell is not None:
            yield _with_score(base, evidence, cell, paper)


def _with_score(base: Judged, evidence: Evidence, cell: pd.Series, paper: PaperScore) -> Judged:
    value = measured_score(evidence.results, cell, paper.split, paper.epoch)
    if value is None:
        return with_verdict(base, "not run", f"no {paper.split} score at the {paper.epoch} epoch")
    half = (cell["high"] - cell["low"]) / 2 if pd.notna(cell["low"]) else 0.0
    low, high = 100 * (value - half), 100 * (value + half)
    is_inside = low - paper.tolerance <= paper.score <= high + paper.tolerance
    return dataclasses.replace(
        base, verdict="reproduced" if is_inside else "differs", measured=100 * value, low=low, high=high,
        difference=100 * value - paper.score, n=plural(int(cell["done"]), "trial"),
        why=f"the paper's number is {'within' if is_inside else 'outside'} the interval plus its tolerance",
    )  # fmt: skip
