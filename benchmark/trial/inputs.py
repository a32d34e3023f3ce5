"""The data of a trial: splits, front end, loaders."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.data.clips import Clip, Manifest
from benchmark.data.frontend import LOG_FLOOR, FrontEnd, filter_bank
from benchmark.data.loader import Features
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Data
from benchmark.spec.protocol import Protocol
from benchmark.spec.request import TrialRequest
from benchmark.trial.seeding import stream


@dataclass(frozen=True)
class Inputs:
    """Features of every split, and what the record says of the data."""

    splits: dict[str, Features]
    data: Data

    @property
    def evaluation(self) -> dict[str, Features]:
        """The splits that are evaluated after every epoch."""
        return {name: features for name, features in self.splits.items() if name != "train"}


def prepare(request: TrialRequest, manifest: Manifest) -> Inputs:
    """Choose the clips of every split and set up the front end.

    Raises:
        BenchmarkError: the data is not what the request was made for.
    """
    if manifest.digest != request.dataset.manifest:
        raise BenchmarkError(f"{manifest.folder}: the data changed since this trial was planned; give the `run` again")
    recipe, facts = request.recipe, manifest.facts
    chosen = {
        name: _limit([_labelled(manifest.clips[i], request.protocol) for i in indices], recipe.limit_clips, facts.name)
        for name, indices in manifest.splits(request.fold).items()
    }
    if facts.name == "openmic" and request.protocol.openmic_test == "train_list":
        chosen["test"] = chosen["train"]
    front_end = FrontEnd(
        mels=recipe.mels,
        frames=recipe.frames,
        mean=recipe.mean,
        std=recipe.std,
        freq_mask=recipe.freq_mask,
        time_mask=recipe.time_mask,
        fill=0.0 if request.protocol.padding == "raw_zero" else LOG_FLOOR,
        noise=recipe.noise,
    )
    if request.protocol.norm_stats == "training_clips":
        front_end = _normalised_by(front_end, Features(manifest.folder, chosen["train"], len(facts.classes), front_end))
    data = Data(
        kind=manifest.kind,
        clips=len(manifest.clips),
        official_clips=facts.clips,
        official_folds=len(facts.fold_units),
        used={name: len(clips) for name, clips in chosen.items()},
        classes=len(facts.classes),
        classes_present=len({label for clip in manifest.clips for label in clip.labels}),
    )
    splits = {name: Features(manifest.folder, clips, len(facts.classes), front_end) for name, clips in chosen.items()}
    return Inputs(splits, data)


def _labelled(clip: Clip, protocol: Protocol) -> Clip:
    """Where only some classes were annotated: their relevance, or all of them as positives (defect D5)."""
    if clip.observed is None or protocol.openmic_labels == "relevance_masked":
        return clip
    return dataclasses.replace(clip, labels=clip.observed, observed=None)


def _limit(clips: list[Clip], limit: int | None, dataset: str) -> list[Clip]:
    """At most `limit` clips, the same ones in every trial of a dataset."""
    if limit is None or len(clips) <= limit:
        return clips
    kept = np.random.default_rng(stream("limit", dataset)).permutation(len(clips))[:limit]
    return [clips[i] for i in sorted(kept)]


def _normalised_by(front_end: FrontEnd, features: Features) -> FrontEnd:
    """The front end with mean and standard deviation over all cells of the training clips' filter banks."""
    count, total, squares = 0, 0.0, 0.0
    for position in range(len(features)):
        bank = filter_bank(features.wave(position), front_end.mels)[: front_end.frames].double()
        count += bank.numel()
        total += float(bank.sum())
        squares += float(torch.square(bank).sum())
    mean = total / count
    return dataclasses.replace(front_end, mean=mean, std=max(squares / count - mean**2, 1e-12) ** 0.5)
