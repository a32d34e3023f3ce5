"""Learning rates against the official code's."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.spec.request import TrialRequest
from benchmark.trial.schedule import Schedule

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())["schedules"]


def rates(recipe, warmup: str, epochs: int, steps: int) -> list[list[float]]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    schedule = Schedule(optimizer, recipe, warmup)
    out = []
    for _ in range(epochs):
        out.append([])
        for _ in range(steps):
            schedule.before_step()
            out[-1].append(schedule.applied)
        schedule.after_epoch()
    return out


def recipe_of(make_request: Callable[..., TrialRequest], args: dict):
    return make_request().recipe.model_copy(
        update={
            "lr": args["lr"],
            "decay_start": args["start"],
            "decay_step": args["step"],
            "decay_gamma": args["decay"],
            "warmup_steps": 1000 if args["warmup"] else 0,
        }
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_rates_are_the_official_ones(name: str, make_request: Callable[..., TrialRequest]) -> None:
    case = GOLDEN[name]
    args = case["args"]
    got = rates(recipe_of(make_request, args), "stepwise", args["epochs"], args["steps_per_epoch"])
    assert [epoch[0] for epoch in got] == pytest.approx(case["lr_first_step_of_each_epoch"], rel=1e-12)
    assert [epoch[-1] for epoch in got] == pytest.approx(case["lr_last_step_of_each_epoch"], rel=1e-12)
    flat = [rate for epoch in got for rate in epoch]
    for step, rate in case.get("lr_at_step", {}).items():
        assert flat[int(step)] == pytest.approx(rate, rel=1e-12)


def test_linear_warmup_rises_at_every_step_and_keeps_the_decay(make_request: Callable[..., TrialRequest]) -> None:
    args = GOLDEN["openmic_like_short_epochs(300 steps)"]["args"]
    flat = [rate for epoch in rates(recipe_of(make_request, args), "linear", 6, 300) for rate in epoch]
    assert flat[0] == pytest.approx(1e-7)
    assert all(later > earlier for earlier, later in itertools.pairwise(flat[:600]))
    assert flat[999] == pytest.approx(1e-4 / 4)  # in epoch 4, after two decays


def cosine(make_request: Callable[..., TrialRequest], **values: object) -> list[float]:
    recipe = make_request().recipe.model_copy(update={"schedule": "cosine", "epochs": 3, "lr": 1e-3, **values})
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    schedule, found = Schedule(optimizer, recipe, "stepwise", 10), []
    for step in range(30):
        if step == 15:  # in the middle of an epoch's steps a resumed trial begins with the same rate
            again = Schedule(optimizer, recipe, "stepwise", 10)
            again.load_state(schedule.state())
            schedule = again
        schedule.before_step()
        found.append(schedule.applied)
        if step % 10 == 9:
            schedule.after_epoch()
    return found


def test_a_cosine_is_torchs(make_request: Callable[..., TrialRequest]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=1e-4)
    expected = []
    for _ in range(30):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    assert cosine(make_request, min_lr_share=0.1) == pytest.approx(expected)


def test_a_cosine_after_a_warm_up_is_the_formula_of_hugging_face(make_request: Callable[..., TrialRequest]) -> None:
    """`get_cosine_schedule_with_warmup`, whose first step has the rate 0; here it has the first part of the rise."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)

    def factor(step: int) -> float:
        return (step + 1) / 8 if step < 8 else 0.5 * (1 + math.cos(math.pi * (step - 8) / (30 - 8)))

    reference, expected = torch.optim.lr_scheduler.LambdaLR(optimizer, factor), []
    for _ in range(30):
        expected.append(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()
    found = cosine(make_request, warmup_steps=8)
    assert found == pytest.approx(expected)
    assert max(found) == found[7] == 1e-3
    assert cosine(make_request, warmup_steps=100)[-1] == pytest.approx(3e-4)  # longer than the training: it only rises
