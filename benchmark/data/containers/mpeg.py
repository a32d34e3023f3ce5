"""MPEG audio (MP3): frames without a header of the file, and several recordings in one file.

Source: ISO/IEC 11172-3 and 13818-3, the frame header; the Xing header as LAME writes it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmark.data.containers.recording import TOLERATED_LOSS, DamagedError, Recording, unread
from benchmark.data.containers.tags import blank_tag, tag_end

HEADER_BYTES = 4
# kilobits per second by (is MPEG 1, layer) and index; index 0 is a free rate, which is not used
BIT_RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version bits
XING = (b"Xing", b"Info")
HAS_COUNT = 1  # flag
SIDE_BYTES = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}  # by is MPEG 1, is mono
MOST_PADDING = 2**28 - 1  # bytes; the largest size that a tag can state
FEW = 2  # frames more than announced, as some programs count


class Form(NamedTuple):
    """What all frames of a recording have in common.

    Attributes:
        version: bits of the MPEG version.
        layer: 1 to 3.
        rate: sample rate in Hz.
        mono: whether it has one channel.
    """

    version: int
    layer: int
    rate: int
    mono: bool

    @property
    def samples(self) -> int:
        """Return the samples per frame."""
        return 384 if self.layer == 1 else 576 if self.layer == 3 and self.version != 3 else 1152


@dataclass
class Run:
    """Frames of one form that follow each other.

    Attributes:
        form: of all frames.
        start: position of the first byte.
        announced: number of frames by the Xing header; 0 without one.
        ends: positions after the frames that hold audio.
    """

    form: Form
    start: int
    announced: int = 0
    ends: list[int] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Return whether all announced frames are there."""
        return 0 < self.announced <= len(self.ends)


def recordings(content: bytes) -> list[Recording]:
    """Return the recordings of an MPEG file.

    libsndfile reads the first recording only, and of it as many frames as the Xing header announces. Without such a
    header, it guesses the number from the size of the file and of the first frame, and reads no more than that.

    Raises:
        DamagedError: the last frame is incomplete, or much between the frames is no audio.
    """
    runs = _runs(content)
    if not runs:
        return [Recording((content,))]
    starts = [0, *(run.start for run in runs[1:])]
    ends = [*starts[1:], len(content)]
    return [_recording(content, start, end, run) for start, end, run in zip(starts, ends, runs, strict=True)]


def _recording(content: bytes, start: int, end: int, run: Run) -> Recording:
    part = content[start:end]
    if run.announced:
        return Recording((part,))
    frames, last = len(run.ends), run.ends[-1]
    guessed = frames * (run.ends[0] - run.start)
    # a tag after the last frame makes the file, and with it the guess, large enough
    size = max(0, guessed + guessed // 10 - (last - start))
    if size > MOST_PADDING:
        raise DamagedError("cannot be read: its frames are too many and too unlike, and it has no count of them")
    padded = content[start:last] + blank_tag(size)
    return Recording((part, padded), frames * run.form.samples)


def _runs(content: bytes) -> list[Run]:
    """Follow the frames from the first to the last byte."""
    runs: list[Run] = []
    position, skipped = tag_end(content), 0
    while (frame := _next_frame(content, position, runs[-1].form if runs else None)) is not None:
        start, end, form = frame
        if runs:
            skipped += start - position
        if end > len(content):
            if runs and not runs[-1].announced:
                raise DamagedError("is cut off: its last frame is incomplete")
            break
        count = _xing_count(content[start:end], form)
        if count is not None or not runs or runs[-1].form != form or runs[-1].is_full:
            runs.append(Run(form, start, count or 0))
        if count is None:
            runs[-1].ends.append(end)
        position = tag_end(content, end)
    few = max(FEW, TOLERATED_LOSS * sum(len(run.ends) for run in runs))
    runs = [run for run in runs if run.announced or len(run.ends) > few] or [run for run in runs[:1] if run.ends]
    if skipped > TOLERATED_LOSS * len(content) and not all(run.announced for run in runs):
        raise DamagedError(f"is damaged: {skipped} bytes between its frames are no audio")
    if rest := unread(content, position) if runs else 0:
        raise DamagedError(f"is damaged: {rest} bytes follow its last frame")
    return runs


def _next_frame(content: bytes, position: int, expected: Form | None) -> tuple[int, int, Form] | None:
    """Return start, end and form of the next frame; None after the last one.

    A frame that does not follow another one of its form counts if one of its form follows it.
    """
    start = position
    while start >= 0:
        frame = _frame(content[start : start + HEADER_BYTES])
        if frame is not None:
            form, size = frame
            follower = _frame(content[start + size : start + size + HEADER_BYTES])
            follows = form == expected and start == position
            if follows or start + size == len(content) or (follower is not None and follower[0] == form):
                return start, start + size, form
        start = content.find(b"\xff", start + 1)
    return None


@functools.lru_cache(maxsize=1024)
def _frame(header: bytes) -> tuple[Form, int] | None:
    """Return the form and the size in bytes of the frame with this header; None if it is none."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version not in SAMPLE_RATES or layer == 4 or not 1 <= bit_rate <= 14 or rate == 3:
        return None
    form = Form(version, layer, SAMPLE_RATES[version][rate], header[3] >> 6 == 3)
    slot = 4 if layer == 1 else 1  # bytes
    bits = 1000 * BIT_RATES[version == 3, layer][bit_rate - 1]
    slots = form.samples * bits // (8 * slot * form.rate) + (header[2] >> 1 & 1)
    return form, slots * slot


def _xing_count(frame: bytes, form: Form) -> int | None:
    """Return the number of frames by a Xing header; 0 if it has none, None if the frame is no Xing header."""
    place = HEADER_BYTES + SIDE_BYTES[form.version == 3, form.mono]
    if form.layer != 3 or frame[place : place + 4] not in XING:
        return None
    flags, count = (int.from_bytes(frame[place + at : place + at + 4], "big") for at in (4, 8))
    return count if flags & HAS_COUNT else 0
