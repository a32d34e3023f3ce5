"""The methods of the paper: what they train, exact counts, identity at the start."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import build_method, methods, resolve_methods
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model, count_parameters

PAPER = ("full", "linear", "partial", "prompt", "aat_m", "aat_ms", "aat_m+prompt", "aat_ms+prompt")
COUNTS = {
    row["method"]: row
    for row in csv.DictReader((Path(__file__).parents[1] / "golden" / "params.csv").open())
    if (row["backbone"], row["dataset"]) == ("ast", "esc50")
}


@pytest.mark.parametrize("method", PAPER)
def test_parameter_counts_of_the_base_model_are_the_official_ones(
    method: str, make_request: Callable[..., TrialRequest]
) -> None:
    request = make_request(backbones=["ast[weights=random:0]"], methods=[method], overrides=[])
    counts = build_model(request, classes=50).parameters
    assert count_parameters(request, classes=50) == counts
    expected = COUNTS[method]
    assert counts.trainable == int(expected["trainable_excl_deit_heads"])
    assert counts.total == int(expected["total_excl_deit_heads"])
    assert counts.trainable_reference == int(expected["trainable_incl_deit_heads"])
    assert counts.total_reference == int(expected["total_incl_deit_heads"])
    assert counts.head == 39_986


@pytest.mark.parametrize("method", PAPER)
@pytest.mark.parametrize("backbone", ["ast", "ssast"])
def test_what_trains_gets_a_gradient_and_the_rest_stays(
    backbone: str, method: str, make_request: Callable[..., TrialRequest]
) -> None:
    request = make_request(
        backbones=[f"{backbone}[size=demo;weights=random:0]"], methods=[method], protocol="corrected"
    )
    model = build_model(request, classes=3).model
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert {"mlp_head.0.weight", "mlp_head.1.bias"} <= set(trainable)
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-3)
    reached: set[str] = set()
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(torch.randn(4, 64, 128)), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        reached |= {name for name, p in trainable.items() if p.grad is not None and p.grad.any()}
        optimizer.step()
    assert set(trainable) - reached == set()
    for name, parameter in model.named_parameters():
        if name not in trainable:
            assert torch.equal(parameter, start[name]), name


@pytest.mark.parametrize("method", ["aat_m", "aat_ms", "aat_ms[bottleneck=8]"])
def test_adapters_start_as_the_identity(method: str, make_request: Callable[..., TrialRequest]) -> None:
    x = torch.randn(2, 64, 128)
    plain = build_model(make_request(methods=["linear"]), classes=3).model
    adapted = build_model(make_request(methods=[method]), classes=3).model
    assert torch.equal(plain(x), adapted(x))


def test_partial_trains_the_upper_blocks_only(make_request: Callable[..., TrialRequest]) -> None:
    model = build_model(
        make_request(backbones=["ast[size=tiny;weights=random:0]"], methods=["partial"]), classes=3
    ).model
    trained = {name for name, p in model.named_parameters() if p.requires_grad and not name.startswith("mlp_head.")}
    assert {int(name.split(".")[2]) for name in trained} == set(range(6, 12))
    assert "v.norm.weight" not in trained


def test_hyper_parameters_are_typed_and_bounded() -> None:
    for text, message in [
        ("aat_mss", "unknown method 'aat_mss' (did you mean 'aat_ms'?)"),
        ("aat_ms[botleneck=3]", "unknown hyper-parameter 'botleneck' (did you mean 'bottleneck'?)"),
        ("linear[x=1]", "unknown hyper-parameter 'x' (it has none)"),
        ("aat_ms[bottleneck=-1]", "bottleneck: Input should be greater than 0"),
        ("prompt[tokens=a]", "tokens: Input should be a valid integer"),
    ]:
        with pytest.raises(BenchmarkError, match="grid 'x'") as caught:
            resolve_methods(text, "grid 'x'")
        assert message in str(caught.value)


def test_a_request_rebuilds_its_method() -> None:
    [method] = resolve_methods("aat_ms[bottleneck=16]+prompt[tokens=4]", "test")
    assert build_method(method.choice()).parts == method.parts


def test_two_methods_that_insert_the_same_module_are_refused(make_request: Callable[..., TrialRequest]) -> None:
    with pytest.raises(BenchmarkError, match=r"aat_m\+aat_ms.*'mlp_adapter' already"):
        build_model(make_request(methods=["aat_m+aat_ms"]), classes=3)


def test_every_registered_method_states_label_and_source() -> None:
    assert set(methods()) >= {"full", "linear", "partial", "prompt", "aat_m", "aat_ms"}
    assert all(method.label and method.source and method.__doc__ for method in methods().values())
