"""What decoders have to be given to decode a file to its end."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.data.containers.tags import tag_end, without_trailing_tags

TOLERATED_LOSS = 0.01  # share of a file that may be missing or too much: some programs write slightly wrong sizes
UNKNOWN_SIZE = 0x7FFFFFFF  # programs that write to a pipe put this or a larger number in place of an unknown size
PADDING = 512  # bytes that may follow the audio, whatever they are


class DamagedError(Exception):
    """The structure of a file shows that its audio cannot be read completely; the text is the reason."""


@dataclass(frozen=True)
class Recording:
    """One of the recordings that a file holds; nearly all files hold one.

    Attributes:
        contents: what libsndfile can be given, tried in this order until one is decoded completely.
        samples: fewest samples per channel of a complete decoding, by the structure of the file; None if the number
            that libsndfile announces counts.
    """

    contents: tuple[bytes, ...]
    samples: int | None = None


def cut_off(present: float, announced: float) -> DamagedError:
    """Return the error of a file of which only a part is there."""
    return DamagedError(f"is cut off: {100 * present / announced:.0f} % of its audio is there")


def unread(content: bytes, end: int) -> int:
    """Return how many bytes from `end` on are neither tags nor padding; 0 if they are few."""
    rest = without_trailing_tags(content)[tag_end(content, min(end, len(content))) :]
    return len(rest) if len(rest) > max(PADDING, TOLERATED_LOSS * len(content)) and rest.strip(b"\0") else 0
