"""Targets are made once, of the labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.data import loader
from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import FrontEnd
from benchmark.data.loader import Clips
from benchmark.data.manifest import Clip
from benchmark.data.targets import mix_targets

CLIPS = [
    Clip("a.wav", 0, (1,)),
    Clip("b.wav", 0, (0, 2), observed=(0, 2, 3)),
    Clip("c.wav", 0, (), observed=(1,)),
    Clip("d.wav", 0, ()),
]


def make(tmp_path: Path) -> Clips:
    return Clips(AudioStore(tmp_path, None, 128), CLIPS, 4, FrontEnd(128, 64, 0.0, 1.0, 0, 0, 0.0, noise=False))


def test_targets_are_ones_at_labels_and_weights_are_ones_at_annotated_classes(tmp_path: Path) -> None:
    targets, observed = make(tmp_path).targets([3, 1, 2, 0, 1])
    assert targets.dtype == observed.dtype == torch.float32
    assert targets.tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]]
    assert observed.tolist() == [[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1], [1, 0, 1, 1]]


def test_they_are_made_once_and_mixing_does_not_change_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, made = make(tmp_path), []
    original = loader.truth_of
    monkeypatch.setattr(loader, "truth_of", lambda *given: made.append(given) or original(*given))
    before = clips.targets([0, 1])
    before[0].zero_()
    targets, observed = mix_targets(clips.targets([0]), clips.targets([1]), torch.tensor([[0.25]]))
    assert observed.tolist() == [[1, 0.25, 1, 1]]
    assert targets.tolist() == [[0.75, 1, 0.75, 0]]
    assert clips.targets([0])[0].tolist() == [[0, 1, 0, 0]]
    part, (local, _) = clips.part(([2, 1], None))
    assert part.targets(local)[0].tolist() == [[0, 0, 0, 0], [1, 0, 1, 0]]
    assert len(made) == 1
