"""Activation checkpointing: less memory, the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.records.environment import measured_on
from benchmark.records.schema import Record
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.checkpointing import checkpoint_blocks
from benchmark.trial.cost import count_cost
from benchmark.trial.run import Setting, run_trial
from tests.conftest import TINY_RECIPE
from tests.drawing import DRAWING
from tests.samples import make_cost

Make = Callable[..., TrialRequest]


@pytest.fixture
def setting(data_root: Path, tmp_path: Path) -> Setting:
    return Setting(tmp_path, RunOptions(data_root, tmp_path / "cache"), cost=make_cost())


def make(make_request: Make, method: str, **recipe: object) -> TrialRequest:
    return make_request(methods=[method], overrides=[{"source": "test", "values": {**TINY_RECIPE, **recipe}}])


def run(request: TrialRequest, setting: Setting, **options: Any) -> tuple[Record, dict[str, np.ndarray]]:
    finished = run_trial(request, replace(setting, options=replace(setting.options, **options)), lambda _: None)
    return finished.record, finished.predictions


def numbers(found: tuple[Record, dict[str, np.ndarray]]) -> tuple[list[Any], list[Any]]:
    return [epoch.train_loss for epoch in found[0].curves], found[1]["logits_test"].tolist()


@pytest.mark.parametrize(
    ("method", "recipe"),
    [
        ("linear", {}),
        ("full", {}),
        ("full", {"precision": "bf16"}),
        ("aat_ms+prompt", {"micro_batch": 3}),
        ("prefix", {}),
        ("partial", {}),
        ("linear", {}),
        ("conformer", {}),
        ("peft/lora[lora_dropout=0.5]", {}),
        (DRAWING, {}),
    ],
)
def test_results_are_equal(make_request: Make, setting: Setting, method: str, recipe: dict[str, object]) -> None:
    request = make(make_request, method, **recipe)
    with_it, without = run(request, setting, checkpointing=True), run(request, setting)
    assert numbers(with_it) == numbers(without)
    devices = [measured_on("gpu", found[0].environment) for found in (with_it, without)]
    assert devices == ["gpu, checkpointing", "gpu"]
