"""The files of a submission: which there may be, and which there are. No link is followed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.records.store import CHOICE_TRIALS, CHOICES, TRIALS
from benchmark.submissions.layout import MANIFEST, METHODS

MAX_FILES = 20_000
MAX_DEPTH = 7  # folders within each other: tuning/trials/BACKBONE/DATASET/METHOD has 5
MAX_FAULTS = 50  # of names; more are only counted

_PART = r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,199}"  # what `path_name` writes
_RECORD = rf"(?:{TRIALS}|{CHOICE_TRIALS})/{_PART}/{_PART}/{_PART}/f[0-9]{{1,6}}-s[0-9]{{1,18}}-[0-9a-f]{{12}}"
RECORD = re.compile(rf"{_RECORD}\.json")
PREDICTIONS_FILE = re.compile(rf"{_RECORD}\.npz")
CHOICE_FILE = re.compile(rf"{CHOICES}/{_PART}\.json")
SOURCE_FILE = re.compile(rf"{METHODS}/{_PART}\.(?:py|yaml|yml)")
ALLOWED = (re.compile(re.escape(MANIFEST)), RECORD, PREDICTIONS_FILE, CHOICE_FILE, SOURCE_FILE)
# names that some systems do not have as files
RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|.*\.", re.IGNORECASE)


@dataclass
class Tree:
    """What is in the folder of a submission.

    Attributes:
        files: paths of the files that may be there, relative to the folder, with `/`.
        faults: what is wrong, by path; empty for the folder itself.
    """

    files: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)


def list_tree(folder: Path) -> Tree:
    """List a submission; nothing is opened."""
    tree, known = Tree(), dict[str, str]()
    for number, (path, fault) in enumerate(_walk(folder, "", 0)):
        if number >= MAX_FILES:
            tree.faults.append(("", f"has more than {MAX_FILES} files; split it into several submissions"))
            break
        wrong = fault or _fault_of_name(path, known)
        if wrong is None:
            tree.files.append(path)
        elif len(tree.faults) < MAX_FAULTS:
            tree.faults.append((path, wrong))
    tree.files.sort()
    return tree


def _walk(folder: Path, above: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """Yield the path of everything that is not a folder, and what is wrong with its kind."""
    if depth > MAX_DEPTH:
        yield above, "has folders that are too deep; a results folder is not"
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{above}/{entry.name}" if above else entry.name
            if entry.is_symlink():
                yield path, "is a link; put the file itself there"
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), path, depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield path, None
            else:
                yield path, "is no ordinary file; remove it"


def _fault_of_name(path: str, known: dict[str, str]) -> str | None:
    """Return what is wrong with a name; None if nothing is.

    Args:
        path: in the submission.
        known: paths and folders so far, by their form in lower case; this one is added.
    """
    if not any(allowed.fullmatch(path) for allowed in ALLOWED):
        return "is no file of a submission (records, predictions, choices, sources of methods); remove it"
    parts = path.split("/")
    if any(RESERVED.fullmatch(part) for part in parts):
        return "has a name that not every system can store; rename it"
    for end in range(1, len(parts) + 1):
        so_far = "/".join(parts[:end])
        if (other := known.setdefault(so_far.lower(), so_far)) != so_far:
            return f"differs from {other} in upper and lower case only; rename one of them"
    return None
