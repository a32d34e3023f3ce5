"""Digests of a folder's files, remembered while size and time of change stay what they were."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.data.manifest import Clip
from benchmark.data.parallel import in_order
from benchmark.files import write_atomic


class FileDigests:
    """sha256 by clip of one dataset's folder, kept beside the audio cache."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self.folder = folder
        name = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
        self.file = cache / "sources" / f"{name}.json"
        self._known: dict[str, list[str | int]] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # it can always be made again
            self._known = dict(json.loads(self.file.read_bytes())["files"])

    def digest(self, clip: Clip) -> str | None:
        """sha256 of the clip's file; None where it is not known of the file as it is now."""
        match self._known.get(clip.path):
            case [size, changed, str(digest)] if (size, changed) == (clip.size, clip.changed):
                return digest
        return None

    def identify(self, clips: Iterable[Clip]) -> Iterator[Clip]:
        """Read the files of clips whose digest is not known, and give each clip back; unreadable ones stay unknown.

        What was learnt is kept where the folder can be written, and read again next time where not.
        """
        unknown = [clip for clip in clips if self.digest(clip) is None]
        for clip, digest in zip(unknown, in_order(self._read, unknown), strict=True):
            if digest is not None:
                self._known[clip.path] = [clip.size, clip.changed, digest]
            yield clip
        if unknown:
            with contextlib.suppress(OSError):
                content = {"folder": str(self.folder.resolve()), "files": self._known}
                write_atomic(self.file, json.dumps(content).encode())

    def _read(self, clip: Clip) -> str | None:
        try:
            with (self.folder / clip.path).open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError:
            return None
