"""Few-shot trials in reports: a task per number of shots, and draws as the unit of the error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.planning.expand import expand
from benchmark.records.schema import Record
from benchmark.report.figures.shots import shots
from benchmark.report.inference import estimate
from benchmark.report.layout import load_layout
from benchmark.report.overall import all_runs
from benchmark.report.results import Results
from benchmark.report.tables import TableSource, build_table
from benchmark.report.tables.results import score_table
from benchmark.report.tables.shots import shot_rows, shots_text
from benchmark.spec.request import TrialRequest
from tests.conftest import tiny_grid
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]
CLIPS = 40


def few_shot(data_root: Path, folder: Path, missing: int = 0) -> tuple[Results, dict[str, np.ndarray]]:
    """Write trials of two methods with 2 and 16 shots, three draws, two seeds; return them and their values by clip."""
    requests = [
        TrialRequest.model_validate({**request.model_dump(), "shots": {"per_class": number, "draw": request.draw}})
        for request in expand(
            tiny_grid(methods=["linear", "full"], shots=[2], draws=3, seeds=[0, 1]), data_root, folder
        ).requests
        for number in (2, 16)
    ]
    rng = np.random.default_rng(0)
    parts = {
        request.id: (rng.random(CLIPS) < 0.2 + 0.02 * request.shots.per_class + 0.1 * (request.method.name == "full"))
        for request in requests
        if request.shots
    }
    records = [_record(request, float(parts[request.id].mean())) for request in requests]
    kept = records[: len(records) - missing]
    return make_results(folder, kept, requests, {name: values.astype(float) for name, values in parts.items()}), parts


def _record(request: TrialRequest, score: float) -> Record:
    record = make_record(request, [score])
    chosen = {"rule": "last", "scope": "trial", "epoch": 1}
    assert request.shots is not None
    of_draw = {"used": {"train": 10 * request.shots.per_class, "test": CLIPS}, "drawn_from": 400}
    return record.model_copy(
        update={
            "selection": record.selection.model_copy(update=chosen),
            "data": record.data.model_copy(update=of_draw),
        }
    )


def test_the_error_is_that_of_draws_whose_seeds_count_once(data_root: Path, tmp_path: Path) -> None:
    results, parts = few_shot(data_root, tmp_path)
    cell = results.cells.set_index(["dataset", "method"]).loc["esc50[shots=2]", "full"]
    trials = results.trials[results.trials["cell"] == cell["cell"]]
    assert (cell["done"], cell["expected"], cell["draws"], cell["shots"]) == (6, 6, 3, 2)
    by_draw = np.stack([np.mean([parts[trial] for trial in rows["id"]], axis=0) for _, rows in trials.groupby("draw")])
    expected = estimate(by_draw, np.full(CLIPS, 1 / CLIPS), np.arange(CLIPS))
    assert cell["score"] == pytest.approx(expected.mean)
    assert (cell["low"], cell["high"]) == pytest.approx(expected.interval())
    assert cell["seed_sd"] == pytest.approx(np.std(by_draw.mean(axis=1), ddof=1))
    other = results.cells.set_index(["dataset", "method"]).loc["esc50[shots=2]", "linear"]
    found = results.difference(cell, other)
    assert found is not None
    assert (found.seeds, found.clips) == (3, CLIPS)


def test_numbers_of_shots_are_tasks_that_no_mean_joins(data_root: Path, tmp_path: Path) -> None:
    results, _ = few_shot(data_root, tmp_path)
    assert list(score_table(results).columns[3:]) == ["ESC-50 (shots=2)", "ESC-50 (shots=16)"]
    assert list(all_runs(results)) == []
    assert all("few-shot (" in marks for marks in results.cells["marks"])
    assert (results.cells["floor"].isna()).all()


def test_the_table_has_a_column_per_number_of_shots_and_no_mean_of_missing_draws(
    data_root: Path, tmp_path: Path
) -> None:
    results, _ = few_shot(data_root, tmp_path, missing=1)
    text = shots_text(shot_rows(results))
    assert list(text.columns[3:]) == ["method", "draws", "2 shots", "16 shots"]
    assert text["draws"].tolist() == ["3", "3"]
    assert text.set_index("method").loc["full", "16 shots"] == "5/6"
    assert " [" in text.set_index("method").loc["linear", "16 shots"]
    figure = shots(results, "Title")
    assert figure is not None
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["2", "16"]


def test_the_table_says_which_share_of_the_clips_a_draw_takes(data_root: Path, tmp_path: Path) -> None:
    results, _ = few_shot(data_root, tmp_path)
    assert shot_rows(results)["share"].tolist() == [0.05, 0.05, 0.4, 0.4]
    entry = next(entry for entry in load_layout().tables if entry.name == "shots")
    table = build_table(TableSource(results, entry, []))
    assert table is not None
    assert "draw takes (shots): ESC-50 5 % (2), 40 % (16). Mean over draws" in table.caption.note
    assert "for this pool of training clips only" in table.caption.note


def test_results_without_few_shot_trials_have_no_such_figure(make_request: Make, tmp_path: Path) -> None:
    assert shots(make_results(tmp_path, [make_record(make_request(), [0.5])]), "Title") is None
