"""Products by oneDNN agree with torch's own, inside `fast_products` only."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

from benchmark.trial import matrix_products
from benchmark.trial.matrix_products import fast_products, library, with_fast_products

WIDE = 256  # products of 256 x 256 matrices are large enough


@pytest.fixture
def by_onednn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Use oneDNN on any processor; return the shapes of the products that it computes."""
    shapes: list[tuple[int, ...]] = []
    compute = matrix_products._by_onednn

    def count(first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        shapes.append((*first.shape, second.shape[1]))
        return compute(first, second, bias)

    monkeypatch.setattr(matrix_products, "is_by_onednn", lambda: True)
    monkeypatch.setattr(matrix_products, "_by_onednn", count)
    return shapes


def _passes(model: nn.Module, features: torch.Tensor) -> list[torch.Tensor]:
    """Return outputs and gradients."""
    features = features.clone().requires_grad_()
    model.zero_grad()
    outputs = model(features)
    outputs.square().mean().backward()
    return [outputs.detach(), features.grad, *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_agree_to_rounding(by_onednn: list[tuple[int, ...]], bias: bool) -> None:
    torch.manual_seed(0)
    layer, features = nn.Linear(WIDE, WIDE, bias=bias), torch.randn(2, WIDE // 2, WIDE)
    expected = _passes(layer, features)
    assert by_onednn == []
    with fast_products():
        found = _passes(layer, features)
    assert len(by_onednn) == 3  # forward, gradient of the input, gradient of the weight
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    _passes(layer, features)
    assert len(by_onednn) == 3


def test_small_products_and_other_types_are_torchs_own(by_onednn: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    layer, wide = nn.Linear(8, 4), torch.randn(WIDE, WIDE, dtype=torch.float64)
    expected = [*_passes(layer, torch.ones(3, 8)), wide @ wide, torch.addmm(wide, wide, wide, beta=2, alpha=3)]
    with fast_products():
        found = [*_passes(layer, torch.ones(3, 8)), wide @ wide, torch.addmm(wide, wide, wide, beta=2, alpha=3)]
    assert by_onednn == []
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_sums_of_products_keep_their_factors(by_onednn: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    one = torch.randn(WIDE, WIDE)
    calls = [
        lambda: torch.addmm(one, one, one),
        lambda: torch.addmm(one[0], one, one, beta=0.5),
        lambda: torch.addmm(one[0], one, one, alpha=2),
    ]
    expected = [call() for call in calls]
    with fast_products():
        assert all(torch.equal(call(), value) for call, value in zip(calls, expected, strict=True))


def test_torchs_own_products_are_back_after_an_error(by_onednn: list[tuple[int, ...]]) -> None:
    with pytest.raises(RuntimeError, match="of the model"), fast_products():
        raise RuntimeError("of the model")
    torch.ones(WIDE, WIDE) @ torch.ones(WIDE, WIDE)
    assert by_onednn == []


def test_other_processors_keep_torchs_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_products, "is_by_onednn", lambda: False)
    with fast_products():
        assert torch.equal(torch.eye(WIDE) @ torch.eye(WIDE), torch.eye(WIDE))
    assert not library().startswith("onednn")


def test_a_model_computes_by_it_wherever_it_is_called(by_onednn: list[tuple[int, ...]]) -> None:
    model = with_fast_products(nn.Sequential(nn.Linear(WIDE, WIDE)))
    for each in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        each(torch.ones(WIDE, WIDE))
    assert len(by_onednn) == 3
    with pytest.raises(RuntimeError):
        model(torch.ones(WIDE, 1))
    torch.ones(WIDE, WIDE) @ torch.ones(WIDE, WIDE)
    assert len(by_onednn) == 3


def test_kernels_stay_replaced_until_the_last_thread_is_done(by_onednn: list[tuple[int, ...]]) -> None:
    first, second = threading.Event(), threading.Event()

    def other() -> None:
        with fast_products():
            first.set()
            second.wait()

    thread = threading.Thread(target=other)
    with fast_products():
        thread.start()
        first.wait()
    torch.ones(WIDE, WIDE) @ torch.ones(WIDE, WIDE)
    assert len(by_onednn) == 1
    second.set()
    thread.join()
    torch.ones(WIDE, WIDE) @ torch.ones(WIDE, WIDE)
    assert len(by_onednn) == 1


def test_a_bias_that_is_broadcast_is_added_by_torch(by_onednn: list[tuple[int, ...]]) -> None:
    ones = torch.ones(WIDE, WIDE)
    with fast_products():
        found = torch.addmm(torch.full((1,), 3.0), ones, ones)
    assert by_onednn == []
    assert torch.equal(found, torch.full((WIDE, WIDE), WIDE + 3.0))
