"""What is where in a store, and what a store and a submission say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from benchmark.commands import command
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Record
from benchmark.records.store import CHOICE_TRIALS, TRIALS, ResultStore
from benchmark.spec.yaml import Spec
from benchmark.submissions.reading import RefusedError, read_json

STORE_VERSION = 1
Model = TypeVar("Model", bound=Spec)
STORE_FILE, SUBMISSIONS, MANIFEST, METHODS = "store.json", "submissions", "submission.json", "methods"
KEPT = ".gitkeep"  # git keeps no empty folder
NAME = r"[a-z0-9][a-z0-9-]{0,38}"  # of submitters and submissions: what a GitHub account looks like in lower case
SHA256 = r"[0-9a-f]{64}"

# what `checkpoint_status` says of checkpoints that need no mark; random weights are marked by the record itself
CERTAIN_CHECKPOINTS = {"the publisher's file", "comes with this suite", "random weights"}

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
Text = Annotated[str, StringConstraints(max_length=2000)]
Unusual = Literal["synthetic", "partial", "random"]  # records that a store holds only if it says so


class StoreInfo(Spec):
    """What a store says of itself, in `store.json`."""

    store_version: int = Field(default=STORE_VERSION, description="version of the layout")
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(description="name of the store")
    accepts: tuple[Unusual, ...] = Field(
        default=(),
        description="what it holds beside complete runs on real audio with trained backbones. `synthetic`: synthetic "
        "audio, and nothing else; `partial`: some clips or folds of a dataset; `random`: backbones with random weights",
    )
    licence: Annotated[str, StringConstraints(max_length=40)] = Field(
        default="CC-BY-4.0", description="licence of all records and predictions, as SPDX writes it"
    )


class StoredFile(Spec):
    """A file of a submission."""

    sha256: Annotated[str, StringConstraints(pattern=rf"^{SHA256}$")] = Field(description="digest of its content")
    bytes: Annotated[int, Field(ge=0)] = Field(description="its size")


class MethodSource(Spec):
    """The source of a method from outside the suite."""

    file: Annotated[str, StringConstraints(pattern=rf"^{METHODS}/[A-Za-z0-9_.-]+\.py$")] | None = Field(
        description="its file in the submission; null for a method of an installed package"
    )
    licence: Annotated[str, StringConstraints(max_length=40)] = Field(description="its licence, as SPDX writes it")


class Submission(Spec):
    """What a submission says of itself, in `submission.json`."""

    store_version: int = Field(default=STORE_VERSION, description="version of the layout")
    submitter: Name = Field(description="who submitted it")
    name: Name = Field(description="its name, unique among those of the submitter")
    contact: Text = Field(default="", description="where questions can be sent; may be empty")
    submitted: str = Field(description="when `submit` was called, UTC, ISO 8601")
    release: Text = Field(description="release of the suite that made the submission")
    commit: Text | None = Field(default=None, description="commit of the suite; null if it is not a checkout")
    note: Text = Field(default="", description="what the submitter says of the records")
    licence: Annotated[str, StringConstraints(max_length=40)] = Field(description="licence of records and predictions")
    methods: dict[str, MethodSource] = Field(default={}, description="methods from outside the suite, by name")
    files: dict[str, StoredFile] = Field(description="all files but this one, by path in the submission")

    @property
    def path(self) -> str:
        """Path of its folder in the store."""
        return f"{SUBMISSIONS}/{self.submitter}/{self.name}"


@dataclass(frozen=True)
class StoredRecord:
    """A record of a store.

    Attributes:
        record: the record.
        submission: the submission that it belongs to.
        path: its path in the store.
    """

    record: Record
    submission: Submission
    path: Path


def unusual(record: Record) -> list[Unusual]:
    """Return why a store takes a record only if it says so."""
    found: list[Unusual] = []
    if record.data.kind == "synthetic":
        found.append("synthetic")
    elif record.data.kind == "partial" or record.request.recipe.limit_clips or record.data.skipped:
        found.append("partial")
    return [*found, "random"] if record.request.backbone.random_weights else found


def provenance_marks(record: Record) -> list[str]:
    """Return what a reader of somebody else's record must know of its data, weights and code."""
    marks, request, verified = list[str](), record.request, record.data.verified
    if record.data.kind != "synthetic":
        if verified is None:
            marks.append("data not verified")
        elif verified.problems:
            marks.append(f"data with {verified.problems} faults ({verified.verdict})")
    backbone = request.backbone
    if backbone.checkpoint_status not in CERTAIN_CHECKPOINTS:
        whose = "of the submitter" if backbone.chosen_weights else "without a published digest"
        marks.append(f"checkpoint {whose} (sha256 {(backbone.sha256 or 'unknown')[:12]})")
    code = record.environment.get("suite")
    if isinstance(code, dict) and code.get("dirty"):
        marks.append("code with uncommitted changes")
    return marks


class Store:
    """A results store. Nothing is kept in memory: every call reads the files.

    Args:
        folder: the store.

    Raises:
        BenchmarkError: it is not a store, or of a newer version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        path = self.folder / STORE_FILE
        if not path.is_file():
            how = command("new", "store", folder)
            raise BenchmarkError(f"{folder}: not a results store (no {STORE_FILE}); create one with `{how}`")
        self.info: StoreInfo = read_model(path, StoreInfo)

    def submissions(self) -> list[Submission]:
        """Return what all submissions say of themselves, ordered by submitter and name.

        Raises:
            BenchmarkError: one of them is damaged, or is in the folder of another one.
        """
        found = []
        for path in sorted((self.folder / SUBMISSIONS).glob(f"*/*/{MANIFEST}")):
            submission = read_model(path, Submission)
            if self.folder / submission.path != path.parent:
                raise BenchmarkError(f"{path}: is the submission {submission.path}; check the store")
            found.append(submission)
        return found

    def results(self, submission: Submission) -> ResultStore:
        """Return a submission as the results folder that it is."""
        return ResultStore(self.folder / submission.path)

    def records(self) -> Iterator[StoredRecord]:
        """Yield all records of results, of one submission after the other; a damaged one is skipped with a warning.

        Trials that chose a setting are no results: `choice_records` yields them.
        """
        for submission in self.submissions():
            for record in self.results(submission).records():
                yield StoredRecord(record, submission, stored_path(submission, record))

    def choice_records(self) -> Iterator[StoredRecord]:
        """Yield all records of trials that chose a setting, as `records` does."""
        for submission in self.submissions():
            for record in self.results(submission).choice_records():
                yield StoredRecord(record, submission, stored_path(submission, record))


def stored_path(submission: Submission, record: Record) -> Path:
    """Return the path of a record in the store."""
    folder = CHOICE_TRIALS if record.request.held_out else TRIALS
    return Path(submission.path, folder, f"{record.request.path_stem}.json")


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a file that a stranger may have written.

    Raises:
        BenchmarkError: it does not follow the schema, or is of a newer version of the layout.
    """
    try:
        data = read_json(path)
    except RefusedError as error:
        raise BenchmarkError(f"{path}: {error}") from None
    version = data.get("store_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > STORE_VERSION:
        raise BenchmarkError(f"{path}: version {version} is newer than this program's ({STORE_VERSION}); update it")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "content"
        raise BenchmarkError(f"{path}: {key}: {first['msg']}; write it with `submit` or `new store`") from None
