"""Tampered submissions are refused: each by the rule that is about it, and without that rule it would pass."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.api.submit import check_submission, submit
from benchmark.metrics import of_split
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.environment import digest
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.submissions import checks
from benchmark.submissions.add import read_others
from benchmark.submissions.bundle import read_bundle
from benchmark.submissions.checks import identity
from benchmark.submissions.checks.context import Check, Context
from benchmark.submissions.known import Known
from benchmark.submissions.layout import Store
from tests.submissions.conftest import Tampered, finish

Tamper = Callable[[Tampered], Any]
TAMPERS: list[Any] = []
SEALED = "sealed"  # returned by a tamper after which the manifest stays as it is


def rule(name: str, message: str) -> Callable[[Tamper], Tamper]:
    """Enter a way to tamper: the rule that finds it, and what it says."""

    def enter(tamper: Tamper) -> Tamper:
        TAMPERS.append(pytest.param(tamper, name, message, id=tamper.__name__))
        return tamper

    return enter


def set_in(path: Path, *keys: Any, value: Any) -> None:
    """Set a value deep in a JSON file."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    Tampered.edit(path, change)


def move(one: Path, other: Path) -> None:
    """Swap two files."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@rule("scores.recomputed", r"give [\d.]+ % accuracy at epoch 2, the record says 99\.0000 %")
def edited_score(it: Tampered) -> None:
    set_in(it.record(), "curves", 1, "splits", "test", "accuracy", value=0.99)


@rule("scores.recomputed", "at epoch 2, the record says")
def swapped_predictions(it: Tampered) -> None:
    move(it.record("linear").with_suffix(".npz"), it.record("bitfit").with_suffix(".npz"))


@rule("scores.recomputed", r"are those of trials/.*/bitfit/f1-")
def the_same_predictions_for_two_trials(it: Tampered) -> None:
    good, bad = it.record("bitfit"), it.record("linear")
    bad.with_suffix(".npz").write_bytes(good.with_suffix(".npz").read_bytes())
    set_in(bad, "curves", value=json.loads(good.read_bytes())["curves"])


@rule("scores.recomputed", "have values_test that do not follow from the logits")
def edited_values(it: Tampered) -> None:
    it.edit_arrays(it.record(), lambda arrays: arrays.update(values_test=np.ones_like(arrays["values_test"])))


@rule("scores.recomputed", r"are of 399 clips, the record says 400")
def a_clip_left_out(it: Tampered) -> None:
    def leave_out(arrays: dict[str, np.ndarray]) -> None:
        for name in ("clips", "groups", "targets", "observed"):
            arrays[f"{name}_test"] = arrays[f"{name}_test"][1:]
        for name in ("logits", "values"):
            arrays[f"{name}_test"] = arrays[f"{name}_test"][:, 1:]

    for method in ("linear", "bitfit"):
        it.edit_arrays(it.record(method), leave_out)


@rule("scores.recomputed", r"are of epochs \[1\], not of epoch 2 alone")
def another_epoch(it: Tampered) -> None:
    it.edit_arrays(it.record(), lambda arrays: arrays.update(epochs=np.array([1])))


@rule("scores.recomputed", "have labels that are neither 0 nor 1")
def labels_that_are_none(it: Tampered) -> None:
    for method in ("linear", "bitfit"):
        it.edit_arrays(it.record(method), lambda arrays: arrays.update(targets_test=arrays["targets_test"] * 2))


@rule("others.same_data", "has other test clips or labels than trials/.* on the same data")
def labels_that_fit_the_predictions(it: Tampered) -> None:
    def relabel(arrays: dict[str, np.ndarray]) -> None:
        arrays["targets_test"] = np.eye(50, dtype=np.float32)[arrays["logits_test"][0].argmax(1)]
        arrays["values_test"] = np.ones_like(arrays["values_test"])

    path = it.record("linear")
    it.edit_arrays(path, relabel)
    with np.load(path.with_suffix(".npz")) as stored:
        truth = stored["targets_test"], stored["observed_test"], "float32"
        scores = of_split.evaluate(stored["logits_test"][0], *truth)
    set_in(path, "curves", 1, "splits", "test", value=scores)


@rule("cells.folds_and_seeds", r"linear: 1 trial missing, such as fold 5 seed 0")
def a_fold_left_out(it: Tampered) -> None:
    path = it.record(fold=5)
    path.unlink()
    path.with_suffix(".npz").unlink()


@rule("cells.kinds", "is of synthetic audio; this store takes none")
def synthetic_in_a_real_store(it: Tampered) -> None:
    for path in it.records():
        set_in(path, "data", value={**json.loads(path.read_bytes())["data"], "kind": "synthetic", "verified": None})


@rule("cells.kinds", "is of some clips or folds of a dataset only")
def partial_data_in_a_store_of_complete_runs(it: Tampered) -> None:
    for path in it.records():
        data = json.loads(path.read_bytes())["data"]
        set_in(path, "data", value={**data, "kind": "partial", "clips": 1999, "verified": None})


@rule("cells.kinds", "is of a backbone with random weights")
def random_weights(it: Tampered) -> None:
    for path in it.records():
        set_in(path, "request", "backbone", "weights", value="random:0")
        it.rename(path)


@rule("origin.dataset_facts", "calls its data complete, with 15 of 2000 clips")
def synthetic_marked_as_real(it: Tampered) -> None:
    for path in it.records():  # a synthetic record with another kind: its number of clips gives it away
        set_in(path, "data", "clips", value=15)
        set_in(path, "data", "classes_present", value=3)


@rule("origin.dataset_facts", "says that esc50 has 4 folds, it has 5")
def fewer_folds_than_the_dataset_has(it: Tampered) -> None:
    for path in it.records():
        set_in(path, "data", "official_folds", value=4)


@rule("others.same_data", "calls clips partial that are complete in trials/")
def data_of_two_kinds(it: Tampered) -> None:
    set_in(Path(it.folder, "../../../store.json").resolve(), "accepts", value=["partial"])
    for path in it.records("linear"):
        set_in(path, "data", "kind", value="partial")
        set_in(path, "data", "verified", value=None)


@rule("identity.ids", r"has the id '[0-9a-f]{12}', but its request gives [0-9a-f]{12}")
def another_seed_in_the_request(it: Tampered) -> None:
    path = it.record()
    content = json.loads(path.read_bytes())
    old = content["id"]
    content["request"]["recipe"]["lr"] = 0.5  # the name of the file and the id stay
    content["id"] = old
    path.write_text(json.dumps(content))
    request = TrialRequest.model_validate(content["request"])
    place = it.folder / "trials" / f"{request.path_stem}.json"
    path.rename(place)
    path.with_suffix(".npz").rename(place.with_suffix(".npz"))
    for other in it.records("linear"):  # the whole cell, so that no fold is missing
        if other != place:
            set_in(other, "request", "recipe", "lr", value=0.5)
            it.rename(other)


@rule("files.names", r"is the record of trials/.*/f1-s0-[0-9a-f]{12}\.json")
def a_record_under_another_name(it: Tampered) -> None:
    path = it.record()
    for suffix in (".json", ".npz"):
        path.with_suffix(suffix).rename(path.with_name(f"f1-s0-{'0' * 12}{suffix}"))


@rule("files.names", "says eve/first but is in the folder ada/first")
def the_name_of_another_submitter(it: Tampered) -> None:
    it.edit_manifest(lambda manifest: manifest.update(submitter="eve"))


@rule("files.complete", "is missing: scores cannot be recomputed")
def missing_predictions(it: Tampered) -> None:
    it.record().with_suffix(".npz").unlink()


@rule("files.licence", "gives the records under 'all rights reserved'; this store takes CC-BY-4.0")
def another_licence(it: Tampered) -> None:
    it.edit_manifest(lambda manifest: manifest.update(licence="all rights reserved"))


@rule("identity.versions", "is of numerics version 99")
def a_newer_numerics_version(it: Tampered) -> None:
    for path in it.records():
        set_in(path, "numerics_version", value=99)


@rule("identity.versions", "does not say which release of the suite made it")
def no_release(it: Tampered) -> None:
    change_environment(it.record(), suite={"commit": None})


@rule("identity.versions", r"was made by a newer release than 0\.")
def a_newer_release(it: Tampered) -> None:
    change_environment(it.record(), suite={"version": "99.0"})


def change_environment(path: Path, **changes: Any) -> None:
    environment = json.loads(path.read_bytes())["environment"] | changes
    set_in(path, "environment", value=environment)
    set_in(path, "environment_hash", value=digest(environment))


@rule("identity.environment", "has an environment without cpu, version of torch")
def an_incomplete_environment(it: Tampered) -> None:
    change_environment(it.record(), cpu=None, packages={"numpy": "2.4.0"})


@rule("identity.environment", "has an environment that does not give its digest")
def an_edited_environment(it: Tampered) -> None:
    set_in(it.record(), "environment", "cpu", value="a faster processor")


@rule("origin.data", "calls its data official, whose digest is another")
def official_data_that_is_not(it: Tampered) -> None:
    set_in(it.record(), "data", "verified", "verdict", value="official")


@rule("origin.data", "says that its data is complete, `data verify` says 'synthetic'")
def a_verdict_that_contradicts(it: Tampered) -> None:
    set_in(it.record(), "data", "verified", "verdict", value="synthetic")


@rule("origin.checkpoint", "has no sha256 of its checkpoint")
def an_unknown_checkpoint(it: Tampered) -> None:
    for path in it.records():
        set_in(path, "request", "backbone", "sha256", value="none")
        it.rename(path)


@rule("origin.sources", "names the method 'mine', which this suite does not have, without source")
def a_method_of_nobody(it: Tampered) -> None:
    for path in it.records("linear"):
        set_in(path, "request", "method", "parts", 0, "name", value="mine")
        it.rename(path)


@rule("origin.sources", "has no source and licence of 'mine'")
def an_outside_method_without_source(it: Tampered) -> None:
    outside(it, "mine", "0" * 12)


@rule("origin.sources", r"is not the file that the trials of 'mine' ran \(0{12}\)")
def an_outside_method_with_another_source(it: Tampered) -> None:
    outside(it, "mine", "0" * 12, licence="MIT")


@rule("origin.sources", "gives 'mine' the licence 'mine alone'")
def an_outside_method_that_nobody_may_use(it: Tampered) -> None:
    outside(it, "mine", source_digest(), licence="mine alone")


@rule("origin.sources", "takes the name 'bitfit' of the suite for code from outside")
def an_outside_method_with_a_name_of_the_suite(it: Tampered) -> None:
    for path in it.records("bitfit"):
        for file in (path, path.with_suffix(".npz")):
            file.unlink()
    outside(it, "bitfit", source_digest(), licence="MIT")


@rule("origin.sources", "is the source of no method in the records")
def a_file_beside_the_methods(it: Tampered) -> None:
    (it.folder / "methods").mkdir()
    (it.folder / "methods" / "other.py").write_text("print('hello')")


SOURCE = "# a method\n"


def source_digest() -> str:
    return hashlib.sha256(SOURCE.encode()).hexdigest()[:12]


def outside(it: Tampered, name: str, identity: str, licence: str | None = None) -> None:
    """Let the records of `linear` be of a method from outside; without a licence, its source is not there."""
    for path in it.records("linear"):
        set_in(path, "request", "method", "parts", 0, value={"name": name, "options": {}, "source": identity})
        it.rename(path)
    if licence is not None:
        (it.folder / "methods").mkdir()
        (it.folder / "methods" / "mine.py").write_text(SOURCE)
        it.edit_manifest(
            lambda manifest: manifest.update(methods={name: {"file": "methods/mine.py", "licence": licence}})
        )


@rule("ranges.curves", r"epoch 1: the training loss is -1\.0, below 0")
def a_negative_loss(it: Tampered) -> None:
    set_in(it.record(), "curves", 0, "train_loss", value=-1.0)


@rule("ranges.curves", "epoch 1: accuracy of test is 1.5, not between 0 and 1")
def a_score_above_one(it: Tampered) -> None:
    set_in(it.record(), "curves", 0, "splits", "test", "accuracy", value=1.5)


@rule("ranges.curves", "has 2 epochs, its recipe 20")
def more_epochs_in_the_recipe(it: Tampered) -> None:
    for path in it.records():
        set_in(path, "request", "recipe", "epochs", value=20)
        it.rename(path)


@rule("ranges.times", "has times that are not positive")
def a_negative_time(it: Tampered) -> None:
    set_in(it.record(), "profile", "seconds", "total", value=-1.0)


@rule("ranges.times", r"took 1000\.0 s, but 60 s passed")
def a_trial_longer_than_its_time(it: Tampered) -> None:
    set_in(it.record(), "profile", "seconds", "total", value=1000.0)


@rule("ranges.times", "was submitted at no time, or in the future")
def a_submission_of_the_future(it: Tampered) -> None:
    it.edit_manifest(lambda manifest: manifest.update(submitted="2199-01-01T00:00:00+00:00"))


@rule("ranges.parameters", r"parameters\.trainable is 7, the suite counts [\d,]+;")
def a_changed_number_of_parameters(it: Tampered) -> None:
    set_in(it.record(), "parameters", "trainable", value=7)


@rule("files.listed", r"is not the file that submission\.json lists")
def a_changed_file(it: Tampered) -> str:
    it.seal()
    path = it.record()
    path.write_bytes(path.read_bytes() + b"\n")
    return SEALED


@rule("files.listed", "is not in submission.json")
def a_file_that_is_not_listed(it: Tampered) -> str:
    it.seal()
    name = next(iter(json.loads((it.folder / "submission.json").read_bytes())["files"]))
    it.edit_manifest(lambda manifest: manifest["files"].pop(name))
    return SEALED


@rule("files.listed", r"lists '\.\./\.\./\.\./store\.json', which is not there")
def a_listed_file_outside_of_the_folder(it: Tampered) -> str:
    it.seal()
    entry = {"sha256": "0" * 64, "bytes": 1}
    it.edit_manifest(lambda manifest: manifest["files"].update({"../../../store.json": entry}))
    return SEALED


def faults(store: Store, folder: Path, known: Known) -> dict[str, list[str]]:
    """Return what each rule finds, by its name; rules that find nothing are left out."""
    bundle = read_bundle(folder)
    assert not bundle.failures, bundle.failures
    context = Context(bundle, Store(store.folder).info, known, read_others(store, folder))
    found = {name_of(check): list(map(str, check(context))) for check in checks.CHECKS}
    return {name: lines for name, lines in found.items() if lines}


def name_of(check: Check) -> str:
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"


@pytest.mark.parametrize(("tamper", "name", "message"), TAMPERS)
def test_tampered_submissions_are_refused(
    store: Store, tampered: Tampered, known: Known, tamper: Tamper, name: str, message: str
) -> None:
    if tamper(tampered) is not SEALED:
        tampered.seal()
    found = faults(store, tampered.folder, known)
    assert list(found) == [name], found  # no other rule finds it
    assert all(re.search(message, line) and "\n" not in line for line in found[name]), found


def test_a_cell_has_one_numerics_version(
    store: Store, tampered: Tampered, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "NUMERICS_VERSION", NUMERICS_VERSION + 1)
    set_in(tampered.record(fold=3), "numerics_version", value=NUMERICS_VERSION + 1)
    tampered.seal()
    found = faults(store, tampered.folder, known)
    assert list(found) == ["identity.versions"]
    assert all("is of a cell with numerics versions" in line for line in found["identity.versions"])


def test_an_honest_submission_passes(store: Store) -> None:
    found = check_submission(store.folder)
    assert (found.failures, found.records, found.submissions) == ([], 10, ["submissions/ada/first"])


def test_every_rule_is_tested() -> None:
    rules = set(map(name_of, checks.CHECKS))
    elsewhere = {"others.duplicates", "others.copies", "cells.choices"}  # they need more than one submission
    assert rules == {tamper.values[1] for tamper in TAMPERS} | elsewhere


def copy_of(store: Store, submitter: str, name: str, keep: Iterable[str] = ("linear", "bitfit")) -> Tampered:
    """Copy the submission of `ada` to another name."""
    place = store.folder / "submissions" / submitter / name
    shutil.copytree(store.folder / "submissions" / "ada" / "first", place)
    copied = Tampered(place)
    for path in copied.records():
        if path.parent.name not in keep:
            path.unlink()
            path.with_suffix(".npz").unlink()
    copied.edit_manifest(lambda manifest: manifest.update(submitter=submitter, name=name))
    copied.seal()
    return copied


def test_records_of_another_submitter_are_no_reproduction(store: Store, known: Known) -> None:
    copied = copy_of(store, "eve", "mine", keep=["linear"])
    found = faults(store, copied.folder, known)
    assert list(found) == ["others.copies"]
    assert len(found["others.copies"]) == 5
    assert all("is a copy of submissions/ada/first/trials/" in line for line in found["others.copies"])


def test_some_edited_times_do_not_hide_a_copy(store: Store, known: Known) -> None:
    copied = copy_of(store, "eve", "mine", keep=["linear"])
    for path in copied.records():
        set_in(path, "profile", "seconds", "total", value=5.5)
        set_in(path, "started", value="2026-01-01T00:00:10+00:00")
    copied.seal()
    assert list(faults(store, copied.folder, known)) == ["others.copies"]


def test_a_trial_is_submitted_once(store: Store, known: Known) -> None:
    copied = copy_of(store, "ada", "second", keep=["bitfit"])
    found = faults(store, copied.folder, known)
    assert list(found) == ["others.duplicates"]
    assert len(found["others.duplicates"]) == 5
    assert all("is the trial of submissions/ada/first/trials/" in line for line in found["others.duplicates"])


def test_the_same_trials_trained_again_are_a_reproduction(
    store: Store, tmp_path: Path, requests_of: Callable[..., list[TrialRequest]], known: Known
) -> None:
    from benchmark.submissions.standing import standings

    for request in requests_of(0, methods=["linear"]):
        finish(ResultStore(tmp_path / "again"), request, known, run=1)
    added = submit(tmp_path / "again", store=store.folder, submitter="bob")
    assert not added.failures
    rows = standings(store)
    of_linear = rows[rows["method"] == "linear"]
    assert dict(zip(of_linear["submitter"], of_linear["standing"], strict=True)) == {
        "ada": "reproduced",
        "bob": "reproduced",
    }
    assert set(rows[rows["method"] == "bitfit"]["standing"]) == {"self-reported"}
    assert len(list(store.records())) == 15  # both records of a trial are kept


def test_a_rule_that_breaks_refuses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(checks, "CHECKS", (listed,))
    [failure] = check_submission(store.folder).failures
    assert "listed fails: KeyError: 'surprise'" in failure


def test_own_checkpoints_and_unverified_data_are_marked(tampered: Tampered) -> None:
    for path in tampered.records():
        set_in(path, "data", "verified", value=None)
        set_in(path, "request", "backbone", "weights", value="file:mine.pth")
        tampered.rename(path)
    tampered.seal()
    found = check_submission(tampered.folder)
    assert found.failures == []
    assert found.marks["data not verified"] == 10
    assert found.marks[f"checkpoint of the submitter (sha256 {'c' * 12})"] == 10
