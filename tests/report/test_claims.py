"""Verdicts on records with known results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.console import as_text
from benchmark.planning.expand import expand
from benchmark.records.schema import Data, Record, Selection, StepProfile
from benchmark.records.store import ResultStore
from benchmark.report.against import against_blocks
from benchmark.report.best import best_blocks, best_methods
from benchmark.report.claims.judge import judge
from benchmark.report.claims.ledger import Judged
from benchmark.report.claims.scores import ONE_SEED, decide
from benchmark.report.papers import load_paper
from benchmark.report.results import Results
from benchmark.report.write import read_results
from benchmark.spec.grid import load_grid, narrow
from benchmark.spec.request import TrialRequest
from benchmark.trial.profile import How, profile_steps
from tests.conftest import Cli
from tests.samples import make_record, make_results

CLIPS = 400


def judge_aat(results: Results, protocol: str | None = None) -> list[Judged]:
    return judge(results, [load_paper("aat")], protocol)


def paper_records(shares: dict[str, float], **choice: list[str]) -> tuple[list[Record], dict[str, np.ndarray]]:
    """Return records without marks of the paper's grid on ESC-50; `shares` is the share of correct clips by method."""
    grid = narrow(load_grid("paper"), datasets=["esc50"], methods=list(shares), **choice)
    records, parts = [], {}
    for request in expand(grid, Path("no-data"), Path("no-checkpoints")).requests:
        content = request.model_dump(mode="json")
        content["dataset"]["manifest"], content["backbone"]["sha256"] = "0" * 64, "1" * 64
        whole = TrialRequest.model_validate(content)
        share = shares[whole.method.name]
        record = make_record(whole, [share] * 3)
        parts[record.id] = (np.arange(CLIPS) < share * CLIPS).astype(np.float32)
        records.append(record)
    return records, parts


def verdicts(folder: Path, shares: dict[str, float], **choice: list[str]) -> dict[str, Judged]:
    records, parts = paper_records(shares, **choice)
    return {claim.id: claim for claim in judge_aat(make_results(folder, records, parts=parts))}


def test_orders_are_judged_by_their_intervals(tmp_path: Path) -> None:
    shares = {"full": 0.95, "linear": 0.80, "aat_m": 0.92, "aat_ms": 0.90}
    found = verdicts(tmp_path, shares, backbones=["ast"], seeds=["0,1,2"])
    assert found["aat-ms-linear-ast-esc50"].verdict == "reproduced"
    assert found["aat-ms-full-ast-esc50"].verdict == "differs"  # five points below, margin half a point
    assert not found["aat-ms-full-ast-esc50"].as_expected
    assert found["spatial-ast-esc50"].verdict == "differs"
    assert found["curve-order-esc50-m-full"].verdict == "differs"
    assert found["aat-ms-partial-ast-esc50"].verdict == "not run"
    assert found["aat-ms-linear-ast-gtzan"].verdict == "not run"
    assert found["aat-ms-linear-ast-gtzan"].statement.endswith(" (GTZAN)")
    assert found["aat-ms-linear-ast-gtzan"].why == "AAT-MS on GTZAN (AST) was not run"
    assert found["aat-ms-linear-ast-average"].verdict == "not run"
    assert found["aat-ms-linear-ast-esc50"].measured == pytest.approx(10.0)
    score = found["score-ast-esc50-full-test"]
    assert (score.verdict, score.paper) == ("reproduced", "95.5")
    assert found["score-ast-esc50-linear-test"].verdict == "differs"


def test_the_best_method_is_compared_with_full_fine_tuning(tmp_path: Path) -> None:
    records, parts = paper_records({"full": 0.80, "linear": 0.795, "aat_ms": 0.92}, backbones=["ast"], seeds=["0,1"])
    [best] = best_methods(make_results(tmp_path / "two", records, parts=parts))
    assert (best.method, best.score, best.tied, best.lower) == ("aat_ms", pytest.approx(0.92), 0, 2)
    assert best.difference == pytest.approx(12.0)
    assert best.low is not None
    assert best.high is not None
    assert 0 < best.low < 12.0 < best.high
    text = as_text(best_blocks([best]))
    [row] = [line for line in text.splitlines() if line.startswith("  ESC-50")]
    assert row.startswith("  ESC-50: highest AAT-MS, 92.0 % (minus Full fine-tuning: +12.0 [+")
    assert row.endswith("]); all other methods are significantly lower (2,000 test clips, 2 seeds).")
    assert ("One seed" in text) == (not best.about_methods)
    alone = [record for record in records if record.request.method.name != "full"]
    [best] = best_methods(make_results(tmp_path / "alone", alone, parts=parts))
    assert (best.method, best.other, best.difference) == ("aat_ms", "linear", pytest.approx(12.5))
    assert "(minus Linear probing: +12.5 [" in best.sentence
    submitted = [record.request for record in records]
    [best] = best_methods(make_results(tmp_path / "unfinished", alone, submitted, parts=parts))
    assert (best.other, best.difference) == ("full", None)
    assert "(Full fine-tuning is not finished)" in best.sentence
    only = [record for record in records if record.request.method.name == "aat_ms"]
    [best] = best_methods(make_results(tmp_path / "only", only, parts=parts))
    assert best.sentence == "ESC-50: highest AAT-MS, 92.0 %; no other method is finished (2,000 test clips, 2 seeds)."
    assert best_methods(make_results(tmp_path / "one", records[1:2], [record.request for record in records])) == []


def test_methods_with_one_score_are_best_together(tmp_path: Path) -> None:
    shares = {"full": 0.91, "linear": 0.92, "aat_ms": 0.92}
    records, parts = paper_records(shares, backbones=["ast"], seeds=["0"])
    [best] = best_methods(make_results(tmp_path, records, parts=parts))
    assert best.sentence.startswith("ESC-50: highest Linear probing and AAT-MS, 92.0 % (minus Full fine-tuning: +1.0 [")
    assert (best.method, best.equal, best.about_methods) == ("linear", ("aat_ms",), False)


def test_differences_that_were_asked_for_are_printed(tmp_path: Path) -> None:
    records, parts = paper_records({"full": 0.95, "linear": 0.80, "aat_ms": 0.80}, backbones=["ast"], seeds=["0,1"])
    requests = [record.request for record in records]
    results = make_results(tmp_path / "out", records, requests, parts=parts)
    text = as_text(against_blocks(results, "linear", Path("FOLDER")), 200)
    assert "Score minus Linear probing, in points, AST, protocol reference" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("ESC-50")]
    assert [row[1] for row in rows] == ["Full", "AAT-MS"]
    assert [row[-6:] for row in rows] == [["(2)", "2,000", "clips", "x", "2", "seeds"]] * 2
    assert "equal on every clip" in text
    assert "p (Holm, n comparisons)" in text
    assert text.endswith("All differences: FOLDER/differences.md")
    linear = [record for record in records if record.request.method.name == "linear"]
    unfinished = [record for record in records if record not in linear[1:]]
    results = make_results(tmp_path / "unfinished", unfinished, requests, parts=parts)
    lines = as_text(against_blocks(results, "linear", Path("FOLDER")), 200).splitlines()
    assert lines == [
        "No differences where Linear probing is not finished: AST, ESC-50 (1/10 trials).",
        "No other method can be compared with Linear probing.",
    ]


def test_signs_of_claims_are_a_matrix(tmp_path: Path, cli: Cli) -> None:
    shares = {"full": 0.95, "linear": 0.80, "aat_m": 0.92, "aat_ms": 0.90}
    records, parts = paper_records(shares, backbones=["ast"], seeds=["0,1,2"])
    make_results(tmp_path, records, parts=parts)
    done = cli("claims", "--results", tmp_path)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    [row] = [line for line in lines if line.startswith("Full fine-tuning (AST): score on test, last epoch")]
    assert row.split("epoch")[1].split()[0] == "+"
    assert any(line.startswith("1 ESC-50, 2 UrbanSound8K") for line in lines)
    assert any(line.startswith("differs  ") for line in lines)
    assert not any(line.startswith(("not run", "reproduced")) for line in lines)
    assert lines[-1].startswith("not as expected: ")
    assert "; claims.yaml expects: reproduced (" in lines[-1]
    [verdicts] = [line for line in lines if line.startswith("AAT, protocol reference: ")]
    assert "59 claims, 188 checks (a check is a claim on one dataset or backbone): " in verdicts
    [row] = [line for line in lines if line.startswith("differs") and "On AST, AAT-MS matches" in line]
    assert "(2000 clips in 400 groups x 3 seeds)" in row


def test_an_order_of_the_same_methods_does_not_hide_a_comparable_cell(tmp_path: Path) -> None:
    records, parts = paper_records({"aat_m": 0.9, "aat_m+prompt": 0.8}, backbones=["ast"], seeds=["0,1,2"])
    changed = []
    for record in records:
        if record.request.method.variant == "aat_m+prompt":
            content = record.request.model_dump(mode="json")
            content["method"]["parts"] = content["method"]["parts"][::-1]
            content["method"]["variant"], content["recipe"]["lr"] = "prompt+aat_m", 0.5
            changed.append(make_record(TrialRequest.model_validate(content), [0.1] * 3))
    parts |= {record.id: np.zeros(CLIPS, np.float32) for record in changed}
    results = make_results(tmp_path, [*records, *changed], parts=parts)
    assert sorted(results.cells["method"]) == ["aat_m", "aat_m+prompt", "prompt+aat_m"]
    found = {claim.id: claim for claim in judge_aat(results)}
    assert found["prompt-hurts-m-ast-esc50"].verdict == "reproduced"


def test_one_seed_decides_no_claim_about_a_method(tmp_path: Path) -> None:
    found = verdicts(tmp_path, {"full": 0.95, "linear": 0.8, "aat_ms": 0.9}, backbones=["ast"], seeds=["0"])
    judged = [claim for claim in found.values() if claim.measured is not None and claim.kind in {"order", "score"}]
    assert {claim.verdict for claim in judged} == {"underpowered"}
    why = found["aat-ms-linear-ast-esc50"].why
    assert why.startswith(f"{ONE_SEED}; about 2 seeds would decide it, if scores vary by 1")
    assert "outside the interval plus its tolerance of this seed" in found["score-ast-esc50-linear-test"].why


def test_a_missing_fold_is_not_run_and_marks_are_not_comparable(tmp_path: Path) -> None:
    records, parts = paper_records({"full": 0.9, "aat_ms": 0.9}, backbones=["ast"], seeds=["0"])
    requests = [record.request for record in records]
    found = judge_aat(make_results(tmp_path / "a", records[1:], requests, parts))
    one = next(each for each in found if each.id == "aat-ms-full-ast-esc50")
    assert one.verdict == "not run"
    assert "4 of 5 trials are finished" in one.why
    synthetic = Data.model_validate({**records[0].data.model_dump(), "kind": "synthetic"})
    marked = [record.model_copy(update={"data": synthetic}) for record in records]
    found = judge_aat(make_results(tmp_path / "b", marked, parts=parts))
    assert {each.verdict for each in found} <= {"not run", "not comparable"}
    assert "synthetic audio" in next(each for each in found if each.id == "aat-ms-full-ast-esc50").why
    other = judge_aat(read_results(ResultStore(tmp_path / "a")), "corrected")
    assert {each.verdict for each in other} == {"not run"}


@pytest.mark.parametrize(
    ("low", "high", "relation", "margin", "verdict"),
    [
        (0.1, 2, "above", 0, "reproduced"),
        (-2, -0.1, "above", 0, "differs"),
        (-1, 1, "above", 0, "underpowered"),
        (-2, -0.1, "below", 0, "reproduced"),
        (-0.4, 0.2, "at_least", 0.5, "reproduced"),
        (-0.9, -0.6, "at_least", 0.5, "differs"),
        (-0.9, 0.2, "at_least", 0.5, "underpowered"),
        (0, 0, "above", 0, "underpowered"),
    ],
)
def test_decide(low: float, high: float, relation: str, margin: float, verdict: str) -> None:
    assert decide(low, high, relation, margin)[0] == verdict  # type: ignore[arg-type]


@pytest.mark.slow
def test_structural_claims_are_judged_on_any_machine(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    done = cli("claims", "--results", tmp_path, "--structural", "--json")
    assert done.returncode == 0, done.stderr
    found = {each["id"]: each for each in json.loads(done.stdout)}
    headline = found["headline-share"]
    assert (headline["verdict"], headline["expect"]) == ("differs", "differs")
    assert headline["measured"] == pytest.approx(100 * 7_117_844 / 94_843_108)
    expected = {"count-full", "count-linear", "count-partial", "count-prompt", "count-aat-m", "count-aat-ms-openmic"}
    assert {found[name]["verdict"] for name in expected} == {"reproduced"}
    assert found["count-aat-ms"]["verdict"] == "differs"
    assert found["identity-aat-ms"]["verdict"] == "reproduced"
    assert found["flops-aat-m-gtzan"]["verdict"] == "reproduced"
    assert found["activations-aat-ms-esc50"]["verdict"] == "reproduced"
    assert found["time-aat-ms-esc50"]["verdict"] == "not run"
    strict = cli("claims", "--results", tmp_path, "--strict")
    assert strict.returncode == 3
    assert "protocol reference: 59 claims, 188 checks" in strict.stdout
    assert ": 38 reproduced, 2 differs, 148 not run" in strict.stdout
    assert strict.stdout.splitlines()[-1].startswith("differs, which --strict counts as a failure: ")
    [row] = [line for line in strict.stdout.splitlines() if line.startswith("The adapters of AAT-MS")]
    assert "+" in row.split()


def test_time_and_memory_are_judged_on_a_gpu_only(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    (tmp_path / "trials").mkdir()
    grid = narrow(load_grid("paper"), datasets=["esc50"], methods=["full", "aat_m", "aat_ms"], backbones=["ast"])
    requests = {each.method.name: each for each in expand(grid, Path("none"), Path("none")).requests}
    seconds = {"full": 1.0, "aat_m": 0.8, "aat_ms": 1.1}
    counted = {
        profile.request.method.name: profile for profile in profile_steps([*requests.values()], How("cpu", 1, 0, 0))
    }

    def measure(device: str, **changes: object) -> dict[str, Judged]:
        for name, profile in counted.items():
            found = {"status": "measured", "steps": 5, "device": device, "step_seconds": seconds[name],
                     "gpu_allocated_bytes": None if device == "cpu" else int(1e9 * seconds[name])}  # fmt: skip
            store.write_profile(StepProfile.model_validate({**profile.model_dump(), **found, **changes}))
        return {each.id: each for each in judge_aat(read_results(store))}

    on_cpu = measure("cpu")
    assert on_cpu["time-aat-m-esc50"].verdict == "not comparable"
    assert on_cpu["memory-aat-m-esc50"].verdict == "not run"
    small = measure("H100", clips=4)
    assert small["memory-aat-m-esc50"].verdict == "not run"  # with a part of the batch
    again = measure("H100", environment={"checkpointing": True})
    assert again["memory-aat-m-esc50"].verdict == "not comparable"
    assert "H100, checkpointing, which the official code does not do" in again["memory-aat-m-esc50"].why
    on_gpu = measure("H100")
    assert on_gpu["time-aat-m-esc50"].verdict == "reproduced"
    # the recipe gives full fine-tuning 48 clips a step and the others 42
    assert on_gpu["time-aat-m-esc50"].measured == pytest.approx(0.8 * 48 / 42)
    assert on_gpu["time-aat-ms-esc50"].verdict == "differs"
    assert on_gpu["memory-aat-ms-esc50"].verdict == "differs"
    assert "H100" in on_gpu["memory-aat-m-esc50"].why
    # another backbone of the same size is not the paper's
    results = read_results(store)
    for place, profile in enumerate(results.profiles):
        if profile.request.method.name == "aat_m":
            backbone = profile.request.backbone.model_copy(update={"name": "mine", "outside": "0" * 64})
            request = TrialRequest.model_validate({**profile.request.model_dump(), "backbone": backbone.model_dump()})
            results.profiles[place] = profile.model_copy(update={"request": request})
    found = {each.id: each.verdict for each in judge_aat(results)}
    assert (found["time-aat-m-esc50"], found["memory-aat-m-esc50"]) == ("not run", "not run")
    assert found["time-aat-ms-esc50"] == "differs"


def test_explain_shows_the_provenance_of_a_cell(tmp_path: Path, cli: Cli) -> None:
    records, parts = paper_records({"full": 0.9}, backbones=["ast"], seeds=["0"])
    make_results(tmp_path, records[1:], [record.request for record in records], parts)
    done = cli("explain", "ast", "esc50", "full", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not complete" in done.stdout
    assert "fold 1 seed 0" in done.stdout.partition("missing")[2].splitlines()[0]
    assert done.stdout.count("trials/ast/esc50/full/") == 4
    same = json.loads(cli("explain", records[1].id, "--results", tmp_path, "--json").stdout)
    assert [len(each["trials"]) for each in same] == [4]
    wrong = cli("explain", "aat_mz", "--results", tmp_path)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_explain_compares_the_cell_with_full_fine_tuning_or_the_best(tmp_path: Path, cli: Cli) -> None:
    records, parts = paper_records({"full": 0.9, "linear": 0.9, "aat_ms": 0.95}, backbones=["ast"], seeds=["0"])
    make_results(tmp_path, records, parts=parts)

    def compared(method: str) -> str:
        done = cli("explain", "ast", "esc50", method, "--results", tmp_path)
        assert "None" not in done.stdout
        [line] = [line for line in done.stdout.splitlines() if line.startswith("  compared")]
        return line.partition("compared")[2].strip()

    assert compared("aat_ms").startswith("minus Full fine-tuning: +5.0 points, 95 % interval +")
    assert compared("aat_ms").endswith("this comparison alone (2,000 clips x 1 seed)")
    assert compared("full").startswith("minus AAT-MS: -5.0 points, 95 % interval -")
    assert compared("linear") == "minus Full fine-tuning: 0.0 points, equal on every clip (2,000 clips x 1 seed)"


def test_selection_over_folds_still_fits(make_request: Callable[..., TrialRequest]) -> None:
    """The samples above choose their epoch over folds, as the reference protocol does."""
    record = make_record(make_request(), [0.1, 0.2])
    assert isinstance(record.selection, Selection)
    assert record.selection.scope == "folds"
