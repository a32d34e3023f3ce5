"""The structure of audio files: how much audio they hold, whatever their headers announce.

libsndfile believes a header: it reads as much as the header announces, and no more. What is missing or left over shows
only when the data is followed to the end of the file.
"""

from __future__ import annotations

from benchmark.data.containers import chunks, flac, mpeg, ogg
from benchmark.data.containers.recording import TOLERATED_LOSS, UNKNOWN_SIZE, DamagedError, Recording, cut_off
from benchmark.data.containers.tags import tag_end

__all__ = ["TOLERATED_LOSS", "UNKNOWN_SIZE", "DamagedError", "Recording", "cut_off", "recordings"]
NIST = b"NIST"
MPEG_SYNC = b"\xff"


def recordings(content: bytes) -> list[Recording]:
    """Return the recordings of a file, in their order; content of an unknown kind is returned as one recording.

    Raises:
        DamagedError: the structure shows that audio is missing, or that some of it cannot be read.
    """
    start = tag_end(content)
    magic = content[start : start + 4]
    if magic in chunks.LAYOUTS or magic in chunks.AU or magic == NIST:
        return chunks.recordings(content[start:])
    if magic == ogg.MAGIC:
        return ogg.recordings(content[start:])
    if magic == flac.MAGIC:
        return flac.recordings(content)
    if magic.startswith(MPEG_SYNC):
        return mpeg.recordings(content)
    return [Recording((content,))]
