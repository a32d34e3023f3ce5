"""The paper's grids and every number of its recipes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmark.data.registry import datasets
from benchmark.planning.expand import expand
from benchmark.spec.grid import load_grid
from benchmark.spec.protocol import OFFICIAL_DATASETS
from benchmark.spec.recipe import resolve_recipe

# dataset: lr by backbone and tuning, epochs, batch by tuning, masks, mixup, noise, mean, std, frames, loss, decay, warm-up
TABLE = {
    "esc50": ((1e-5, 1e-4), (1e-5, 1e-4), 25, (48, 42), (24, 96), 0, False, -6.6268077, 5.358466, 512, "ce", (5, 1, 0.85), 0),
    "urbansound8k": ((1e-5,) * 2, (1e-5,) * 2, 25, (48, 48), (24, 96), 0, False, -4.451961, 3.9357858, 400, "ce", (5, 1, 0.85), 0),
    "speech_commands_v2": ((5e-4,) * 2, (5e-4,) * 2, 30, (128,) * 2, (48, 48), 0.6, True, -6.845978, 5.5654526, 128, "bce", (5, 1, 0.85), 0),
    "speech_commands_v1": ((5e-4,) * 2, (5e-4,) * 2, 30, (128,) * 2, (48, 48), 0.6, True, -6.785136, 5.496325, 128, "bce", (5, 1, 0.85), 0),
    "gtzan": ((1e-5,) * 2, (1e-5,) * 2, 30, (2, 2), (48, 576), 0, False, -3.0708861, 3.4615202, 3000, "ce", (5, 1, 0.85), 0),
    "openmic": ((1e-4,) * 2, (1e-5,) * 2, 30, (12, 12), (48, 192), 0.5, True, -4.0147066, 4.0522056, 1024, "bce", (10, 5, 0.5), 1000),
}  # fmt: skip
OPEN = {"urbansound8k", "speech_commands_v1", "speech_commands_v2", "gtzan", "openmic"}


@pytest.mark.parametrize("tuning", ["full", "peft"])
@pytest.mark.parametrize("backbone", ["ast", "ssast"])
@pytest.mark.parametrize("dataset", TABLE)
def test_recipes_have_the_numbers_of_the_official_scripts(dataset: str, backbone: str, tuning: str) -> None:
    ast, ssast, epochs, batch, masks, mixup, noise, mean, std, frames, loss, decay, warmup = TABLE[dataset]
    column = ["full", "peft"].index(tuning)
    resolved = resolve_recipe(dataset, backbone=backbone, method="x", tuning=tuning, overrides=[])  # type: ignore[arg-type]
    recipe = resolved.recipe
    assert recipe.lr == (ast if backbone == "ast" else ssast)[column]
    assert (recipe.epochs, recipe.batch_size, (recipe.freq_mask, recipe.time_mask)) == (epochs, batch[column], masks)
    assert (recipe.mixup, recipe.noise, recipe.mean, recipe.std, recipe.frames) == (mixup, noise, mean, std, frames)
    assert recipe.loss == {"ce": "cross_entropy", "bce": "bce"}[loss]
    assert (recipe.decay_start, recipe.decay_step, recipe.decay_gamma, recipe.warmup_steps) == (*decay, warmup)
    assert (recipe.weight_decay, recipe.precision, recipe.mels, recipe.stride) == (0.05, "amp", 128, (10, 10))
    assert set(resolved.sources) == set(type(recipe).model_fields)
    assert all(source for source in resolved.sources.values())
    assert ("lr" in resolved.open) == (dataset in OPEN)


def test_gtzan_says_that_its_ast_recipe_is_borrowed() -> None:
    resolved = resolve_recipe("gtzan", backbone="ast", method="full", tuning="full", overrides=[])
    assert "no GTZAN recipe for AST" in resolved.open["epochs"]


@pytest.mark.parametrize(("name", "protocol"), [("paper", "reference"), ("paper-corrected", "corrected")])
def test_the_papers_grid_has_all_912_trials(name: str, protocol: str, tmp_path: Path) -> None:
    expansion = expand(load_grid(name), tmp_path, tmp_path)
    requests = expansion.requests
    assert len(requests) == len({request.id for request in requests}) == 8 * 2 * 19 * 3
    assert {request.protocol.name for request in requests} == {protocol}
    assert {request.backbone.variant for request in requests} == {"ast", "ssast"}
    units = Counter(request.dataset.name for request in requests)
    assert units == {n: 48 * len(d.info.fold_units) for n, d in datasets().items()}
    assert len(expansion.missing_inputs) == 8  # six datasets and two checkpoints, each with what to do
    assert all(":" in line and ("get" in line or "fetch" in line) for line in expansion.missing_inputs)
    assert expansion.runnable == []
    assert not any(request.recipe_changes for request in requests)


def test_the_datasets_of_the_official_code_are_those_of_the_paper() -> None:
    assert sorted(OFFICIAL_DATASETS) == sorted(load_grid("paper").datasets)
