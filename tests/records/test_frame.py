"""The pandas view: one row per trial, epochs chosen by the rule of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import benchmark
from benchmark.records.frame import COLUMNS, tabulate, to_frame
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.protocol import load_protocol
from benchmark.spec.request import DatasetChoice, TrialRequest
from tests.samples import make_record

Make = Callable[..., TrialRequest]


def test_one_epoch_is_chosen_over_all_folds(make_request: Make) -> None:
    # alone, fold 1 would take epoch 1 and fold 2 epoch 3; together epoch 2 has the best mean
    scores = {1: [0.9, 0.8, 0.1], 2: [0.1, 0.8, 0.9]}
    frame = to_frame([make_record(make_request(folds=[fold]), values) for fold, values in scores.items()])
    assert frame["epoch"].tolist() == [2, 2]
    assert frame["score"].tolist() == [0.8, 0.8]
    assert frame["score_last"].tolist() == [0.1, 0.9]


def test_each_seed_chooses_its_own_epoch(make_request: Make) -> None:
    records = [
        make_record(make_request(seeds=[0]), [0.2, 0.6]),
        make_record(make_request(seeds=[1]), [0.7, 0.6]),
    ]
    assert to_frame(records)["epoch"].tolist() == [2, 1]


def test_each_draw_chooses_its_own_epoch_whatever_else_is_finished(make_request: Make) -> None:
    def drawn(draw: int, scores: list[float]) -> Record:
        content = make_request().model_dump() | {"shots": {"per_class": 4, "draw": draw}}
        return make_record(TrialRequest.model_validate(content), scores)

    records = [drawn(0, [0.5, 0.9]), drawn(1, [0.9, 0.1])]
    assert to_frame(records[:1])["score"].tolist() == [0.9]
    frame = to_frame(records)
    assert (frame["epoch"].tolist(), frame["score"].tolist()) == ([2, 1], [0.9, 0.9])


def test_the_first_of_equal_epochs_is_chosen(make_request: Make) -> None:
    assert to_frame([make_record(make_request(), [0.5, 0.75, 0.75])])["epoch"].tolist() == [2]


def test_an_epoch_chosen_by_the_trial_is_kept(make_request: Make) -> None:
    frame = to_frame([make_record(make_request(protocol="corrected"), [0.9, 0.4])])
    assert (frame["epoch"][0], frame["score"][0]) == (2, 0.4)


def test_an_epoch_chosen_on_test_clips_is_marked_where_no_official_code_does_so(make_request: Make) -> None:
    mark = "epoch chosen on the test clips"
    official = make_record(make_request(), [0.9, 0.4])
    assert mark not in official.marks
    own = official.request.model_copy(update={"dataset": DatasetChoice(name="folder:birds", manifest="m")})
    assert mark in make_record(own, [0.9, 0.4]).marks
    corrected = own.model_copy(update={"protocol": load_protocol("corrected")})
    assert mark not in make_record(corrected, [0.9, 0.4]).marks


def test_a_diverged_trial_has_no_score(make_request: Make) -> None:
    diverged = make_record(make_request(folds=[1]), [0.9, None], status="diverged")
    other = make_record(make_request(folds=[2]), [0.5, 0.6])
    frame = to_frame([diverged, other])
    assert pd.isna(frame["score"][0])
    assert frame["score"][1] == 0.6


def without_test(record: Record, *epochs: int) -> Record:
    """Return a record whose test split was not evaluated after some epochs."""
    content = record.model_dump()
    for epoch in epochs:
        content["curves"][epoch - 1]["splits"] = {}
    return Record.model_validate(content)


def test_epochs_without_an_evaluation_have_no_score(make_request: Make) -> None:
    record = make_record(make_request(protocol="corrected"), [0.9, 0.5, 0.4])
    frame, curves = tabulate([without_test(record, 1, 2)])
    assert (frame["epoch"][0], frame["score"][0], frame["score_last"][0]) == (3, 0.4, 0.4)
    assert np.array_equal(curves[record.id], [np.nan, np.nan, 0.4], equal_nan=True)


def test_the_reported_and_the_last_epoch_need_a_score(make_request: Make) -> None:
    last, best = make_record(make_request(protocol="corrected"), [0.9, 0.5]), make_record(make_request(), [0.9, 0.5])
    for record, epoch in ((last, 2), (best, 1)):  # a choice over folds needs all epochs
        with pytest.raises(ValidationError, match="the curves have no accuracy of test"):
            without_test(record, epoch)


def test_load_results_has_the_documented_columns(make_request: Make, tmp_path: Path) -> None:
    ResultStore(tmp_path).write(make_record(make_request(), [0.5]), {})
    frame = benchmark.load_results(tmp_path)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 1
    assert frame["marks"][0].startswith("random weights; demo backbone; recipe changed (")


def test_load_results_of_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(benchmark.errors.BenchmarkError, match="no results here"):
        benchmark.load_results(tmp_path / "missing")


def test_curves_are_those_of_the_split_that_chooses_the_epoch(make_request: Make) -> None:
    record = make_record(make_request(), [0.9, 0.5, 0.4])
    content = record.model_dump()
    for point, score in zip(content["curves"], (0.1, 0.2, 0.3), strict=True):
        point["splits"]["validation"] = {"accuracy": score, "map": score, "mauc": score}
    del content["curves"][0]["splits"]["test"]
    content["selection"] |= {"rule": "best_on_validation", "scope": "trial", "epoch": 3, "folds": None}
    frame, curves = tabulate([Record.model_validate(content)])
    assert curves[record.id].tolist() == [0.1, 0.2, 0.3]
    assert frame["score"][0] == 0.4
