"""Chosen settings in reports: what the choice saw, settings that failed, and methods over datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from benchmark.records.choice import Candidate, Choice, best_candidate
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.report.figures import FIGURES
from benchmark.report.layout import load_layout
from benchmark.report.overall import all_runs
from benchmark.report.results import Results
from benchmark.report.tables import TableSource, build_table
from benchmark.report.tables.tuned import tuned_rows
from benchmark.report.write import read_results
from benchmark.spec.request import TrialRequest
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]
CLIPS = 60
DATASETS = ("esc50", "urbansound8k", "speech_commands_v1", "gtzan", "openmic")
RATES = (1e-3, 1e-2)  # of the default and of the other candidate


def trial(make: Make, dataset: str, method: str, rate: float, fold: int, seed: int) -> TrialRequest:
    content = make(methods=[method], seeds=[seed], protocol="corrected").model_dump(mode="json")
    content["dataset"]["name"], content["fold"], content["recipe"]["lr"] = dataset, fold, rate
    return TrialRequest.model_validate(content)


def choice_of(requests: Sequence[TrialRequest], scores: Sequence[float | None], **failed: object) -> Choice:
    """Return a choice among candidates, of which `requests` has a final trial each; one without a score failed."""
    tried = tuple(
        Candidate(
            method=request.method.variant, lr=request.recipe.lr, trial=f"{request.cell}{place}", cell=request.cell,
            score=score, **({"state": "completed"} if score is not None else {"state": "failed", **failed}),
        )
        for place, (request, score) in enumerate(zip(requests, scores, strict=True))
    )  # fmt: skip
    first = requests[0]
    return Choice(
        protocol=first.protocol.name, backbone=first.backbone.variant, dataset=first.dataset.name,
        method=first.method.name, fold=first.fold, has_folds=first.fold > 0, seed=first.seed, validation="a rule",
        final_trials=len(requests), candidates=tried, chosen=best_candidate(tried),
    )  # fmt: skip


def record_of(request: TrialRequest, score: float) -> Record:
    record = make_record(request, [score])
    chosen = {"rule": "last", "scope": "trial", "epoch": 1}
    return record.model_copy(update={"selection": record.selection.model_copy(update=chosen)})


def with_folds(make: Make, folder: Path, folds: Sequence[int], shares: Mapping[int, float]) -> Results:
    """Write finals of a default and of a chosen setting, whose share of right answers depends on the fold."""
    rng = np.random.default_rng(0)
    default, other = ([trial(make, "esc50", "linear", rate, fold, 0) for fold in folds] for rate in RATES)
    parts = {one.id: (rng.random(CLIPS) < 0.5).astype(float) for one in default}
    parts |= {one.id: (rng.random(CLIPS) < shares[one.fold]).astype(float) for one in other}
    records = [record_of(one, float(parts[one.id].mean())) for one in (*default, *other)]
    make_results(folder, records, None, parts)
    ResultStore(folder).write_choice(choice_of([default[0], other[0]], [0.4, 0.6]))
    return read_results(ResultStore(folder))


def test_p_is_that_of_the_fold_that_the_choice_did_not_see(make_request: Make, tmp_path: Path) -> None:
    results = with_folds(make_request, tmp_path / "all", [1, 2, 3], {1: 0.5, 2: 0.99, 3: 0.99})
    [row] = tuned_rows(results)[0].to_dict("records")
    assert "setting chosen on clips of other test folds (of 2)" in row["marks"]
    assert row["difference_low"] > 0
    alone = with_folds(make_request, tmp_path / "one", [1], {1: 0.5})
    [of_one] = tuned_rows(alone)[0].to_dict("records")
    assert "setting chosen on validation clips (of 2)" in of_one["marks"]
    assert of_one["difference"] == pytest.approx(of_one["unseen"])
    assert row["p"] > 0.05  # all folds together have a small one


def test_p_is_empty_if_the_fold_of_the_choice_was_not_tested(make_request: Make, tmp_path: Path) -> None:
    results = with_folds(make_request, tmp_path, [2, 3], {2: 0.99, 3: 0.99})
    choice = results.choices[0].model_copy(update={"fold": 1})
    results.store.write_choice(choice)
    [row] = tuned_rows(read_results(results.store))[0].to_dict("records")
    assert row["difference"] > 0
    assert np.isnan(row["p"])
    assert "clips of other test folds" in row["marks"]


def test_a_failed_setting_is_named_and_ends_no_choice(make_request: Make, tmp_path: Path) -> None:
    default, other = (trial(make_request, "esc50", "linear", rate, 1, 0) for rate in RATES)
    results = make_results(tmp_path, [record_of(default, 0.5)])
    results.store.write_choice(choice_of([default, other], [0.4, None], attempts=3, error="out of memory"))
    entry = next(entry for entry in load_layout().tables if entry.name == "tuned")
    table = build_table(TableSource(read_results(results.store), entry, []))
    assert table is not None
    [row] = table.data.to_dict("records")
    assert (row["finished"], row["failed"]) == (2, "linear, lr 0.01 (out of memory)")
    assert "failed too often: ESC-50: Linear probing, lr 0.01 (out of memory)" in table.caption.note
    assert "(the default)" in table.text["choice"][0]


def over_datasets(make: Make, folder: Path) -> Results:
    """Write three methods on five datasets; which setting was chosen differs between datasets."""
    rng, records, choices = np.random.default_rng(0), [], []
    for place, dataset in enumerate(DATASETS):
        for number, method in enumerate(("full", "linear", "bitfit")):
            chosen = (place + number) % 2
            finals = []
            for rate in RATES[: 1 + chosen]:
                of_rate = [trial(make, dataset, method, rate, 0, seed) for seed in range(2)]
                records += [record_of(one, 0.5 + 0.1 * number + 0.01 * rng.normal()) for one in of_rate]
                finals.append(of_rate[0])
            choices.append(choice_of(finals, [0.4, 0.5][: len(finals)]))
    results = make_results(folder, records)
    for choice in choices:
        results.store.write_choice(choice)
    return read_results(results.store)


def test_chosen_settings_are_one_method_over_datasets_whatever_was_chosen(make_request: Make, tmp_path: Path) -> None:
    results = over_datasets(make_request, tmp_path)
    [runs] = all_runs(results)
    assert len(runs.datasets) == len(DATASETS)
    every = {f"{method} ({role})" for method in ("full", "linear", "bitfit") for role in ("tuned", "default")}
    assert set(runs.scores) == every
    entry = next(entry for entry in load_layout().tables if entry.name == "overall")
    table = build_table(TableSource(results, entry, []))
    assert table is not None
    assert {row["method"]: row["other"] for row in table.data.to_dict("records")} == {
        name: f"full ({name.partition(' (')[2]}" for name in every
    }
    assert "Linear probing (tuned)" in set(table.text["method"])
    for name in ("ranks", "improvement"):
        figure = FIGURES[name](results, "title")
        assert any("tuned" in text.get_text() for text in figure.findobj(Text))
        assert len(figure.axes) == (2 if name == "ranks" else 1)
