"""FLAC: streams of known, unknown and wrong length, and several in one file.

Source: RFC 9639, sections 8.2 (STREAMINFO) and 9.1 (frame header).
"""

from __future__ import annotations

import re

from benchmark.data.containers.recording import Recording
from benchmark.data.containers.tags import tag_end, without_trailing_tags

MAGIC = b"fLaC"
STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # and the header of the first block, STREAMINFO, of 34 bytes
BLOCK_SIZE = 8  # position of the smallest block size, 2 bytes, which is that of all blocks unless it varies
COUNT = 21  # position of the number of samples: the lower 4 bits of a byte, and 4 bytes
COUNT_BITS = 36
FRAME = re.compile(rb"\xff[\xf8\xf9]")
LONGEST_FRAME = 2**16  # bytes; longer ones are rare, and then the whole stream is decoded to know its length
EIGHT_BITS, SIXTEEN_BITS = 6, 7  # codes of block sizes that follow in the header
RATE_BYTES = {12: 1, 13: 2, 14: 2}  # by code: bytes of a sample rate that follows in the header
BLOCK_SIZES = {1: 192, **{2 + n: 576 << n for n in range(4)}, **{8 + n: 256 << n for n in range(8)}}


def recordings(content: bytes) -> list[Recording]:
    """Return the streams of a FLAC file.

    libsndfile stops at the announced number of samples, and at the end of the first stream.
    """
    first = tag_end(content)
    if content.rfind(MAGIC) == first:  # quicker than the search for all
        return [_stream(content)]
    starts = [first, *(match.start() for match in STREAM.finditer(content, first + len(MAGIC)))]
    ends = [*starts[1:], len(content)]
    return [_stream(content[start:end]) for start, end in zip(starts, ends, strict=True)]


def _stream(content: bytes) -> Recording:
    """Return a stream; if its last frame contradicts the number of samples, with the number erased for a first attempt.

    libsndfile decodes a stream without a number to the end, and fails if something else follows the audio.
    """
    start = tag_end(content)
    place = start + COUNT
    field = int.from_bytes(content[place : place + 5], "big")
    count = field % (1 << COUNT_BITS)
    if count and _last_sample(content, start) == count:
        return Recording((content,))
    erased = content[:place] + (field - count).to_bytes(5, "big") + content[place + 5 :]
    endless = without_trailing_tags(erased)
    return Recording((endless, content) if count else (endless,), count or None)


def _last_sample(content: bytes, start: int) -> int | None:
    """Return the number of samples up to the end of the last frame, by its header; None if no header is found."""
    size = int.from_bytes(content[start + BLOCK_SIZE : start + BLOCK_SIZE + 2], "big")
    tail = content[-LONGEST_FRAME:]
    heads = [tail[match.start() : match.start() + 16] for match in FRAME.finditer(tail)]
    return next((end for head in reversed(heads) if (end := _frame_end(head, size)) is not None), None)


def _frame_end(head: bytes, block_size: int) -> int | None:
    """Return the number of samples up to the end of a frame; None if the bytes are no header of a frame."""
    if len(head) < 16:
        return None
    ones = 8 - (~head[4] & 0xFF).bit_length()  # of a number in the manner of UTF-8
    digits = max(1, ones)
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + digits]:
        number = number << 6 | byte & 0x3F
    at, code = 4 + digits, head[2] >> 4
    extra = {EIGHT_BITS: 1, SIXTEEN_BITS: 2}.get(code, 0)
    samples = int.from_bytes(head[at : at + extra], "big") + 1 if extra else BLOCK_SIZES.get(code, 0)
    at += extra + RATE_BYTES.get(head[2] & 0xF, 0)
    if at >= len(head) or _checksum(head[:at]) != head[at]:
        return None
    has_sample_number = head[1] & 1
    return (number if has_sample_number else number * block_size) + samples


def _checksum(head: bytes) -> int:
    """Return the CRC-8 with the polynomial x^8 + x^2 + x + 1."""
    value = 0
    for byte in head:
        value ^= byte
        for _ in range(8):
            value = value << 1 ^ (0x107 if value & 0x80 else 0)
    return value
