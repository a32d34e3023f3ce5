"""What the API says about a results folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import benchmark
from benchmark.api.clean import clean
from benchmark.api.schemas import SCHEMAS
from benchmark.errors import BenchmarkError
from benchmark.records.lease import Lease
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


@pytest.fixture
def requests_(make_request: Make) -> list[TrialRequest]:
    return [make_request(methods=[method]) for method in ("linear", "aat_ms")]


@pytest.fixture
def results(requests_: list[TrialRequest], tmp_path: Path) -> Path:
    """One finished trial of two."""
    make_results(tmp_path / "out", [make_record(requests_[0], [0.25, 0.5])], requests_)
    return tmp_path / "out"


def test_status_counts_and_names_what_is_running(results: Path, requests_: list[TrialRequest]) -> None:
    with Lease.take(results, requests_[1].id):
        log = ResultStore(results).log_path(requests_[1].id)
        log.parent.mkdir(parents=True)
        log.write_text("2026-01-01T00:00:00 epoch 1 of 2\n")
        found = benchmark.status(results)
    assert found.plan.counts() == {"done": 1, "stale": 0, "failed": 0, "missing": 1}
    assert found.running == {requests_[1].id}
    assert not found.is_over
    [running] = map(str, found.running_lines())
    assert running.startswith("running ")
    assert running.endswith("  epoch 1 of 2")
    assert "(1 running)" in found.counts()
    assert [str(block).split()[0] for block in found.blocks(trials=True)] == ["done", "running", "2"]
    assert found.as_dict()["running"] == [requests_[1].id]
    assert [cell.counts for cell in found.cells] == [{"done": 1}, {"running": 1}]
    lines = str(found).splitlines()
    assert lines[0] == "AST (demo size, random weights) (ast[size=demo;weights=random:0]), protocol reference"
    assert [line.split() for line in lines if line.startswith(("linear", "aat_ms"))] == [
        ["linear", "1/1"],
        ["aat_ms", "0/1"],
    ]
    assert "1 running" in lines[lines.index(next(line for line in lines if line.startswith("aat_ms"))) + 1]


def test_report_and_explain(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = benchmark.report(str(results), tmp_path / "there")
    assert all(path.parent == tmp_path / "there" and path.is_file() for path in report.paths)
    assert len(report.results) == 2
    SCHEMAS["report"].model_validate(report.as_dict())
    assert report.warnings
    [cell] = benchmark.explain(results, "linear")
    assert [trial["fold"] for trial in cell["trials"]] == [1]
    assert benchmark.explain(results, ["esc50", "linear"])[0]["cell"] == cell["cell"]
    assert capsys.readouterr() == ("", "")


def test_claims_are_judged_and_counted(results: Path) -> None:
    judged = benchmark.claims(results)
    assert judged.unexpected() == []
    assert str(judged.summaries["aat"]) in str(judged)
    assert len(judged.as_dicts()) == len(judged.judged) > 50
    with pytest.raises(BenchmarkError, match="unknown protocol"):
        benchmark.claims(results, protocol="referense")


def test_merge_takes_one_folder_or_several(results: Path, tmp_path: Path) -> None:
    assert benchmark.merge(results, tmp_path / "all").records == 1
    assert benchmark.merge([str(results)], tmp_path / "all").equal == 1
    assert len(benchmark.load_results(tmp_path / "all")) == 1


def test_clean_returns_what_goes(results: Path, requests_: list[TrialRequest]) -> None:
    store = ResultStore(results)
    store.write_attempt(Attempt.now(requests_[0], "failed", "no", "no", "code"))
    [leftover] = clean(results, dry_run=True)
    assert leftover.path.is_file()
    assert clean(str(results)) == [leftover]
    assert not leftover.path.exists()


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    for call in (benchmark.status, benchmark.report, benchmark.claims, benchmark.load_results):
        with pytest.raises(BenchmarkError):
            call(tmp_path / "nothing")
