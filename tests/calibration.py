"""Simulate how often the report's statistics err: rejections of true nulls, coverage of intervals, and power.

    python tests/calibration.py [--simulations 1000] [--jobs 2]

An experiment has test clips in groups, folds, seeds and methods. Whether a method's model is right on a clip depends on
the clip's difficulty, which all models share, on how the method fits the clip's group, on the seed's model (one for
each fold), and on chance. Under the null all methods are equal on average over seeds and groups, though no two models
are. For mean average precision, 20 classes are ranked by scores made in the same way.

Every number comes from the functions that the report calls. Rates are in per cent. The exit code is 1 if a cell with
three seeds or more rejects more than 7 % of true nulls or covers less than 93 %, unless 5 % explain it.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binom, norm

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmark.report.outcomes import Fold, Outcome, difference, score, ties
from benchmark.trial.metrics import by_clip

MOST_REJECTED = 7.0  # per cent, where 5 are meant
FEWEST_SEEDS = 3
CLASSES = 20
BASE = 0.9  # of the latent value of a right answer: about 77 % of the clips are right
DIFFICULTY, FIT, CHANCE = 1.0, 0.25, 0.7  # standard deviations of the latent value over clips, groups, answers
SLOPE = float(norm.pdf(BASE / math.hypot(DIFFICULTY, FIT, CHANCE)) / math.hypot(DIFFICULTY, FIT, CHANCE))


@dataclass(frozen=True)
class Cell:
    """One kind of experiment.

    Attributes:
        clips: number of test clips in all folds.
        seeds: number of seeds.
        folds: number of folds.
        seed_sd: standard deviation of a model's score between seeds, in points.
        group: clips of a group.
        methods: number of methods.
        metric: `accuracy` or `map`.
        effect: by how many points the first method is better.
    """

    clips: int
    seeds: int
    folds: int = 1
    seed_sd: float = 0.0
    group: int = 1
    methods: int = 2
    metric: str = "accuracy"
    effect: float = 0.0

    def __str__(self) -> str:
        return (
            f"| {self.metric} | {self.clips} | {self.group} | {self.folds} | {self.seeds} | {self.seed_sd:g} | "
            f"{self.methods} | {self.effect:g} |"
        )


@dataclass
class Rates:
    """What the simulations of a cell gave, in per cent.

    Attributes:
        rejected: experiments in which a method counts as different: from the other one, or from the best of many.
        covered: intervals of a difference that include the true one.
        score_covered: intervals of a score that include the true score; nan for map, whose true value is unknown.
    """

    rejected: float
    covered: float
    score_covered: float


def experiment(cell: Cell, rng: np.random.Generator) -> dict[str, Outcome]:
    """Return the outcomes of one experiment, by method."""
    group = np.arange(cell.clips) // cell.group
    fold = group % cell.folds
    difficulty = rng.normal(0, DIFFICULTY, cell.clips)
    truth = (rng.random((cell.clips, CLASSES)) < 0.2).astype(np.float32) if cell.metric == "map" else None
    hard = rng.normal(0, DIFFICULTY, (cell.clips, CLASSES)) if truth is not None else None
    names = np.array([f"{number:05d}" for number in range(cell.clips)])
    groups = np.char.add("g", group.astype(str))
    outcomes = {}
    for method in range(cell.methods):
        fit = rng.normal(0, FIT, int(group.max()) + 1)[group]
        better = cell.effect / 100 if method == 0 else 0.0
        values = np.empty((cell.seeds, cell.clips))
        for seed in range(cell.seeds):
            model = rng.normal(0, cell.seed_sd / 100 * math.sqrt(cell.folds), cell.folds)[fold]
            shift = (model + better) / SLOPE
            if truth is None or hard is None:
                latent = BASE + difficulty + fit + shift + rng.normal(0, CHANCE, cell.clips)
                values[seed] = latent > 0
            else:
                noise = rng.normal(0, CHANCE, (cell.clips, CLASSES))
                ranked = truth * (2 + shift + fit)[:, None] + hard + noise
                for number in range(cell.folds):
                    rows = fold == number
                    values[seed, rows] = by_clip(
                        torch.from_numpy(ranked[rows].astype(np.float32)), torch.from_numpy(truth[rows]),
                        torch.ones(int(rows.sum()), CLASSES), "float32", "map",
                    )  # fmt: skip
        outcomes[f"m{method}"] = Outcome(
            f"m{method}",
            {
                number: Fold.of(
                    names[fold == number], groups[fold == number], dict(enumerate(values[:, fold == number]))
                )
                for number in range(cell.folds)
            },
        )
    return outcomes


def simulate(cell: Cell, simulations: int) -> Rates:
    """Return the rates of a cell; the same in every call."""
    rng = np.random.default_rng([cell.clips, cell.seeds, cell.folds, int(10 * cell.seed_sd), cell.group, cell.methods])
    latent_sd = math.hypot(DIFFICULTY, FIT, CHANCE, cell.seed_sd / 100 * math.sqrt(cell.folds) / SLOPE)
    right = float(norm.cdf(BASE / latent_sd))
    rejected = covered = score_covered = 0
    for _ in range(simulations):
        outcomes = experiment(cell, rng)
        one, other = outcomes["m0"], outcomes["m1"]
        found = difference(one, other)
        low, high = found.interval()
        covered += low <= cell.effect / 100 <= high
        if cell.methods == 2:
            rejected += found.p < 0.05
        else:
            scores = {name: score(outcome).mean for name, outcome in outcomes.items()}
            rejected += ties(outcomes, scores) != set(outcomes)
        low, high = score(other).interval()
        score_covered += low <= right <= high
    per_cent = 100 / simulations
    return Rates(
        per_cent * rejected, per_cent * covered, per_cent * score_covered if cell.metric == "accuracy" else math.nan
    )


def nulls() -> Iterator[Cell]:
    """Yield the cells without an effect."""
    sizes, seeds, folds = (290, 400, 2000, 8732), (1, 3, 5, 10), (1, 5, 10)
    spreads, groups = (0.0, 0.5, 1.0, 2.0), (1, 4, 40)
    for clips, number, parts, spread, group in itertools.product(sizes, seeds, folds, spreads, groups):
        if clips / group >= parts:  # a group is in one fold
            yield Cell(clips, number, parts, spread, group)
    for clips, number, spread, group in itertools.product((290, 2000), (3, 5, 10), spreads, (1, 4, 40)):
        yield Cell(clips, number, 1, spread, group, methods=8)
    for number, spread, group in itertools.product(seeds, spreads, (1, 4)):
        yield Cell(1900, number, 1, spread, group, metric="map")


def effects() -> Iterator[Cell]:
    """Yield the cells for power."""
    for clips, number, spread, effect in itertools.product(
        (400, 2000, 8732), (3, 5, 10), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0, 4.0)
    ):
        yield Cell(clips, number, 1, spread, 1, effect=effect)


def _both(arguments: tuple[Cell, int]) -> tuple[Cell, Rates]:
    return arguments[0], simulate(*arguments)


def is_bad(cell: Cell, rates: Rates, simulations: int) -> bool:
    """Return True when more than 7 % of nulls are rejected, or not covered, and the meant 5 % do not explain it.

    Chance explains it if 5 % give as many in one of a thousand such experiments.
    """
    if cell.seeds < FEWEST_SEEDS or cell.effect:
        return False
    most = max(MOST_REJECTED, 100 * binom.ppf(0.999, simulations, 0.05) / simulations)
    return rates.rejected > most or rates.covered < 100 - most or rates.score_covered < 100 - most


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=["nulls", "effects"])
    given = parser.parse_args()
    cells = [*(nulls() if given.only != "effects" else ()), *(effects() if given.only != "nulls" else ())]
    columns = ("metric", "clips", "clips a group", "folds", "seeds", "seed SD", "methods", "effect")
    print(f"| {' | '.join(columns)} | rejected | covered | score covered |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    found = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for cell, rates in pool.map(_both, [(cell, given.simulations) for cell in cells]):
            print(f"{cell} {rates.rejected:.1f} | {rates.covered:.1f} | {rates.score_covered:.1f} |", flush=True)
            found.append((cell, rates))
    bad = [cell for cell, rates in found if is_bad(cell, rates, given.simulations)]
    for cell in bad:
        print(f"out of bounds: {cell}")
    if judged := [rates for cell, rates in found if cell.seeds >= FEWEST_SEEDS and not cell.effect]:
        rejected, covered, scores = (
            [value for value in (getattr(rates, name) for rates in judged) if not math.isnan(value)]
            for name in ("rejected", "covered", "score_covered")
        )
        error = 100 * math.sqrt(0.05 * 0.95 / given.simulations)
        print(
            f"{len(judged)} nulls with {FEWEST_SEEDS} seeds or more (one standard error is {error:.1f} %): rejected "
            f"{np.mean(rejected):.1f} % on average, at most {max(rejected):.1f}; covered at least {min(covered):.1f}; "
            f"scores covered {np.mean(scores):.1f} on average, at least {min(scores):.1f}"
        )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
