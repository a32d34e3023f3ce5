"""Ogg: pages that are missing, damaged or not the last, and chained streams.

Source: RFC 3533, section 6.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from benchmark.data.containers.recording import DamagedError, Recording, unread

MAGIC = b"OggS"
HEADER_BYTES = 27
FIRST, LAST = 2, 4  # flags
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page of an Ogg file.

    Attributes:
        start: position of its first byte.
        end: position after its last byte.
        flags: `FIRST` and `LAST`.
        stream: number of the stream that it belongs to.
        number: of the page in its stream.
    """

    start: int
    end: int
    flags: int
    stream: int
    number: int


def recordings(content: bytes) -> list[Recording]:
    """Return the chained streams of an Ogg file; libsndfile reads only the first one.

    Raises:
        DamagedError: a page is missing or damaged.
    """
    starts: list[int] = []
    end = len(content)
    open_streams: dict[int, int] = {}  # number of the last page by stream
    for page in _pages(content):
        if page.flags & FIRST:
            if not open_streams:
                starts.append(page.start)
        elif page.number != open_streams.get(page.stream, page.number - 1) + 1:
            raise DamagedError("is damaged: pages in its middle are missing")
        open_streams[page.stream] = page.number
        end = page.end
        if page.flags & LAST:
            del open_streams[page.stream]
    if open_streams:
        raise DamagedError("is cut off: its last page is missing")
    if rest := unread(content, end):
        raise DamagedError(f"is damaged: {rest} bytes follow its last page")
    if not starts:
        return [Recording((content,))]
    ends = [*starts[1:], len(content)]
    return [Recording((content[start:end],)) for start, end in zip(starts, ends, strict=True)]


def _pages(content: bytes) -> list[Page]:
    pages: list[Page] = []
    start = content.find(MAGIC)
    while start >= 0:
        head = content[start : start + HEADER_BYTES]
        lengths = content[start + HEADER_BYTES : start + HEADER_BYTES + head[-1]]
        end = start + HEADER_BYTES + len(lengths) + sum(lengths)
        if len(head) < HEADER_BYTES or len(lengths) < head[-1] or end > len(content):
            raise DamagedError("is cut off: its last page is incomplete")
        if _checksum(head[:22] + bytes(4) + content[start + 26 : end]) != int.from_bytes(head[22:26], "little"):
            raise DamagedError(f"is damaged: the checksum of page {len(pages) + 1} is wrong")
        stream, number = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        pages.append(Page(start, end, head[5], stream, number))
        start = content.find(MAGIC, end)
    return pages


def _checksum(page: bytes) -> int:
    """Return the CRC-32 of a page: that of zlib with mirrored bits, and 0 instead of ones at start and end."""
    mirrored = zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(MIRRORED), "big")
