"""What the page embeds: overview, claims, charts and provenance, in sizes that do not grow with the trials."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.records.floor import write_floor
from benchmark.records.schema import Attempt, Record
from benchmark.report.by_class.result import ByClass, OfClass, Value
from benchmark.report.claims.judge import judge
from benchmark.report.claims.matrix import claim_rows, columns, tally
from benchmark.report.claims.summary import summarise
from benchmark.report.page import charts, overview
from benchmark.report.page.assets import SCRIPTS, load_assets, read
from benchmark.report.page.build import to_html
from benchmark.report.page.claims import details, matrices
from benchmark.report.page.provenance import provenance
from benchmark.report.page.tables import section
from benchmark.report.papers import load_paper
from benchmark.report.write import build_tables
from benchmark.spec.request import TrialRequest
from tests.samples import make_floor, make_record, make_results

Make = Callable[..., TrialRequest]


def of_folds(make_request: Make, method: str, scores: list[float], **changes: object) -> list[Record]:
    return [make_record(make_request(methods=[method], folds=[fold]), scores, **changes) for fold in range(1, 6)]


def test_the_overview_counts_failed_and_diverged_trials(make_request: Make, tmp_path: Path) -> None:
    records = of_folds(make_request, "full", [0.5])
    requests = [record.request for record in records]
    diverged = records[1].model_copy(update={"status": "diverged"})
    results = make_results(tmp_path, [diverged, *records[2:]], requests)
    results.store.write_attempt(Attempt.now(requests[0], "failed", "no", "no", "code"))
    results.store.write_attempt(Attempt.now(requests[2], "failed", "an earlier one", "no", "code"))
    assert overview.completeness(results) == "4 of 5 trials are finished, 1 failed, 1 diverged"
    facts = dict(overview.facts(results))
    assert facts["folds x seeds"] == "5 x 1"
    assert facts["datasets"] == "ESC-50"
    assert facts["finished"] == "2026-01-01"


def test_datasets_with_other_folds_are_named(make_request: Make, tmp_path: Path) -> None:
    of_gtzan = make_record(make_request(datasets=["gtzan"], folds=[0]), [0.5])
    records = [*of_folds(make_request, "full", [0.5]), of_gtzan]
    facts = dict(overview.facts(make_results(tmp_path, records)))
    assert facts["folds x seeds"] == "5 x 1 (ESC-50), 1 x 1 (GTZAN)"


def test_the_main_table_is_split_by_backbone_and_floors_are_in_each_part(make_request: Make, tmp_path: Path) -> None:
    backbones = ("ast[size=demo;weights=random:0]", "ssast[size=demo;weights=random:0]")
    records = [make_record(make_request(backbones=[name]), [0.5]) for name in backbones]
    for record in records:
        scores = {"chance": 0.1, "majority_class": 0.2, "log-mel_regression": 0.3}
        write_floor(tmp_path, make_floor(record.request, **scores))
    results = make_results(tmp_path, records)
    shown = section(build_tables(results)[0], results, by_backbone=True)
    assert [part["caption"].partition(" (")[0] for part in shown["grids"]] == ["AST", "SSAST"]
    assert {tuple(part["head"]) for part in shown["grids"]} == {("method", "ESC-50")}
    assert [row["is_floor"] for row in shown["grids"][0]["rows"]] == [False, True, True, True]
    assert shown["grids"][0]["rows"][0]["cells"][1]["cells"] in set(results.cells["cell"])


def test_points_hold_score_interval_and_costs(make_request: Make, tmp_path: Path) -> None:
    records = of_folds(make_request, "full", [0.25, 0.5]) + of_folds(make_request, "linear", [0.5, 0.75])[1:]
    found = charts.chart_data(make_results(tmp_path, records, [record.request for record in records]))
    assert [method["name"] for method in found["methods"]] == ["Full fine-tuning", "Linear probing"]
    assert [(point["method"], point["score"], point["trials"]) for point in found["points"]] == [
        (0, 50.0, 5),
        (1, 75.0, 4),
    ]
    labels = [cost["label"] for cost in found["costs"]]
    assert labels[:2] == ["trainable parameters (M)", "all parameters (M)"]
    assert "peak GPU memory (MB)" not in labels
    assert found["points"][0]["costs"][0] == pytest.approx(1e-4)
    assert found["curves"][0]["points"] == [(1, 25.0), (2, 50.0)]
    assert found["measures"] == ["accuracy (%)"]


def test_a_matrix_of_many_classes_keeps_the_most_confused() -> None:
    size = charts.MATRIX_CLASSES + 20
    counts = np.eye(size) * 4
    counts[size - 1] = 0
    counts[size - 1, size - 2] = 4
    one = Value(mean=1.0, seed_sd=None)
    names = [OfClass(name=f"c{number}", clips=4, support=4, values={"recall": one}) for number in range(size)]
    found = ByClass(
        metric="accuracy", seeds=(0,), classes=tuple(names), summary={}, calibration=(),
        confusion=tuple(map(tuple, counts.tolist())),
    )  # fmt: skip
    matrix = charts._matrix(found)
    assert matrix is not None
    assert (len(matrix["names"]), matrix["omitted"]) == (charts.MATRIX_CLASSES, 20)
    assert matrix["names"][-2:] == [f"c{size - 2}", f"c{size - 1}"]
    assert [charts.MATRIX_CLASSES - 1, charts.MATRIX_CLASSES - 2, 4.0] in matrix["entries"]


def test_the_page_grows_little_with_each_trial(make_request: Make, tmp_path: Path) -> None:
    def size(seeds: int) -> int:
        records = [
            make_record(make_request(folds=[fold], seeds=[seed]), [0.123456789])
            for fold in range(1, 6)
            for seed in range(seeds)
        ]
        results = make_results(tmp_path / str(seeds), records)
        found = provenance(results)
        [cell] = found["cells"].values()
        fold, seed, draw, epoch, score, digest, place = cell["trials"][0]
        assert (results.store.folder / cell["folder"] / f"{place}-{digest}.json").is_file()
        assert (fold, seed, draw, epoch, score) == (1, 0, None, 1, 0.123457)
        return len(json.dumps({**found, "charts": charts.chart_data(results)}))

    assert (size(5) - size(1)) / 20 < 80  # bytes for each trial


def test_cells_share_what_is_equal(make_request: Make, tmp_path: Path) -> None:
    records = [make_record(make_request(methods=[method]), [0.5]) for method in ("full", "linear", "prompt")]
    found = provenance(make_results(tmp_path, records))
    pointers = [cell["shared"] for cell in found["cells"].values()]
    assert len({pointer["backbone"] for pointer in pointers}) == 1
    assert found["shared"][pointers[0]["recipe"]]["epochs"] == 2
    assert {found["shared"][pointer["method"]][0]["name"] for pointer in pointers} == {"full", "linear", "prompt"}


def test_claims_are_a_matrix_of_datasets(make_request: Make, tmp_path: Path) -> None:
    results, paper = make_results(tmp_path, [make_record(make_request(), [0.5])]), load_paper("aat")
    judged = judge(results, [paper])
    rows = claim_rows(judged)
    assert sum(len(row.verdicts) for row in rows) == len(judged) == sum(tally(judged).values())
    assert columns(rows, results.order.datasets) == [*results.order.datasets, "average", ""]
    summary = summarise(judged, paper, results)
    assert summary.size == f"{len(rows)} claims, {len(judged)} checks"
    assert summary.outcome == "none judged: random weights, demo backbone, recipe changed, some folds only"
    first = next(row for row in rows if row.statement == "On AST, AAT-MS beats head tuning")
    assert list(first.verdicts) == [*paper.about.datasets, "average"]
    [shown] = matrices(results, [paper], judged, {"aat": "reference"}, {"aat": summary})
    lines = [line for part in ("judged", "not_run") for line in shown[part]["rows"]]
    texts = details(judged)
    for row in rows:
        said = [{texts[sign["place"]]["what"] for sign in line["signs"] if sign} for line in lines]
        assert {claim.statement for claim in row.verdicts.values()} in said
    assert len(lines) == len(rows)
    assert {sign["verdict"] for line in shown["not_run"]["rows"] for sign in line["signs"] if sign} == {"not run"}


def test_the_page_says_which_method_is_best_and_why_no_claim_is_judged(make_request: Make, tmp_path: Path) -> None:
    records = of_folds(make_request, "full", [0.5]) + of_folds(make_request, "linear", [0.75])
    results = make_results(tmp_path, records)
    page = to_html(results, build_tables(results), [])
    assert "<h3>Which method is best?</h3>" in page
    assert "<li>ESC-50: highest Linear probing, 75.0 % (minus Full fine-tuning: +25.0" in page
    assert "59 claims, 188 checks (a check is a claim on one dataset or backbone)" in page
    assert "<p>none judged: random weights, demo backbone, recipe changed.</p>" in page
    assert "These results judge none of its claims: random weights, demo backbone, recipe changed." in page
    assert "claims that are not judged</summary>" in page
    assert "; best on validation where a dataset has validation clips" in page


def test_the_policy_names_each_script_and_style() -> None:
    policy = load_assets().policy
    for name in ("style.css", "theme.js", *SCRIPTS):
        digest = base64.b64encode(hashlib.sha256(read(name).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert "</script" not in read(name)
        assert "<!--" not in read(name)
        assert "\r" not in read(name)  # a browser reads it as another character, with another digest
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")


def test_diverged_and_missing_trials_leave_valid_json(make_request: Make, tmp_path: Path) -> None:
    records = [
        *of_folds(make_request, "full", [None, None], status="diverged"),
        *of_folds(make_request, "linear", [0.5]),
    ]
    results = make_results(tmp_path, records[:-1], [record.request for record in records])
    content = to_html(results, build_tables(results), [])
    [data] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', content, re.DOTALL)
    found = json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["charts"]["points"] == []
    assert '<section id="costs">' not in content
    assert "diverged (5 of 5)" in content
    empty = make_results(tmp_path / "nothing", [], [make_request()])
    assert "0 of 1 trials are finished." in to_html(empty, build_tables(empty), [])
