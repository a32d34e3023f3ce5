"""Claims about scores: which of two methods is better, relative scores, and numbers of the paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd

from benchmark.report.claims.evidence import Evidence, unjudged, with_verdict
from benchmark.report.claims.ledger import Claim, Judged, Relation, Verdict
from benchmark.report.inference import Estimate, combined, deciding_seeds
from benchmark.report.layout import load_layout
from benchmark.report.outcomes import Outcome, not_comparable_together, share_difference
from benchmark.report.outcomes import score as estimate_score
from benchmark.report.paper_scores import PaperScore, measured_score
from benchmark.units import plural

BACKBONES = ("ast", "ssast")
ONE_SEED = "one seed compares trained models, not methods"


def order(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge which of two methods is better, on each dataset and on the average of all datasets."""
    datasets = claim.datasets or evidence.datasets
    differences = {}
    for dataset in datasets:
        needs = evidence.needs(claim.backbone, dataset, claim.left, claim.right)
        base = unjudged(claim, evidence, dataset if len(datasets) > 1 else "", needs)
        if obstacle := evidence.obstacle(needs):
            yield with_verdict(base, *obstacle)
            continue
        left, right = (evidence.cell(*need) for need in needs)
        assert left is not None
        assert right is not None
        difference = evidence.results.difference(left, right)
        if difference is None:
            yield with_verdict(base, "not comparable", evidence.results.obstacle(left, right) or "")
            continue
        differences[dataset] = difference
        yield _with_difference(base, difference, claim)
    if len(datasets) > 1:
        all_needs = tuple(
            need for name in datasets for need in evidence.needs(claim.backbone, name, claim.left, claim.right)
        )
        base = unjudged(claim, evidence, "average", all_needs)
        if len(differences) == len(datasets):
            yield _with_difference(base, combined(differences, load_layout().related), claim)
        else:
            obstacle = evidence.obstacle(all_needs) or ("not run", "not every dataset can be compared")
            yield with_verdict(base, *obstacle)


def _with_difference(base: Judged, difference: Estimate, claim: Claim) -> Judged:
    low, high = (100 * end for end in difference.interval())
    verdict, why = decide(low, high, claim.relation, claim.margin)
    if not difference.about_methods or verdict == "underpowered":
        verdict, why = "underpowered", _more_seeds(difference, claim)
    return dataclasses.replace(
        base, verdict=verdict, why=why, unit="points", measured=100 * difference.mean, low=low, high=high,
        difference=100 * difference.mean,
        n=f"{difference.clips} clips in {plural(difference.groups, 'group')} x {plural(difference.seeds, 'seed')}",
    )  # fmt: skip


def _more_seeds(difference: Estimate, claim: Claim) -> str:
    """Say why a difference decides nothing, and how many seeds would."""
    bound = -claim.margin / 100 if claim.relation == "at_least" else 0.0
    limit = "zero" if bound == 0 else f"the margin ({100 * bound:g})"
    why = f"the interval includes {limit}" if difference.about_methods else ONE_SEED
    if difference.terms is None:
        return f"{why}; more seeds or folds are needed"
    needed = deciding_seeds(difference, abs(difference.mean - bound))
    assumed = "" if difference.about_methods else ", if scores vary by 1 point between seeds"
    seeds = f"about {needed} seeds" if needed else "no number of seeds, only more clips,"
    return f"{why}; {seeds} would decide it{assumed}"


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
        need
        for name in evidence.datasets
        for backbone in BACKBONES
        for need in evidence.needs(backbone, name, claim.left, claim.right)
    )
    base = unjudged(claim, evidence, "", needs)
    if obstacle := evidence.obstacle(needs):
        yield with_verdict(base, *obstacle)
        return
    differences = {}
    for dataset in evidence.datasets:
        of_dataset = [need for need in needs if need[1] == dataset]  # left and right of each backbone
        outcomes = [_outcome(evidence, *need) for need in of_dataset]
        known = [outcome for outcome in outcomes if outcome is not None]
        reason = "a record has no predictions of every clip" if len(known) < len(outcomes) else None
        if reason := reason or not_comparable_together(known):
            yield with_verdict(base, "not comparable", f"{evidence.names.dataset(dataset)}: {reason}")
            return
        difference = share_difference([(known[0], known[1]), (known[2], known[3])])
        if difference is None:
            name = evidence.paper.label(claim.right, evidence.names)
            why = f"{evidence.names.dataset(dataset)}: a score of {name} is zero"
            yield with_verdict(base, "not comparable", why)
            return
        differences[dataset] = difference
    mean = combined(differences, load_layout().related)
    low, high = mean.interval()
    verdict, why = decide(low, high, "above")
    if not mean.about_methods:
        verdict, why = "underpowered", f"{ONE_SEED}; more seeds are needed"
    yield dataclasses.replace(
        base, verdict=verdict, why=why, unit="share of full's score", measured=mean.mean,
        difference=mean.mean, low=low, high=high, n=plural(len(differences), "dataset"),
    )  # fmt: skip


def _outcome(evidence: Evidence, backbone: str, dataset: str, method: str) -> Outcome | None:
    cell = evidence.cell(backbone, dataset, method)
    return None if cell is None else evidence.results.outcome(cell["cell"])


def score(claim: Claim, evidence: Evidence) -> Iterator[Judged]:
    """Judge every score of the paper: it must be within its tolerance and half the measured interval."""
    sources, names = evidence.paper.score_sources, evidence.names
    for paper in evidence.paper.scores:
        method, backbone = evidence.paper.label(paper.method, names), names.backbone(paper.backbone)
        needs = evidence.needs(paper.backbone, paper.dataset, paper.method)
        base = dataclasses.replace(
            unjudged(claim, evidence, "", needs),
            id=f"{claim.id.removesuffix('s')}-{paper.backbone}-{paper.dataset}-{paper.method}-{paper.split}",
            statement=f"{method} on {names.dataset(paper.dataset)} ({backbone}): {paper.score} % on {paper.split}, "
            f"{paper.epoch} epoch",
            source=f"{paper.source}: {sources[paper.source]}",
            unit="per cent",
            paper=f"{paper.score}",
            note=evidence.paper.note([paper.method], names),
            claim=f"{method} ({backbone}): score on {paper.split}, {paper.epoch} epoch",
            dataset=paper.dataset,
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
    outcome = evidence.results.outcome(cell["cell"])
    if outcome is None:
        return with_verdict(base, "not comparable", "its records have no predictions of every clip")
    ends = estimate_score(outcome).interval()
    half = (ends[1] - ends[0]) / 2
    low, high = 100 * (value - half), 100 * (value + half)
    is_inside = low - paper.tolerance <= paper.score <= high + paper.tolerance
    verdict: Verdict = "reproduced" if is_inside else "differs"
    why = f"the paper's number is {'within' if is_inside else 'outside'} the interval plus its tolerance"
    if len(cell["seeds"].split()) == 1:
        verdict, why = "underpowered", f"{ONE_SEED}; {why} of this seed"
    return dataclasses.replace(
        base, verdict=verdict, why=why, measured=100 * value, low=low, high=high,
        difference=100 * value - paper.score, n=plural(int(cell["done"]), "trial"),
    )  # fmt: skip
