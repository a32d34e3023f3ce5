"""Recipes: the reference's numbers, layers, conditions, mistakes."""

from __future__ import annotations

import pytest

from benchmark.errors import BenchmarkError
from benchmark.spec.recipe import Layer, resolve_recipe


def resolve(tuning: str = "peft", **values: object):
    overrides = [Layer(source="--set", values=values)] if values else []
    return resolve_recipe("esc50", backbone="ast", method="linear", tuning=tuning, overrides=overrides)  # type: ignore[arg-type]


def test_esc50_has_the_numbers_of_the_official_scripts() -> None:
    full, peft = resolve("full").recipe, resolve("peft").recipe
    assert (full.lr, full.batch_size) == (1e-5, 48)
    assert (peft.lr, peft.batch_size) == (1e-4, 42)
    for recipe in (full, peft):
        assert (recipe.epochs, recipe.frames, recipe.mels, recipe.stride) == (25, 512, 128, (10, 10))
        assert (recipe.freq_mask, recipe.time_mask, recipe.mixup, recipe.noise) == (24, 96, 0, False)
        assert (recipe.mean, recipe.std) == (-6.6268077, 5.358466)
        assert (recipe.decay_start, recipe.decay_step, recipe.decay_gamma) == (5, 1, 0.85)
        assert (recipe.weight_decay, recipe.warmup_steps, recipe.loss) == (0.05, 0, "cross_entropy")


def test_every_value_names_its_source() -> None:
    resolved = resolve(epochs=2)
    assert set(resolved.sources) == set(type(resolved.recipe).model_fields)
    assert resolved.sources["lr"] == "AAT@dc406ad tasks/esc50/run_esc_adapt.sh and run_esc_adapt_ssast.sh"
    assert resolved.sources["epochs"] == "--set"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 2}, "recipe.epoch: unknown key (did you mean 'epochs'?)"),
        ({"epochs": "many"}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"mixup": 0.5}, "cannot take mixup"),
        ({"time_mask": 600}, "larger than the filter bank"),
        ({"lr": -1}, "lr"),
        ({"label_smoothing": 1}, "label_smoothing: Input should be less than 1, got 1"),
        ({"layer_decay": 0}, "layer_decay: Input should be greater than 0, got 0"),
        ({"clip_norm": 0}, "clip_norm: Input should be greater than 0, got 0"),
        ({"early_stop": 0}, "early_stop: Input should be greater than or equal to 1, got 0"),
        ({"head_dropout": 1}, "head_dropout: Input should be less than 1, got 1"),
        ({"windows": "last"}, "windows: Input should be 'first', 'all' or 'random', got 'last'"),
        ({"schedule": "linear"}, "schedule: Input should be 'step' or 'cosine', got 'linear'"),
        ({"min_lr_share": 0.1}, "value: min_lr_share is for the cosine schedule (use schedule cosine)"),
        ({"min_lr_share": 2, "schedule": "cosine"}, "min_lr_share: Input should be less than or equal to 1, got 2"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(BenchmarkError, match="--set") as caught:
        resolve(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
