"""What a search chooses from, what it turns down by count, and what it makes of what it found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from benchmark.errors import BenchmarkError
from benchmark.methods.contract import Method
from benchmark.planning.expand import expand
from benchmark.search.history import Configuration, Ledger, front, winner
from benchmark.search.space import Limits, Space, candidates, default_methods, judge, make_space
from tests.conftest import tiny_grid


@pytest.fixture
def space(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Space:
    """Three methods; two of them cannot be combined."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    known = {each.name: each for each in candidates(["linear", "aat_m[bottleneck=0.25,16]+prompt", "aat_m+aat_ms"])}
    grid = tiny_grid(methods=["+".join(each.places) for each in known.values()], folds="all")
    return make_space(grid, expand(grid, data_root, tmp_path), known)


def test_the_default_space_is_every_method_and_pair() -> None:
    names = default_methods()
    assert {"linear", "aat_m", "prompt", "aat_m+prompt"} <= set(names)
    assert not [name for name in names if "full" in name or "linear+" in name or "+linear" in name]
    assert len(set(names)) == len(names)


def test_values_come_from_the_command_else_from_the_method() -> None:
    [combination] = candidates(["aat_m[bottleneck=8,16]+prompt", "aat_m[bottleneck=32]+prompt"])
    values = {each.label: each.values for each in combination.dimensions}
    assert values == {"aat_m.bottleneck": (8.0, 16.0, 32.0), "prompt.tokens": (3, 6, 12, 24, 48)}
    assert combination.text({"aat_m.bottleneck": 2, "prompt.tokens": 0}) == "aat_m[bottleneck=32]+prompt[tokens=3]"
    assert combination.text({"prompt.tokens": 2}) == "aat_m[bottleneck=8]+prompt"
    one, two = candidates(["aat_m[bottleneck=8]", "aat_m+prompt"])
    assert [each.label for each in one.dimensions] == ["aat_m.bottleneck"]
    assert [each.label for each in two.dimensions] == ["aat_m+prompt:aat_m.bottleneck", "prompt.tokens"]
    with pytest.raises(BenchmarkError, match="did you mean 'aat_m'"):
        candidates(["aatm"])


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


def test_a_method_that_says_nothing_gets_values_around_its_defaults_within_bounds() -> None:
    expected = {"on": (False, True), "word": ("a", "b"), "rank": (2, 4, 8), "share": (0.125, 0.25, 0.5, 1.0)}
    assert Odd.search_space() == expected


def test_the_space_leaves_out_what_does_not_fit_and_knows_no_test_clip(space: Space) -> None:
    assert list(space.candidates) == ["linear", "aat_m+prompt"]
    folds = {Path(clip.path).name[0] for clip in space.held.manifest.clips}
    assert folds == {"2", "3", "4", "5"}  # an ESC-50 file's name begins with its fold
    draw = {"method": "aat_m+prompt", "aat_m.bottleneck": 1, "prompt.tokens": 0, "rate": 2.0}
    text, request = space.request(draw)
    assert text == "aat_m[bottleneck=16]+prompt[tokens=3]"
    assert request.recipe.lr == pytest.approx(2e-3)
    assert request.dataset.manifest == space.held.manifest.digest
    assert request.id != space.first.id


def test_limits_are_held_against_counts(space: Space) -> None:
    info = space.held.manifest.info
    _, small = space.request({"method": "linear", "rate": 1.0})
    _, large = space.request({"method": "aat_m+prompt", "aat_m.bottleneck": 1, "prompt.tokens": 0, "rate": 1.0})
    free = judge(large, info, Limits())
    assert free.reason is None
    assert free.trainable is not None
    assert free.peak_bytes is not None
    assert judge(large, info, Limits(free.trainable, free.peak_bytes)) == free
    by_size = judge(large, info, Limits(free.trainable - 1))
    assert (by_size.reason or "").startswith(f"{free.trainable:,} trainable parameters, more than")
    assert by_size.peak_bytes is None  # not counted any more
    assert "GB for a step, more than" in (judge(large, info, Limits(None, free.peak_bytes - 1)).reason or "")
    assert judge(small, info, Limits(free.trainable - 1, free.peak_bytes - 1)).reason is None


def made(number: int, scores: list[float], trainable: int, peak: int, state: str = "finished") -> Configuration:
    values = {"number": number, "state": state, "method": "linear", "lr": 1e-3, "scores": scores, "draw": {}}
    return Configuration.model_validate({**values, "trainable": trainable, "peak_bytes": peak})


def test_the_front_and_the_winner() -> None:
    best, cheap = made(0, [0.5, 0.9, 0.8], 100, 100), made(1, [0.6], 10, 100, "pruned")
    beaten, equal = made(2, [0.5], 10, 100), made(3, [0.9], 100, 100)
    rest = [made(4, [1.0], 1, 1, "failed"), made(5, [], 1, 1, "infeasible"), made(6, [1.0], 1, 1, "unfinished")]
    every = [best, cheap, beaten, equal, *rest]
    assert front(every) == [best, cheap]
    assert winner(every) == best
    assert winner([cheap, *rest]) == cheap
    assert winner(rest) is None


def test_the_ledger_goes_on_and_refuses_another_search(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {"seed": 0, "methods": {"linear": []}})
    for each in (made(0, [0.1], 1, 1), made(1, [], 1, 1, "unfinished"), made(2, [0.3], 1, 1)):
        ledger.put(each)
    again = Ledger(tmp_path, {"seed": 0, "methods": {"linear": []}})
    again.load()
    assert again.configurations == ledger.configurations
    assert [each.number for each in again.renumber()] == [1]
    assert [(each.number, each.score) for each in again.configurations] == [(0, 0.1), (1, 0.3)]
    assert (tmp_path / "search.csv").read_text().splitlines()[1].startswith("0,finished,linear,0.001,0.1,1,1,1,")
    with pytest.raises(BenchmarkError, match=r"is of another search \(other seed\)"):
        Ledger(tmp_path, {"seed": 1, "methods": {"linear": []}}).load()
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(BenchmarkError, match="damaged"):
        again.load()
