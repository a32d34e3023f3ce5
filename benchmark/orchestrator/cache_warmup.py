"""Fill the audio cache once, before trials would all want to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmark.console import counting
from benchmark.data.manifest import Clip, Manifest
from benchmark.spec.request import TrialRequest

SHOWN = 5  # bad files that are named


@dataclass
class Need:
    """What trials read of one dataset: clips by path, the paths of mixed ones, and whether a bad file stops them."""

    clips: dict[str, Clip] = field(default_factory=dict)
    mixed: set[str] = field(default_factory=set)
    stop: bool = False


def prepare_audio(
    requests: Sequence[TrialRequest], manifests: Mapping[str, Manifest], cache: Path | None, console: Console
) -> None:
    """Put the audio of trials into the cache, with the size told before, and progress.

    Raises:
        BenchmarkError: a bad file, or a cache that cannot be written.
    """
    if cache is None:
        return
    from benchmark.data.audio_store import AudioStore

    for (name, mels), need in _needs(requests, manifests).items():
        recordings = AudioStore(manifests[name].folder, cache, mels)
        clips = list(need.clips.values())
        with counting(console) as show:
            lacking = recordings.lacking(clips, need.mixed, show)
        if not lacking:
            continue
        _say(console, f"{name}: caching {recordings.estimate(lacking, need.mixed)}")
        with counting(console) as show:
            bad = recordings.fill(lacking, need.mixed, stop=need.stop, progress=show, processes=True)
        for error in bad[:SHOWN]:
            _say(console, f"{name}: skipped: {error.path}: {error.reason}")
        if len(bad) > SHOWN:
            _say(console, f"{name}: {len(bad)} files are skipped in all; the records name them")


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False)


def _needs(requests: Sequence[TrialRequest], manifests: Mapping[str, Manifest]) -> dict[tuple[str, int], Need]:
    """By dataset and mel bands."""
    from benchmark.trial.data import choose_clips, mixed_paths

    needs: dict[tuple[str, int], Need] = {}
    seen = set()
    for request in requests:
        recipe, name = request.recipe, request.dataset.name
        key = (name, request.fold, recipe.mels, recipe.limit_clips, recipe.mixup > 0, recipe.on_bad_audio)
        if key in seen:
            continue
        seen.add(key)
        chosen = choose_clips(request, manifests[name])
        need = needs.setdefault((name, recipe.mels), Need())
        need.clips |= {clip.path: clip for clips in chosen.values() for clip in clips}
        need.mixed |= mixed_paths(request, chosen)
        need.stop = need.stop or recipe.on_bad_audio == "stop"
    return needs
