"""Filling the audio cache before trials start: its size is shown; a cache that cannot grow does not end the run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from benchmark.data.datasets.folder import Folder
from benchmark.data.manifest import Clip, Manifest
from benchmark.orchestrator import cache_warmup
from benchmark.orchestrator.cache_warmup import AudioNeeds, warm_cache


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Two clips, which all trials need."""
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(8000), 16_000, subtype="PCM_16")
    clips = tuple(Clip.at(tmp_path, name, (0,), place="test") for name in ("a.wav", "b.wav"))
    needs = AudioNeeds({clip.path: clip for clip in clips}, stop=True)
    monkeypatch.setattr(cache_warmup, "_needs", lambda *_: {("two", 128): needs})
    return Manifest(Folder("two").info, tmp_path, clips, synthetic=False)


def warm(manifest: Manifest, cache: Path | None) -> str:
    text = io.StringIO()
    warm_cache([], {"two": manifest}, cache, Console(file=text))
    return text.getvalue()


def test_the_size_is_shown_once(manifest: Manifest, tmp_path: Path) -> None:
    assert warm(manifest, tmp_path / "cache").startswith("two: caching 2 clips, about ")
    assert warm(manifest, tmp_path / "cache") == ""
    assert warm(manifest, None) == ""


def test_clips_whose_channels_cancel_are_reported_each_time(manifest: Manifest, tmp_path: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 8000)
    soundfile.write(tmp_path / "b.wav", np.stack([wave, -wave], axis=1), 16_000)
    text = "two: 1 clip whose channels cancel each other, so that their mean is nearly silent: b.wav\n"
    assert warm(manifest, tmp_path / "cache").endswith(text)
    assert warm(manifest, tmp_path / "cache") == text


def test_a_read_only_cache_is_one_warning(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.warns(UserWarning, match=r"the audio cache cannot be written \(it is read-only\)") as caught:
        assert warm(manifest, tmp_path / "cache") == ""
    assert len(caught) == 1
