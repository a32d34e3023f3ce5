"""Simulate how often the rule of reproduction errs: disputes between submitters of equal models, and between others.

    python tests/reproduction.py [--simulations 4000]

Each clip has its own probability of a right answer, which all models share; a seed shifts all of them by a draw of its
own, so that models differ by more than chance. The clips are the same for both submitters: what varies is the answers
and the seeds. Under an effect, one submitter's models score so many points less. Every verdict comes from
`benchmark.submissions.standing.tolerance`. Rates are in per cent. The exit code is 1 if more than 10 % of honest pairs
with three seeds each are disputed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmark.submissions.standing import Scores, tolerance

MOST_DISPUTED = 10.0  # per cent of honest pairs, where 5 are meant: seeds may differ by more than expected
FEWEST_SEEDS = 3
MEAN, SPREAD = (
    0.8,
    2.0,
)  # of the clips' probabilities, and how far they are apart (sum of a beta distribution's parameters)


@dataclass(frozen=True)
class Pair:
    """Two submitters of one cell.

    Attributes:
        clips: number of test clips.
        seeds: number of seeds of each.
        seed_sd: standard deviation of a model's true score between seeds, in points.
        effect: by how many points the second submitter's models are worse.
    """

    clips: int
    seeds: tuple[int, int]
    seed_sd: float = 0.0
    effect: float = 0.0


def disputed(pair: Pair, simulations: int) -> float:
    """Return the share of simulated pairs whose gap is above the tolerance, in per cent."""
    rng = np.random.default_rng([pair.clips, *pair.seeds, round(10 * pair.seed_sd), round(10 * pair.effect)])
    # clips with probabilities of a beta distribution: the mean of p (1 - p) is smaller than that of equal clips
    chance = math.sqrt(MEAN * (1 - MEAN) * SPREAD / (SPREAD + 1) / pair.clips)
    sd, found = math.hypot(chance, pair.seed_sd / 100), 0
    for _ in range(simulations):
        one, other = (
            Scores(np.clip(rng.normal(MEAN - effect / 100, sd, seeds), 0, 1).tolist(), pair.clips)
            for seeds, effect in zip(pair.seeds, (0.0, pair.effect), strict=True)
        )
        found += abs(one.mean - other.mean) > tolerance(one, other)
    return 100 * found / simulations


def pairs() -> Iterator[Pair]:
    """Yield the pairs that are printed."""
    for clips, seeds, seed_sd in itertools.product(
        (400, 2000, 11000), ((1, 1), (3, 1), (3, 3), (5, 5)), (0.0, 0.5, 1.0)
    ):
        yield Pair(clips, seeds, seed_sd)
    for clips, seeds, effect in itertools.product((400, 2000, 11000), ((1, 1), (3, 3)), (3.0, 6.0)):
        yield Pair(clips, seeds, 0.5, effect)


def main() -> int:
    """Print a table; return 1 if too many honest pairs are disputed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=4000, help="simulated pairs per row")
    simulations, bad = parser.parse_args().simulations, False
    print("clips  seeds  seed sd  effect  disputed %")
    for pair in pairs():
        rate = disputed(pair, simulations)
        bad |= not pair.effect and min(pair.seeds) >= FEWEST_SEEDS and rate > MOST_DISPUTED
        print(f"{pair.clips:5}  {pair.seeds[0]} + {pair.seeds[1]}  {pair.seed_sd:7}  {pair.effect:6}  {rate:10.1f}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
