"""Short audio for trees of official size."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import soundfile

from benchmark.data.datasets.urbansound8k import FORMATS
from tests.data.official_audio import WAVES, fill_with_audio


@pytest.mark.parametrize(("formats", "suffix"), [(FORMATS, "wav"), ([(44_100, "VORBIS", 1)], "ogg")])
def test_every_file_can_be_read_and_has_bytes_of_its_own(
    tmp_path: Path, formats: list[tuple[int, str, int]], suffix: str
) -> None:
    names = [f"{number}.{suffix}" for number in range((WAVES + 2) * len(formats))]
    fill_with_audio(formats, 0.1)(tmp_path, [*names, "list.txt", f".hidden.{suffix}"])
    for number, name in enumerate(names):
        rate, subtype, channels = formats[number % len(formats)]
        with soundfile.SoundFile(tmp_path / name) as sound:
            assert (sound.samplerate, sound.subtype, sound.channels) == (rate, subtype, channels)
            assert len(sound.read()) >= int(0.1 * rate)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in names}
    assert len(digests) == len(names)
    assert (tmp_path / "list.txt").read_bytes() == b""
