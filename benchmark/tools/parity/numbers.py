"""Compare metrics and learning-rate schedules."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.metrics.by_class import aucs, average_precisions, class_mean
from benchmark.spec.recipe import resolve_recipe
from benchmark.tools.parity.case import Content, Outcome, beyond, gap
from benchmark.trial.metrics import accuracy, d_prime
from benchmark.trial.schedule import Schedule

EXACT = 1e-12
WARMUP_STEPS = 1000


def metric_outcome(case: Content) -> Outcome:
    """Compare accuracy, average precision and AUC by class, their means, and d'."""
    r = np.random.RandomState(case["seed"])
    n, classes = case["N"], case["C"]
    output = 1 / (1 + np.exp(-r.standard_normal((n, classes))))
    if case["multi"]:
        target = (r.rand(n, classes) < 0.3).astype(float)
        target[0], target[1] = 1, 0
    else:
        target = np.eye(classes)[r.randint(0, classes, n)]
        target[:classes] = np.eye(classes)
    seen = np.ones_like(target)
    precisions, areas = average_precisions(output, target, seen), aucs(output, target, seen)
    mean_area = class_mean(areas)
    pairs = {
        "accuracy": (accuracy(output, target), case["acc"]),
        "average precision": (precisions, case["AP"]),
        "AUC": (areas, case["auc"]),
        "mAP": (class_mean(precisions), case["mAP"]),
        "mAUC": (mean_area, case["mAUC"]),
        "d'": (d_prime(mean_area), case["d_prime"]),
    }
    errors = {label: gap(found, expected) for label, (found, expected) in pairs.items()}
    problems = [text for label, error in errors.items() for text in beyond(label, error, 1e-10)]
    return Outcome("metric", f"seed {case['seed']}, {n} x {classes}", max(errors.values()), None, tuple(problems))


def schedule_outcome(name: str, case: Content) -> Outcome:
    """Compare the learning rate at the first and last step of every epoch, and at single steps."""
    args = case["args"]
    recipe = resolve_recipe("esc50", backbone="ast", method="full", tuning="full", overrides=[]).recipe.model_copy(
        update={
            "lr": args["lr"],
            "decay_start": args["start"],
            "decay_step": args["step"],
            "decay_gamma": args["decay"],
            "warmup_steps": WARMUP_STEPS if args["warmup"] else 0,
        }
    )
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = Schedule(optimizer, recipe, "stepwise")
    rates: list[list[float]] = []
    for _ in range(args["epochs"]):
        rates.append([])
        for _ in range(args["steps_per_epoch"]):
            schedule.before_step()
            rates[-1].append(schedule.applied)
        schedule.after_epoch()
    flat = [rate for epoch in rates for rate in epoch]
    steps = case.get("lr_at_step", {})
    errors = {
        "first step": gap([epoch[0] for epoch in rates], case["lr_first_step_of_each_epoch"]),
        "last step": gap([epoch[-1] for epoch in rates], case["lr_last_step_of_each_epoch"]),
        "a step": gap([flat[int(step)] for step in steps], list(steps.values())),
    }
    problems = [text for label, error in errors.items() for text in beyond(label, error, EXACT)]
    group = optimizer.param_groups[0]
    for key, expected in case.get("optimizer", {}).items():
        found = recipe.lr if key == "lr" else group.get(key)
        if (list(found) if isinstance(found, tuple) else found) != expected:
            problems.append(f"optimizer {key} is {found} instead of {expected}")
    return Outcome("schedule", name, max(errors.values()), None, tuple(problems))
