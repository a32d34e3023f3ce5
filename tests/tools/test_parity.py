"""The parity command: the official numbers pass, anything else fails."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.tools.parity.case import Case
from benchmark.tools.parity.run import golden_cases, run_parity
from tests.conftest import Cli

GOLDEN = Path(__file__).parents[1] / "golden" / "golden.json"


CASES = golden_cases(GOLDEN)
# of the base size, one case of each family is enough for every day: AST, SSAST, AAT, Hugging Face's AST
MORE_OF_BASE_SIZE = {
    "ast_audioset_t256_f64",
    "ast_audioset_t200_f160",
    "hf_base_t1024",
    "ssast_base_nokd_t128_ft_avgtok",
    "aat_ast_audioset_t512[head+prompt+mlp+spatial]",
}
# AST and SSAST are trained with none, the head, and all adapters
MORE_OF_TRAINING = {
    f"train_aat_{model}_t128[{adapters}]"
    for model in ("ast_tiny224", "ssast_tiny")
    for adapters in ("head+partial", "head+prompt", "head+mlp", "head+mlp+spatial")
}
MORE = MORE_OF_BASE_SIZE | MORE_OF_TRAINING


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.kind}: {case.name}", marks=[pytest.mark.slow] * (case.name in MORE))
        for case in CASES
    ],
)
def test_a_golden_case_passes(case: Case) -> None:
    assert case.outcome().problems == ()


def test_the_file_has_no_case_that_is_not_run() -> None:
    content = json.loads(GOLDEN.read_text())
    front_end = content["frontend"]
    expected = sum(len(content[part]) for part in ("model_cases", "train_cases", "metrics", "schedules"))
    expected += len(front_end["fbank"]) + len(front_end["dataset_pipeline_with_fixed_rng"]) + 1
    assert len(CASES) == expected
    assert {case.name for case in CASES} > MORE


def test_the_command_prints_a_line_per_case_and_fails_with_one(cli: Cli, content: dict, tmp_path: Path) -> None:
    done = cli("parity", GOLDEN, "--only", "metric")
    *lines, last = done.stdout.splitlines()
    assert (done.returncode, last) == (0, f"{len(lines)} cases: {len(lines)} passed, 0 failed")
    assert all(line.startswith("pass  metric") for line in lines)
    content["metrics"][0]["d_prime"] += 1e-6
    (tmp_path / "golden.json").write_text(json.dumps({"format": 1, "metrics": content["metrics"]}))
    done = cli("parity", tmp_path / "golden.json")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "1 case: 0 passed, 1 failed")
    assert done.stdout.startswith("FAIL  metric")


@pytest.fixture
def content() -> dict:
    """A golden file of one case of each kind, the cheapest one of training."""
    whole = json.loads(GOLDEN.read_text())
    small = {key: whole[key] for key in ("format", "rules", "checkpoints")}
    name = "aat_ast_tiny224_t128[head+prompt+mlp+spatial]"
    small["model_cases"] = [case for case in whole["model_cases"] if case["name"] == name]
    small["train_cases"] = [case for case in whole["train_cases"] if case["name"] == "train_aat_ssast_tiny_t128[head]"]
    small["metrics"] = whole["metrics"][:1]
    small["schedules"] = {"openmic": whole["schedules"]["openmic"]}
    small["frontend"] = {"fbank": whole["frontend"]["fbank"][:1]}
    small["frontend"]["dataset_pipeline_with_fixed_rng"] = whole["frontend"]["dataset_pipeline_with_fixed_rng"][1:2]
    return small


def outcomes(content: dict, tmp_path: Path) -> dict[str, bool]:
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(content))
    return {f"{outcome.kind}": outcome.passed for outcome in run_parity(path)}


def nudge(*keys: str | int, by: float) -> Callable[[dict], None]:
    def change(content: dict) -> None:
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] += by

    return change


def test_the_small_file_passes(content: dict, tmp_path: Path) -> None:
    assert set(outcomes(content, tmp_path).values()) == {True}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("model", nudge("model_cases", 0, "expected_logits_f64", 0, 3, by=1e-8)),
        ("model", nudge("model_cases", 0, "expected_logits", 1, 0, by=1e-4)),
        ("model", nudge("model_cases", 0, "n_params_total", by=1)),
        ("model", nudge("model_cases", 0, "n_params_trainable", by=1)),
        ("train", nudge("train_cases", 0, "f64", "losses", 2, by=1e-6)),
        ("train", nudge("train_cases", 0, "f32", "logits_after", 0, 0, by=1e-2)),
        ("train", nudge("train_cases", 0, "f64", "grad_norms_step1", "mlp_head.1.bias", by=1e-5)),
        ("train", lambda c: c["train_cases"][0]["f64"]["trainable_without_grad"].append("v.cls_token")),
        ("filter bank", nudge("frontend", "fbank", 0, "unnormalised", "row_means_first8", 2, by=1e-2)),
        ("filter bank", nudge("frontend", "fbank", 0, "unnormalised", "n_zero_rows", by=1)),
        ("pipeline", nudge("frontend", "dataset_pipeline_with_fixed_rng", 0, "items", 0, "label", 0, by=0.01)),
        ("metric", nudge("metrics", 0, "AP", 1, by=1e-6)),
        ("metric", nudge("metrics", 0, "d_prime", by=1e-6)),
        ("schedule", nudge("schedules", "openmic", "lr_first_step_of_each_epoch", 12, by=1e-8)),
        ("schedule", nudge("schedules", "openmic", "optimizer", "weight_decay", by=0.01)),
    ],
)
def test_a_number_that_is_off_fails_its_case(
    content: dict, tmp_path: Path, kind: str, change: Callable[[dict], None]
) -> None:
    wrong = copy.deepcopy(content)
    change(wrong)
    for other in set(wrong) - {"format", "rules", "checkpoints"}:  # only the part in question, to be quick
        kinds = {"model_cases": "model", "train_cases": "train", "metrics": "metric", "schedules": "schedule"}
        if kinds.get(other, kind if kind in {"filter bank", "pipeline"} else "") != kind:
            del wrong[other]
    assert outcomes(wrong, tmp_path)[kind] is False


def test_unknown_kinds_count_as_failures(content: dict, tmp_path: Path) -> None:
    for key in ("model_cases", "train_cases", "metrics", "schedules"):
        content.pop(key)
    assert outcomes({**content, "new_cases": [1]}, tmp_path)["unknown"] is False
    assert outcomes({**content, "frontend": {"other": [1]}}, tmp_path)["front end"] is False
    case = {"name": "x", "family": "vit", "ctor": {}}
    assert outcomes({**content, "model_cases": [case]}, tmp_path)["model"] is False


def test_an_unknown_adapter_or_size_fails_its_case_only(content: dict, tmp_path: Path) -> None:
    [good] = content["model_cases"]
    names = {"good": True, "adapter": False, "size": False}
    cases = [copy.deepcopy({**good, "name": name}) for name in names]
    cases[1]["ctor"]["adapter"] = ["head", "batch"]
    cases[2]["ctor"]["model_size"] = "huge"
    path = tmp_path / "golden.json"
    path.write_text(json.dumps({"format": 1, "model_cases": cases}))
    assert {outcome.name: outcome.passed for outcome in run_parity(path)} == names


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', "{}"])
def test_what_is_no_golden_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "golden.json"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=r"golden\.json"):
        list(run_parity(path))
