"""Layer-wise decay against BEiT's rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmark.methods.contract import ParamGroup
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.layer_decay import decayed_groups, layer_scale
from benchmark.trial.train_step import Trainer
from tests.conftest import TINY_RECIPE

DEPTH, DECAY = 4, 0.5


def beit(name: str) -> float:
    """Return the factor as microsoft/unilm beit/optim_factory.py computes it, for our names."""
    layers = DEPTH
    if name in {"v.cls_token", "v.dist_token", "v.pos_embed"} or name.startswith("v.patch_embed"):
        layer = 0
    elif name.startswith("v.blocks"):
        layer = int(name.split(".")[2]) + 1
    else:
        layer = layers + 1
    return [DECAY ** (layers + 1 - number) for number in range(layers + 2)][layer]


@pytest.mark.parametrize("method", ["full", "aat_ms+prompt", "lora", "bitfit"])
def test_every_parameter_has_beits_rate(method: str, make_request: Callable[..., TrialRequest]) -> None:
    values = {**TINY_RECIPE, "layer_decay": DECAY}
    request = make_request(methods=[method], overrides=[{"source": "test", "values": values}])
    built = build_model(request, 3)
    trainer = Trainer(built.model, request, torch.device("cpu"), built.groups)
    trainer.schedule.before_step()
    names = {id(parameter): name for name, parameter in built.model.named_parameters() if parameter.requires_grad}
    found = {
        names.pop(id(parameter)): group["lr"]
        for group in trainer.optimizer.param_groups
        for parameter in group["params"]
    }
    assert not names
    assert found == pytest.approx({name: request.recipe.lr * beit(name) for name in found})
    assert len(set(found.values())) > DEPTH
    assert trainer.schedule.applied == request.recipe.lr  # curves show the rate of the head


def test_groups_of_a_method_are_multiplied() -> None:
    names = ["v.blocks.3.a", "v.blocks.3.b", "mlp_head.1.weight"]
    groups = decayed_groups(names, [ParamGroup(("v.blocks.3.b",), lr_scale=10, weight_decay=0.0)], DEPTH, DECAY, [])
    assert [(group.names, group.lr_scale, group.weight_decay) for group in groups] == [
        (("v.blocks.3.a",), 0.5, None),
        (("v.blocks.3.b",), 5.0, 0.0),
    ]


def test_the_last_normalisation_is_the_one_that_the_backbone_states() -> None:
    assert layer_scale("v.norm.weight", DEPTH, DECAY, ["v.norm"]) == 1
    assert layer_scale("v.ln_post.weight", DEPTH, DECAY, ["v.ln_post"]) == 1
    assert layer_scale("v.ln_post2.weight", DEPTH, DECAY, ["v.ln_post"]) == DECAY ** (DEPTH + 1)


def test_the_optimizer_asks_the_backbone_for_its_last_normalisation(make_request: Callable[..., TrialRequest]) -> None:
    values = {**TINY_RECIPE, "layer_decay": DECAY}
    request = make_request(methods=["full"], overrides=[{"source": "test", "values": values}])
    model = build_model(request, 3).model
    model.v.ln_post = model.v.norm
    del model.v.norm
    model.__class__ = type("Named", (type(model),), {"FINAL_NORMS": ("v.ln_post",)})
    trainer = Trainer(model, request, torch.device("cpu"))
    [group] = [
        group for group in trainer.optimizer.param_groups if any(p is model.v.ln_post.weight for p in group["params"])
    ]
    assert group["lr_scale"] == 1
