"""How many inputs the model gets of a trial's clips: one per clip, or the windows of clips longer than the input."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np

from benchmark.data.audio import RATE, BadAudioError, read_audio
from benchmark.data.audio_store import SAMPLE
from benchmark.data.dataset_info import DatasetInfo
from benchmark.data.frontend import frame_count
from benchmark.data.manifest import Manifest
from benchmark.data.windows import count_windows
from benchmark.spec.recipe import Recipe


class WindowCounts:
    """Mean numbers of windows of a clip, estimated once per dataset and input length."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], float] = {}

    def inputs(
        self, recipe: Recipe, sizes: Mapping[str, int], info: DatasetInfo, manifest: Manifest | None
    ) -> dict[str, int]:
        """Return the number of inputs of every split in one pass.

        Args:
            recipe: its input length and windows.
            sizes: clips by split.
            info: facts of the dataset, with its usual length.
            manifest: its clips, of which a few are decoded; None when the data is not there.
        """
        if recipe.windows == "first" or not sizes:
            return dict(sizes)
        key = (info.name, recipe.frames)
        if key not in self._known:
            self._known[key] = _windows_per_clip(recipe.frames, info, manifest)
        factors = {"train": self._known[key] if recipe.windows == "all" else 1.0}
        return {name: round(number * factors.get(name, self._known[key])) for name, number in sizes.items()}


def _windows_per_clip(frames: int, info: DatasetInfo, manifest: Manifest | None) -> float:
    """Return the mean over a sample of the files, which are decoded: headers announce any length."""
    lengths = []
    if manifest is not None:
        for clip in manifest.clips[:: max(1, len(manifest.clips) // SAMPLE)]:
            with contextlib.suppress(BadAudioError, OSError):
                lengths.append(frame_count(len(read_audio(manifest.folder / clip.path).wave)))
    return float(count_windows(np.array(lengths or [frame_count(round(info.seconds * RATE))]), frames).mean())
