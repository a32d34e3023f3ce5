"""Find the files that metadata lists, though the metadata writes their paths in another way than the disk."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath

from benchmark.errors import BenchmarkError


class FileFinder:
    """Find files below a folder by listed paths.

    A backslash counts as a slash, and `./` is dropped. A name that does not exist as it is written is found if one
    entry of the folder differs from it only in case or in its Unicode form (NFC or NFD). An absolute path is found
    below the folder by its end, if all absolute paths have the same beginning.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, dict[str, list[str]]] = {}
        self._beginning: str | None = None

    def find(self, listed: str, place: str) -> str:
        """Return the path of a listed file relative to the folder, as on disk; the tidied text if there is none.

        Args:
            listed: the path in the metadata.
            place: of the row, for messages.

        Raises:
            BenchmarkError: the path leads out of the folder.
        """
        # as text, since metadata lists up to 20,000 files; what cannot be looked at now is an error in `_on_disk`
        if os.path.isfile(f"{self.folder}/{listed}"):  # noqa: PTH113
            written = PurePosixPath(listed)
            if ".." not in written.parts and not _is_absolute(listed):
                return str(written)
        path = PurePosixPath(listed.replace("\\", "/"))
        if ".." in path.parts:
            raise BenchmarkError(f"{place}: '{listed}' is outside the folder")
        if _is_absolute(listed):
            return self._below(path, listed, place)
        return self._on_disk(path) or str(path)

    def _below(self, path: PurePosixPath, listed: str, place: str) -> str:
        """Return the longest end of an absolute path that exists in the folder."""
        parts = path.parts[1:]
        if self._beginning is not None and "/".join(parts).startswith(f"{self._beginning}/"):
            rest = "/".join(parts).removeprefix(f"{self._beginning}/")
            return self._on_disk(PurePosixPath(rest)) or rest
        for start in range(len(parts)):
            found = self._on_disk(PurePosixPath(*parts[start:]))
            if found is None:
                continue
            beginning = "/".join(parts[:start])
            if self._beginning not in {None, beginning}:
                raise BenchmarkError(
                    f"{place}: '{listed}' is in another folder than the absolute paths before it; write paths relative "
                    f"to {self.folder}"
                )
            self._beginning = beginning
            return found
        raise BenchmarkError(f"{place}: '{listed}' is outside the folder: no end of this path is in {self.folder}")

    def _on_disk(self, path: PurePosixPath) -> str | None:
        """Return the path of an existing file with the names as on disk; None if no file or several fit."""
        found = ""
        for part in path.parts:
            names = self._entries(found).get(_key(part), [])
            chosen = [part] if part in names else names
            if len(chosen) != 1:
                return None
            found = f"{found}/{chosen[0]}" if found else chosen[0]
        return found if found and (self.folder / found).is_file() else None

    def _entries(self, below: str) -> dict[str, list[str]]:
        """Return the names in a folder by what they have in common with other spellings."""
        if below not in self._names:
            names: dict[str, list[str]] = defaultdict(list)
            place = self.folder / below
            for entry in place.iterdir() if place.is_dir() else ():
                names[_key(entry.name)].append(entry.name)
            self._names[below] = dict(names)
        return self._names[below]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_absolute(listed: str) -> bool:
    return listed.startswith("/") or PureWindowsPath(listed).is_absolute()
