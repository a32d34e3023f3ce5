"""Add a submission to a store: completely, and only if it keeps every rule."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.records.store import ResultStore
from benchmark.submissions.bundle import Bundle, Failure, read_bundle
from benchmark.submissions.checks import run_checks
from benchmark.submissions.checks.context import Context
from benchmark.submissions.draft import Files, write_draft
from benchmark.submissions.known import Known
from benchmark.submissions.layout import SUBMISSIONS, Store, Submission, provenance_marks

DRAFT = ".draft-"  # prefix of the folder of a submission that is not checked yet; no submitter has such a name


@dataclass(frozen=True)
class Added:
    """What `add` did.

    Attributes:
        folder: the folder of the submission in the store; None if it was refused or only checked.
        bundle: the submission.
        failures: the rules that it breaks.
    """

    folder: Path | None
    bundle: Bundle
    failures: list[Failure] = field(default_factory=list)

    @property
    def marks(self) -> dict[str, int]:
        """What is not known of the records, without being a fault, with the number of records."""
        return count_marks([self.bundle])

    def summary(self) -> dict[str, Any]:
        """Return what is printed with `--json`."""
        return {
            "submission": self.bundle.manifest.path,
            "folder": None if self.folder is None else str(self.folder),
            "records": len(self.bundle.all_records),
            "failures": list(map(str, self.failures)),
            "marks": self.marks,
        }


def count_marks(bundles: Iterable[Bundle]) -> dict[str, int]:
    """Return what is not known of data, weights and code of records, with the number of records."""
    marks: Counter[str] = Counter()
    for bundle in bundles:
        for record in bundle.all_records.values():
            marks.update(provenance_marks(record))
    return dict(marks)


def add(store: Store, manifest: Submission, files: Files, known: Known, *, dry_run: bool = False) -> Added:
    """Write a submission beside the store's others, check it there, and rename it if it keeps every rule.

    Args:
        store: the store.
        manifest: what the submission says of itself.
        files: content of its files, by path.
        known: what the suite knows.
        dry_run: only check.

    Raises:
        BenchmarkError: there is a submission of this name.
        OSError: the store cannot be written; nothing was added.
    """
    place = store.folder / manifest.path
    with ResultStore(store.folder).lock():
        _remove_drafts(store)
        if place.exists():
            raise BenchmarkError(f"{place}: exists already; choose another --name")
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=DRAFT) as temporary:
            draft = Path(temporary, manifest.submitter, manifest.name)
            draft.mkdir(parents=True)
            write_draft(draft, manifest, files)
            bundle = read_bundle(draft)
            failures = list(run_checks(Context(bundle, store.info, known, read_others(store, place))))
            if failures or dry_run:
                return Added(None, bundle, failures)
            place.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(place)
    return Added(place, bundle)


def read_others(store: Store, but: Path) -> list[Bundle]:
    """Return the other submissions of a store, as far as they can be read; what cannot is said when they are checked.

    Args:
        store: the store.
        but: folder of the submission that is left out.
    """
    found = []
    for folder in submission_folders(store):
        if folder != but:
            try:
                found.append(read_bundle(folder, digests=False))
            except BenchmarkError:
                continue
    return found


def submission_folders(store: Store) -> Sequence[Path]:
    """Return the folders in which submissions are, or should be, in the order of their names; links included."""
    submitters = sorted(
        path for path in (store.folder / SUBMISSIONS).glob("*") if path.is_dir() and not path.is_symlink()
    )
    return [folder for submitter in submitters for folder in sorted(submitter.iterdir())]


def _remove_drafts(store: Store) -> None:
    """Remove what calls left that were killed; none is running, as the store is locked."""
    for draft in store.folder.glob(f"{DRAFT}*"):
        shutil.rmtree(draft, ignore_errors=True)
