"""Grids: named sets of trials, from YAML files and changed on the command line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from benchmark.errors import ArgumentError
from benchmark.spec.declared import find
from benchmark.spec.grammar import split_list, unordered
from benchmark.spec.recipe import Condition, Layer
from benchmark.spec.request import Shots
from benchmark.spec.yaml import Spec, parse_scalar, read_yaml, validate

NameList = Annotated[list[str], Field(min_length=1)]
Folds = list[int] | Literal["all", "present"]


class Synthesis(Spec):
    """Synthetic audio in the official layout, for a grid that needs no data."""

    classes: Annotated[int, Field(ge=2)]
    clips_per_class: Annotated[int, Field(ge=1)] = Field(description="per fold")
    seconds: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="length of a clip; null for the dataset's own"
    )
    seed: Annotated[int, Field(ge=0)] = 0


class Tune(Spec):
    """How settings are chosen before the trials of a grid, equally for all methods."""

    candidates: Annotated[int, Field(ge=2)] = Field(
        default=8, description="settings of each method, backbone and dataset, the default setting included"
    )
    rates: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        default=(1e-5, 1e-2), description="lowest and highest learning rate"
    )

    @model_validator(mode="after")
    def _rates_rise(self) -> Tune:
        if self.rates[0] >= self.rates[1]:
            raise ValueError("rates: the second must be above the first")
        return self


class Values(Spec):
    """Recipe values that apply under a condition."""

    when: Condition
    values: dict[str, Any]


class GridFile(Spec):
    """The content of a grid file."""

    description: str
    protocol: str = "reference"
    switches: dict[str, Any] = Field(default={}, description="protocol switches that differ from the protocol")
    backbones: NameList
    datasets: NameList | Literal["available"] = Field(description="names, or `available`: all under the data root")
    methods: NameList
    folds: Folds = Field(
        default="all", description="numbers, `all`, or `present`: those with clips under the data root, else all"
    )
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    recipe: dict[str, Any] = Field(default={}, description="recipe values that replace those of the dataset's recipe")
    layers: list[Values] = Field(default=[], description="recipe values under conditions; later layers win")
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        default={}, description="lists of recipe values, in all combinations; they win over recipe and layers"
    )
    synthesize: Synthesis | dict[str, Synthesis] | None = Field(
        default=None, description="audio to generate, equally for every dataset or by dataset"
    )
    shots: list[Annotated[int, Field(ge=1)]] = Field(
        default=[], description="few-shot: training clips per class; empty for all clips"
    )
    draws: Annotated[int, Field(ge=1)] = Field(default=5, description="draws of the training clips, with `shots`")
    tune: Tune | None = Field(
        default=None, description="choose a setting of each method on held-out clips first; null for given settings"
    )

    @field_validator("tune")
    @classmethod
    def _only_settings_are_chosen(cls, tune: Tune | None, info: ValidationInfo) -> Tune | None:
        """Reject what is not compared by a choice; `tune` comes after these fields."""
        if tune and (given := [name for name in ("sweep", "shots") if info.data.get(name)]):
            raise ValueError(f"one setting is chosen, with all training clips: leave out {' and '.join(given)}")
        return tune

    def training_clips(self) -> list[Shots | None]:
        """Return the choices of training clips: every number of shots in every draw, or None for all clips."""
        chosen = [
            Shots(per_class=number, draw=draw) for number in dict.fromkeys(self.shots) for draw in range(self.draws)
        ]
        return list(chosen) or [None]

    def swept(self) -> list[list[Layer]]:
        """Return the recipe layers of every combination of swept values; `[[]]` without a sweep."""
        if not self.sweep:
            return [[]]
        combinations = itertools.product(*self.sweep.values())
        return [[Layer(source="sweep", values=dict(zip(self.sweep, values, strict=True)))] for values in combinations]

    def synthesis(self, dataset: str) -> Synthesis | None:
        """Return what to generate for a dataset; None for real data."""
        return self.synthesize.get(dataset) if isinstance(self.synthesize, dict) else self.synthesize


class Grid(GridFile):
    """A grid that is ready to expand: with its name, its origin and the changes of the command line."""

    name: str
    origin: str = Field(description="the file or the grid's name, for messages")
    overrides: list[Layer] = Field(default=[], description="recipe layers, weakest first")
    whole_folds: Folds | None = Field(
        default=None, description="folds before the command line narrowed them; null if it did not"
    )
    whole_seeds: tuple[int, ...] | None = Field(
        default=None, description="seeds before the command line narrowed them; null if it did not"
    )

    @property
    def choice_seed(self) -> int:
        """Return the seed on which settings are chosen: the grid's first one, so that narrowed calls share a choice."""
        return (self.whole_seeds or self.seeds)[0]

    def choice_fold(self, units: tuple[int, ...]) -> int:
        """Return the test fold of trials that choose settings: the grid's first one, narrowed or not.

        Args:
            units: folds of the dataset that have clips; (0,) if it has none.
        """
        folds = self.folds if self.whole_folds is None else self.whole_folds
        return next((fold for fold in units if isinstance(folds, str) or fold in folds), units[0])


def load_grid(name: str) -> Grid:
    """Return a declared grid or read a user's file.

    Raises:
        BenchmarkError: unknown name, or an error in the file.
    """
    path = find("grids", name)
    origin = str(path) if Path(name).suffix else f"grid '{path.stem}'"
    file = validate(GridFile, read_yaml(path), origin)
    layers = [Layer(source=origin, values=file.recipe)] if file.recipe else []
    layers += [Layer(source=origin, when=layer.when, values=layer.values) for layer in file.layers]
    return Grid(**file.model_dump(), name=path.stem, origin=origin, overrides=layers)


def narrow(
    grid: Grid,
    *,
    backbones: Iterable[str] = (),
    datasets: Iterable[str] = (),
    methods: Iterable[str] = (),
    folds: Iterable[str] = (),
    seeds: Iterable[str] = (),
    settings: Iterable[str] = (),
    protocol: str | None = None,
    shots: Iterable[str] = (),
    draws: int | None = None,
    candidates: int | None = None,
) -> Grid:
    """Return a grid with the choices of the command line.

    A bare name selects the grid's entries of that name with their options; any other text is taken as written.

    Args:
        grid: the grid to change.
        backbones: comma lists of backbones; empty keeps the grid's. The same for the other choices.
        datasets: comma lists of datasets.
        methods: comma lists of methods.
        folds: comma lists of fold numbers.
        seeds: comma lists of seeds.
        settings: `recipe.KEY=VALUE` or `protocol.SWITCH=VALUE`.
        protocol: name or file of a protocol.
        shots: comma lists of numbers of training clips per class.
        draws: number of draws of these clips.
        candidates: settings that a grid with `tune` tries for each method.

    Raises:
        BenchmarkError: a fold or seed is not a whole number, a setting does not have the form recipe.KEY=VALUE, or
            an option does not fit the grid.
    """
    changes: dict[str, Any] = {}
    for key, given in (("backbones", backbones), ("datasets", datasets), ("methods", methods)):
        if names := split_list(given):
            changes[key] = _pick(getattr(grid, key), names)
    for key, given in (("folds", folds), ("seeds", seeds), ("shots", shots)):
        if numbers := split_list(given):
            changes[key] = [whole_number(number, key) for number in numbers]
    if "folds" in changes and grid.whole_folds is None:
        changes["whole_folds"] = grid.folds
    if "seeds" in changes and grid.whole_seeds is None:
        changes["whole_seeds"] = grid.seeds
    changes |= _choices_of_clips_and_settings(grid, changes.get("shots", grid.shots), draws, candidates)
    if protocol:
        changes["protocol"] = protocol
    values, switches = _settings(settings)
    if values:
        changes["overrides"] = [*grid.overrides, Layer(source="--set", values=values)]
    return grid.model_copy(update={**changes, "switches": {**grid.switches, **switches}})


def _choices_of_clips_and_settings(
    grid: Grid, shots: list[int], draws: int | None, candidates: int | None
) -> dict[str, Any]:
    """Return the fields of a grid that say how many draws and candidates there are.

    Args:
        grid: the grid to change.
        shots: training clips per class; empty for all.
        draws: number of draws; None for the grid's.
        candidates: number of settings to try; None for the grid's.

    Raises:
        ArgumentError: they do not fit the grid.
    """
    changes: dict[str, Any] = {}
    if 0 in shots:
        raise ArgumentError("shots", "expected at least 1 training clip per class")
    if grid.tune and shots:
        raise ArgumentError("shots", f"{grid.origin} chooses settings with all training clips; use another grid")
    if draws is not None:
        if not shots or draws < 1:
            reason = (
                "expected at least 1" if shots else "draws are of few training clips: give the number of shots, too"
            )
            raise ArgumentError("draws", reason, draws)
        changes["draws"] = draws
    if candidates is not None:
        if grid.tune is None or candidates < 2:
            other = f"{grid.origin} chooses no settings; grids with `tune` do, such as 'tuned'"
            raise ArgumentError("candidates", "expected at least 2 settings" if grid.tune else other, candidates)
        changes["tune"] = grid.tune.model_copy(update={"candidates": candidates})
    return changes


def _pick(entries: list[str] | str, names: list[str]) -> list[str]:
    known = entries if isinstance(entries, list) else []
    bare = {entry: unordered(re.sub(r"\[[^\]]*\]", "", entry)) for entry in known}
    picked = [[entry for entry in known if bare[entry] == unordered(name)] or [name] for name in names]
    return list(dict.fromkeys(entry for group in picked for entry in group))


def whole_number(text: str, argument: str) -> int:
    """Parse a number from 0; `argument` is named in the message.

    Raises:
        BenchmarkError: it is not a whole number.
    """
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ArgumentError(argument, f"expected whole numbers, got '{text}'")
    return int(text)


def _settings(settings: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"recipe": {}, "protocol": {}}
    for setting in settings:
        key, equals, value = setting.partition("=")
        group, _, field = key.strip().partition(".")
        if not equals or group not in found or not field:
            raise ArgumentError("settings", "expected recipe.KEY=VALUE or protocol.SWITCH=VALUE", setting)
        found[group][field] = parse_scalar(value.strip())
    return found["recipe"], found["protocol"]
