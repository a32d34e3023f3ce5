"""Methods over several datasets: values against scipy's definitions, intervals by simulation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from benchmark.report.figures import FIGURES, to_svg
from benchmark.report.layout import load_layout
from benchmark.report.overall import Runs, all_runs, improvement, interquartile_mean, profile, widely_complete
from benchmark.report.results import Results
from benchmark.report.tables import TableSource, build_table
from benchmark.spec.request import TrialRequest
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


def test_the_values() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.random((4, 5)).round(1), rng.random((4, 5)).round(1)  # with ties
    assert interquartile_mean(one).value == pytest.approx(trim_mean(one.ravel(), 0.25))
    shares = [mannwhitneyu(one[:, place], two[:, place]).statistic / 16 for place in range(5)]
    assert improvement(one, two).value == pytest.approx(np.mean(shares))
    assert improvement(one, two).value + improvement(two, one).value == pytest.approx(1)
    assert profile(one, np.array([0.0, 0.5, 1.0])).value == pytest.approx([(one > 0).mean(), (one > 0.5).mean(), 0])


def test_methods_may_have_other_numbers_of_seeds() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((4, 3)).round(1), rng.random((3, 3)).round(1)
    found, reverse = improvement(one, other), improvement(other, one)
    pairs = [(a > b) + 0.5 * (a == b) for k in range(3) for a in one[:, k] for b in other[:, k]]
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.value + reverse.value == pytest.approx(1)
    assert found.low < found.value < found.high
    assert np.isnan(improvement(one, other[:1]).low)


def test_one_seed_has_no_interval() -> None:
    one = np.array([[0.5, 0.6, 0.7]])
    for found in (interquartile_mean(one), improvement(one, one), profile(one, np.array([0.5, 0.6]))):
        assert np.isnan(found.low).all()
        assert np.isnan(found.high).all()
    assert improvement(one, one).value == 0.5


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_covers_the_true_value(seeds: int) -> None:
    """Six datasets whose levels differ, seeds that vary by two points."""
    rng, levels = np.random.default_rng(0), np.array([0.55, 0.6, 0.7, 0.75, 0.85, 0.95])
    found = [interquartile_mean(levels + 0.02 * rng.normal(size=(seeds, 6))) for _ in range(150)]
    true = np.mean([each.value for each in found])
    covered = np.mean([each.low <= true <= each.high for each in found])
    assert 0.9 < covered < 0.99


def many(make: Make, tmp_path: Path, seeds: int = 3) -> Results:
    rng, records = np.random.default_rng(0), []
    for dataset in ("esc50", "gtzan", "speech_commands_v1"):
        for method, level in (("full", 0.7), ("linear", 0.6), ("aat_m", 0.8)):
            for seed in range(seeds):
                content = make(methods=[method], seeds=[seed]).model_dump(mode="json")
                content["dataset"]["name"], content["fold"] = dataset, 0
                request = TrialRequest.model_validate(content)
                records.append(make_record(request, [level + 0.01 * rng.normal()]))
    only = make(methods=["prompt"], seeds=[0])  # complete on one dataset only
    return make_results(tmp_path, [*records, make_record(only, [0.99])], [record.request for record in records])


def test_the_table_and_the_figures(make_request: Make, tmp_path: Path) -> None:
    results = many(make_request, tmp_path / "out")
    [runs] = all_runs(results)
    assert isinstance(runs, Runs)
    assert (sorted(runs.scores), runs.seeds, len(runs.datasets)) == (["aat_m", "full", "linear"], [0, 1, 2], 3)
    entry = next(entry for entry in load_layout().tables if entry.name == "overall")
    table = build_table(TableSource(results, entry, [], against="linear"))
    assert table is not None
    rows = table.data.set_index(["method", "other"])
    assert rows.loc[("aat_m", "full"), "improvement"] == 1
    assert rows.loc[("linear", "full"), "improvement"] == 0
    assert rows.loc[("full", "linear"), "improvement"] == 1
    assert pd.isna(rows.loc[("full", "full"), "improvement"])
    text = table.text.set_index(["method", "other"])
    assert text.loc[("AAT-M", "Full fine-tuning"), "P(better than other)"] == "1.00 [1.00, 1.00]"
    assert text.loc[("AAT-M", "Full fine-tuning"), "over"] == "3 datasets x 3 seeds"
    for name in ("profiles", "improvement"):
        one, two = (to_svg(FIGURES[name](results, "title")) for _ in range(2))
        assert one == two


def test_nothing_over_one_dataset_or_without_a_shared_seed(make_request: Make, tmp_path: Path) -> None:
    requests = [make_request(methods=[name], seeds=[seed]) for seed, name in enumerate(("full", "linear"))]
    assert list(all_runs(make_results(tmp_path, [make_record(request, [0.5]) for request in requests]))) == []


def test_one_method_on_one_more_dataset_changes_nothing(make_request: Make, tmp_path: Path) -> None:
    table = pd.DataFrame(
        [(name, dataset, 0.5) for name in ("full", "linear", "aat_m") for dataset in ("a", "b")] + [("full", "c", 0.5)],
        columns=["name", "dataset", "score"],
    )
    assert widely_complete(table, "score").shape == (3, 2)


def test_the_interval_holds_its_estimate() -> None:
    one, two = np.array([[0.9, 0.8], [0.95, 0.85]]), np.array([[0.1, 0.2], [0.15, 0.25]])
    better = improvement(one, two)
    assert (better.value, better.low, better.high) == (1, 1, 1)
    rng = np.random.default_rng(0)
    for _ in range(50):
        found = interquartile_mean(rng.random((3, 2)))
        assert 0 <= found.low <= found.value <= found.high <= 1
