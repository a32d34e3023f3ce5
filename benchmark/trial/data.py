"""The data of a trial: splits, audio, front end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.audio_store import AudioStore
from benchmark.data.few_shot import shots_of
from benchmark.data.frontend import LOG_FLOOR, FrontEnd
from benchmark.data.loader import Clips
from benchmark.data.manifest import Clip, Manifest
from benchmark.data.order import TrainingOrder, balanced_shares
from benchmark.data.parallel import in_order
from benchmark.data.windows import cut, movable
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Data
from benchmark.spec.protocol import Protocol
from benchmark.spec.request import TrialRequest
from benchmark.trial.seeding import stream
from benchmark.units import plural


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
    def moves(self) -> bool:
        """Return whether every epoch reads other windows of the training clips."""
        windows = self.splits["train"].windows
        return windows is not None and windows.move

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


def choose_clips(request: TrialRequest, manifest: Manifest, bad: Collection[str] = ()) -> dict[str, list[Clip]]:
    """Return the clips of every split that a trial uses, bad files included.

    A few-shot trial uses no validation clips, and `limit_clips` does not apply to its training clips.

    Args:
        request: the trial.
        manifest: clips of the dataset.
        bad: paths that no training clip of a few-shot trial may have: others are drawn for them.
    """
    splits = {name: [manifest.clips[i] for i in indices] for name, indices in manifest.splits(request.fold).items()}
    chosen = {
        name: [_labelled(clip, request.protocol) for clip in _limit(clips, request, manifest.info.name)]
        for name, clips in splits.items()
    }
    if "test" in chosen and manifest.info.name == "openmic" and request.protocol.openmic_test == "train_list":
        chosen["test"] = chosen["train"]
    if request.shots:
        seed = stream("shots", manifest.info.name, request.fold, request.shots.draw)
        few = shots_of(splits["train"], request.shots.per_class, seed, bad)  # by present labels, in every protocol
        chosen = {"train": [_labelled(clip, request.protocol) for clip in few], "test": chosen["test"]}
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
    chosen, skipped = _ready(request, recordings, manifest)
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
    whole = recipe.windows != "first"
    if request.protocol.norm_stats == "training_clips":
        level = recordings.statistics(chosen["train"], None if whole else recipe.frames, workers=1)
        front_end = dataclasses.replace(front_end, mean=level.mean, std=level.std)
    classes = len(info.classes)
    splits = {
        name: _windowed(request, recordings, clips, classes, front_end, training=name == "train")
        if whole
        else Clips(recordings, clips, classes, front_end)
        for name, clips in chosen.items()
    }
    data = Data(
        kind=manifest.kind,
        clips=len(manifest.clips),
        official_clips=info.clips,
        official_folds=len(info.fold_units),
        used={name: len(clips) for name, clips in chosen.items()},
        classes=len(info.classes),
        classes_present=len({label for clip in manifest.clips for label in clip.labels}),
        skipped=skipped,
        windows={name: len(split) for name, split in splits.items()} if whole else None,
        source=manifest.source,
        drawn_from=len(_training_clips(request, manifest)) if request.shots else None,
    )
    return TrialData(splits, data, mixes=recipe.mixup > 0)


def _windowed(
    request: TrialRequest,
    recordings: AudioStore,
    clips: list[Clip],
    classes: int,
    front_end: FrontEnd,
    *,
    training: bool,
) -> Clips:
    """Return the windows of a split's clips: all of them, or in training one of each that is moved in every epoch.

    Raises:
        BadAudioError: without a cache, a file is bad.
    """
    lengths = list(in_order(recordings.frames, clips))
    moved = training and request.recipe.windows == "random"
    windows = (movable if moved else cut)(lengths, request.recipe.frames)
    repeated = [clip for clip, count in zip(clips, windows.counts.tolist(), strict=True) for _ in range(count)]
    return Clips(recordings, repeated, classes, front_end, windows=windows)


def training_order(request: TrialRequest, train: Clips) -> TrainingOrder:
    """Return the order of a trial's training examples.

    Args:
        request: batch size, mixup and sampling.
        train: its training clips.
    """
    recipe = request.recipe
    shares = balanced_shares(train.truth) if recipe.sampling == "balanced" else None
    spare = train.windows.spare if train.windows else None
    return TrainingOrder(len(train), recipe.batch_size, recipe.mixup, shares=shares, spare=spare)


def _ready(
    request: TrialRequest, recordings: AudioStore, manifest: Manifest
) -> tuple[dict[str, list[Clip]], dict[str, str]]:
    """Choose clips and fill the cache; return those whose file is good, and the reasons of the skipped ones by path.

    Few-shot clips with a bad file are replaced by the next ones of their class, which may be bad in their turn.

    Raises:
        BenchmarkError: no clips are left, or in a few-shot trial fewer of a class than it has to have.
    """
    skip = request.recipe.on_bad_audio == "skip"
    skipped: dict[str, str] = {}
    known: set[str] = set()
    while True:
        chosen = choose_clips(request, manifest, skipped)
        mixed = mixed_paths(request, chosen)
        new = list({clip.path: clip for clips in chosen.values() for clip in clips if clip.path not in known}.values())
        doubtful = recordings.lacking(new, mixed) if recordings.cache else new if skip else []
        bad = recordings.fill(doubtful, mixed, stop=not skip)
        skipped |= {str(error.path.relative_to(recordings.folder)): error.reason for error in bad}
        known |= {clip.path for clip in new}
        if not request.shots or not any(clip.path in skipped for clip in chosen["train"]):
            break
    kept = {name: [clip for clip in clips if clip.path not in skipped] for name, clips in chosen.items()}
    for name, clips in kept.items():
        if not clips:
            raise BenchmarkError(f"{recordings.folder}: no readable clips are left in the {name} split")
    if request.shots and skipped:
        _require_shots(request.shots.per_class, _training_clips(request, manifest), skipped, manifest)
    return kept, skipped


def _require_shots(per_class: int, clips: list[Clip], skipped: Collection[str], manifest: Manifest) -> None:
    """Reject a draw that has fewer readable clips of a class than it is named after."""
    readable = Counter(label for clip in clips if clip.path not in skipped for label in clip.labels)
    for label in sorted({label for clip in clips for label in clip.labels}):
        if readable[label] < per_class:
            raise BenchmarkError(
                f"{manifest.folder}: class '{manifest.info.classes[label]}' has "
                f"{plural(readable[label], 'readable training clip')}, too few for {plural(per_class, 'shot')}"
            )


def _training_clips(request: TrialRequest, manifest: Manifest) -> list[Clip]:
    return [manifest.clips[i] for i in manifest.splits(request.fold)["train"]]


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
