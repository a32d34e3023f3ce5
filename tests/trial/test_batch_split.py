"""Micro-batches: the same experiment for most methods; another one for BatchNorm and for methods that draw."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark.methods.registry import resolve_methods
from benchmark.records.schema import Record
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.batch_split import split_changes_results
from benchmark.trial.run import Setting, run_trial
from tests.conftest import TINY_RECIPE
from tests.drawing import DRAWING
from tests.samples import make_cost

Make = Callable[..., TrialRequest]


def split(make: Make, method: str, size: int | None) -> TrialRequest:
    return make(methods=[method], overrides=[{"source": "test", "values": {**TINY_RECIPE, "micro_batch": size}}])


@pytest.mark.parametrize("method", ["conformer", DRAWING])
def test_where_results_depend_on_it_the_size_is_part_of_the_id(make_request: Make, method: str) -> None:
    whole, three, four, eight = (split(make_request, method, size) for size in (None, 3, 4, 8))
    assert len({whole.id, three.id, four.id}) == len({whole.cell, three.cell, four.cell}) == 3
    assert "micro_batch_matters" not in whole.model_dump()  # as all requests before this field
    assert "micro_batch=3" in "".join(three.marks)
    assert eight.id == whole.id  # a batch has 8 clips: nothing is split
    assert TrialRequest.model_validate_json(three.model_dump_json()).id == three.id


@pytest.mark.parametrize("method", ["peft/lily", "peft/adamss"])
def test_a_declared_method_and_one_that_cannot_be_built_on_meta_tensors_count_as_dependent(
    make_request: Make, method: str
) -> None:
    assert split(make_request, method, None).id != split(make_request, method, 4).id


@pytest.mark.parametrize("method", ["full", "aat_ms+prompt", "lora"])
def test_elsewhere_it_is_not(make_request: Make, method: str) -> None:
    whole, parts = (split(make_request, method, size) for size in (None, 3))
    assert (whole.id, whole.cell, whole.marks) == (parts.id, parts.cell, parts.marks)


def test_the_size_is_part_of_every_step(make_request: Make) -> None:
    """Time and memory of a step depend on it, whatever the method."""
    assert len({split(make_request, "linear", size).step_key for size in (None, 2, 4)}) == 3


@pytest.mark.parametrize("method", ["conformer", DRAWING])
def test_results_do_depend_on_it(make_request: Make, data_root: Path, tmp_path: Path, method: str) -> None:
    setting = Setting(tmp_path, RunOptions(data_root), cost=make_cost())
    losses = []
    for size in (None, 3):
        record: Record = run_trial(split(make_request, method, size), setting, lambda _: None).record
        losses.append(record.curves[0].train_loss)
    assert abs(losses[0] - losses[1]) > 1e-4


class Inserted(nn.Module):
    """What a method may do to (B, N, D)."""

    def __init__(self, width: int, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x) * self.scale


def insert(monkeypatch: pytest.MonkeyPatch, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
    def adapt(_: object, model: Any) -> list[str]:
        return model.insert("mlp_out", 0, "inserted", Inserted(model.width, act))

    monkeypatch.setattr(type(resolve_methods("linear", "test")[0].parts[0]), "adapt", adapt)


@pytest.mark.parametrize(
    ("depends", "act"),
    [
        (False, lambda x: x),
        (False, lambda x: functional.layer_norm(x, x.shape[-1:])),
        (False, lambda x: functional.dropout(x, 0.0)),
        (False, lambda x: functional.scaled_dot_product_attention(x, x, x)),
        (True, lambda x: functional.dropout(x, 0.1)),
        (True, lambda x: functional.scaled_dot_product_attention(x, x, x, dropout_p=0.1)),
        (True, lambda x: functional.batch_norm(x.transpose(1, 2), None, None, training=True).transpose(1, 2)),
        (True, lambda x: x + torch.rand_like(x)),
        (True, lambda x: x * random.random()),
        (True, lambda x: x * np.random.rand()),
    ],
)
def test_functions_count_like_layers(
    make_request: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    depends: bool,
    act: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    insert(monkeypatch, act)
    with caplog.at_level("INFO"):
        assert split_changes_results(make_request()) is depends
    assert "does not run on meta tensors" not in caplog.text


def test_a_model_of_which_nothing_is_known_counts_as_one_that_depends(
    make_request: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    insert(monkeypatch, lambda x: x if float(x.sum()) else -x)
    with caplog.at_level("INFO"):
        assert split_changes_results(make_request())
    assert "does not run on meta tensors" in caplog.text
