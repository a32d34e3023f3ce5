"""What a method changes and does not train is marked, whatever the change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmark.trial.frozen import is_made, mark_made, marks_of

CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sign": lambda weight: -weight,
    "columns": lambda weight: weight.flip(1),
    "values": lambda weight: weight + 1,
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_frozen_parameter_is_marked(change: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)).requires_grad_(False)
    before = marks_of(model)
    with torch.no_grad():
        model[0].weight.copy_(CHANGES[change](model[0].weight))
    mark_made(model, before)
    assert [name for name, parameter in model.named_parameters() if is_made(parameter)] == ["0.weight"]
