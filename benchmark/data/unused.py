"""Count the files of a dataset's folder that are not used, by reason."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmark.data.manifest import Manifest
from benchmark.data.metadata_files import NOT_CLASSES
from benchmark.units import plural

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
# files that hold no recordings
DOCUMENTS = {
    ".bib", ".cff", ".csv", ".db", ".gif", ".h5", ".hdf5", ".htm", ".html", ".ini", ".ipynb", ".jpeg", ".jpg", ".json",
    ".jsonl", ".lab", ".log", ".lst", ".md", ".md5", ".mf", ".npy", ".npz", ".pdf", ".pkl", ".png", ".py", ".pyc",
    ".rst", ".sh", ".sha256", ".svg", ".textgrid", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
}  # fmt: skip
ARCHIVES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"}
DOCUMENT_NAMES = {"authors", "changelog", "checksums", "copying", "license", "licence", "makefile", "notice", "readme"}


@dataclass(frozen=True)
class Unused:
    """Files of a dataset's folder that are not used.

    Attributes:
        reason: why not.
        paths: relative to the folder, sorted.
        intended: whether the dataset's own rules leave them out.
    """

    reason: str
    paths: tuple[str, ...]
    intended: bool = False

    def __str__(self) -> str:
        return f"{plural(len(self.paths), 'file')} not used: {self.reason} (such as {self.paths[0]})"


def find_unused(
    manifest: Manifest, left_out: Callable[[PurePosixPath], str | None], misplaced: Callable[[PurePosixPath], str]
) -> list[Unused]:
    """Return the files below a dataset's folder that may hold audio and are no clips, the most frequent reason first.

    Args:
        manifest: the clips in use.
        left_out: returns why the dataset's own rules leave a file out; None if they do not.
        misplaced: returns why a file with the ending of audio is not used.
    """
    used = {clip.path for clip in manifest.clips}
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for text in files_below(manifest.folder):
        if text in used or is_document(path := PurePosixPath(text)):
            continue
        own_rule = left_out(path)
        reason = own_rule or _reason(path) or misplaced(path)
        found[reason, own_rule is not None].append(text)
    groups = [Unused(reason, tuple(sorted(paths)), intended) for (reason, intended), paths in found.items()]
    return sorted(groups, key=lambda group: (group.intended, -len(group.paths), group.reason))


def files_below(folder: Path) -> Iterator[str]:
    """Yield the paths of all files below a folder, relative to it; links to folders are followed, each folder once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        below = Path(place).relative_to(folder).as_posix()
        yield from (name if below == "." else f"{below}/{name}" for name in names)


def is_document(path: PurePosixPath) -> bool:
    """Return whether a file holds no recording by its name: tables, texts, pictures, notes of the operating system."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return path.name.startswith("._") or suffix not in SUFFIXES
    return suffix in DOCUMENTS or (not suffix and path.stem.lower() in DOCUMENT_NAMES)


def _reason(path: PurePosixPath) -> str | None:
    """Return why a file is not used wherever it lies; None if only its place is the reason."""
    suffix = path.suffix.lower()
    if any(part.startswith(".") for part in path.parts):
        return "hidden, as the name begins with a dot"
    if NOT_CLASSES & set(path.parts):
        return "in a folder of the operating system"
    if not suffix:
        return "the name has no ending; add the right one"
    if suffix in ARCHIVES:
        return f"{suffix} is an archive; unpack it"
    if suffix not in SUFFIXES:
        return f"{suffix} is not read; convert to WAV or FLAC"
    return None
