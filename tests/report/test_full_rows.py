"""Ratios to full fine-tuning when there are several rows of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.records.schema import Cost, Record, StepProfile
from benchmark.report.figures.costs import memory, time
from benchmark.report.full_rows import full_rows
from benchmark.report.step_profiles import tabulate_steps
from benchmark.report.write import build_tables
from benchmark.spec.request import TrialRequest
from tests.conftest import TINY_RECIPE
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


def recipe(**values: object) -> dict[str, object]:
    return {"overrides": [{"source": "test", "values": {**TINY_RECIPE, **values}}]}


def timed(request: TrialRequest, seconds: float, *, exclusive: bool = True) -> Record:
    """Return a record of one epoch that took a time."""
    record = make_record(request, [0.5])
    curves = [record.curves[0].model_copy(update={"seconds": {"data": 0.0, "train": seconds, "eval": 0.0}})]
    profile = record.profile.model_copy(update={"exclusive": exclusive})
    return record.model_copy(update={"curves": curves, "profile": profile})


def ratios(cells: pd.DataFrame) -> list[float]:
    return cells[cells["method"] != "full"]["time_ratio"].tolist()


def test_a_row_is_compared_with_the_full_row_of_its_recipe(make_request: Make, tmp_path: Path) -> None:
    records = [
        timed(make_request(methods=[method], **recipe(lr=rate)), seconds)
        for method, rate, seconds in [("full", 0.1, 10), ("full", 0.2, 20), ("aat_ms", 0.1, 5), ("aat_ms", 0.2, 5)]
    ]
    results = make_results(tmp_path, records)
    assert ratios(results.cells) == [0.5, 0.25]
    [table] = [table for table in build_tables(results) if table.name == "time"]
    assert "ESC-50: Full fine-tuning (lr=0.1), Full fine-tuning (lr=0.2)" in table.caption.note
    full = results.cells[results.cells["method"] == "full"]["cell"].tolist()
    assert table.data[table.data["method"] == "aat_ms"]["time_full"].tolist() == full
    assert table.text["ESC-50"].tolist() == ["10.00 (1.00)", "20.00 (1.00)", "5.00 (0.50)", "5.00 (0.25)"]


def test_one_full_row_needs_no_note(make_request: Make, tmp_path: Path) -> None:
    records = [timed(make_request(methods=[method]), seconds) for method, seconds in (("full", 10), ("aat_ms", 5))]
    results = make_results(tmp_path, records)
    assert ratios(results.cells) == [0.5]
    [table] = [table for table in build_tables(results) if table.name == "time"]
    assert "several rows" not in table.caption.note


def test_what_changes_the_time_weighs_more_than_the_rest(make_request: Make) -> None:
    """Batch size and clips before learning rate; equals by validation, then by closeness to the dataset's recipe."""
    requests = dict(
        enumerate(
            [
                make_request(methods=["full"], **recipe(batch_size=4, lr=0.3)),
                make_request(methods=["full"], **recipe(batch_size=8, lr=0.1)),
                make_request(methods=["full"], **recipe(batch_size=8, lr=0.2)),
                make_request(methods=["aat_ms"], **recipe(batch_size=8, lr=0.3)),
            ]
        )
    )
    rows = pd.DataFrame({"method": ["full"] * 3 + ["aat_ms"], "validation": [0.9, 0.5, 0.6, None]})
    assert full_rows(rows, requests) == {0: 0, 1: 1, 2: 2, 3: 2}
    assert full_rows(rows.drop(columns="validation"), requests)[3] == 1  # no validation: the first of equals
    assert full_rows(rows[3:], requests) == {}


def test_rows_of_a_shared_machine_have_ratios_of_their_own(make_request: Make, tmp_path: Path) -> None:
    records = [
        timed(make_request(methods=[method]), seconds, exclusive=exclusive)
        for method, seconds, exclusive in [("full", 10, True), ("aat_ms", 5, True), ("linear", 3, False)]
    ]
    cells = make_results(tmp_path, records).cells.set_index("method")
    assert cells["time_ratio"]["aat_ms"] == 0.5
    assert pd.isna(cells["time_ratio"]["linear"])


def step(request: TrialRequest, seconds: float) -> StepProfile:
    """Return a profile of a step that took a time."""
    record = make_record(request, [0.5])
    cost = dict.fromkeys(Cost.model_fields, 1) | {"clips": 8}
    return StepProfile.model_validate(
        {
            "request": request, "status": "measured", "device": "cpu", "threads": 1, "precision": "float32", "steps": 3,
            "clips": 8, "step_seconds": seconds, "cost": cost, "parameters": record.parameters, "environment": {},
            "environment_hash": "x", "fingerprint": "x", "finished": record.finished,
        }
    )  # fmt: skip


def test_profiles_of_several_recipes_keep_their_ratios(make_request: Make) -> None:
    cases = [("full", 64, 10), ("full", 96, 20), ("aat_ms", 64, 5), ("aat_ms", 96, 5)]
    profiles = [
        step(make_request(methods=[method], **recipe(frames=frames)), seconds) for method, frames, seconds in cases
    ]
    assert tabulate_steps(profiles, ["full"])["time_ratio"].tolist() == pytest.approx([1, 1, 0.5, 0.25])


def test_profiles_of_another_backbone_have_ratios_of_their_own(make_request: Make, tmp_path: Path) -> None:
    size = "[size=demo;weights=random:0]"
    cases = [("full", "ast", 10), ("full", "audiomae", 8), ("aat_ms", "audiomae", 4), ("linear", "ssast", 3)]
    profiles = [
        step(make_request(methods=[method], backbones=[f"{name}{size}"]), seconds) for method, name, seconds in cases
    ]
    steps = tabulate_steps(profiles, ["full"])
    assert steps["backbone"].tolist() == ["ast", "audiomae", "audiomae", "ssast"]
    assert steps["time_ratio"].tolist()[:3] == [1, 1, 0.5]
    assert pd.isna(steps["time_ratio"][3])
    results = make_results(tmp_path, [])
    results.profiles = profiles
    assert [axis.get_title() for axis in time(results, "Title").axes] == ["steps of AudioMAE, size demo on cpu"]
    names = [text.get_text() for text in memory(results, "Title").legends[0].get_texts()]
    assert names == ["AAT-MS"]  # not the one that only another backbone's full fine-tuning could be compared with


def test_figures_of_costs_show_a_sweep(make_request: Make, tmp_path: Path) -> None:
    cost = step(make_request(), 1.0).cost
    records = [
        timed(make_request(methods=[method], **recipe(lr=rate)), 5).model_copy(update={"cost": cost})
        for method in ("full", "aat_ms")
        for rate in (0.1, 0.2)
    ]
    results = make_results(tmp_path, records)
    for draw in (time, memory):
        names = [text.get_text() for text in draw(results, "Title").legends[0].get_texts()]
        assert names == ["AAT-MS (lr=0.1)", "AAT-MS (lr=0.2)"]
