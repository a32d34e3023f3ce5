"""The suite's AdamW is torch's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch

from benchmark.trial.optimizer import AdamW


def train(
    kind: Callable[..., torch.optim.Optimizer], steps: Iterable[int]
) -> tuple[list[torch.Tensor], dict[str, object]]:
    """Train two groups of parameters, stop in the middle and continue from the state."""
    torch.manual_seed(0)
    weight, bias = torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(3))
    optimizer = kind([{"params": [weight], "lr": 0.1}, {"params": [bias]}], lr=0.01, weight_decay=0.05)
    state: dict[str, object] = {}
    for step in steps:
        if step:  # as a resumed trial does
            optimizer = kind([{"params": [weight], "lr": 0.1}, {"params": [bias]}], lr=0.01, weight_decay=0.05)
            optimizer.load_state_dict(state)
        optimizer.zero_grad(set_to_none=True)
        (torch.randn(5, 4) @ weight + bias).square().sum().backward()
        optimizer.step()
        assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in (weight, bias))
        state = copy.deepcopy(optimizer.state_dict())
    return [weight.detach(), bias.detach()], state


def test_it_steps_and_resumes_as_torchs() -> None:
    expected, state = train(torch.optim.AdamW, range(4))
    found, other = train(AdamW, range(4))
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))
    assert repr(other) == repr(state)


def test_hooks_of_an_optimizer_are_called() -> None:
    optimizer = AdamW([torch.nn.Parameter(torch.ones(1))])
    calls: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    optimizer.step()
    assert calls == ["before", "after"]
