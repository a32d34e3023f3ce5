"""Files of chunks (WAV, RF64, Wave64, AIFF, CAF, 8SVX), and headers with a size (AU, NIST): their audio's true size.

libsndfile reads as many bytes of audio as the header announces, whatever follows.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from benchmark.data.containers import mpeg
from benchmark.data.containers.recording import (
    TOLERATED_LOSS,
    UNKNOWN_SIZE,
    DamagedError,
    Recording,
    cut_off,
    unread,
)

AUDIO = (b"data", b"SSND", b"BODY")
NAME = re.compile(rb"[A-Za-z0-9_(][A-Za-z0-9_) ]{3}")
W64_GUID_BYTES = 16
DS64, DS64_DATA_SIZE = 12, 16  # position of this chunk, and in it of the size of the audio
MPEG = (0x50, 0x55)  # encodings of WAV
AU = {b".snd": ">", b"dns.": "<"}  # byte order
NIST_FIELD = re.compile(rb"^(\w+) -i (\d{1,18})\s*$", re.MULTILINE)
NIST_LONGEST = 4096  # bytes of a header
SSND_HEADER_BYTES = 8


class Layout(NamedTuple):
    """How chunks are written.

    Attributes:
        first: position of the first chunk.
        name: bytes of a name.
        size: format of a size, for `struct`.
        own: bytes of the chunk's header that its size includes.
        multiple: chunks begin at multiples of this.
    """

    first: int
    name: int
    size: str
    own: int = 0
    multiple: int = 2


LAYOUTS = {
    b"RIFF": Layout(12, 4, "<I"),
    b"RIFX": Layout(12, 4, ">I"),
    b"RF64": Layout(12, 4, "<I"),
    b"FORM": Layout(12, 4, ">I"),
    b"riff": Layout(40, W64_GUID_BYTES, "<Q", own=24, multiple=8),
    b"caff": Layout(8, 4, ">q", multiple=1),
}


class Section(NamedTuple):
    """The bytes of a file that hold its audio.

    Attributes:
        start: position of the first byte of the chunk's content.
        size: announced number of bytes; negative or large if it was unknown when the header was written.
        place: position of the number in the header.
        format: of the number, for `struct`; empty if it is no binary number.
        own: bytes of the header that the number includes.
    """

    start: int
    size: int
    place: int
    format: str
    own: int = 0


class Chunk(NamedTuple):
    """A chunk: its name, and where its content is."""

    name: bytes
    section: Section


def recordings(content: bytes) -> list[Recording]:
    """Return the recording of a file with a header; if its header is unfinished, with the true size in the header.

    Raises:
        DamagedError: there is less or more audio than the header announces.
    """
    layout = LAYOUTS.get(content[:4])
    if layout is None:
        section = (_au if content[:4] in AU else _nist)(content)
        end, more, encoding = 0, 0, 0
    else:
        chunks = list(_chunks(content, layout))
        audio = [chunk.section for chunk in chunks if chunk.name in AUDIO]
        section, more = audio[0] if audio else None, sum(section.size > 0 for section in audio[1:])
        end = chunks[-1].section.start + chunks[-1].section.size if chunks else 0
        formats = [chunk.section.start for chunk in chunks if chunk.name == b"fmt "]
        encoding = int.from_bytes(content[formats[0] : formats[0] + 2], "little") if formats else 0
    if section is None or section.size >= UNKNOWN_SIZE:
        return [Recording((content,))]
    present = len(content) - section.start
    if present < (1 - TOLERATED_LOSS) * section.size:
        raise cut_off(max(0, present), section.size)
    if more:
        raise DamagedError(f"holds {more + 1} chunks of audio, of which only one can be read")
    if encoding in MPEG:
        return mpeg.recordings(content[section.start : section.start + section.size])
    rest = present if section.size < 0 else unread(content, max(end, section.start + section.size))
    if not rest:
        return [Recording((content,))]
    if section.size > SSND_HEADER_BYTES:
        raise DamagedError(f"is damaged: its header announces {section.size} bytes of audio, and {rest} more follow")
    if not section.format:
        return [Recording((content,))]
    number = struct.pack(section.format, present + section.own)
    return [Recording((content[: section.place] + number + content[section.place + len(number) :],))]


def _chunks(content: bytes, layout: Layout) -> Iterator[Chunk]:
    """Yield the chunks of a file, up to the first place where none begins."""
    position, width = layout.first, struct.calcsize(layout.size)
    while NAME.fullmatch(name := content[position : position + 4]) and name not in LAYOUTS:  # another file may follow
        place = position + layout.name
        if len(number := content[place : place + width]) < width:
            return
        [size] = struct.unpack(layout.size, number)
        section = Section(place + width, size - layout.own, place, layout.size, layout.own)
        if content.startswith(b"RF64") and name == b"data" and content.startswith(b"ds64", DS64):
            place = DS64 + DS64_DATA_SIZE
            section = section._replace(
                size=int.from_bytes(content[place : place + 8], "little"), place=place, format="<Q"
            )
        yield Chunk(name, section)
        if section.size < 0:
            return
        end = min(len(content), section.start + section.size)
        position = end + -end % layout.multiple
        if (
            position > end
            and NAME.fullmatch(content, end, end + 4)
            and not NAME.fullmatch(content, position, position + 4)
        ):
            position = end  # the padding is missing


def _au(content: bytes) -> Section:
    order = AU[content[:4]]
    start, size = struct.unpack(f"{order}II", content[4:12].ljust(8, b"\0"))
    return Section(start, size, 8, f"{order}I")


def _nist(content: bytes) -> Section | None:
    fields = dict(NIST_FIELD.findall(content[:NIST_LONGEST]))
    lines = content[:NIST_LONGEST].split(b"\n", 2)
    if not {b"sample_count", b"channel_count", b"sample_n_bytes"} <= fields.keys() or not lines[1].strip().isdigit():
        return None
    size = int(fields[b"sample_count"]) * int(fields[b"channel_count"]) * int(fields[b"sample_n_bytes"])
    return Section(int(lines[1]), size, 0, "")
