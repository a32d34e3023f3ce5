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
    ],
)
def test_mistakes_are_one_line_that_names_the_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(BenchmarkError, match="--set") as caught:
        resolve(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
