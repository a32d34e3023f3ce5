"""sha256 of the files of a folder, remembered as long as their size and modification time stay the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.data.manifest import Clip
from benchmark.data.parallel import in_order
from benchmark.files import write_atomic

logger = logging.getLogger(__name__)


class FileDigests:
    """Know the sha256 of each clip's file of one dataset folder; kept in the folder of the audio cache.

    Args:
        cache: folder of the audio cache.
        folder: the dataset's.
    """

    def __init__(self, cache: Path, folder: Path) -> None:
        self.folder = folder
        name = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
        self.file = cache / "sources" / f"{name}.json"
        self._known: dict[str, list[str | int]] = {}
        self._replaceable = True
        try:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a damaged file is written again
                self._known = dict(json.loads(self.file.read_bytes())["files"])
        except FileNotFoundError:
            pass
        except OSError as error:
            self._replaceable = False  # it may be good: what it says of other clips must not be lost
            logger.info("%s: cannot be read now (%s)", self.file, error)

    def digest(self, clip: Clip) -> str | None:
        """Return the sha256 of the clip's file; None if it is unknown, or the file changed since it was read."""
        match self._known.get(clip.path):
            case [size, changed, str(digest)] if (size, changed) == (clip.size, clip.changed):
                return digest
        return None

    def identify(self, clips: Iterable[Clip]) -> Iterator[Clip]:
        """Read the files of clips whose digest is unknown, and yield each of these clips; unreadable ones stay unknown.

        The digests are saved if the cache folder can be read and written. If not, the next call reads the files again.
        """
        unknown = [clip for clip in clips if self.digest(clip) is None]
        for clip, digest in zip(unknown, in_order(self._read, unknown), strict=True):
            if digest is not None:
                self._known[clip.path] = [clip.size, clip.changed, digest]
            yield clip
        logger.debug("%s: %d files had no known digest", self.folder, len(unknown))
        if unknown and self._replaceable:
            content = {"folder": str(self.folder.resolve()), "files": self._known}
            try:
                write_atomic(self.file, json.dumps(content).encode())
            except OSError as error:
                logger.info("%s: digests are not saved (%s); the next run reads the files again", self.file, error)

    def _read(self, clip: Clip) -> str | None:
        try:
            with (self.folder / clip.path).open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError:
            return None
