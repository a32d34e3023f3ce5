"""Tables and figures: no mean of incomplete trials, marks on every table, equal files from equal records."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.cli.printing import print_report
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.report.aggregate import COLUMNS
from benchmark.report.explain import explain, find_cells
from benchmark.report.figures import FIGURES
from benchmark.report.figures.scores import scatter
from benchmark.report.layout import TableEntry, load_layout
from benchmark.report.paper_scores import PaperScore
from benchmark.report.papers import load_paper
from benchmark.report.power import DEFAULT, spread_of
from benchmark.report.render import Caption, Table, marks, plain, rules, to_latex
from benchmark.report.render import wide as with_bold
from benchmark.report.tables import TableSource, build_table, table_names
from benchmark.report.tables.paper import paper_rows
from benchmark.report.tables.parameters import parameters_text
from benchmark.report.tables.results import score_text
from benchmark.report.tables.swept import swept_rows, swept_text
from benchmark.report.write import Report, build_report, build_tables, read_results
from benchmark.spec.request import TrialRequest
from tests.conftest import TINY_RECIPE
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


def wide(cells: pd.DataFrame, text_of: Callable[[pd.Series], str] = score_text) -> pd.DataFrame:
    return plain(with_bold(cells, text_of))


def folds(make: Make, scores: Iterable[float], **changes: object) -> list[Record]:
    return [make_record(make(folds=[fold], **changes), [score]) for fold, score in enumerate(scores, start=1)]


def cells_of(records: list[Record], submitted: list[TrialRequest] | None = None) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        return make_results(Path(folder), records, submitted).cells


def test_a_complete_cell_is_the_mean_over_folds(make_request: Make) -> None:
    cells = cells_of(folds(make_request, [0.90, 0.92, 0.94, 0.96, 0.98]))
    assert list(cells.columns) == list(COLUMNS)
    assert cells["score"][0] == pytest.approx(0.94)
    assert cells["fold_sd"][0] == pytest.approx(np.std([0.90, 0.92, 0.94, 0.96, 0.98], ddof=1))
    assert pd.isna(cells["seed_sd"][0])
    assert wide(cells)["esc50"].tolist() == ["94.0"]


def test_a_missing_fold_is_shown_and_never_averaged(make_request: Make) -> None:
    records = folds(make_request, [0.9] * 5)
    cells = cells_of(records[:4], [record.request for record in records])
    assert pd.isna(cells["score"][0])
    assert wide(cells)["esc50"].tolist() == ["4/5"]


def test_without_the_submitted_grid_all_folds_are_expected(make_request: Make) -> None:
    assert wide(cells_of(folds(make_request, [0.9] * 4), []))["esc50"].tolist() == ["4/5"]


def test_a_cell_without_any_record_is_there_too(make_request: Make) -> None:
    cells = cells_of([], [make_request(folds=[fold]) for fold in (1, 2)])
    assert wide(cells)["esc50"].tolist() == ["0/2"]
    assert marks(cells)[0] == "random weights"  # known from the request alone


def test_spread_over_seeds_and_over_folds_are_kept_apart(make_request: Make) -> None:
    records = [
        make_record(make_request(folds=[fold], seeds=[seed]), [0.5 + 0.1 * fold + 0.01 * seed])
        for fold in (1, 2)
        for seed in (0, 1, 2)
    ]
    cells = cells_of(records)
    assert cells["seed_sd"][0] == pytest.approx(0.01)
    assert cells["fold_sd"][0] == pytest.approx(0.1 / np.sqrt(2))
    assert wide(cells)["esc50"].tolist() == ["66.0 ± 1.0"]


def test_some_folds_only_are_averaged_when_asked_for_and_marked(make_request: Make) -> None:
    cells = cells_of(folds(make_request, [0.5, 0.7]))
    assert wide(cells)["esc50"].tolist() == ["60.0"]
    assert marks(cells)[-1] == "folds 1, 2 (2 of 5)"


def test_one_fold_alone_does_not_look_like_all(make_request: Make) -> None:
    assert marks(cells_of([make_record(make_request(folds=[5]), [0.5])]))[-1] == "fold 5 (1 of 5)"


def test_a_trial_without_a_score_is_never_averaged_away(make_request: Make) -> None:
    records = [*folds(make_request, [0.5]), make_record(make_request(folds=[2]), [None])]
    assert pd.isna(cells_of(records)["score"][0])


def test_seeds_with_other_folds_are_not_averaged(make_request: Make) -> None:
    records = [make_record(make_request(folds=[fold], seeds=[seed]), [0.5]) for fold, seed in ((1, 0), (2, 1))]
    assert wide(cells_of(records))["esc50"].tolist() == ["2/4"]


def test_the_right_folds_count_not_their_number(make_request: Make) -> None:
    records = folds(make_request, [0.5])
    assert wide(cells_of(records, [make_request(folds=[2])]))["esc50"].tolist() == ["0/1"]


def test_a_diverged_trial_replaces_the_score_of_its_cell(make_request: Make) -> None:
    records = folds(make_request, [0.5, 0.7])
    records[1] = make_record(records[1].request, [None], status="diverged")
    assert wide(cells_of(records))["esc50"].tolist() == ["diverged (1 of 2)"]


def test_different_settings_are_separate_rows_that_name_them(make_request: Make) -> None:
    other = [{"source": "test", "values": make_request().recipe.model_dump() | {"lr": 0.5}}]
    records = [*folds(make_request, [0.5]), *folds(make_request, [0.9], overrides=other)]
    table = wide(cells_of(records))
    assert table["method"].tolist() == ["linear (lr=0.001)", "linear (lr=0.5)"]
    assert table["esc50"].tolist() == ["50.0", "90.0"]


def tried(make: Make, lr: float, validation: list[float], test: list[float], **changes: object) -> Record:
    """A record of a dataset with a validation list, which chose the best epoch on it."""
    overrides = [{"source": "test", "values": {**TINY_RECIPE, "lr": lr}}]
    record = make_record(make(overrides=overrides), test)
    curves = [
        point.model_copy(update={"splits": {**point.splits, "validation": {"accuracy": score}}})
        for point, score in zip(record.curves, validation, strict=True)
    ]
    epoch = 1 + validation.index(max(validation))
    chosen = {"rule": "best_on_validation", "scope": "trial", "epoch": epoch}
    selection = record.selection.model_copy(update=chosen)
    data = record.data.model_copy(update={"official_folds": 1})
    return record.model_copy(update={"curves": curves, "selection": selection, "data": data, **changes})


def tuned_of(tmp_path: Path, records: list[Record], submitted: list[TrialRequest] | None = None) -> pd.DataFrame:
    return swept_rows(make_results(tmp_path, records, submitted))


def test_the_setting_is_chosen_by_validation_never_by_test(make_request: Make, tmp_path: Path) -> None:
    records = [
        tried(make_request, 1e-4, [0.5, 0.6], [0.9, 0.8]),  # best on test
        tried(make_request, 1e-3, [0.8, 0.7], [0.75, 0.7]),  # best on validation, at its first epoch
        tried(make_request, 1e-2, [0.9, 0.9], [0.1, 0.1], status="diverged"),
    ]
    [row] = tuned_of(tmp_path, records).to_dict("records")
    assert (row["settings"], row["tried"], row["finished"]) == ("lr=0.001", 3, 3)
    assert (row["validation"], row["score"]) == pytest.approx((0.8, 0.75))
    store = ResultStore(tmp_path)
    build_report(store)
    assert "75.0 (lr=0.001)" in (store.folder / "report" / "swept.md").read_text()


def test_nothing_is_chosen_before_every_setting_is_finished(make_request: Make, tmp_path: Path) -> None:
    records = [tried(make_request, lr, [0.5], [0.9]) for lr in (1e-4, 1e-3, 1e-2)]
    rows = tuned_of(tmp_path, records[:2], [record.request for record in records])
    assert swept_text(rows)["esc50"].tolist() == ["2/3 settings"]
    assert pd.isna(rows["score"][0])
    build_report(ResultStore(tmp_path), html=True)


def test_without_validation_or_a_choice_there_is_no_tuned_row(make_request: Make, tmp_path: Path) -> None:
    other = [{"source": "test", "values": {**TINY_RECIPE, "lr": 0.5}}]
    plain = [*folds(make_request, [0.5] * 5), *folds(make_request, [0.9] * 5, overrides=other)]
    assert tuned_of(tmp_path / "plain", plain).empty
    assert tuned_of(tmp_path / "one", [tried(make_request, 1e-3, [0.5], [0.9])]).empty


def test_a_mark_of_some_rows_has_their_number(make_request: Make) -> None:
    records = folds(make_request, [0.5])
    partial = records[0].data.model_copy(update={"kind": "partial", "clips": 400})
    records += [record.model_copy(update={"data": partial}) for record in folds(make_request, [0.5], methods=["full"])]
    assert "partial data (400 of 2000 clips, 50 of 50 classes) [1 of 2 rows]" in marks(cells_of(records))


def test_the_changes_of_all_recipes_are_one_mark(make_request: Make) -> None:
    def records(ways: int) -> list[Record]:
        layers = [[{"source": "test", "values": {**TINY_RECIPE, "lr": 3 * 10.0**-way}}] for way in range(1, ways + 1)]
        return [make_record(make_request(overrides=layer), [0.5]) for layer in layers]

    [three], [four] = (
        [mark for mark in marks(cells_of(records(ways))) if mark.startswith("recipe changed")] for ways in (3, 4)
    )
    assert three.startswith("recipe changed (frames=64, stride=[16, 16], ")
    assert three.count(" or ") == 2
    assert "lr: 4 values" in four


def test_rows_are_in_the_order_of_the_layout(make_request: Make) -> None:
    methods = ["aat_ms", "prompt", "full", "aat_m+prompt", "aat_ms[bottleneck=8]"]
    records = [record for method in methods for record in folds(make_request, [0.5], methods=[method])]
    order = wide(cells_of(records))["method"].tolist()
    assert order == ["full", "prompt", "aat_ms", "aat_ms[bottleneck=8]", "aat_m+prompt"]


def test_records_of_different_numerics_versions_are_marked(make_request: Make) -> None:
    records = [
        make_record(make_request(folds=[fold]), [0.5], numerics_version=version) for fold, version in ((1, 1), (2, 2))
    ]
    found = marks(cells_of(records))
    assert "records of different numerics versions" in found
    assert "records of numerics versions 1, 2" in found


def test_the_protocol_decides_whether_unused_heads_are_counted(make_request: Make) -> None:
    texts = [
        wide(cells_of(folds(make_request, [0.5], protocol=name)), parameters_text)["esc50"][0]
        for name in ("reference", "corrected")
    ]
    assert texts == ["0.000 (8.3)", "0.000 (10.0)"]


def test_the_caption_says_how_epochs_were_chosen(make_request: Make) -> None:
    assert "the best on the test clips (esc50)" in rules(cells_of(folds(make_request, [0.5])))


def test_every_table_module_and_figure_is_in_the_layout() -> None:
    assert sorted(entry.name for entry in load_layout().tables) == table_names()
    assert {entry.name for entry in load_layout().figures} == set(FIGURES)


def test_a_table_without_a_module_is_an_error_with_a_hint(make_request: Make, tmp_path: Path) -> None:
    entry = TableEntry(name="tunes", title="", note="")
    source = TableSource(make_results(tmp_path, folds(make_request, [0.5])), entry, warnings=[])
    with pytest.raises(BenchmarkError, match=r"no table 'tunes' .did you mean 'tuned'"):
        build_table(source)


def test_only_the_main_table_is_built_without_a_value(make_request: Make, tmp_path: Path) -> None:
    tables = build_tables(make_results(tmp_path, [], [make_request()]))
    assert [table.name for table in tables] == ["results", "paper"]
    assert tables[0].text["ESC-50"].tolist() == ["0/1"]


def test_latex_is_escaped() -> None:
    table = pd.DataFrame({"method": ["a_b & 50 %"], "x": ["1 ± 2"]})
    latex = to_latex(table, Caption("Title #1", "note", ["partial"]))
    assert r"a\_b \& 50 \% & 1 $\pm$ 2" in latex
    assert r"Title \#1" in latex
    assert "Not comparable with the paper: partial" in latex


def test_equal_records_give_equal_files(make_request: Make, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for record in folds(make_request, [0.5, 0.6]):
        store.write(record, {})
    first = {path.name: path.read_bytes() for path in build_report(store, tmp_path / "a").paths}
    second = {path.name: path.read_bytes() for path in build_report(store, tmp_path / "b").paths}
    assert first == second
    assert {"results.csv", "results.md", "results.tex", "scatter.png", "scatter.pdf", "time.md"} <= set(first)
    assert b"random weights" in first["results.md"]


def test_a_folder_without_records_has_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ResultStore(tmp_path)
    (store.folder / "trials").mkdir()
    print_report(build_report(store), store.folder)
    assert f"report: {tmp_path / 'report'}" in capsys.readouterr().out.replace("\n", "")


def test_the_printed_explain_command_finds_its_cell(
    make_request: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layers = [[{"source": "test", "values": {**TINY_RECIPE, "lr": lr}}] for lr in (0.1, 0.2)]
    results = make_results(tmp_path, [make_record(make_request(overrides=layer), [0.5]) for layer in layers])
    print_report(build_report(results.store), results.store.folder)
    shown = capsys.readouterr().out.partition("benchmark explain ")[2].partition(" --results")[0]
    assert len(find_cells(results, shlex.split(shown))) == 2


def test_a_dagger_in_the_printed_table_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for score, number in (("87.5†", 1), ("87.5", 0)):
        table = pd.DataFrame([{"protocol": "reference", "backbone": "ast", "method": "full", "esc50": score}])
        print_report(Report([Path("x") / "y"], table, [], ""), Path("x"))
        assert capsys.readouterr().out.count("† below a regression on log-mel statistics") == number


@pytest.mark.slow
def test_the_rank_diagram_does_not_depend_on_the_process(make_request: Make, tmp_path: Path) -> None:
    records = [
        make_record(make_request(methods=[method], datasets=[dataset]), [0.5 + 0.01 * place])
        for place, method in enumerate(["full", "linear", "partial", "aat_m"])
        for dataset in ("esc50", "urbansound8k", "speech_commands_v1", "speech_commands_v2", "gtzan", "openmic")
    ]
    make_results(tmp_path / "out", records)
    script = (
        "import sys; from pathlib import Path\n"
        "from benchmark.records.store import ResultStore\n"
        "from benchmark.report.write import read_results\n"
        "from benchmark.report.figures.scores import ranks\n"
        "figure = ranks(read_results(ResultStore(Path(sys.argv[1]))), 'Ranks')\n"
        "print([line.get_xydata().tolist() for line in figure.axes[0].lines])\n"
        "print([text.get_text() for text in figure.axes[0].texts], figure.axes[0].get_title())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")  # they put a set of these methods in different orders
    ]
    printed = [process.communicate()[0] for process in processes]
    assert "AAT-M (1.00)" in printed[0]
    assert "5 independent datasets" in printed[0]  # both versions of Speech Commands share recordings
    assert printed[0] == printed[1]


def test_a_cell_and_a_score_of_the_paper_are_found_in_any_order_of_a_composition(
    make_request: Make, tmp_path: Path
) -> None:
    results = make_results(
        tmp_path, folds(make_request, [0.5], methods=["aat_m+prompt"], backbones=["ast[weights=random:0]"])
    )
    assert len(find_cells(results, ["prompt+aat_m"])) == 1
    score = PaperScore(source="X", backbone="ast[weights=random:0]", dataset="esc50", method="prompt+aat_m", score=50)
    paper = dataclasses.replace(load_paper("aat"), scores=(score,))
    [row] = paper_rows(results, [paper]).to_dict("records")
    assert (row["paper"], row["method"]) == ("50.0", "aat_m+prompt")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("best_on_validation", "the best on the validation clips; the switch selection=last is for datasets without"),
        ("last", "the last"),
    ],
)
def test_explain_says_how_the_epoch_fits_the_protocols_switch(
    make_request: Make, tmp_path: Path, rule: str, expected: str
) -> None:
    record = make_record(make_request(protocol="corrected"), [0.5])
    selection = record.selection.model_copy(update={"rule": rule})
    results = make_results(tmp_path, [record.model_copy(update={"selection": selection})])
    explained = explain(results, results.cells.iloc[0])
    assert explained["reported_epoch"].startswith(expected)
    assert explained["protocol_switches"]["selection"] == "last"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_with_nothing_to_show_says_why(make_request: Make, tmp_path: Path, name: str) -> None:
    few = {"shots": [1]} if name == "shots" else {}  # other results have no such figure
    requests = [record.request for record in folds(make_request, [0.5, 0.6], **few)]
    figure = FIGURES[name](make_results(tmp_path, [], requests), "Title")
    assert figure is not None
    text = figure.axes[0].texts[0].get_text()
    assert text.startswith("Title: ")
    assert len(text) > len("Title: ") + 20


def test_every_method_has_its_own_marker(make_request: Make, tmp_path: Path) -> None:
    methods = ["full", "linear", "aat_ms"]
    records = [record for method in methods for record in folds(make_request, [0.5], methods=[method])]
    figure = scatter(make_results(tmp_path, records), "Scatter")
    handles = figure.legends[0].legend_handles
    assert [handle.get_label() for handle in handles] == ["Full fine-tuning", "Linear probing", "AAT-MS"]
    assert len({handle.get_marker() for handle in handles}) == 3
    assert "random weights" in figure.get_supxlabel()


def test_every_method_is_compared_with_full_and_with_the_one_that_is_asked_for(
    make_request: Make, tmp_path: Path
) -> None:
    """Also a method that the layout does not name; the caption names what cannot be compared."""
    rng, records, values = np.random.default_rng(0), [], {}
    for method, share in {"full": 0.8, "lora": 0.7, "ssf": 0.7, "bitfit": 0.5}.items():
        for seed in range(3):
            record = make_record(make_request(methods=[method], seeds=[seed]), [share])
            values[record.id] = (rng.random(300 if method == "bitfit" else 400) < share).astype(float)
            records.append(record)
    results = make_results(tmp_path / "out", records, parts=values)

    def differences(against: str | None) -> Table:
        [table] = [table for table in build_tables(results, against=against) if table.name == "differences"]
        return table

    pairs = differences(None).data[["method", "other"]].to_numpy().tolist()
    assert pairs == [["lora", "full"], ["ssf", "full"]]
    with_lora = differences("lora")
    assert with_lora.data[["method", "other"]].to_numpy().tolist()[2:] == [["full", "lora"], ["ssf", "lora"]]
    assert "bitfit and full have different test clips in fold 1 (100 are in one of them only)" in with_lora.caption.note
    row = with_lora.data.iloc[0]
    assert row["low"] < row["difference"] < row["high"] < 0
    assert (row["clips"], row["groups"], row["seeds"]) == (400, 400, 3)
    with pytest.raises(BenchmarkError, match=r"against lorra: no such method in .*did you mean 'lora'"):
        build_tables(results, against="lorra")


@pytest.mark.parametrize("damage", [lambda _: b"", lambda data: data[:-200] + bytes(200), lambda data: data[:60]])
def test_damaged_predictions_leave_their_cell_without_an_interval_and_are_named(
    make_request: Make, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    records, values = [], {}
    for method, share in {"full": 0.8, "linear": 0.7, "lora": 0.795}.items():
        record = make_record(make_request(methods=[method]), [share])
        values[record.id] = (np.arange(400) < share * 400).astype(float)
        records.append(record)
    store = make_results(tmp_path, records, parts=values).store
    path = store.record_path(records[1].request).with_suffix(".npz")
    path.write_bytes(damage(path.read_bytes()))
    results = read_results(store)
    cells = results.cells.set_index("method")
    assert cells["low"].isna().to_dict() == {"full": False, "linear": True, "lora": False}
    assert cells["best"].to_dict() == {"full": True, "linear": False, "lora": True}
    reason = f"Linear probing: {path.name} is damaged or incomplete (AST (demo size, random weights), ESC-50)"
    assert results.untested() == [reason]
    assert f"Without interval or not compared with the best: {reason}." in build_tables(results)[0].caption.note


def test_predictions_that_do_not_fit_leave_their_cell_out_and_are_named(make_request: Make, tmp_path: Path) -> None:
    """Values that are not finite, a shortened array, and seeds of one cell with different clips."""
    records = [make_record(make_request(methods=["full"], seeds=[seed]), [0.5]) for seed in (0, 1)]
    good = np.repeat([0.0, 1.0], 50)

    def reason(values: np.ndarray, **changed: np.ndarray) -> str:
        store = make_results(tmp_path / "out", records, parts={record.id: good for record in records}).store
        clips = np.array([f"{number:05d}.wav" for number in range(100)])
        arrays = {"clips_test": clips, "groups_test": clips, "values_test": values[None], **changed}
        store.write(records[1], {"epochs": np.arange(1, 2), **arrays})
        results = read_results(store)
        assert results.cells["low"].isna().all()
        assert results.cells["score"].tolist() == [0.5]  # the score is of the record, not of the file
        [text] = results.untested()
        return text

    assert "has values that are not finite" in reason(np.where(np.arange(100) == 3, np.nan, good))
    assert "does not have one value per clip" in reason(good[:-1])
    other = np.array([f"other{number:05d}.wav" for number in range(100)])
    assert "its seeds have different test clips or groups of them in fold 1" in reason(good, clips_test=other)
    assert "is damaged or incomplete" in reason(good, groups_test=np.array([{"a": 1}], dtype=object))  # never unpickled


def test_test_clips_of_one_group_have_no_interval(make_request: Make, tmp_path: Path) -> None:
    """Such as clips of one held-out speaker: the error is not known, which is not an error of zero."""
    records = [
        make_record(make_request(methods=[name], seeds=[seed]), [0.5]) for name in ("full", "linear") for seed in (0, 1)
    ]
    store = make_results(tmp_path, records, parts={record.id: np.repeat([0.0, 1.0], 50) for record in records}).store
    clips = np.array([f"{number:05d}.wav" for number in range(100)])
    for record in records:
        arrays = {
            "clips_test": clips,
            "groups_test": np.full(100, "one"),
            "values_test": np.repeat([0.0, 1.0], 50)[None],
        }
        store.write(record, {"epochs": np.arange(1, 2), **arrays})
    results = read_results(store)
    assert results.cells[["low", "high"]].isna().all(axis=None)
    first, second = results.untested()
    assert first.startswith("all test clips of full are of one group, so that their error is not known (")
    assert second.startswith("all test clips of full and linear are of one group")
    backbone = results.cells["backbone"].iloc[0]
    assert spread_of(results, backbone, "esc50") == DEFAULT


def test_time_that_no_epoch_accounts_for_is_reported(make_request: Make, tmp_path: Path) -> None:
    results = make_results(tmp_path, folds(make_request, [0.9, 0.8]))  # 9 s each: 1.5 train, 0.5 data, 0.25 evaluation
    assert results.cells["overhead"].tolist() == [pytest.approx(0.75)]
    line = build_report(results.store).time
    assert line.startswith(
        "time of 2 trials: 18 s, of it 17 % training, 6 % waiting for its data, 3 % evaluation, 75 % "
    )
    assert (tmp_path / "report" / "time.csv").read_text().splitlines()[0].split(",")[11:13] == ["overhead", "shared"]


def test_without_a_record_no_time_is_reported(make_request: Make, tmp_path: Path) -> None:
    assert build_report(make_results(tmp_path, [], [make_request()]).store).time == ""
