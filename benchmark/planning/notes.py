"""What a user must know about the inputs of a grid before training on them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.data.class_gaps import class_gaps
from benchmark.data.copy_notes import copy_notes
from benchmark.data.registry import get_dataset
from benchmark.planning.estimate import split_sizes, training_steps
from benchmark.planning.windows import WindowCounts
from benchmark.spec.backbone import HUB
from benchmark.trial.selection import choosing_folds
from benchmark.units import plural

MOST_WARMUP = 0.5  # of the steps of a trial, before a note says so
FEW_STEPS = 200  # fewer optimizer steps are noted; official recipes have 850 (ESC-50) and more

if TYPE_CHECKING:
    from benchmark.data.dataset_info import DatasetInfo
    from benchmark.planning.expand import Expansion
    from benchmark.records.store import ResultStore
    from benchmark.spec.backbone import BackboneChoice
    from benchmark.spec.grid import Grid
    from benchmark.spec.request import TrialRequest


def notes_on_inputs(grid: Grid, expansion: Expansion, store: ResultStore) -> list[str]:
    """Return one line per finding.

    That is: unused and absent files, classes without clips, a warm-up of most steps, few steps (unless the grid makes
    its own audio), input unlike that of pre-training, weights of the hub that have changed since trials of the results
    folder.

    Args:
        grid: the grid.
        expansion: its trials, with the clips of their datasets.
        store: the results folder.
    """
    notes = epoch_notes(expansion.requests, expansion.info)
    for name, manifest in expansion.manifests.items():
        folds = sorted({request.fold for request in expansion.requests if request.dataset.name == name})
        found = [*copy_notes(get_dataset(name), manifest), *class_gaps(manifest, folds)]
        notes += [f"{name}: {line}" for line in found]
    steps = _steps_of(expansion)
    notes += warmup_notes(expansion.requests, steps)
    if not grid.synthesize:  # such a grid is a demonstration, and short on purpose
        notes += few_steps_notes(expansion.requests, steps)
    return [*notes, *pretraining_notes(expansion.requests), *moved_notes(expansion.requests, store)]


def _steps_of(expansion: Expansion) -> dict[str, int]:
    """Return the optimizer steps of trials by id; trials whose number of clips is not known are left out."""
    windows, found = WindowCounts(), dict[str, int]()
    inputs: dict[tuple[object, ...], dict[str, int]] = {}  # the methods of a grid share it
    for request in expansion.requests:
        recipe, name, held_out = request.recipe, request.dataset.name, request.held_out
        key = (name, request.fold, request.shots, held_out, recipe.limit_clips, recipe.frames, recipe.windows)
        if key not in inputs:
            info, manifest = expansion.info[name], expansion.manifests.get(name)
            inputs[key] = windows.inputs(recipe, split_sizes(request, info, manifest), info, manifest)
        if (steps := training_steps(recipe, inputs[key])) is not None:
            found[request.id] = steps
    return found


def warmup_notes(requests: Sequence[TrialRequest], steps: Mapping[str, int]) -> list[str]:
    """Return one line per dataset and number of shots some of whose trials spend most of their steps in the warm-up.

    Such trials end before they fit, and their scores show how far the learning rate rose.

    Args:
        requests: trials.
        steps: optimizer steps by trial id, where they are known.
    """
    notes: dict[str, str] = {}
    for request in requests:
        warmup, number = request.recipe.warmup_steps, steps.get(request.id)
        if request.task in notes or not warmup or number is None or warmup < MOST_WARMUP * number:
            continue
        notes[request.task] = (
            f"{request.task}: the learning rate rises for {plural(warmup, 'step')}, and training has {number:,}: "
            "scores show how far it rose; --set recipe.warmup_steps=0 leaves the warm-up out"
        )
    return list(notes.values())


def few_steps_notes(requests: Sequence[TrialRequest], steps: Mapping[str, int]) -> list[str]:
    """Return one line per dataset and backbone some of whose trials have fewer than `FEW_STEPS` optimizer steps.

    Trials on few clips on purpose (shots, `--limit-clips`) are one line together.

    Args:
        requests: trials.
        steps: optimizer steps by trial id, where they are known.
    """
    groups: dict[str, list[TrialRequest]] = defaultdict(list)
    for request in requests:
        limited = request.shots or request.recipe.limit_clips
        name = (
            "few training clips (shots or limit_clips)"
            if limited
            else f"{request.backbone.variant} on {request.dataset.name}"
        )
        if request.id in steps:
            groups[name].append(request)
    return [line for name, trials in groups.items() for line in _few_steps(name, trials, steps)]


def _few_steps(name: str, trials: Sequence[TrialRequest], steps: Mapping[str, int]) -> Iterator[str]:
    few = [request for request in trials if steps[request.id] < FEW_STEPS]
    if not few:
        return
    least = min(few, key=lambda request: steps[request.id])
    recipe, fewest = least.recipe, steps[least.id]
    most = max(steps[request.id] for request in few)
    enough = math.ceil(FEW_STEPS / (fewest // recipe.epochs))
    number = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    yield (
        f"{name}: {number} optimizer steps in {len(few)} of {plural(len(trials), 'trial')} "
        f"({plural(recipe.epochs, 'epoch')}, batches of {recipe.batch_size}), which is too few for most methods; "
        f"--set recipe.epochs={enough} gives {FEW_STEPS} or more, and so does a smaller recipe.batch_size"
    )


def moved_notes(requests: Sequence[TrialRequest], store: ResultStore) -> list[str]:
    """Return one line per backbone of the hub whose weights differ from those of records with the same name."""
    named = {request.backbone.variant: request.backbone for request in requests if request.backbone.sha256}
    now = {variant: backbone for variant, backbone in named.items() if backbone.weights.startswith(HUB)}
    if not now or not store.exists:
        return []
    earlier = {
        (record.request.backbone.variant, record.request.backbone.sha256): record.request.backbone
        for record in store.records()
        if record.request.backbone.variant in now
    }
    return [
        f"{variant}: its weights have changed: {_of_commit(before)} in earlier records, {_of_commit(now[variant])} "
        "now; these are other trials, and the records stay"
        for (variant, sha256), before in earlier.items()
        if sha256 != now[variant].sha256
    ]


def _of_commit(backbone: BackboneChoice) -> str:
    commit = backbone.pretrained.commit if backbone.pretrained else None
    return f"sha256 {(backbone.sha256 or '')[:12]} (commit {(commit or 'unknown')[:12]})"


def pretraining_notes(requests: Sequence[TrialRequest]) -> list[str]:
    """Return what was assumed of checkpoints, and how inputs differ from those of pre-training, one line each."""
    assumed = (
        f"{request.backbone.variant}: {line}"
        for request in requests
        if request.backbone.pretrained is not None
        for line in request.backbone.pretrained.assumed
    )
    changes = (
        f"{request.backbone.variant} on {request.dataset.name}: {change}"
        for request in requests
        for change in request.input_changes
    )
    return list(dict.fromkeys((*assumed, *changes)))


def epoch_notes(requests: Sequence[TrialRequest], info: Mapping[str, DatasetInfo]) -> list[str]:
    """Return one line per dataset some of whose cells have no fold that chooses their epoch.

    Args:
        requests: trials.
        info: facts by dataset.
    """
    by_cell: dict[str, list[TrialRequest]] = {}
    for request in requests:
        by_cell.setdefault(request.cell, []).append(request)
    notes: dict[str, str] = {}
    for trials in by_cell.values():
        first, folds = trials[0], {request.fold for request in trials}
        choosing = choosing_folds(first, info[first.dataset.name])
        if choosing is not None and not folds & set(choosing):
            notes[first.dataset.name] = (
                f"{first.dataset.name}: fold {', '.join(map(str, sorted(folds)))} takes no part in the choice of the "
                f"epoch under protocol {first.protocol.name} and is reported at its last epoch, unless the results "
                "folder gets other folds; --set protocol.us8k_epoch_folds=10 lets it take part"
            )
    return list(notes.values())
