"""Compositions `a+b`: one experiment in whatever order they are written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Composed, Method, ParamGroup
from benchmark.methods.registry import resolve_methods
from benchmark.models.transformer import AudioTransformer
from benchmark.planning.expand import expand
from benchmark.search.space import method_spaces
from benchmark.spec.grid import narrow
from benchmark.spec.recipe import Condition
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from tests.conftest import tiny_grid

PAPER = ("full", "linear", "partial", "prompt", "aat_m", "aat_ms")
OTHERS = ("bitfit", "lora", "ssf", "peft/lora", "peft/ia3")

Make = Callable[..., TrialRequest]


def trained(request: TrialRequest) -> dict[str, nn.Parameter]:
    model = build_model(request, classes=3).model
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_both_orders_of_every_pair_are_one_method() -> None:
    pytest.importorskip("peft")
    for first, second in itertools.combinations([*PAPER, *OTHERS], 2):
        one, other = (resolve_methods(text, "test")[0] for text in (f"{first}+{second}", f"{second}+{first}"))
        assert one.choice() == other.choice()
        assert one.parts == other.parts


def test_the_papers_names_and_ids_are_the_canonical_ones(make_request: Make) -> None:
    for name in ("aat_m+prompt", "aat_ms+prompt"):
        written = "+".join(reversed(name.split("+")))
        assert make_request(methods=[written]).method.variant == name
        assert make_request(methods=[written]).id == make_request(methods=[name]).id
    [method] = resolve_methods("prompt[tokens=4]+aat_m[bottleneck=8]", "test")
    assert method.choice().variant == "aat_m[bottleneck=8]+prompt[tokens=4]"


@pytest.mark.parametrize("method", ["full", "partial", "bitfit", "lora[targets=qkvoud]", "ssf"])
def test_methods_that_name_parameters_compose_with_peft(method: str, make_request: Make) -> None:
    pytest.importorskip("peft")
    first, second = (trained(make_request(methods=[text])) for text in (f"{method}+peft/lora", f"peft/lora+{method}"))
    assert {name: tensor.shape for name, tensor in first.items()} == {name: t.shape for name, t in second.items()}
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    alone = trained(make_request(methods=[method])).keys()
    assert {name.replace(".base_layer", "") for name in first} >= alone
    assert any("lora_A" in name for name in first)


def test_an_attached_update_acts_after_a_replaced_layer(make_request: Make) -> None:
    """A tuner may use the weights of the layer that it replaces, without calling the layer: nothing may hang there."""
    pytest.importorskip("peft")
    model = build_model(make_request(methods=["ssf+peft/hra"]), classes=3).model
    model(torch.randn(2, 64, 128)).sum().backward()
    shifts = [tensor for name, tensor in model.named_parameters() if name.endswith("ssf.shift")]
    assert shifts
    assert all(tensor.grad is not None and tensor.grad.any() for tensor in shifts)


@dataclass(frozen=True, kw_only=True)
class Norms(Method):
    """Trains the LayerNorms' weights, some of them faster."""

    name = "norms_test"

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        return [name for name, _ in model.named_parameters() if name.endswith("norm1.weight")]

    def param_groups(self, names: list[str]) -> Iterable[ParamGroup]:
        return [ParamGroup((names[0],), lr_scale=3)]

    def recipe_overrides(self, dataset: str) -> dict[str, float]:
        return {"lr": 0.1, "epochs": 2}


class Wrapped(nn.Module):
    """A layer with another name."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer


@dataclass(frozen=True, kw_only=True)
class Wrapper(Method):
    """Replaces modules without saying so."""

    name = "wrapper_test"
    new: bool = False

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        for block in model.blocks:
            block.norm1 = Wrapped(nn.LayerNorm(model.width) if self.new else block.norm1)
        return []

    def recipe_overrides(self, dataset: str) -> dict[str, float]:
        return {"lr": 0.2, "epochs": 2}


def test_names_follow_their_parameters_through_replaced_modules(make_request: Make) -> None:
    model = build_model(make_request(methods=["linear"]), classes=3).model
    method = Composed((Norms(), Wrapper()))
    names = method.adapt(model)
    assert names
    assert set(names) <= dict(model.named_parameters()).keys()
    assert [group.names for group in method.param_groups()] == [("v.blocks.0.norm1.layer.weight",)]


def test_a_method_that_removes_what_another_trains_is_refused(make_request: Make) -> None:
    model = build_model(make_request(methods=["linear"]), classes=3).model
    with pytest.raises(ValueError, match=r"removes 'v.blocks.0.norm1.weight', which norms_test trains"):
        Composed((Norms(), Wrapper(new=True))).adapt(model)


def test_methods_that_need_different_recipes_are_refused_in_any_order() -> None:
    for parts in ((Norms(), Wrapper()), (Wrapper(), Norms())):
        with pytest.raises(BenchmarkError, match=r"cannot be composed on esc50: they need recipe.lr=0\.[12] and 0"):
            Composed(parts).recipe_overrides("esc50")


def test_any_order_is_understood_where_methods_are_chosen(data_root: Path) -> None:
    grid = tiny_grid(methods=["aat_m[bottleneck=4]+prompt", "prompt+aat_m[bottleneck=4]", "linear"], folds=[1])
    requests = expand(grid, data_root, Path("none")).requests
    assert [request.method.variant for request in requests] == ["aat_m[bottleneck=4]+prompt", "linear"]
    chosen = narrow(grid, methods=["prompt+aat_m"])
    assert [request.id for request in expand(chosen, data_root, Path("none")).requests] == [requests[0].id]
    context = {"dataset": "esc50", "backbone": "ast", "method": "aat_m+prompt", "tuning": "peft"}
    assert Condition(method="prompt+aat_m").holds(context)
    assert not Condition(method="prompt").holds(context)


def test_a_search_gives_each_part_its_own_values() -> None:
    [space] = method_spaces(["prompt[tokens=3]+aat_m[bottleneck=8]", "aat_m[bottleneck=16]+prompt[tokens=6]"]).values()
    values = {parameter.label: parameter.values for parameter in space.hyperparameters}
    assert (space.name, space.parts) == ("aat_m+prompt", ("aat_m", "prompt"))
    assert values == {"aat_m.bottleneck": (8.0, 16.0), "prompt.tokens": (3, 6)}
