"""Write a submission from a results folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from benchmark.errors import BenchmarkError
from benchmark.records.choice import Choice
from benchmark.records.environment import suite, utc_now
from benchmark.records.schema import Record
from benchmark.records.store import CHOICES, PREDICTIONS, ResultStore
from benchmark.submissions.checks.origin import DIGEST, outside_sources
from benchmark.submissions.layout import MANIFEST, METHODS, MethodSource, StoredFile, Submission
from benchmark.submissions.shrink import read_small, with_epochs

Files = dict[str, bytes]  # content by path in the submission


@dataclass(frozen=True, kw_only=True)
class About:
    """What a submitter says.

    Attributes:
        submitter: name of the submitter.
        name: name of the submission; None for date and digest.
        contact: where questions can be sent.
        note: what is to be known of the records.
        licence: of the records.
        sources: files of methods and backbones from outside the suite.
        source_licence: licence of these, and of those of packages.
    """

    submitter: str
    name: str | None = None
    contact: str = ""
    note: str = ""
    licence: str
    sources: Sequence[Path] = field(default=())
    source_licence: str | None = None


def collect(results: ResultStore, is_chosen: Callable[[Record], bool]) -> tuple[list[Record], Files]:
    """Return the records to submit, and the content of all their files.

    Records of trials that chose a setting are taken if one of their final trials is.

    Args:
        results: the results folder.
        is_chosen: whether a record of a result is to be submitted.

    Raises:
        BenchmarkError: there is no such record, or predictions are missing, damaged or older.
    """
    results.require()
    chosen = [record for record in results.records() if is_chosen(record)]
    if not chosen:
        raise BenchmarkError(f"{results.folder}: no finished trial to submit; see `status`, and check the filters")
    cells = {record.request.cell for record in chosen}
    choices = [one for one in results.choices() if one.chosen is not None and cells & _final_cells(one)]
    tried = {candidate.trial for choice in choices for candidate in choice.candidates}
    choosing = [record for record in results.choice_records() if record.id in tried]
    files: Files = {}
    for records in (chosen, choosing):
        for path, record, epoch in with_epochs(results, records):
            files |= _files_of(results, path, record, epoch)
    for choice in choices:
        files[f"{CHOICES}/{choice.path_stem}.json"] = choice.model_dump_json(indent=1).encode() + b"\n"
    return [*chosen, *choosing], files


def _final_cells(choice: Choice) -> set[str]:
    """Return the cells of the chosen and of the default setting."""
    return {candidate.cell for candidate in (choice.winner, choice.candidates[0]) if candidate}


def _files_of(results: ResultStore, path: Path, record: Record, epoch: int) -> Files:
    predictions = path.with_suffix(PREDICTIONS)
    contents = {path: path.read_bytes(), predictions: read_small(predictions, record, epoch)}
    return {str(PurePosixPath(each.relative_to(results.folder))): content for each, content in contents.items()}


def find_sources(records: Sequence[Record], about: About) -> tuple[dict[str, MethodSource], Files]:
    """Return what the manifest says of methods and backbones from outside, and the content of their files.

    Args:
        records: all records of the submission.
        about: with the files and their licence.

    Raises:
        BenchmarkError: a file or licence is missing, or no record ran a file.
    """
    needed = {name: source for record in records for name, source in outside_sources(record).items()}
    given = {hashlib.sha256(path.read_bytes()).hexdigest()[:12]: path for path in map(_existing, about.sources)}
    if unused := [str(path) for digest, path in given.items() if digest not in needed.values()]:
        raise BenchmarkError(f"--source {unused[0]}: no record ran this file with this content; give it as it was then")
    if needed and about.source_licence is None:
        name = next(iter(needed))
        raise BenchmarkError(f"'{name}' is not the suite's: give its licence with --source-licence, such as MIT")
    stated, files = dict[str, MethodSource](), Files()
    for name, identity in needed.items():
        file = None
        if DIGEST.fullmatch(identity):
            if identity not in given:
                raise BenchmarkError(
                    f"'{name}' is not the suite's: give its file (digest {identity}) with --source FILE"
                )
            file = f"{METHODS}/{given[identity].name}"
            files[file] = given[identity].read_bytes()
        stated[name] = MethodSource(file=file, licence=about.source_licence or "")
    return stated, files


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BenchmarkError(f"--source {path}: no such file")
    return path


def make_manifest(about: About, methods: Mapping[str, MethodSource], files: Files) -> Submission:
    """Return the manifest of a submission made now.

    Args:
        about: what the submitter says.
        methods: sources from outside, by name.
        files: content of all files.
    """
    listed = {
        path: StoredFile(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for path, content in sorted(files.items())
    }
    code, now = suite(), utc_now()
    digest = hashlib.sha256("\n".join(f"{file.sha256}  {path}" for path, file in listed.items()).encode()).hexdigest()
    return Submission(
        submitter=about.submitter,
        name=about.name or f"{datetime.fromisoformat(now):%Y-%m-%d}-{digest[:8]}",
        contact=about.contact,
        submitted=now,
        release=code["version"],
        commit=code["commit"],
        note=about.note,
        licence=about.licence,
        methods=dict(methods),
        files=listed,
    )


def write_draft(folder: Path, manifest: Submission, files: Files) -> None:
    """Write a submission into a new folder; the manifest last."""
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
