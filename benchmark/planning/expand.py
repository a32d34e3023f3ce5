"""A grid becomes an explicit list of trial requests."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.dataset import Dataset
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.manifest import Manifest
from benchmark.data.registry import available, datasets, get_dataset
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.methods.contract import Composed
from benchmark.methods.registry import resolve_methods
from benchmark.models.weights import locate
from benchmark.spec.backbone import BackboneChoice, resolve_backbones
from benchmark.spec.grid import Grid
from benchmark.spec.protocol import load_protocol, override
from benchmark.spec.recipe import Layer, Recipe, resolve_recipe
from benchmark.spec.request import DatasetChoice, TrialRequest


@dataclass(frozen=True)
class Expansion:
    """The trials of a grid in its order, what they need that is not there, one line each, and what is there.

    `checkpoints` are paths by sha256, `info` and `manifests` by dataset; `skipped` are trials that their method cannot
    do, one line each.
    """

    requests: list[TrialRequest]
    missing_inputs: list[str]
    checkpoints: dict[str, Path]
    manifests: dict[str, Manifest]
    info: dict[str, DatasetInfo]
    skipped: list[str]

    def part(self, number: int, parts: int) -> Expansion:
        """One of several parts of about equal size; the same trials in every call."""
        return dataclasses.replace(
            self, requests=[each for each in self.requests if int(each.id, 16) % parts == number - 1]
        )

    @property
    def runnable(self) -> list[TrialRequest]:
        """The trials whose data and checkpoint are there."""
        return [request for request in self.requests if request.complete]


def expand(grid: Grid, data_root: Path, checkpoint_folder: Path) -> Expansion:
    """Cross backbones, datasets, methods, folds and seeds; nothing is run and no audio is read.

    Raises:
        BenchmarkError: an unknown name, a bad option, or data that does not follow its layout.
    """
    protocol = override(load_protocol(grid.protocol), grid.switches, f"{grid.origin}: protocol")
    where = f"{grid.origin}: backbones"
    checkpoints: dict[str, Path] = {}
    missing: list[str] = []
    backbones = [
        _located(choice, checkpoint_folder, checkpoints, missing)
        for text in grid.backbones
        for choice in resolve_backbones(text, where)
    ]
    methods = [method for text in grid.methods for method in resolve_methods(text, f"{grid.origin}: methods")]
    requests: dict[str, TrialRequest] = {}
    skipped: list[str] = []
    names = _dataset_names(grid, data_root)
    chosen = [find_source(name, grid, data_root, missing) for name in names]
    _check_folds(grid, [source.info for source in chosen])
    for source in chosen:
        if source.manifest is not None:
            for fold in _folds(grid, source.info):
                source.manifest.splits(fold)  # an empty split would fail every trial
    for backbone in backbones:
        for source in chosen:
            for method, swept in itertools.product(methods, grid.swept()):
                recipe = recipe_of(grid, source, backbone, method, swept)
                if recipe is None:
                    continue
                for seed in grid.seeds:
                    for fold in _folds(grid, source.info):
                        request = TrialRequest(
                            backbone=backbone,
                            dataset=source.choice,
                            method=method.choice(),
                            fold=fold,
                            seed=seed,
                            recipe=recipe,
                            protocol=protocol,
                        )
                        if reason := method.skip(request):
                            skipped.append(f"{request.label}: {reason}")
                        else:
                            requests.setdefault(request.id, request)
    manifests = {source.info.name: source.manifest for source in chosen if source.manifest is not None}
    info = {source.info.name: source.info for source in chosen}
    return Expansion(list(requests.values()), missing, checkpoints, manifests, info, skipped)


def _located(choice: BackboneChoice, folder: Path, checkpoints: dict[str, Path], missing: list[str]) -> BackboneChoice:
    try:
        found, path = locate(choice, folder)
    except MissingInputError as error:
        missing.append(str(error))
        return choice
    if path is not None and found.sha256 is not None:
        checkpoints[found.sha256] = path
    return found


def _dataset_names(grid: Grid, data_root: Path) -> list[str]:
    if isinstance(grid.datasets, list):
        return grid.datasets
    names = available(data_root)
    if not names:
        folders = ", ".join(dataset.info.folders[0] for dataset in datasets().values())
        raise MissingInputError(
            f"{grid.origin}: no dataset under {data_root} (looked for {folders}); name its folder with --data-root"
        )
    return names


@dataclass(frozen=True)
class Source:
    """A dataset as it was found: its info, which of a user's own folder only the data tells, and the manifest."""

    dataset: Dataset
    info: DatasetInfo
    manifest: Manifest | None
    own_recipe: list[Layer] | None

    @property
    def choice(self) -> DatasetChoice:
        """As it stands in a request."""
        return DatasetChoice(name=self.info.name, manifest=self.manifest.digest if self.manifest else None)


def find_source(name: str, grid: Grid, data_root: Path, missing: list[str]) -> Source:
    """A dataset of the grid; what of it is not there is added to `missing`.

    Raises:
        BenchmarkError: an unknown name, or data that does not follow its layout.
    """
    dataset = get_dataset(name, f"{grid.origin}: datasets")
    try:
        manifest = dataset.manifest(data_root)
        return Source(dataset, manifest.info, manifest, dataset.own_recipe(manifest.folder))
    except MissingInputError as error:
        missing.append(str(error))
        to_make = grid.synthesis(name)
        info = dataset.info.evenly(to_make.classes * to_make.clips_per_class) if to_make else dataset.info
        return Source(dataset, info, None, None)


def _folds(grid: Grid, info: DatasetInfo) -> tuple[int, ...]:
    """The grid's folds that the dataset has; a dataset without folds is one unit whatever the grid says."""
    units = info.fold_units
    if grid.folds == "all" or units == (0,):
        return units
    if not (folds := tuple(fold for fold in units if fold in grid.folds)):
        raise BenchmarkError(f"{grid.origin}: folds {grid.folds}: {info.name} has folds {units[0]} to {units[-1]}")
    return folds


def _check_folds(grid: Grid, all_info: list[DatasetInfo]) -> None:
    """A fold that no dataset has is a slip of the pen."""
    known = {fold for info in all_info for fold in info.folds}
    if known and grid.folds != "all" and (unknown := sorted(set(grid.folds) - known)):
        raise BenchmarkError(f"{grid.origin}: no dataset has fold {unknown[0]}; folds are {min(known)} to {max(known)}")


def recipe_of(
    grid: Grid, source: Source, backbone: BackboneChoice, method: Composed, swept: list[Layer]
) -> Recipe | None:
    """The recipe of a method's trials; None where it depends on data that is not there.

    Raises:
        BenchmarkError: an unknown key, or a value that does not fit.
    """
    if source.own_recipe is None and source.dataset.recipe != source.dataset.info.name:
        return None
    choice = method.choice()
    of_method = method.recipe_overrides(source.info.name)
    needed = [Layer(source=f"method {choice.name}", values=of_method)] if of_method else []
    overrides = [*(source.own_recipe or []), *needed, *grid.overrides, *swept]
    recipe = resolve_recipe(
        source.dataset.recipe, backbone=backbone.family, method=choice.name, tuning=choice.tuning, overrides=overrides
    ).recipe
    if source.info.multi_label and recipe.loss == "cross_entropy":
        raise BenchmarkError(
            f"{source.info.name}: clips have several labels, for which the loss cross_entropy has no place; set "
            "recipe.loss=bce"
        )
    return recipe
