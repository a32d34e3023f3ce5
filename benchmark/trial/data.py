"""The data of a trial: splits, audio, front end."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import LOG_FLOOR, FrontEnd
from benchmark.data.loader import Clips
from benchmark.data.manifest import Clip, Manifest
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Data
from benchmark.spec.protocol import Protocol
from benchmark.spec.request import TrialRequest
from benchmark.trial.seeding import stream


@dataclass(frozen=True)
class TrialData:
    """The data of a trial.

    Attributes:
        splits: clips by split.
        data: what the record says about the data.
        mixes: whether waveforms of training clips are mixed.
    """

    splits: dict[str, Clips]
    data: Data
    mixes: bool

    @property
    def evaluation(self) -> dict[str, Clips]:
        """Return the held-out splits: all but the training split."""
        return {name: clips for name, clips in self.splits.items() if name != "train"}

    @property
    def held_bytes(self) -> int:
        """Return the memory of the filter banks that the device holds."""
        held = self.splits["train"].held
        return held.banks.nbytes if held else 0

    def loaders(self, available: int) -> int:
        """Return how many processes load data: none where the device holds all that training reads.

        Args:
            available: processes that the trial may start.
        """
        return available if self.mixes or not self.held_bytes else 0


def choose_clips(request: TrialRequest, manifest: Manifest) -> dict[str, list[Clip]]:
    """Return the clips of every split that a trial uses, bad files included."""
    chosen = {
        name: _limit([_labelled(manifest.clips[i], request.protocol) for i in indices], request, manifest.info.name)
        for name, indices in manifest.splits(request.fold).items()
    }
    if "test" in chosen and manifest.info.name == "openmic" and request.protocol.openmic_test == "train_list":
        chosen["test"] = chosen["train"]
    return chosen


def mixed_paths(request: TrialRequest, chosen: dict[str, list[Clip]]) -> set[str]:
    """Return the paths of the clips whose waveforms are mixed in training."""
    return {clip.path for clip in chosen["train"]} if request.recipe.mixup else set()


def prepare(request: TrialRequest, manifest: Manifest, cache: Path | None) -> TrialData:
    """Choose the clips of every split, fill the audio cache, set up the front end.

    Args:
        request: the trial.
        manifest: clips of the dataset.
        cache: folder of the audio cache; None decodes every time.

    Raises:
        BenchmarkError: the data changed since the request was made, or a file is bad.
    """
    if manifest.digest != request.dataset.manifest:
        raise BenchmarkError(f"{manifest.folder}: the data changed since this trial was planned; call `run` again")
    recipe, info = request.recipe, manifest.info
    recordings = AudioStore(manifest.folder, cache, recipe.mels)
    chosen, skipped = _ready(request, recordings, choose_clips(request, manifest))
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
        level = recordings.statistics(chosen["train"], recipe.frames, workers=1)
        front_end = dataclasses.replace(front_end, mean=level.mean, std=level.std)
    data = Data(
        kind=manifest.kind,
        clips=len(manifest.clips),
        official_clips=info.clips,
        official_folds=len(info.fold_units),
        used={name: len(clips) for name, clips in chosen.items()},
        classes=len(info.classes),
        classes_present=len({label for clip in manifest.clips for label in clip.labels}),
        skipped=skipped,
        source=manifest.source,
    )
    splits = {name: Clips(recordings, clips, len(info.classes), front_end) for name, clips in chosen.items()}
    return TrialData(splits, data, mixes=recipe.mixup > 0)


def _ready(
    request: TrialRequest, recordings: AudioStore, chosen: dict[str, list[Clip]]
) -> tuple[dict[str, list[Clip]], dict[str, str]]:
    """Fill the cache; return the clips whose file is good, and the reasons of the skipped ones by path."""
    skip = request.recipe.on_bad_audio == "skip"
    mixed = mixed_paths(request, chosen)
    every = list({clip.path: clip for clips in chosen.values() for clip in clips}.values())
    doubtful = recordings.lacking(every, mixed) if recordings.cache else every if skip else []
    bad = recordings.fill(doubtful, mixed, stop=not skip)
    skipped = {str(error.path.relative_to(recordings.folder)): error.reason for error in bad}
    kept = {name: [clip for clip in clips if clip.path not in skipped] for name, clips in chosen.items()}
    for name, clips in kept.items():
        if not clips:
            raise BenchmarkError(f"{recordings.folder}: no readable clips are left in the {name} split")
    return kept, skipped


def _labelled(clip: Clip, protocol: Protocol) -> Clip:
    """Return the clip with the protocol's labels.

    Where only some classes were annotated, `relevance_masked` keeps their relevance; otherwise every annotated class
    counts as positive, as in the official code (defect D5).
    """
    if clip.observed is None or protocol.openmic_labels == "relevance_masked":
        return clip
    return dataclasses.replace(clip, labels=clip.observed, observed=None)


def _limit(clips: list[Clip], request: TrialRequest, dataset: str) -> list[Clip]:
    """Return at most `limit_clips` clips, the same ones in every trial of a dataset."""
    limit = request.recipe.limit_clips
    if limit is None or len(clips) <= limit:
        return clips
    kept = np.random.default_rng(stream("limit", dataset)).permutation(len(clips))[:limit]
    return [clips[i] for i in sorted(kept)]
