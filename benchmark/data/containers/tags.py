"""ID3, APE and Lyrics3 tags, which are no audio, before and after it."""

from __future__ import annotations

import re

ID3V1, ID3V1_BYTES = b"TAG", 128
ID3V2, ID3V2_HEADER_BYTES, FOOTER_FLAG = b"ID3", 10, 0x10
APE, APE_HEADER_BYTES, APE_HEADER_FLAG = b"APETAGEX", 32, 0x80000000
LYRICS, LYRICS_END_BYTES = re.compile(rb"(\d{6})LYRICS200"), 15


def tag_end(content: bytes, start: int = 0) -> int:
    """Return where the tag at `start` ends; `start` itself if none is there."""
    if content.startswith(ID3V2, start) and len(head := content[start : start + ID3V2_HEADER_BYTES]) == 10:
        size = 0
        for byte in head[6:]:  # 7 bits each
            size = size << 7 | byte & 0x7F
        footer = ID3V2_HEADER_BYTES if head[5] & FOOTER_FLAG else 0
        return start + ID3V2_HEADER_BYTES + size + footer
    if content.startswith(APE, start):
        return start + APE_HEADER_BYTES + int.from_bytes(content[start + 12 : start + 16], "little")
    if content.startswith(ID3V1, start):
        return start + ID3V1_BYTES
    return start


def blank_tag(size: int) -> bytes:
    """Return an ID3v2 tag of zeros of this size, header not counted."""
    return ID3V2 + b"\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def without_trailing_tags(content: bytes) -> bytes:
    """Return the content without the tags at its end."""
    end = len(content)
    while True:
        if content.startswith(ID3V1, end - ID3V1_BYTES) and end > ID3V1_BYTES:
            end -= ID3V1_BYTES
            continue
        if (lyrics := LYRICS.fullmatch(content, max(0, end - LYRICS_END_BYTES), end)) is not None:
            end = max(0, end - LYRICS_END_BYTES - int(lyrics[1]))
            continue
        footer = content[max(0, end - APE_HEADER_BYTES) : end]
        size = int.from_bytes(footer[12:16], "little")  # with the footer, without the header
        if not footer.startswith(APE) or not APE_HEADER_BYTES <= size <= end:
            return content[:end]
        has_header = int.from_bytes(footer[20:24], "little") & APE_HEADER_FLAG
        end = max(0, end - size - (APE_HEADER_BYTES if has_header else 0))
