"""Results by class, from stored predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmark
from benchmark.records.leftovers import find_leftovers
from benchmark.records.store import CACHE
from benchmark.report.by_class import compute
from benchmark.report.by_class.read import read_by_class, shown_cells
from benchmark.report.figures.classes import calibration, confusion
from benchmark.report.results import Results
from benchmark.report.write import build_report, build_tables, read_results
from benchmark.spec.request import TrialRequest
from tests.conftest import Cli
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]
Predictions = dict[str, np.ndarray]
NAMES = ("dog", "<b>cat</b>", "50 $ | 100 % of {rain}", "a name that is far too long to be shown in a figure")


def predictions(logits: np.ndarray, truth: Sequence[int] | np.ndarray, **more: np.ndarray) -> Predictions:
    """Return a predictions file of one epoch.

    Args:
        logits: (clips, classes).
        truth: (clips,) classes, or (clips, classes) labels.
        more: other arrays, or other ones in place of these.
    """
    targets = np.eye(logits.shape[1], dtype=np.float32)[truth] if np.ndim(truth) == 1 else truth
    clips = np.array([f"{number:05d}.wav" for number in range(len(logits))])
    hits = (logits.argmax(1) == targets.argmax(1)).astype(float)
    arrays = {
        "epochs": np.array([1]), "classes": np.array(NAMES[: logits.shape[1]]), "clips_test": clips,
        "groups_test": clips, "targets_test": targets, "observed_test": np.ones_like(targets),
        "logits_test": logits[None].astype(np.float32), "values_test": hits[None],
    }  # fmt: skip
    return {**arrays, **more}


def answers(truth: Sequence[int], answer: Sequence[int], classes: int = 4) -> Predictions:
    """Return predictions that give these answers with a confidence of nearly 1."""
    return predictions(20 * np.eye(classes)[list(answer)], list(truth))


def results_of(folder: Path, *files: tuple[TrialRequest, Predictions]) -> Results:
    """Write records with the score of their predictions, and read them."""
    records = [make_record(request, [float(arrays["values_test"].mean())]) for request, arrays in files]
    store = make_results(folder, records).store
    for record, (_, arrays) in zip(records, files, strict=True):
        store.write(record, arrays)
    return read_results(store)


def test_a_run_shows_its_results_by_class_everywhere(cli: Cli, tmp_path: Path) -> None:
    chosen = ["--grid", "smoke", "--backbone", "ast[size=demo;weights=random:0]", "--method", "full,aat_ms"]
    done = cli("run", *chosen, "--results", tmp_path / "out", "--cache", tmp_path / "cache", "--no-report")
    assert done.returncode == 0, done.stderr
    done = cli("report", "--results", tmp_path / "out", "--output", tmp_path / "report", "--html")
    assert done.returncode == 0, done.stderr
    assert {"classes.csv", "classes.md", "confusion.csv", "confusion.png", "calibration.svg"} <= {
        path.name for path in (tmp_path / "report").iterdir()
    }
    classes = pd.read_csv(tmp_path / "report" / "classes.csv")
    trials = benchmark.load_results(tmp_path / "out").set_index("method")
    recalls = classes[(classes["metric"] == "recall") & (classes["method"] == "full")]
    assert set(recalls["class"]) >= {"dog"}
    assert np.average(recalls["value"], weights=recalls["support"]) == pytest.approx(trials.loc["full", "score"])
    page = (tmp_path / "report" / "report.html").read_text()
    assert '"by_class"' in page
    printed = cli("explain", "esc50", "full", "--classes", "--results", tmp_path / "out")
    assert printed.returncode == 0, printed.stderr
    assert "By class (%, 1 seed): macro f1 " in printed.stdout
    [line] = [line for line in printed.stdout.splitlines() if line.startswith("dog ")]
    assert line.replace("│", " ").split()[1] == "1"
    [cell] = json.loads(cli("explain", "esc50", "full", "--classes", "--json", "--results", tmp_path / "out").stdout)
    assert cell["by_class"]["classes"][0]["name"] == "dog"
    assert np.trace(cell["by_class"]["confusion"]) / 5 == pytest.approx(cell["score"])
    assert "by_class" not in cli("explain", "esc50", "full", "--json", "--results", tmp_path / "out").stdout


def test_folds_are_counted_together_and_seeds_are_averaged(make_request: Make, tmp_path: Path) -> None:
    said = {(1, 0): [0, 1, 1, 1], (2, 0): [0, 0, 1, 1], (1, 1): [1, 1, 1, 1], (2, 1): [0, 0, 2, 1]}
    results = results_of(
        tmp_path,
        *((make_request(folds=[fold], seeds=[seed]), answers([0, 0, 1, 1], said[fold, seed])) for fold, seed in said),
    )
    found = read_by_class(results, results.cells.iloc[0])
    dog, cat, rain, _ = found.classes
    assert (dog.name, dog.support, dog.clips) == ("dog", 4, 8)
    assert dog.values["recall"].mean == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert dog.values["recall"].seed_sd == pytest.approx(np.std([3 / 4, 2 / 4], ddof=1))
    assert cat.values["precision"].mean == pytest.approx((4 / 5 + 3 / 5) / 2)
    assert (rain.support, rain.values["recall"].mean, rain.values["f1"].mean) == (0, None, None)
    assert found.summary["balanced_accuracy"].mean == pytest.approx(((3 / 4 + 1) + (2 / 4 + 3 / 4)) / 4)
    assert found.confusion is not None
    assert found.confusion[0][:2] == (2.5, 1.5)
    assert found.confusion[1][1:3] == (3.5, 0.5)
    assert results.cells["score"].iloc[0] == pytest.approx(np.trace(found.confusion) / 8)
    assert [(true.name, predicted.name, clips) for true, predicted, clips in found.confused()] == [
        ("dog", "<b>cat</b>", 1.5),
        ("<b>cat</b>", NAMES[2], 0.5),
    ]
    assert found.calibration[-1].share == 1
    assert found.summary["ece"].mean == pytest.approx(1 - results.cells["score"].iloc[0], abs=1e-6)


def test_the_chosen_epoch_counts_and_clips_may_be_in_another_order(make_request: Make, tmp_path: Path) -> None:
    early, late = np.eye(4)[[0, 0, 0]], np.eye(4)[[0, 1, 2]]
    arrays = predictions(late, [0, 1, 2])
    arrays |= {
        "epochs": np.array([1, 2]),
        "logits_test": 20 * np.stack([early, late]).astype(np.float32),
        "values_test": np.array([[1, 0, 0], [1, 1, 1]], float),
    }
    order = [2, 0, 1]
    other = {name: arrays[name][order] for name in ("clips_test", "groups_test", "targets_test", "observed_test")}
    other |= {name: arrays[name][:, order] for name in ("logits_test", "values_test")}
    first, second = (make_record(make_request(seeds=[seed]), [1 / 3, 1.0]) for seed in (0, 1))
    store = make_results(tmp_path, [first, second]).store
    store.write(first, arrays)
    store.write(second, {**arrays, **other})
    results = read_results(store)
    found = read_by_class(results, results.cells.iloc[0])
    assert found.seeds == (0, 1)
    assert [each.values["recall"].mean for each in found.present] == [1, 1, 1]
    assert found.confused() == []


def test_several_labels_have_precision_by_class_and_no_confusion(make_request: Make, tmp_path: Path, cli: Cli) -> None:
    """Also where a class was not annotated everywhere, or nowhere."""
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 4)) < 0.4).astype(np.float32)
    logits = targets + rng.normal(size=targets.shape)
    observed = (rng.random(targets.shape) < 0.7).astype(np.float32)
    observed[:, 3] = 0
    arrays = predictions(logits, targets, observed_test=observed)
    request = make_request()
    record = make_record(request, [0.5])
    record = record.model_copy(update={"selection": record.selection.model_copy(update={"metric": "map"})})
    store = make_results(tmp_path, [record]).store
    store.write(record, arrays)
    results = read_results(store)
    found = read_by_class(results, results.cells.iloc[0])
    assert found.confusion is None
    assert [each.clips for each in found.classes] == observed.sum(0).tolist()
    assert [each.support for each in found.classes] == (observed * targets).sum(0).tolist()
    assert [each.values["ap"].mean is None for each in found.classes] == [False, False, False, True]
    assert found.summary["balanced_accuracy"].mean is None
    assert found.summary["ece"].mean is not None
    printed = cli("explain", "linear", "--classes", "--results", tmp_path).stdout
    assert "Clips have several labels: there is no confusion matrix." in printed
    assert confusion(results, "C").axes[0].texts[0].get_text().startswith("C: no complete method has")
    tables = {table.name for table in build_tables(results)}
    assert "classes" in tables
    assert "confusion" not in tables
    assert len(calibration(results, "R").axes) == 1


def test_one_class_alone_is_no_crash(make_request: Make, tmp_path: Path) -> None:
    results = results_of(tmp_path, (make_request(), answers([0, 0], [0, 0], classes=1)))
    found = read_by_class(results, results.cells.iloc[0])
    assert found.summary["macro_auc"].mean is None
    assert found.summary["macro_f1"].mean == 1
    build_report(results.store, tmp_path / "report", html=True)


def without(arrays: Predictions, *names: str) -> Predictions:
    return {name: array for name, array in arrays.items() if name not in names}


GOOD = answers([0, 1, 2], [0, 1, 1])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (without(GOOD, "logits_test"), "fold 1 seed 1 has no logits"),
        (without(GOOD, "targets_test"), ".npz is damaged or incomplete"),
        ({**GOOD, "epochs": np.array([7])}, ".npz has no predictions of epoch 1"),
        ({**GOOD, "logits_test": np.full_like(GOOD["logits_test"], np.nan)}, "has logits that are not finite"),
        ({**GOOD, "logits_test": np.zeros((1, 3, 3), np.float32)}, "fold 1 seed 1 has arrays of different lengths"),
        ({**GOOD, "classes": np.array(["dog", "cat"])}, "fold 1 seed 1 has arrays of different lengths"),
        ({**GOOD, "clips_test": np.array(["a", "b", "c"])}, "its seeds have different test clips in fold 1"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_named(
    make_request: Make, tmp_path: Path, arrays: Predictions, reason: str
) -> None:
    files = [(make_request(methods=[name], seeds=[seed]), GOOD) for name in ("full", "linear") for seed in (0, 1)]
    files[-1] = (files[-1][0], {**arrays, "values_test": np.ones((1, 3))})
    results = results_of(tmp_path, *files)
    assert list(results.cells["method"]) == ["full", "linear"]
    [left_out] = results.by_class.left_out
    assert reason in left_out
    assert left_out.startswith("Linear probing (AST (demo size, random weights), ESC-50): ")
    [table] = [table for table in build_tables(results) if table.name == "classes"]
    assert table.text["method"].tolist() == ["Full fine-tuning"]
    assert reason in table.caption.note
    [explained] = benchmark.explain(tmp_path, "linear", classes=True)
    assert list(explained["by_class"]) == ["missing"]
    assert reason in explained["by_class"]["missing"]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda data: data[:-200] + bytes(200), lambda data: data[:60]])
def test_damaged_or_missing_predictions_are_named(
    make_request: Make, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    results = results_of(tmp_path, (make_request(), GOOD))
    path = results.store.record_path(make_request()).with_suffix(".npz")
    path.write_bytes(damage(path.read_bytes()))
    [explained] = benchmark.explain(tmp_path, "linear", classes=True)
    assert explained["by_class"] == {"missing": f"{path.name} is damaged or incomplete"}
    path.unlink()
    [explained] = benchmark.explain(tmp_path, "linear", classes=True)
    assert explained["by_class"] == {"missing": f"{path.name}: No such file or directory"}
    report = build_report(read_results(results.store).store, tmp_path / "report")
    assert "classes.csv" not in {path.name for path in report.paths}


def test_an_incomplete_cell_has_no_results_by_class(make_request: Make, tmp_path: Path, cli: Cli) -> None:
    requests = [make_request(seeds=[seed]) for seed in (0, 1)]
    make_results(tmp_path, [make_record(requests[0], [0.5])], requests)
    done = cli("explain", "linear", "--classes", "--results", tmp_path)
    assert "by class       1 of 2 trials are finished and have a score" in done.stdout


def test_older_records_show_numbers_instead_of_names(make_request: Make, tmp_path: Path) -> None:
    results = results_of(tmp_path, (make_request(), without(GOOD, "classes")))
    found = read_by_class(results, results.cells.iloc[0])
    assert [each.name for each in found.present] == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("of_full", [[0, 1, 2], [0, 1, 1]])
def test_full_and_the_best_other_method_are_shown(make_request: Make, tmp_path: Path, of_full: list[int]) -> None:
    said = {"full": of_full, "linear": [0, 0, 0], "aat_ms": [0, 1, 0]}
    files = [(make_request(methods=[name]), answers([0, 1, 1], given)) for name, given in said.items()]
    results = results_of(tmp_path, *files)
    assert shown_cells(results.cells)["method"].tolist() == ["full", "aat_ms"]
    [table] = [table for table in build_tables(results) if table.name == "classes"]
    assert table.text["method"].tolist() == ["Full fine-tuning", "AAT-MS"]
    assert set(table.data["method"]) == {"full", "aat_ms"}


def test_numbers_are_kept_until_the_predictions_change(
    make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, computed, original = make_request(), [], compute.compute
    results = results_of(tmp_path, (request, GOOD))
    monkeypatch.setattr(compute, "compute", lambda *args: computed.append(1) or original(*args))

    def read() -> object:
        again = read_results(results.store)
        return read_by_class(again, again.cells.iloc[0])

    first = read()
    assert read() == first
    assert len(computed) == 1
    [kept] = (tmp_path / CACHE).iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert read() == first
    assert len(computed) == 2
    results.store.write(make_record(request, [2 / 3]), answers([0, 1, 2], [0, 0, 2]))
    assert read() != first
    assert len(computed) == 3
    assert {each.path.parent.name for each in find_leftovers(results.store)} == {CACHE}
    for each in find_leftovers(results.store):
        each.remove()
    (tmp_path / CACHE).write_text("a file where the folder should be")
    assert read() != first
    assert len(computed) == 4


def test_names_of_classes_are_text_wherever_they_are_shown(make_request: Make, tmp_path: Path) -> None:
    results = results_of(tmp_path, (make_request(), answers([0, 1, 2, 3], [1, 2, 1, 0])))
    build_report(results.store, tmp_path / "report", html=True)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<b>cat" not in page
    assert "\\u003cb>cat\\u003c/b>" in page
    assert "&lt;b&gt;cat" in page
    markdown = (tmp_path / "report" / "classes.md").read_text()
    rows = [line for line in markdown.splitlines() if "Linear probing" in line]
    assert [line.replace(r"\|", "").count("|") for line in rows] == [7]
    latex = (tmp_path / "report" / "confusion.tex").read_text()
    assert r"50 \$ \textbar{} 100 \% of \{rain\}" in latex
    names = [label.get_text() for label in confusion(results, "C").axes[0].get_yticklabels()]
    assert names[2].replace("\\", "") == NAMES[2]
    assert len(names[3]) == 24


def test_many_classes_are_drawn_as_pairs(make_request: Make, tmp_path: Path) -> None:
    truth = np.repeat(np.arange(50), 8)
    answer = np.where(np.arange(400) % 8 < truth % 4, (truth + 1) % 50, truth)
    names = np.array([f"class of the name {number}" for number in range(50)])
    results = results_of(tmp_path, (make_request(), {**answers(truth, answer, 50), "classes": names}))
    [axes] = confusion(results, "C").axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "class of the name 3 → class of the name 4"
    assert axes.texts[0].get_text() == " 3 of 8"
    [table] = [table for table in build_tables(results) if table.name == "confusion"]
    assert table.data["clips"].sum() == 400
    assert table.data.query("true == predicted")["clips"].sum() / 400 == pytest.approx(results.cells["score"].iloc[0])
