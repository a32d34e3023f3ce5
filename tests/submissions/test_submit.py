"""From a finished run to a store, as a submitter and a store's maintainer do it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.api.schemas import SCHEMAS
from benchmark.api.submit import check_submission, new_store, submit
from benchmark.errors import BenchmarkError
from benchmark.metrics import of_split
from benchmark.records.choice import Candidate, Choice
from benchmark.records.frame import load_results
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.spec.request import MethodPart, TrialRequest, changed
from benchmark.submissions import checks
from benchmark.submissions.known import Known
from benchmark.submissions.layout import Store
from benchmark.submissions.shrink import shrink
from tests.conftest import REPOSITORY, Cli
from tests.submissions.conftest import Tampered, finish
from tests.submissions.test_checks import faults

Requests = Callable[..., list[TrialRequest]]


def test_a_run_goes_into_a_new_store(cli: Cli, tmp_path: Path, out: Path) -> None:
    made = cli("new", "store", tmp_path / "store", "--name", "a store")
    assert made.returncode == 0, made.stderr
    checked = cli("submit", out, "--store", tmp_path / "store", "--submitter", "ada", "--dry-run")
    assert "10 records: no fault" in checked.stdout
    assert not list((tmp_path / "store" / "submissions").glob("*/*"))
    done = cli("submit", out, "--store", tmp_path / "store", "--submitter", "ada", "--note", "hello", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = SCHEMAS["submit"].model_validate_json(done.stdout)
    assert (said.model_dump()["records"], said.model_dump()["failures"]) == (10, [])
    [submission] = Store(tmp_path / "store").submissions()
    assert (submission.submitter, submission.note, submission.licence) == ("ada", "hello", "CC-BY-4.0")
    folder = tmp_path / "store" / submission.path
    assert set(submission.files) | {"submission.json"} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    again = cli("check-submission", tmp_path / "store")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "1 submission with 10 records: no fault")
    assert load_results(folder)["score"].equals(load_results(out)["score"])  # an ordinary results folder
    for name in ("README.md", "STORE.md", ".gitignore", ".github/workflows/check.yml"):
        text = (tmp_path / "store" / name).read_text()
        assert text
        assert "{%" not in text
    assert "check-submission . --since" in (tmp_path / "store" / ".github/workflows/check.yml").read_text()


def test_a_broken_rule_adds_nothing(cli: Cli, tmp_path: Path, requests_of: Requests, known: Known) -> None:
    for request in requests_of(0, methods=["linear"])[:-1]:
        finish(ResultStore(tmp_path / "out"), request, known)
    store = new_store(tmp_path / "store")
    before = sorted(store.folder.rglob("*"))
    done = cli("submit", tmp_path / "out", "--store", store.folder, "--submitter", "ada")
    assert done.returncode == 1
    assert "1 trial missing, such as fold 5 seed 0; run and submit all folds of each seed" in done.stdout
    assert "1 fault in 4 records; nothing was added" in done.stdout
    assert [path for path in sorted(store.folder.rglob("*")) if path.name != ".lock"] == before


def test_the_demo_goes_into_a_store_of_synthetic_records_only(tmp_path: Path) -> None:
    demo, real = REPOSITORY / "results" / "demo", new_store(tmp_path / "real")
    only = {"datasets": "gtzan", "methods": ["linear", "bitfit", "full"], "backbones": "ast-demo"}
    refused = submit(demo, store=real.folder, submitter="ada", **only)
    assert refused.failures
    assert all("is of synthetic audio; this store takes none" in str(failure) for failure in refused.failures)
    synthetic = new_store(tmp_path / "synthetic", accepts=["synthetic", "partial"])
    added = submit(demo, store=synthetic.folder, submitter="ada", **only)
    assert not added.failures
    assert all("synthetic audio" in stored.record.marks for stored in synthetic.records())


def test_real_records_do_not_go_into_a_store_of_synthetic_ones(tmp_path: Path, out: Path) -> None:
    synthetic = new_store(tmp_path / "synthetic", accepts=["synthetic"])
    refused = submit(out, store=synthetic.folder, submitter="ada", methods="linear")
    assert len(refused.failures) == 5
    assert all("is of real audio; this store is for synthetic audio" in str(failure) for failure in refused.failures)


def test_partial_runs_need_the_same_folds_for_all_methods(tmp_path: Path, requests_of: Requests, known: Known) -> None:
    store = new_store(tmp_path / "store", accepts=["partial"])
    for request in requests_of(0):
        if request.fold <= 2 and (request.method.name, request.fold) != ("linear", 2):
            finish(ResultStore(tmp_path / "out"), request, known)
    [failure] = submit(tmp_path / "out", store=store.folder, submitter="ada").failures
    assert "linear: 1 trial missing, such as fold 2 seed 0" in str(failure)
    [missing] = [one for one in requests_of(0, methods=["linear"]) if one.fold == 2]
    finish(ResultStore(tmp_path / "out"), missing, known)
    assert not submit(tmp_path / "out", store=store.folder, submitter="ada").failures


@pytest.mark.parametrize("name", ["Ada", "../ada", "a" * 40, "", "-a", "a b", "a\n"])
def test_names_that_cannot_be_used_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)submitter.*: expected lower-case letters, digits and hyphens"):
        submit(tmp_path, store=tmp_path, submitter=name)


def test_mistakes_are_one_line(cli: Cli, tmp_path: Path, out: Path, store: Store) -> None:
    where = ("--submitter", "ada", "--store")
    for arguments, message in [
        (("submit", out, *where, tmp_path), "not a results store (no store.json); create one with"),
        (("submit", tmp_path, *where, store.folder), "no results here"),
        (("submit", out, *where, store.folder, "--method", "lora"), "no finished trial to submit"),
        (("submit", out, *where, store.folder, "--name", "first"), "exists already; choose another --name"),
        (("submit", out, *where, store.folder, "--source", "no.py"), "--source no.py: no such file"),
        (("new", "store", store.folder), "is not empty; name a new folder"),
        (("new", "store", tmp_path / "new", "--accept", "real"), "--accept real: Input should be"),
        (("check-submission", tmp_path / "none"), "no such folder"),
        (("check-submission", out), "is in no store; name one with --store"),
    ]:
        done = cli(*arguments)
        assert done.returncode == 2, arguments
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def outside_run(folder: Path, source: str, requests: list[TrialRequest], known: Known) -> None:
    """Write the records of a method from outside."""
    for request in requests:
        part = MethodPart(name="mine", options={}, source=hashlib.sha256(source.encode()).hexdigest()[:12])
        method = request.method.model_copy(update={"parts": (part,), "variant": "mine"})
        record = finish(ResultStore(folder), request, known)
        new = changed(request, method=method)
        arrays = dict(np.load(ResultStore(folder).record_path(request).with_suffix(".npz")))
        for suffix in (".json", ".npz"):
            ResultStore(folder).record_path(request).with_suffix(suffix).unlink()
        ResultStore(folder).write(record.model_copy(update={"request": new, "id": new.id}), arrays)


def test_a_method_from_outside_comes_with_source_and_licence(
    tmp_path: Path, store: Store, requests_of: Requests, known: Known
) -> None:
    source = "raise SystemExit('a check ran me')\n"
    (tmp_path / "mine.py").write_text(source)
    outside_run(tmp_path / "out", source, requests_of(0, methods=["linear"]), known)
    call: dict[str, Any] = {"store": store.folder, "submitter": "bob"}
    with pytest.raises(BenchmarkError, match="'mine' is not the suite's: give its licence"):
        submit(tmp_path / "out", **call)
    with pytest.raises(BenchmarkError, match=r"give its file \(digest [0-9a-f]{12}\) with --source FILE"):
        submit(tmp_path / "out", **call, source_licence="MIT")
    (tmp_path / "other.py").write_text("# another version\n")
    with pytest.raises(BenchmarkError, match="no record ran this file with this content"):
        submit(tmp_path / "out", **call, sources=tmp_path / "other.py", source_licence="MIT")
    added = submit(tmp_path / "out", **call, sources=tmp_path / "mine.py", source_licence="MIT")
    assert not added.failures
    assert added.folder is not None
    assert (added.folder / "methods" / "mine.py").read_text() == source
    assert check_submission(store.folder).failures == []


def test_choices_of_settings_are_submitted_with_their_trials(
    tmp_path: Path, store: Store, requests_of: Requests, known: Known
) -> None:
    results = ResultStore(tmp_path / "out")
    finals = [finish(results, request, known) for request in requests_of(1, methods=["linear"])]
    tried = [finish(results, changed(finals[0].request, held_out=True, seed=seed), known) for seed in (7, 8)]
    choice = make_choice(finals[0], tried)
    results.write_choice(choice)
    added = submit(tmp_path / "out", store=store.folder, submitter="bob", name="tuned")
    assert not added.failures
    assert len(list(store.choice_records())) == 2
    it = Tampered(store.folder / "submissions" / "bob" / "tuned")
    [path] = (it.folder / "tuning" / "choices").glob("*.json")
    chosen = choice.chosen
    assert chosen is not None
    for change, message in (
        ({"chosen": 1 - chosen}, "does not choose the candidate with the best validation score"),
        ({"score": 0.999}, "says 0.999 of trial"),
        ({"trial": "0" * 12}, "names the trial '000000000000', which is not there"),
    ):
        content = json.loads(choice.model_dump_json())
        (content if "chosen" in change else content["candidates"][chosen]).update(change)
        path.write_text(json.dumps(content))
        it.seal()
        found = faults(store, it.folder, known)
        assert list(found) == ["cells.choices"]
        assert message in found["cells.choices"][0]


def make_choice(final: Record, tried: list[Record]) -> Choice:
    """Return the choice between two settings, by their validation score."""
    scores = [record.curves[-1].splits["test"]["accuracy"] for record in tried]
    candidates = tuple(
        Candidate(method="linear", lr=0.001, trial=record.id, cell=final.request.cell, state="completed", score=score)
        for record, score in zip(tried, scores, strict=True)
    )
    return Choice(
        protocol="corrected", backbone="ast", dataset="esc50", method="linear", fold=1, has_folds=True, seed=0,
        validation="made up", final_trials=5, candidates=candidates, chosen=int(np.argmax(scores)),
    )  # fmt: skip


def git(folder: Path, *words: str) -> None:
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *settings, *words], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "change")


def test_a_pull_request_only_adds_to_the_own_folder(
    cli: Cli, tmp_path: Path, store: Store, requests_of: Requests, known: Known
) -> None:
    git(store.folder, "init", "-q", "-b", "main")
    commit(store.folder)
    git(store.folder, "checkout", "-qb", "mine")
    for request in requests_of(1, methods=["linear"]):
        finish(ResultStore(tmp_path / "out"), request, known)
    assert not submit(tmp_path / "out", store=store.folder, submitter="bob", name="one").failures
    commit(store.folder)
    check = ("check-submission", store.folder, "--since", "main", "--submitter")
    good = cli(*check, "Bob")
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "1 submission with 5 records: no fault")
    other = cli(*check, "eve")
    assert other.returncode == 1
    assert "belongs to bob, the change is made by eve; use your own folder" in other.stdout
    it = Tampered(store.folder / "submissions" / "ada" / "first")
    it.edit_manifest(lambda manifest: manifest.update(note="better"))
    (store.folder / "store.json").write_text('{"store_version": 1, "name": "mine", "accepts": ["synthetic"]}')
    commit(store.folder)
    bad = check_submission(store.folder, since="main", submitter="bob").failures
    assert any("ada/first/submission.json: is changed or removed; submissions are only added" in line for line in bad)
    assert any("store.json: is changed beside a submission" in line for line in bad)
    wrong = cli("check-submission", store.folder, "--since", "--output=evil")
    assert wrong.returncode == 2
    assert "is no name of a commit" in wrong.stderr


def test_predictions_are_halved_only_if_every_score_stays(out: Path) -> None:
    store = ResultStore(out)
    record = next(store.records())
    with np.load(store.record_path(record.request).with_suffix(".npz")) as stored:
        arrays = dict(stored)
    small = shrink(record, arrays, 2)
    assert set(small) == {*("classes", "epochs"), *(f"{name}_test" for name in SHRUNK)}
    assert small["epochs"].tolist() == [2]
    truth = small["targets_test"], small["observed_test"], record.request.ranking
    scores = of_split.evaluate(small["logits_test"][0], *truth)
    assert scores.items() <= record.curves[1].splits["test"].items()
    # two logits that half precision cannot tell apart: the clip is right by the smaller class number
    close = arrays["logits_test"].copy()
    right = arrays["targets_test"][7].argmax()
    close[1, 7] = 0
    close[1, 7, right], close[1, 7, right - 1] = 1.00001, 1.0
    kept = shrink(record, arrays | {"logits_test": close}, 2)
    assert kept["logits_test"].dtype == np.float32
    assert np.array_equal(kept["logits_test"][0], close[1])


SHRUNK = ("clips", "groups", "targets", "observed", "logits", "values")


def test_older_predictions_are_named(out: Path) -> None:
    store = ResultStore(out)
    record = next(store.records())
    with pytest.raises(BenchmarkError, match="lack the logits of the reported epoch"):
        shrink(record, {"epochs": np.array([1])}, 2)


def test_a_killed_call_leaves_nothing(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.submissions.add.run_checks", killed)
    with pytest.raises(KeyboardInterrupt):
        submit(out, store=store.folder, submitter="bob")
    assert not list(store.folder.glob("submissions/bob"))
    assert not list(store.folder.glob(".draft-*"))


def test_rules_are_described() -> None:
    assert all((check.__doc__ or "").strip() for check in checks.CHECKS)
