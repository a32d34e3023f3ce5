"""What a user must know about the inputs of a grid before training on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.data.class_gaps import class_gaps
from benchmark.data.copy_notes import copy_notes
from benchmark.data.registry import get_dataset
from benchmark.planning.estimate import split_sizes
from benchmark.spec.backbone import HUB
from benchmark.trial.selection import choosing_folds
from benchmark.units import plural

MOST_WARMUP = 0.5  # of the steps of a trial, before a note says so

if TYPE_CHECKING:
    from benchmark.data.dataset_info import DatasetInfo
    from benchmark.planning.expand import Expansion
    from benchmark.records.store import ResultStore
    from benchmark.spec.backbone import BackboneChoice
    from benchmark.spec.request import TrialRequest


def notes_on_inputs(expansion: Expansion, store: ResultStore) -> list[str]:
    """Return one line per finding.

    That is: unused and absent files, classes without clips, a warm-up of most steps, input unlike that of pre-training,
    weights of the hub that have changed since trials of the results folder.

    Args:
        expansion: trials of a grid, with the clips of their datasets.
        store: the results folder.
    """
    notes = epoch_notes(expansion.requests, expansion.info)
    for name, manifest in expansion.manifests.items():
        folds = sorted({request.fold for request in expansion.requests if request.dataset.name == name})
        found = [*copy_notes(get_dataset(name), manifest), *class_gaps(manifest, folds)]
        notes += [f"{name}: {line}" for line in found]
    notes += warmup_notes(expansion)
    return [*notes, *pretraining_notes(expansion.requests), *moved_notes(expansion.requests, store)]


def warmup_notes(expansion: Expansion) -> list[str]:
    """Return one line per dataset and number of shots some of whose trials spend most of their steps in the warm-up.

    Such trials end before they fit, and their scores show how far the learning rate rose.
    """
    notes: dict[str, str] = {}
    for request in expansion.requests:
        recipe, name = request.recipe, request.dataset.name
        if request.task in notes or not recipe.warmup_steps:
            continue
        clips = split_sizes(request, expansion.info[name], expansion.manifests.get(name)).get("train")
        if clips is None:
            continue
        steps = recipe.epochs * math.ceil(clips / recipe.batch_size)
        if recipe.warmup_steps >= MOST_WARMUP * steps:
            notes[request.task] = (
                f"{request.task}: the learning rate rises for {plural(recipe.warmup_steps, 'step')}, and training has "
                f"{steps:,}: scores show how far it rose; --set recipe.warmup_steps=0 leaves the warm-up out"
            )
    return list(notes.values())


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
