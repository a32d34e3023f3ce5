"""Short audio files of full-size official trees: no two have the same bytes, and they are quick to write."""

from __future__ import annotations

import functools
import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.data.official_trees import Fill

WAVES = 16  # generated per format; each is written many times, with a number in it
SERIAL, CHECKSUM = slice(14, 18), slice(22, 26)  # of an Ogg page
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Format = tuple[int, str, int]  # sample rate, encoding, channels


def fill_with_audio(formats: Sequence[Format], seconds: float) -> Fill:
    """Return a `fill` for `tests.data.official_trees` that writes noise; files that are no audio are empty.

    Args:
        formats: of the files, in turns.
        seconds: length of each file.
    """

    def fill(folder: Path, paths: Iterable[str]) -> None:
        made: set[Path] = set()
        for number, path in enumerate(paths):
            target = folder / path
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            number_in = NUMBERED.get(target.suffix)
            if number_in is None or target.name.startswith("."):
                target.write_bytes(b"")
                continue
            turn, place = divmod(number, len(formats))
            content = _noise(target.suffix[1:], *formats[place], seconds, turn % WAVES)
            target.write_bytes(number_in(content, number))

    return fill


@functools.cache
def _noise(kind: str, rate: int, subtype: str, channels: int, seconds: float, seed: int) -> bytes:
    wave = 0.1 * np.random.default_rng(seed).standard_normal((max(1, int(rate * seconds)), channels))
    content = io.BytesIO()
    soundfile.write(content, wave, rate, subtype=subtype, format=kind)
    return content.getvalue()


def _numbered_wav(content: bytes, number: int) -> bytes:
    """Return a WAV file whose last samples are a number."""
    return content[:-4] + struct.pack("<I", number)


def _numbered_ogg(content: bytes, number: int) -> bytes:
    """Return an Ogg file with a number as the serial number of its stream."""
    starts = [*_pages(content), len(content)]
    pages = []
    for start, end in itertools.pairwise(starts):
        page = bytearray(content[start:end])
        page[SERIAL], page[CHECKSUM] = struct.pack("<I", number), bytes(4)
        page[CHECKSUM] = struct.pack("<I", _ogg_checksum(bytes(page)))
        pages.append(bytes(page))
    return b"".join(pages)


def _pages(content: bytes) -> Iterator[int]:
    """Yield where the pages of an Ogg file begin."""
    start = 0
    while start < len(content):
        yield start
        segments = content[start + 26]
        start += 27 + segments + sum(content[start + 27 : start + 27 + segments])


def _ogg_checksum(page: bytes) -> int:
    """Return the CRC of an Ogg page: zlib's polynomial on bits in the other order, without inversion."""
    crc = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


NUMBERED = {".wav": _numbered_wav, ".ogg": _numbered_ogg}
