"""Expand a grid to an explicit list of trial requests."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.commands import command
from benchmark.data.dataset import Dataset
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.few_shot import smallest_class
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.registry import available, datasets, get_dataset
from benchmark.errors import ArgumentError, BenchmarkError, MissingInputError
from benchmark.methods.contract import Composed
from benchmark.methods.registry import resolve_methods
from benchmark.models.outside import resolve_backbones
from benchmark.models.weights import locate
from benchmark.spec.backbone import BackboneChoice
from benchmark.spec.grid import Grid
from benchmark.spec.protocol import Protocol, load_protocol, override
from benchmark.spec.recipe import Layer, Recipe, resolve_recipe
from benchmark.spec.request import DatasetChoice, TrialRequest
from benchmark.units import plural


@dataclass(frozen=True)
class Expansion:
    """The trials of a grid and their inputs.

    Attributes:
        requests: trials in the order of the grid.
        missing_inputs: data and checkpoints that are not there, and checkpoints that cannot be used, one line each.
        checkpoints: paths of the checkpoints by sha256.
        manifests: clips of the datasets that are there, by dataset.
        info: facts by dataset.
        skipped: trials that their method cannot run, one line each.
    """

    requests: list[TrialRequest]
    missing_inputs: list[str]
    checkpoints: dict[str, Path]
    manifests: dict[str, Manifest]
    info: dict[str, DatasetInfo]
    skipped: list[str]

    def part(self, number: int, parts: int, *, whole_cells: bool = False) -> Expansion:
        """Return one of several parts of about equal size; every call returns the same trials.

        Args:
            number: number of the part, from 1.
            parts: number of parts.
            whole_cells: keep the folds and seeds of a setting in one part.
        """

        def is_in(request: TrialRequest) -> bool:
            return int(request.cell if whole_cells else request.id, 16) % parts == number - 1

        return dataclasses.replace(self, requests=[request for request in self.requests if is_in(request)])

    def folds(self, dataset: str) -> tuple[int, ...]:
        """Return the folds of a dataset that have clips; all where the data is not there, (0,) without folds."""
        manifest = self.manifests.get(dataset)
        return self.info[dataset].fold_units if manifest is None else manifest.folds

    @property
    def runnable(self) -> list[TrialRequest]:
        """Return the trials whose data and checkpoint are there."""
        return [request for request in self.requests if request.complete]


def expand(grid: Grid, data_root: Path, checkpoint_folder: Path) -> Expansion:
    """Combine backbones, datasets, methods, folds and seeds. Nothing is run; checkpoints are read, but no audio.

    Args:
        grid: what to combine.
        data_root: folder of the dataset folders.
        checkpoint_folder: folder of the backbone checkpoints.

    Raises:
        BenchmarkError: an unknown name, a bad option, no checkpoint that can be used, or data that does not follow its
            layout.
    """
    protocol = override(load_protocol(grid.protocol), grid.switches, f"{grid.origin}: protocol")
    backbones = [
        _find_backbone(choice, checkpoint_folder)
        for text in grid.backbones
        for choice in resolve_backbones(text, f"{grid.origin}: backbones")
    ]
    if all(backbone.fault for backbone in backbones):
        raise next(backbone.fault for backbone in backbones if backbone.fault)
    methods = [method for text in grid.methods for method in resolve_methods(text, f"{grid.origin}: methods")]
    sources = [find_source(name, grid, data_root) for name in _dataset_names(grid, data_root)]
    _check_folds(grid, sources)
    requests: dict[str, TrialRequest] = {}
    skipped: list[str] = []
    for request, method in _combine(grid, protocol, [backbone.choice for backbone in backbones], sources, methods):
        if reason := method.skip(request):
            skipped.append(f"{request.label}: {reason}")
        else:
            requests.setdefault(request.id, request)
    _check_clips(grid, sources, list(requests.values()))
    return Expansion(
        requests=list(requests.values()),
        missing_inputs=[*_missing(backbones), *_missing(sources)],
        checkpoints={
            backbone.choice.sha256: backbone.path for backbone in backbones if backbone.path and backbone.choice.sha256
        },
        manifests={source.info.name: source.manifest for source in sources if source.manifest is not None},
        info={source.info.name: source.info for source in sources},
        skipped=skipped,
    )


def _missing(found: Sequence[_FoundBackbone | Source]) -> list[str]:
    return [item.missing for item in found if item.missing]


def _combine(
    grid: Grid,
    protocol: Protocol,
    backbones: Sequence[BackboneChoice],
    sources: Sequence[Source],
    methods: Sequence[Composed],
) -> Iterator[tuple[TrialRequest, Composed]]:
    """Yield every combination as a request with its method."""
    training_clips = grid.training_clips()
    for backbone, source, method, swept in itertools.product(backbones, sources, methods, grid.swept()):
        recipe = recipe_of(grid, source, backbone, method, swept)
        if recipe is None:
            continue
        shared: dict[str, Any] = {
            "backbone": backbone,
            "dataset": source.choice,
            "method": method.choice(),
            "recipe": recipe,
            "protocol": protocol,
        }
        shared["micro_batch_matters"] = micro_batch_matters(TrialRequest(fold=0, seed=0, **shared))
        for shots, seed, fold in itertools.product(training_clips, grid.seeds, _folds(grid, source)):
            yield TrialRequest(fold=fold, seed=seed, shots=shots, **shared), method


def micro_batch_matters(request: TrialRequest) -> bool:
    """Return the value of that field for a request. The model is built, on meta tensors, if the recipe splits batches.

    Args:
        request: backbone, method, recipe and protocol count; its own field does not.
    """
    if not request.splits_batches:
        return False
    from benchmark.trial.batch_split import split_changes_results  # imports torch

    return split_changes_results(request)


@dataclass(frozen=True)
class _FoundBackbone:
    """A backbone of a grid.

    Attributes:
        choice: the backbone, with the digest of its checkpoint if that is there.
        path: its checkpoint; None for random weights or when it is not there.
        missing: one line when the checkpoint is not there, or cannot be used.
        fault: why it cannot be used; None if it can, or is not there.
    """

    choice: BackboneChoice
    path: Path | None = None
    missing: str | None = None
    fault: BenchmarkError | None = None


def _find_backbone(choice: BackboneChoice, folder: Path) -> _FoundBackbone:
    try:
        located, path = locate(choice, folder)
    except MissingInputError as error:
        return _FoundBackbone(choice, missing=str(error))
    if path is None:
        return _FoundBackbone(located)
    from benchmark.models.fit import fit  # imports torch

    try:
        return _FoundBackbone(fit(located, path), path)
    except BenchmarkError as error:
        return _FoundBackbone(choice, missing=str(error), fault=error)


def _dataset_names(grid: Grid, data_root: Path) -> list[str]:
    if isinstance(grid.datasets, list):
        return grid.datasets
    names = available(data_root)
    if not names:
        folders = ", ".join(dataset.info.folders[0] for dataset in datasets().values())
        raise MissingInputError(
            f"{grid.origin}: no dataset under {data_root} (looked for {folders}); name its folder with --data-root, "
            f"or get one with `{command('data', 'prepare', 'NAME')}`"
        )
    return names


@dataclass(frozen=True)
class Source:
    """A dataset of a grid.

    Attributes:
        dataset: the dataset.
        info: its facts; those of a user's own folder come from its data.
        manifest: its clips; None when the data is not there.
        own_recipe: recipe that lies in a user's own folder; None when the data is not there.
        missing: one line when the data is not there.
    """

    dataset: Dataset
    info: DatasetInfo
    manifest: Manifest | None
    own_recipe: list[Layer] | None
    missing: str | None = None

    @property
    def choice(self) -> DatasetChoice:
        """Return the dataset in the form of a request."""
        return DatasetChoice(
            name=self.info.name,
            manifest=self.manifest.digest if self.manifest else None,
            classes=len(self.info.classes) or None,
        )


def find_source(name: str, grid: Grid, data_root: Path) -> Source:
    """Find a dataset of the grid.

    Args:
        name: name of the dataset.
        grid: the grid.
        data_root: folder of the dataset folders.

    Raises:
        BenchmarkError: an unknown name, or data that does not follow its layout.
    """
    dataset = get_dataset(name, f"{grid.origin}: datasets", data_root)
    try:
        manifest = dataset.manifest(data_root)
        return Source(dataset, manifest.info, manifest, dataset.own_recipe(manifest.folder))
    except MissingInputError as error:
        synthesis = grid.synthesis(name)
        info = dataset.info.evenly(synthesis.classes * synthesis.clips_per_class) if synthesis else dataset.info
        return Source(dataset, info, None, None, missing=str(error))


def _folds(grid: Grid, source: Source) -> tuple[int, ...]:
    """Return the grid's folds that the dataset has; (0,) for a dataset without folds."""
    units, info = source.info.fold_units, source.info
    if grid.folds == "present" and source.manifest is not None:
        return source.manifest.folds
    if isinstance(grid.folds, str) or units == (0,):
        return units
    if not (folds := tuple(fold for fold in units if fold in grid.folds)):
        raise BenchmarkError(f"{grid.origin}: folds {grid.folds}: {info.name} has folds {units[0]} to {units[-1]}")
    return folds


def _check_folds(grid: Grid, sources: Sequence[Source]) -> None:
    """Reject fold numbers that no dataset has."""
    known = {fold for source in sources for fold in source.info.folds}
    if known and not isinstance(grid.folds, str) and (unknown := sorted(set(grid.folds) - known)):
        raise BenchmarkError(f"{grid.origin}: no dataset has fold {unknown[0]}; folds are {min(known)} to {max(known)}")


def _check_clips(grid: Grid, sources: Sequence[Source], requests: Sequence[TrialRequest]) -> None:
    """Reject data that lacks listed clips unless bad ones may be skipped, and folds with an empty split.

    Their trials would be of other data than is meant, or fail.
    """
    strict = {request.dataset.name for request in requests if request.recipe.on_bad_audio == "stop"}
    for source in sources:
        if source.manifest is not None:
            if source.info.name in strict:
                source.manifest.require_all()
            for fold in _folds(grid, source):
                splits = source.manifest.splits(fold)
                if grid.shots:
                    _check_shots(
                        max(grid.shots), source.manifest, [source.manifest.clips[i] for i in splits["train"]], fold
                    )


def _check_shots(shots: int, manifest: Manifest, clips: Sequence[Clip], fold: int) -> None:
    """Reject more shots than the smallest class has training clips.

    Raises:
        ArgumentError: naming class, number and the most shots.
    """
    label, number = smallest_class(clips)
    if shots > number:
        of_fold = f" of fold {fold}" if manifest.info.folds else ""
        raise ArgumentError(
            "shots",
            f"{manifest.info.name}: class '{manifest.info.classes[label]}' has {plural(number, 'training clip')}"
            f"{of_fold}; at most {number} shots",
            shots,
        )


def recipe_of(
    grid: Grid, source: Source, backbone: BackboneChoice, method: Composed, swept: list[Layer]
) -> Recipe | None:
    """Return the recipe of a method's trials; None if it depends on data that is not there.

    Args:
        grid: the grid, with its overrides.
        source: the dataset.
        backbone: the backbone.
        method: the method, with its overrides.
        swept: one combination of swept values.

    Raises:
        BenchmarkError: an unknown key, or a bad value.
    """
    if source.own_recipe is None and source.dataset.recipe != source.dataset.info.name:
        return None
    choice = method.choice()
    of_method = method.recipe_overrides(source.info.name)
    needed = [Layer(source=f"method {choice.name}", values=of_method)] if of_method else []
    recipe = resolve_recipe(
        source.dataset.recipe,
        backbone=backbone.family,
        method=choice.name,
        tuning=choice.tuning,
        of_backbone=backbone.own_recipe,
        of_folder=source.own_recipe or [],
        name=source.info.name,
        overrides=[*needed, *grid.overrides, *swept],
    ).recipe
    if source.info.multi_label and recipe.loss == "cross_entropy":
        raise BenchmarkError(
            f"{source.info.name}: clips have several labels, which the loss cross_entropy cannot use; set "
            "recipe.loss=bce"
        )
    if recipe.early_stop is not None and (grid.shots or not source.info.has_validation):
        lacking = "few-shot trials have none" if grid.shots else "it lists none"
        raise BenchmarkError(f"{source.info.name}: recipe.early_stop needs validation clips, and {lacking}")
    return recipe
