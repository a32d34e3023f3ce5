"""Check the submissions of a store, all or those that changed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.submissions.add import count_marks, read_others, submission_folders
from benchmark.submissions.bundle import Bundle, Failure, read_bundle
from benchmark.submissions.checks import run_checks
from benchmark.submissions.checks.context import Context
from benchmark.submissions.known import Known
from benchmark.submissions.layout import KEPT, NAME, STORE_FILE, SUBMISSIONS, Store

REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./~^-]{0,200}")  # of git: no option can hide in it
IS_SUBMISSION = re.compile(rf"{SUBMISSIONS}/{NAME}/{NAME}")
SHOWN = 10  # changes outside of submissions that are named


@dataclass(frozen=True)
class Reviewed:
    """What was found.

    Attributes:
        submissions: paths of the submissions that were checked.
        records: number of their records.
        failures: the rules that they break, with the path of the file.
        marks: what is not known of their records, without being a fault, with the number of records.
    """

    submissions: list[str] = field(default_factory=list)
    records: int = 0
    failures: list[str] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)


def review_store(store: Store, known: Known, *, only: Collection[str] | None = None) -> Reviewed:
    """Check submissions of a store against each other.

    Args:
        store: the store.
        known: what the suite knows.
        only: paths of the submissions to check, `submissions/SUBMITTER/NAME`; None for all.
    """
    bundles, failures = dict[str, Bundle](), _strange_folders(store) if only is None else []
    for folder in submission_folders(store):
        path = folder.relative_to(store.folder).as_posix()
        is_checked = only is None or path in only
        try:
            bundles[path] = read_bundle(folder, digests=is_checked)
        except BenchmarkError as error:
            failures += [str(error).replace(f"{store.folder}/", "")] if is_checked else []
    checked = [path for path in bundles if only is None or path in only]
    for path in checked:
        if not IS_SUBMISSION.fullmatch(path):
            failures.append(f"{path}: is no submission (SUBMITTER/NAME in lower case); remove it")
            continue
        others = [bundle for other, bundle in bundles.items() if other != path]
        context = Context(bundles[path], store.info, known, others)
        failures += [_line(path, failure) for failure in run_checks(context)]
    return _reviewed([bundles[path] for path in checked], checked, failures)


def _strange_folders(store: Store) -> list[str]:
    """Return what is beside the folders of submitters."""
    found = sorted(path for path in (store.folder / SUBMISSIONS).iterdir() if path.name != KEPT)
    strange = [path for path in found if path.is_symlink() or not path.is_dir() or not re.fullmatch(NAME, path.name)]
    return [f"{SUBMISSIONS}/{path.name}: is no folder of a submitter; remove it" for path in strange]


def review_folder(folder: Path, known: Known, store: Store) -> Reviewed:
    """Check one submission that is outside of the store for which it is meant.

    Args:
        folder: of the submission.
        known: what the suite knows.
        store: the store.

    Raises:
        BenchmarkError: there is no manifest that can be read.
    """
    bundle = read_bundle(folder)
    context = Context(bundle, store.info, known, read_others(store, store.folder / bundle.manifest.path))
    failures = [_line(str(folder), failure) for failure in run_checks(context)]
    return _reviewed([bundle], [str(folder)], failures)


def _line(folder: str, failure: Failure) -> str:
    return f"{folder}/{failure}" if failure.file else f"{folder}: {failure}"


def _reviewed(bundles: Collection[Bundle], paths: list[str], failures: list[str]) -> Reviewed:
    return Reviewed(paths, sum(len(bundle.all_records) for bundle in bundles), failures, count_marks(bundles))


def changed_submissions(store: Store, since: str, submitter: str | None) -> tuple[set[str], list[str]]:
    """Return the submissions that are new since a commit, and the changes that nobody may make to a store.

    Submissions are only added: what is in a store stays as it was checked.

    Args:
        store: the store, a git repository.
        since: the commit, or a name of one such as `origin/main`.
        submitter: who made the changes; None if that is not known.

    Raises:
        BenchmarkError: it is no git repository, or has no such commit.
    """
    new, faults, outside = set[str](), list[str](), list[str]()
    for status, path in _changes(store.folder, since):
        parts = path.split("/")
        if parts[0] != SUBMISSIONS:
            outside.append(path)
            continue
        if len(parts) < 4:
            faults.append(f"{path}: is no file of a submission; remove it")
            continue
        if status != "A":
            faults.append(f"{path}: is changed or removed; submissions are only added, submit a new one")
        if submitter is not None and parts[1] != submitter:
            faults.append(f"{path}: belongs to {parts[1]}, the change is made by {submitter}; use your own folder")
        new.add("/".join(parts[:3]))
    if new:
        faults += [f"{path}: is changed beside a submission; change it alone" for path in outside[:SHOWN]]
    return {path for path in new if (store.folder / path).is_dir()}, faults


def _changes(folder: Path, since: str) -> Iterator[tuple[str, str]]:
    """Yield how each file differs from where the history left `since`: A for a new one, and its path."""
    if not REF.fullmatch(since):
        raise BenchmarkError(f"--since {since}: is no name of a commit")
    words = ["git", "-C", str(folder), "diff", "--name-status", "--no-renames", "--relative", "-z", f"{since}...HEAD"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # not a hook's repository
    try:
        done = subprocess.run(words, capture_output=True, check=True, env=own)
    except OSError as error:
        raise BenchmarkError(f"git: cannot be started ({error.strerror}); install it, or leave out --since") from None
    except subprocess.CalledProcessError as error:
        first = error.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise BenchmarkError(f"{folder}: git cannot compare it with {since} ({first}); fetch its history") from None
    fields = done.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    yield from zip(fields[::2], fields[1::2], strict=True)


def find_store(folder: Path) -> Path | None:
    """Return the store that a folder is, or is in; None if there is none."""
    absolute = folder.absolute()
    return next((path for path in (absolute, *absolute.parents[:3]) if (path / STORE_FILE).is_file()), None)
