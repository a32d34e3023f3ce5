"""Audio files as bytes: whole, cut, joined, and with headers that are wrong."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

RATE = 16_000
SYNCSAFE = (21, 14, 7, 0)


def noise(seconds: float = 2, *, channels: int = 1, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (int(seconds * rate), channels))


def encoded(
    form: str,
    subtype: str,
    seconds: float = 2,
    *,
    channels: int = 1,
    rate: int = RATE,
    seed: int = 0,
    endian: str = "FILE",
) -> bytes:
    """Noise in a format."""
    buffer = io.BytesIO()
    wave = noise(seconds, channels=channels, rate=rate, seed=seed)
    soundfile.write(buffer, wave, rate, format=form, subtype=subtype, endian=endian)
    return buffer.getvalue()


def replaced(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


# ---- WAV and other headers


def wav_with_size(content: bytes, size: int, riff: int | None = None) -> bytes:
    """A WAV file whose header announces so many bytes of audio, and so many in all."""
    place = content.index(b"data") + 4
    content = replaced(content, place, struct.pack("<I", size))
    return content if riff is None else replaced(content, 4, struct.pack("<I", riff))


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a WAV file, padded to an even size."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def with_chunks(content: bytes, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A WAV file with more chunks before and after that of the audio; its own size is right."""
    place = content.index(b"data")
    whole = content[:place] + before + content[place:] + after
    return replaced(whole, 4, struct.pack("<I", len(whole) - 8))


# ---- tags


def id3v1() -> bytes:
    return b"TAG" + b"title".ljust(125, b"\0")


def id3v2(size: int) -> bytes:
    return b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in SYNCSAFE) + b"\xff\xd8\xff\xe0" + bytes(size - 4)


def ape(size: int) -> bytes:
    """An APE tag with header and footer, `size` bytes without the header."""
    fields = struct.pack("<III", 2000, size, 1)
    header = b"APETAGEX" + fields + struct.pack("<I", 0xA0000000) + bytes(8)
    footer = b"APETAGEX" + fields + struct.pack("<I", 0x80000000) + bytes(8)
    return header + b"Cover\0\xff\xfb".ljust(size - 32, b"x") + footer


def lyrics3(size: int) -> bytes:
    return b"LYRICSBEGIN".ljust(size, b"x") + f"{size:06}".encode() + b"LYRICS200"


# ---- MP3: 16 kHz, that is MPEG 2, layer 3

KILOBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
FRAME_SAMPLES = 576


def mp3_frames(content: bytes) -> list[bytes]:
    """The frames of an MP3 file of this kind; the first one is the Xing header."""
    frames, at = [], 0
    while at < len(content):
        size = 72_000 * KILOBITS[content[at + 2] >> 4] // RATE + (content[at + 2] >> 1 & 1)
        frames.append(content[at : at + size])
        at += size
    return frames


def mp3(seconds: float = 2, *, mode: str = "VARIABLE", wave: np.ndarray | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(
        buffer, noise(seconds) if wave is None else wave, RATE, format="MP3", bitrate_mode=mode, compression_level=0.5
    )
    return buffer.getvalue()


def vbr_mp3(seconds: float = 14) -> bytes:
    """An MP3 file whose first half is soft, and therefore of a low bit rate."""
    wave = noise(seconds)
    wave[: len(wave) // 2] *= 1e-4
    return mp3(wave=wave)


def without_xing(content: bytes) -> bytes:
    assert b"Xing" in mp3_frames(content)[0] or b"Info" in mp3_frames(content)[0]
    return b"".join(mp3_frames(content)[1:])


def mp3_in_wav(content: bytes) -> bytes:
    form = chunk(b"fmt ", struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 8000, 1, 0, 12, 1, 2, 288, 1, 1393))
    whole = b"RIFF" + bytes(4) + b"WAVE" + form + chunk(b"data", content)
    return replaced(whole, 4, struct.pack("<I", len(whole) - 8))


# ---- Ogg and FLAC


def ogg_pages(content: bytes) -> list[bytes]:
    pages = [b"OggS" + rest for rest in content.split(b"OggS")[1:]]
    assert b"".join(pages) == content
    return pages


def flac_announcing(content: bytes, samples: int) -> bytes:
    """A FLAC file whose header announces so many samples; 0 stands for an unknown number."""
    rest = int.from_bytes(content[21:26], "big") >> 36 << 36
    return replaced(content, 21, (rest | samples).to_bytes(5, "big"))
