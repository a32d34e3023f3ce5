"""Activation checkpointing: less memory, the same numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.methods.registry import resolve_methods
from benchmark.planning.flops import count_costs
from benchmark.planning.machine import Machine
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
Act = Callable[[nn.Module, torch.Tensor], torch.Tensor]


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
        ("full", {"precision": "bf16"}),
        ("aat_ms+prompt", {"micro_batch": 3}),
        ("prefix", {}),
        ("linear", {}),
        ("conformer", {}),  # BatchNorm
        (DRAWING, {}),
    ],
)
def test_results_are_equal(make_request: Make, setting: Setting, method: str, recipe: dict[str, object]) -> None:
    request = make(make_request, method, **recipe)
    with_it, without = run(request, setting, checkpointing=True), run(request, setting)
    assert numbers(with_it) == numbers(without)
    devices = [measured_on("gpu", found[0].environment) for found in (with_it, without)]
    assert devices == ["gpu, checkpointing", "gpu"]
    assert Machine("cpu", 1, checkpointing=True).is_like("cpu", with_it[0].environment)
    assert not Machine("cpu", 1).is_like("cpu", with_it[0].environment)


class Inserted(nn.Module):
    """What a method may do to (B, N, D)."""

    def __init__(self, width: int, act: Act) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.register_buffer("mean", torch.zeros(width))
        self.calls, self.seen, self.act = 0, [0.0], act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self, x) * self.scale


def counted(module: Any, x: torch.Tensor) -> torch.Tensor:
    module.calls += 1
    return x


def listed(module: Any, x: torch.Tensor) -> torch.Tensor:
    module.seen.append(1.0)
    return x


def averaged(module: Any, x: torch.Tensor) -> torch.Tensor:
    module.mean.mul_(0.9)
    return x


def normalised(module: Any, x: torch.Tensor) -> torch.Tensor:
    both = module.mean, module.mean + 1
    return functional.batch_norm(x.transpose(1, 2), *both, training=True).transpose(1, 2)


def insert(monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    """Let `linear` insert a module into the first block."""

    def adapt(_: object, model: Any) -> list[str]:
        return model.insert("mlp_out", 0, "inserted", Inserted(model.width, act))

    monkeypatch.setattr(type(resolve_methods("linear", "test")[0].parts[0]), "adapt", adapt)


@pytest.mark.parametrize("method", ["conformer", "linear"])
def test_draws_and_running_statistics_are_those_of_one_pass(
    make_request: Make, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    insert(monkeypatch, lambda _, x: functional.dropout(x, 0.5))
    request, found = make(make_request, method), []
    for checkpointing in (True, False):
        model = build_model(request, 3).model.train()
        if checkpointing:
            assert checkpoint_blocks(model, request) == []
        torch.manual_seed(0)
        for _ in range(2):
            model(torch.randn(2, 64, 128)).sum().backward()
        trained = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
        found.append([tensor.tolist() for tensor in (*model.buffers(), *trained, torch.rand(1))])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("line", "act"),
    [
        ("", lambda _, x: x),
        ("", lambda _, x: functional.dropout(x, 0.1)),
        ("draws from Python's or NumPy's generator would not be repeated", lambda _, x: x * random.random()),
        ("draws from Python's or NumPy's generator would not be repeated", lambda _, x: x * np.random.rand()),
        ("state that the method keeps between calls would be updated twice", counted),
        ("state that the method keeps between calls would be updated twice", listed),
        ("state that the method keeps between calls would be updated twice", averaged),
        ("state that the method keeps between calls would be updated twice", normalised),
    ],
)
def test_a_block_that_changes_something_keeps_its_activations(
    make_request: Make, monkeypatch: pytest.MonkeyPatch, line: str, act: Act
) -> None:
    insert(monkeypatch, act)
    request = make_request()
    model, generators = build_model(request, 3).model, (random.getstate(), torch.get_rng_state().tolist())
    assert checkpoint_blocks(model, request) == ([f"1 of 4 blocks: {line}"] if line else [])
    assert (random.getstate(), torch.get_rng_state().tolist()) == generators


def test_a_model_of_which_nothing_is_known_keeps_all_activations(
    make_request: Make, monkeypatch: pytest.MonkeyPatch, setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    insert(monkeypatch, lambda _, x: x if float(x.sum()) else -x)
    request = make(make_request, "linear", epochs=1)
    assert numbers(run(request, setting, checkpointing=True)) == numbers(run(request, setting))
    assert "activations are kept in 4 of 4 blocks: what they do is not known:" in caplog.text


def test_it_costs_a_forward_pass_and_saves_what_blocks_keep(make_request: Make) -> None:
    def both(method: str) -> tuple[Any, Any]:
        request = make(make_request, method, batch_size=32, frames=256)
        plain, again = (count_cost(request, 50, checkpointing=checkpointing) for checkpointing in (False, True))
        return plain, again

    for method in ("full", "aat_ms", "conformer"):
        plain, again = both(method)
        assert again.forward_flops == plain.forward_flops
        # all but the last layer of a block, whose output nothing needs
        assert 0.6 < (again.train_flops - plain.train_flops) / plain.forward_flops < 1
        assert again.saved_bytes < 0.25 * plain.saved_bytes
        assert again.peak_bytes < 0.6 * plain.peak_bytes
    linear, same = both("linear")
    assert same == linear
    partial, less = both("partial")  # only the second half of the blocks is computed again
    assert 0.3 < (less.train_flops - partial.train_flops) / partial.forward_flops < 0.5


def test_bytes_for_backward_are_those_that_torch_keeps(make_request: Make) -> None:
    request = make(make_request, "aat_ms", precision="float32")
    model = build_model(request, 50).model.train()
    checkpoint_blocks(model, request)
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(torch.zeros(8, request.recipe.frames, request.recipe.mels))
        loss = functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long))
    assert count_cost(request, 50, checkpointing=True).saved_bytes == pytest.approx(sum(kept.values()), rel=0.02)
    loss.backward()


def test_costs_with_and_without_are_cached_apart(
    make_request: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rich.console import Console

    monkeypatch.setattr("benchmark.planning.flops.default_folder", lambda: tmp_path)
    request, found = make_request(methods=["full"]), []
    for checkpointing in (False, True, False, True):
        costs = count_costs([request], Console(quiet=True), checkpointing=checkpointing).costs
        found.append(costs[request.step_key].saved_bytes)
    assert found[0] == found[2] > found[1] == found[3]
