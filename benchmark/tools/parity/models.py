"""Compare forward passes and training steps with those of the official models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch

from benchmark.errors import BenchmarkError
from benchmark.models.build import unused_head_parameters
from benchmark.models.transformer import AudioTransformer
from benchmark.tools.parity.build import build_case
from benchmark.tools.parity.case import Content, Outcome, beyond, gap
from benchmark.tools.parity.rules import inputs
from benchmark.trial.loss import loss_of

LOSSES: dict[str, Literal["cross_entropy", "bce"]] = {"CE": "cross_entropy", "BCE": "bce"}
UNUSED_HEADS = ("v.head.weight", "v.head.bias", "v.head_dist.weight", "v.head_dist.bias")


def model_outcome(case: Content, content: Content) -> Outcome:
    """Compare logits in float32 and float64, and parameter counts if the case has them."""
    model = build_case(case, content).eval()
    given = case["input"]
    x = inputs(given["seed"], given["batch"], given["frames"], given["mels"])
    with torch.inference_mode():
        error32 = gap(model(x), case["expected_logits"])
        error64 = gap(model.double()(x.double()), case["expected_logits_f64"])
    tolerance = case["tolerance"]
    problems = [*beyond("float64", error64, tolerance["f64"]), *beyond("float32", error32, tolerance["f32"])]
    problems += _count_problems(model, case)
    return Outcome("model", case["name"], error64, error32, tuple(problems))


def train_outcome(case: Content, content: Content) -> Outcome:
    """Compare a few AdamW steps: losses, logits after them, gradient norms of the first step."""
    errors, problems = {}, []
    for precision in ("f64", "f32"):
        expected, tolerance = case[precision], case["tolerance"][precision]
        model = build_case(case, content)
        model = model.double() if precision == "f64" else model
        errors[precision], found = _train(model, case, expected)
        problems += [f"{precision} {text}" for text in found]
        problems += beyond(precision, errors[precision], tolerance)
    return Outcome("train", case["name"], errors["f64"], errors["f32"], tuple(problems))


def _train(model: AudioTransformer, case: Content, expected: Content) -> tuple[float, list[str]]:
    if case["loss"] not in LOSSES:
        raise BenchmarkError(f"unknown loss '{case['loss']}'")
    dtype = next(model.parameters()).dtype
    mels = case["ctor"]["input_fdim"]
    x = inputs(case["seed"], case["batch"], case["frames"], mels).to(dtype)
    targets = torch.eye(case["ctor"]["label_dim"], dtype=dtype)[case["labels"]]
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(named.values(), lr=case["lr"], weight_decay=case["weight_decay"])
    model.train()
    losses: list[float] = []
    problems: list[str] = []
    for step in range(case["steps"]):
        loss = loss_of(model(x), targets, torch.ones_like(targets), LOSSES[case["loss"]])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if step == 0:
            problems += _gradient_problems(named, expected)
        optimizer.step()
        losses.append(loss.item())
    with torch.inference_mode():
        error = max(gap(losses, expected["losses"]), gap(model(x), expected["logits_after"]))
    return error, problems


def _gradient_problems(named: dict[str, torch.nn.Parameter], expected: Content) -> Iterable[str]:
    """Compare the gradients of the first step with those of a case, which has all details in float64 only."""
    norms = {name: None if p.grad is None else float(p.grad.double().norm()) for name, p in named.items()}
    total = sum(norm**2 for norm in norms.values() if norm is not None) ** 0.5
    relative = 1e-8 if next(iter(named.values())).dtype == torch.float64 else 1e-4
    yield from beyond("gradient norm", abs(total / expected["total_grad_norm_step1"] - 1), relative)
    for name, norm in expected.get("grad_norms_step1", {}).items():
        if name in UNUSED_HEADS:
            continue
        if (norm is None) != (norms.get(name) is None):
            yield f"{name} {'has a gradient' if norm is None else 'has no gradient'}"
        elif norm is not None:
            yield from beyond(f"gradient of {name}", abs(norms[name] - norm), relative * max(norm, 1e-3))
    if "trainable_without_grad" in expected:
        without = {name for name, norm in norms.items() if norm is None}
        if without != set(expected["trainable_without_grad"]) - set(UNUSED_HEADS):
            yield f"no gradient for {sorted(without)}, expected {expected['trainable_without_grad']}"


def _count_problems(model: AudioTransformer, case: Content) -> Iterable[str]:
    """Compare parameter counts, which include the two unused heads except for Hugging Face models."""
    counted = case["family"] != "hf_ast"
    heads = unused_head_parameters(model.width, heads=model.config.class_tokens) if counted else 0
    total = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if total + heads != case.get("n_params_total", total + heads):
        yield f"{total + heads} parameters instead of {case['n_params_total']}"
    expected = case.get("n_params_trainable")
    full = not case["ctor"].get("adapter")
    if expected is not None and trained + (heads if full else 0) != expected:
        yield f"{trained} trainable parameters instead of {expected}"
