"""Recipes in bfloat16, which a CPU and a GPU compute by the same code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark import load_export
from benchmark.data.registry import get_dataset
from benchmark.methods.registry import resolve_methods
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.tools.export import Prediction, export_trial
from benchmark.trial.build import build_model, trained_tensors
from benchmark.trial.cost import count_cost
from benchmark.trial.fit import written_by
from benchmark.trial.precision import Precision
from benchmark.trial.run import Setting, attempt_trial, run_trial
from benchmark.trial.train_step import Trainer
from tests.conftest import AST, SSAST, TINY_RECIPE, Cli
from tests.samples import logits_of_test, make_cost

Make = Callable[..., TrialRequest]
CPU = torch.device("cpu")


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path / "out", RunOptions(data_root, tmp_path / "cache", keep_weights=True), cost=make_cost())


def make(make_request: Make, method: str, precision: str = "bf16", backbone: str = AST) -> TrialRequest:
    values = {**TINY_RECIPE, "precision": precision}
    return make_request(methods=[method], backbones=[backbone], overrides=[{"source": "test", "values": values}])


@pytest.mark.parametrize(
    ("requested", "device", "name", "scales"),
    [
        ("amp", "cuda", "float16 autocast", True),
        ("amp", "cpu", "float32", False),
        ("bf16", "cuda", "bfloat16 autocast", False),
        ("bf16", "cpu", "bfloat16 autocast", False),
        ("float32", "cuda", "float32", False),
    ],
)
def test_what_a_recipe_asks_for_on_a_device(requested: Any, device: str, name: str, scales: bool) -> None:
    precision = Precision(torch.device(device), requested)
    assert (precision.name, precision.scales_loss) == (name, scales)


def test_a_bf16_trial_is_another_trial_and_its_table_says_so(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    grid = tmp_path / "tiny.yaml"
    grid.write_text(
        f'{{description: a trial, backbones: ["{AST}"], datasets: [esc50], methods: [full], folds: [1],\n'
        "recipe: {epochs: 1, batch_size: 8, frames: 64, time_mask: 12, stride: [16, 16]}}\n"
    )
    chosen = ("--grid", grid, "--data-root", data_root, "--results", tmp_path / "out")
    done = cli("run", *chosen, "--set", "recipe.precision=bf16", "--checkpointing", "--no-report")
    assert done.returncode == 0, done.stderr
    [record] = ResultStore(tmp_path / "out").records()
    assert record.environment["checkpointing"] is True
    assert record.profile.precision == "bfloat16 autocast"
    assert any("precision=bf16" in mark for mark in record.marks)
    assert record.id not in cli("plan", *chosen, "--trials").stdout  # without it, another trial is missing
    wrong = cli("plan", *chosen, "--set", "recipe.precision=fp8")
    assert wrong.returncode == 2
    assert "'amp', 'bf16' or 'float32'" in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1


def test_frozen_weights_in_half_precision_change_nothing(
    make_request: Make, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, found = make(make_request, "aat_ms+prompt"), []
    types = {str(p.dtype) for p in Trainer(build_model(request, 3).model, request, CPU).model.parameters()}
    assert types == {"torch.float32", "torch.bfloat16"}
    for _ in range(2):
        record, predictions, weights = run_trial(request, setting, lambda _: None)
        found.append(([epoch.train_loss for epoch in record.curves], predictions["logits_test"].tolist(), weights))
        monkeypatch.setattr("benchmark.trial.train_step.halve_frozen", lambda *_: None)
    assert found[0] == found[1]


def test_what_a_method_changed_and_froze_is_stored_as_it_is(
    make_request: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adapt(_: object, model: Any) -> list[str]:
        torch.nn.init.ones_(model.blocks[1].mlp.fc1.weight)
        return []

    monkeypatch.setattr(type(resolve_methods("linear", "test")[0].parts[0]), "adapt", adapt)
    request = make(make_request, "linear")
    model = Trainer(build_model(request, 3).model, request, CPU).model
    assert model.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert trained_tensors(model)["v.blocks.1.mlp.fc1.weight"].dtype == torch.float32


def test_a_float32_evaluation_needs_its_weights(make_request: Make) -> None:
    request = make(make_request, "linear", backbone=SSAST)
    trainer = Trainer(build_model(request, 3).model, request, CPU)
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}


def test_training_is_close_to_float32_and_its_state_is_its_own(make_request: Make, setting: Setting) -> None:
    losses, states = [], []
    for precision in ("bf16", "float32"):
        request = make(make_request, "full", precision)
        losses.append([epoch.train_loss for epoch in run_trial(request, setting, lambda _: None).record.curves])
        states.append(written_by(Trainer(build_model(request, 3).model, request, CPU)))
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]
    assert states[0] != states[1]


def test_bytes_are_those_of_float16(make_request: Make) -> None:
    half, other, single = (count_cost(make(make_request, "full", each), 50) for each in ("amp", "bf16", "float32"))
    assert other.model_dump() == {**half.model_dump(), "peak_bytes": other.peak_bytes}
    assert other.peak_bytes == pytest.approx(half.peak_bytes, rel=0.01)
    assert other.saved_bytes < 0.8 * single.saved_bytes


def test_an_export_predicts_the_same_under_the_trials_autocast(
    make_request: Make, setting: Setting, data_root: Path, tmp_path: Path
) -> None:
    request = make(make_request, "aat_ms")
    assert attempt_trial(request, setting, lambda _: None).status == "completed"
    store = ResultStore(setting.results)
    export_trial(store, [request.id], tmp_path / "export", onnx=False)
    model = load_export(tmp_path / "export")
    with Precision(CPU, "bf16").autocast():
        found, stored = logits_of_test(model, request, store, data_root)
    assert np.array_equal(found, stored)
    manifest = get_dataset("esc50").manifest(data_root)
    paths = [manifest.folder / manifest.clips[place].path for place in manifest.splits(request.fold)["test"]]
    predictions = [part for part in model.predict_files(paths) if isinstance(part, Prediction)]
    np.testing.assert_allclose([prediction.logits for prediction in predictions], stored, atol=1e-5)
