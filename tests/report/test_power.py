"""How many seeds decide a difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import benchmark
from benchmark.errors import BenchmarkError
from benchmark.report.inference import Components
from benchmark.report.outcomes import difference
from benchmark.report.power import DEFAULT, Spread, deciding, spread_of
from benchmark.spec.request import TrialRequest
from tests.calibration import Cell, experiment, simulate
from tests.conftest import AST, Cli
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


def test_the_spreads_are_those_of_the_records(make_request: Make, tmp_path: Path) -> None:
    """Seeds of one method vary by a point, those of the other by none; clips differ in one of ten."""
    rng, records, values = np.random.default_rng(0), [], {}
    base = (rng.random(1000) < 0.8).astype(float)
    for method, shifts in {"full": (-0.01, 0.0, 0.01), "linear": (0.0, 0.0, 0.0)}.items():
        other = np.where(rng.random(1000) < 0.1, 1 - base, base)
        for seed, shift in enumerate(shifts):
            record = make_record(make_request(methods=[method], seeds=[seed]), [0.8])
            values[record.id] = (base if method == "full" else other) + shift
            records.append(record)
    results = make_results(tmp_path, records, parts=values)
    backbone = results.cells["backbone"].iloc[0]
    spread = spread_of(results, backbone, "esc50")
    assert spread.seed_sd == pytest.approx(0.01)
    assert spread.clips == pytest.approx(0.1, rel=0.4)
    assert (spread.rest, spread.clips_per_group) == (pytest.approx(0.0, abs=1e-12), 1.0)
    assert spread.source == "one pair of methods in the records"
    assert spread_of(results, backbone, "gtzan") == spread_of(None, backbone, "esc50") == DEFAULT


def test_the_number_of_seeds_falls_with_the_difference_and_may_not_exist() -> None:
    spread = Spread(0.01**2, 0.2**2, 0.0, 1.0, "x")
    needed = [deciding(points, spread, 8000) for points in (1.0, 2.0, 4.0)]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == 3
    assert deciding(0.5, spread, 8000) is None  # the clips alone leave an error of 0.22 points
    assert deciding(1.0, spread, 100) is None
    assert deciding(1.0, spread, 1) is None
    assert deciding(1.0, spread, 8000, folds=5) < deciding(1.0, spread, 8000)  # five models for every seed
    assert deciding(1.0, Spread(0.0, 0.0, 0.0, 1.0, "x"), 100) == 2


def test_the_difference_is_found_as_often_as_promised() -> None:
    """By the simulations of the report's own tests: spreads of some experiments, power in others."""
    rng, found = np.random.default_rng(0), []
    for _ in range(40):
        outcomes = experiment(Cell(2000, 3, seed_sd=1.0), rng)
        found.append(Components.of(difference(outcomes["m0"], outcomes["m1"]), 0.01))
    seed, clips, rest = (float(np.mean([getattr(each, name) for each in found])) for name in ("seed", "clips", "rest"))
    seeds = deciding(4.0, Spread(seed, 2000 * clips, 2000 * rest, 1.0, "x"), 2000)
    assert seeds is not None
    assert 72 < simulate(Cell(2000, seeds, seed_sd=1.0, effect=4.0), 300).rejected < 97


def test_plan_tells_what_would_decide(cli: Cli, tmp_path: Path) -> None:
    plan = ["plan", "--grid", "quick", "--backbone", AST, "--dataset", "esc50", "--method", "linear,full"]
    plan += ["--fold", "1,2"]
    shown = cli(*plan, "--power", 8, "--data-root", tmp_path, "--results", tmp_path / "out").stdout
    one, both = [line for line in shown.splitlines() if line.startswith(f"8 points on {AST} esc50: ")]
    assert one != both
    assert "x 2 folds, " in both
    assert "(power 80 %; assumed: scores vary by 1 point between seeds, methods disagree on 10% of the clips)" in both
    wrong = cli(*plan, "--power", 0, "--data-root", tmp_path, "--results", tmp_path / "out")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "--power 0.0: expected a number above 0" in wrong.stderr
    planned = benchmark.plan(
        "quick", datasets="esc50", backbones=AST, folds=[1, 2], power=8, data_root=tmp_path, results=tmp_path / "o"
    )
    assert {decision.folds for decision in planned.decisions} == {1, 2}
    assert planned.as_dict()["decisions"][0]["points"] == 8
    with pytest.raises(BenchmarkError, match="power -1"):
        benchmark.plan("quick", datasets="esc50", power=-1, results=tmp_path / "o")
