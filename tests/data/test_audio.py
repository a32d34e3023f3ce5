"""Decoding of every format that the official archives hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmark.data.audio import RATE, decode
from benchmark.errors import BenchmarkError


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "IMA_ADPCM", "MS_ADPCM"])
def test_any_rate_and_depth_becomes_16_khz_mono(tmp_path: Path, rate: int, subtype: str) -> None:
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, tone], axis=1), rate, subtype=subtype)
    wave = decode(tmp_path / "a.wav")
    assert wave.dtype == np.float32
    assert RATE <= len(wave) <= RATE * 1.05  # ADPCM pads its last block
    spectrum = np.abs(np.fft.rfft(wave[:RATE] * np.hanning(RATE)))
    assert spectrum.argmax() == 1000
    assert np.abs(wave[2000:-2000]).max() == pytest.approx(0.5, abs=0.05)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = np.full(RATE, 0.5, np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), RATE, subtype="FLOAT")
    assert not decode(tmp_path / "a.wav").any()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio at all" * 100])
def test_what_is_not_audio_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"a\.wav: .*get the file again") as caught:
        decode(tmp_path / "a.wav")
    assert "\n" not in str(caught.value)


def test_a_file_without_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    with pytest.raises(BenchmarkError, match="holds no samples"):
        decode(tmp_path / "a.wav")


def test_samples_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    wave = np.zeros(1000, np.float32)
    wave[5] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    with pytest.raises(BenchmarkError, match="not finite"):
        decode(tmp_path / "a.wav")
