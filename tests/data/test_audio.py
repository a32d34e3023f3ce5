"""Decoding of every format that the official archives hold."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.audio import RATE, BadAudioError, decode, remove_mean
from benchmark.data.frontend import filter_bank
from benchmark.errors import BenchmarkError


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000, 384000])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "IMA_ADPCM", "MS_ADPCM", "ULAW"])
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


@pytest.mark.parametrize("channels", [2, 6, 16])
def test_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    steps = np.tile(np.linspace(0, 0.5, channels, dtype=np.float32), (RATE, 1))
    soundfile.write(tmp_path / "a.wav", steps, RATE, subtype="FLOAT")
    assert decode(tmp_path / "a.wav") == pytest.approx(np.full(RATE, 0.25), abs=1e-6)


PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 441044\n"
M4A = b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00M4A mp42isom" + bytes(2000)
RAW = np.random.default_rng(0).integers(-9000, 9000, RATE, dtype=np.int16).tobytes()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio at all" * 100, PAGE, POINTER, M4A, RAW])
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


def encoded(name: str, subtype: str) -> bytes:
    """A second of noise in a format."""
    buffer = io.BytesIO()
    wave = np.random.default_rng(0).normal(0, 0.1, RATE)
    soundfile.write(buffer, wave, RATE, format=name, subtype=subtype)
    return buffer.getvalue()


FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("AU", "PCM_16"),
    ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
    ("CAF", "PCM_16"), ("W64", "PCM_16"), ("SVX", "PCM_16"), ("NIST", "PCM_16"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "subtype"), FORMATS)
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, name: str, subtype: str) -> None:
    path, data = tmp_path / "a.audio", encoded(name, subtype)
    path.write_bytes(data)
    whole = decode(path)
    assert len(whole) == pytest.approx(RATE, rel=0.05)
    assert np.array_equal(whole, decode(path, data))
    for share in (0.3, 0.6, 0.9, 0.985):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(BadAudioError, match=r"a\.audio: .*--on-bad-audio skip") as caught:
            decode(path)
        assert "\n" not in str(caught.value)


@given(data=st.binary(max_size=400), head=st.sampled_from([b"", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"OggS", b"fLaC"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_decoded_or_refused(data: bytes, head: bytes) -> None:
    with contextlib.suppress(BadAudioError):
        assert np.isfinite(decode(Path("a.wav"), head + data)).all()


@given(position=st.integers(0, 3000), value=st.integers(0, 255), kind=st.sampled_from(FORMATS))
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_is_decoded_or_refused(position: int, value: int, kind: tuple[str, str]) -> None:
    data = bytearray(encoded(*kind))
    data[position % len(data)] = value
    with contextlib.suppress(BadAudioError):
        assert np.isfinite(decode(Path("a.wav"), bytes(data))).all()


def test_a_header_written_to_a_pipe_promises_nothing(tmp_path: Path) -> None:
    data = bytearray(encoded("WAV", "PCM_16"))
    place = data.index(b"data") + 4
    data[place : place + 4] = b"\xff\xff\xff\xff"
    data[4:8] = b"\xff\xff\xff\xff"
    assert len(decode(tmp_path / "a.wav", bytes(data))) == RATE


def test_a_few_bytes_too_few_are_tolerated(tmp_path: Path) -> None:
    assert len(decode(tmp_path / "a.wav", encoded("WAV", "PCM_16")[:-40])) == RATE - 20


@pytest.mark.parametrize("samples", [1, 399, 400, 872])
def test_clips_shorter_than_a_frame(tmp_path: Path, samples: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.1), RATE)
    assert len(decode(tmp_path / "a.wav")) == samples
    [bank] = filter_bank(torch.from_numpy(remove_mean(decode(tmp_path / "a.wav"))).unsqueeze(0), 128)
    assert torch.isfinite(bank).all()


def test_what_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(1000, 1e25), RATE, subtype="FLOAT")
    with pytest.raises(BadAudioError, match=r"far beyond full scale \(peak 1e\+25\)"):
        decode(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.full(3, 0.1), 192_000)
    with pytest.raises(BadAudioError, match="holds no samples"):
        decode(tmp_path / "b.wav")
    (tmp_path / "c.wav").touch()
    with pytest.raises(BadAudioError, match=r"c\.wav: is empty"):
        decode(tmp_path / "c.wav")
