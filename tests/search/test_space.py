"""What a search chooses from, and what it rejects before training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Method
from benchmark.search.space import Limits, Space, compute_size, default_methods, method_spaces


def test_the_default_space_is_every_method_and_pair() -> None:
    names = default_methods()
    assert {"linear", "aat_m", "prompt", "aat_m+prompt"} <= set(names)
    assert not [name for name in names if "full" in name or "linear+" in name or "+linear" in name]
    assert len(set(names)) == len(names)


def test_values_come_from_the_command_or_from_the_method() -> None:
    [combination] = method_spaces(["aat_m[bottleneck=8,16]+prompt", "aat_m[bottleneck=32]+prompt"]).values()
    values = {parameter.label: parameter.values for parameter in combination.hyperparameters}
    assert values == {"aat_m.bottleneck": (8.0, 16.0, 32.0), "prompt.tokens": (3, 6, 12, 24, 48)}
    assert combination.text({"aat_m.bottleneck": 2, "prompt.tokens": 0}) == "aat_m[bottleneck=32]+prompt[tokens=3]"
    assert combination.text({"prompt.tokens": 2}) == "aat_m[bottleneck=8]+prompt"
    one, two = method_spaces(["aat_m[bottleneck=8]", "aat_m+prompt"]).values()
    assert [parameter.label for parameter in one.hyperparameters] == ["aat_m.bottleneck"]
    assert [parameter.label for parameter in two.hyperparameters] == ["aat_m+prompt:aat_m.bottleneck", "prompt.tokens"]
    with pytest.raises(BenchmarkError, match="did you mean 'aat_m'"):
        method_spaces(["aatm"])


@dataclass(frozen=True, kw_only=True)
class Odd(Method):
    """Every kind of hyper-parameter."""

    on: bool = True
    word: Literal["a", "b"] = "a"
    rank: Annotated[int, Field(ge=2, le=8)] = 4
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    path: str = "x"

    def adapt(self, model: Any) -> list[str]:
        return []


def test_by_default_a_method_has_values_around_its_defaults_within_bounds() -> None:
    expected = {"on": (False, True), "word": ("a", "b"), "rank": (2, 4, 8), "share": (0.125, 0.25, 0.5, 1.0)}
    assert Odd.search_space() == expected


def test_the_space_has_no_method_that_does_not_fit_and_no_test_clip(space: Space) -> None:
    assert list(space.methods) == ["linear", "aat_m+prompt"]
    folds = {Path(clip.path).name[0] for clip in space.split.manifest.clips}
    assert folds == {"2", "3", "4", "5"}  # an ESC-50 file's name begins with its fold
    draw = {"method": "aat_m+prompt", "aat_m.bottleneck": 1, "prompt.tokens": 0, "rate": 2.0}
    text, request = space.request(draw)
    assert text == "aat_m[bottleneck=16]+prompt[tokens=3]"
    assert request.recipe.lr == pytest.approx(2e-3)
    assert request.dataset.manifest == space.split.manifest.digest
    assert request.id != space.first.id


def test_a_model_that_cannot_be_built_is_rejected_with_its_reason(space: Space) -> None:
    _, request = space.request({"method": "linear", "rate": 1.0})
    broken = request.model_copy(update={"recipe": request.recipe.model_copy(update={"frames": 8})})
    assert "128 mel bands x 8 frames are less than a 16x16 patch" in (compute_size(broken, Limits()).error or "")


def test_configurations_over_the_limits_are_rejected(space: Space) -> None:
    _, small = space.request({"method": "linear", "rate": 1.0})
    _, large = space.request({"method": "aat_m+prompt", "aat_m.bottleneck": 1, "prompt.tokens": 0, "rate": 1.0})
    free = compute_size(large, Limits())
    assert free.error is None
    assert free.trainable is not None
    assert free.peak_bytes is not None
    assert compute_size(large, Limits(free.trainable, free.peak_bytes)) == free
    by_size = compute_size(large, Limits(free.trainable - 1))
    assert (by_size.error or "").startswith(f"{free.trainable:,} trainable parameters, more than")
    assert by_size.peak_bytes is None  # not computed
    assert "B for a step, more than" in (compute_size(large, Limits(None, free.peak_bytes - 1)).error or "")
    assert compute_size(small, Limits(free.trainable - 1, free.peak_bytes - 1)).error is None
