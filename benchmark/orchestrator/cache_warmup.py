"""Fill the audio cache once, before trials start and would all try to fill it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmark.console import counting, say
from benchmark.data.manifest import Clip, Manifest
from benchmark.spec.request import TrialRequest

if TYPE_CHECKING:
    from benchmark.data.audio_store import AudioStore

SHOWN = 5  # bad files whose names are printed

logger = logging.getLogger(__name__)


@dataclass
class AudioNeeds:
    """What trials read of one dataset.

    Attributes:
        clips: clips by path.
        mixed: paths of the clips whose waveforms are mixed.
        stop: True when a bad file must end the run.
    """

    clips: dict[str, Clip] = field(default_factory=dict)
    mixed: set[str] = field(default_factory=set)
    stop: bool = False


def warm_cache(
    requests: Sequence[TrialRequest], manifests: Mapping[str, Manifest], cache: Path | None, console: Console
) -> None:
    """Put the audio of trials into the cache; show its size first, then progress.

    Args:
        requests: trials.
        manifests: clips by dataset.
        cache: folder of the audio cache; None does nothing.
        console: where size, progress and skipped files are shown.

    Raises:
        BenchmarkError: a bad file, or a file at the place of the cache.
        OSError: an audio file cannot be read now.
    """
    if cache is None:
        return
    from benchmark.data.audio import cancelling
    from benchmark.data.audio_store import AudioStore

    for (name, mels), needs in _needs(requests, manifests).items():
        audio = AudioStore(manifests[name].folder, cache, mels)
        _warm(name, audio, needs, console)
        if cancelled := audio.cancelling(needs.clips.values()):
            say(console, f"{name}: {cancelling(cancelled)}")


def _warm(name: str, audio: AudioStore, needs: AudioNeeds, console: Console) -> None:
    clips = list(needs.clips.values())
    with counting(console) as show:
        lacking = audio.lacking(clips, needs.mixed, show)
    logger.info("%s: %d of %d clips are in the cache", name, len(clips) - len(lacking), len(clips))
    if not lacking or (estimate := audio.estimate(lacking, needs.mixed)) is None:
        return
    say(console, f"{name}: caching {estimate}")
    with counting(console) as show:
        bad = audio.fill(lacking, needs.mixed, stop=needs.stop, progress=show, processes=True)
    for error in bad[:SHOWN]:
        say(console, f"{name}: skipped: {error.path}: {error.reason}")
    if len(bad) > SHOWN:
        say(console, f"{name}: {len(bad)} files are skipped in all; the records name them")


def _needs(requests: Sequence[TrialRequest], manifests: Mapping[str, Manifest]) -> dict[tuple[str, int], AudioNeeds]:
    """Return the needs by dataset and number of mel bands."""
    from benchmark.trial.data import choose_clips, mixed_paths

    by_dataset: dict[tuple[str, int], AudioNeeds] = {}
    seen = set()
    for request in requests:
        recipe, name = request.recipe, request.dataset.name
        key = (
            name, request.fold, request.shots, recipe.mels, recipe.limit_clips, recipe.mixup > 0, recipe.on_bad_audio,
        )  # fmt: skip
        if key in seen:
            continue
        seen.add(key)
        chosen = choose_clips(request, manifests[name])
        needs = by_dataset.setdefault((name, recipe.mels), AudioNeeds())
        needs.clips |= {clip.path: clip for clips in chosen.values() for clip in clips}
        needs.mixed |= mixed_paths(request, chosen)
        needs.stop = needs.stop or recipe.on_bad_audio == "stop"
    return by_dataset
