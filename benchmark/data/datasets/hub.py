"""Audio datasets of the Hugging Face hub: `hf:REPO@REVISION[audio=...;label=...;split=...]`, or a local folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from benchmark.data.unpacked import UnpackedDataset
from benchmark.errors import BenchmarkError
from benchmark.spec.grammar import canonical, parse_refs, path_name
from benchmark.spec.yaml import Spec, validate

PREFIX = "hf:"
_TEXT = re.compile(r"(?P<repo>[^@\[\]]+)(?:@(?P<revision>[^@\[\]]+))?(?P<options>\[.*\])?", re.DOTALL)
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)?")
SplitName = Literal["train", "validation", "test"]


class HubOptions(Spec):
    """Which columns and splits of a repository are used."""

    audio: str | None = Field(default=None, description="column of the audio; null for the only one")
    label: str = Field(default="label", description="column of the label or labels; `a.b` for a field of a column")
    config: str | None = Field(default=None, description="configuration (subset) of the repository")
    split: dict[SplitName, str | tuple[str, ...]] | str | None = Field(
        default=None, description="the repository's splits for train, validation and test; or a column of their names"
    )
    fold: str | None = Field(default=None, description="column of the fold")
    group: str | None = Field(default=None, description="column of what clips share, such as their speaker")
    heldout: bool = Field(
        default=False,
        description="hold out validation clips: a share of the training clips, or the fold after the test's",
    )
    labels: dict[str, str | None] = Field(
        default={}, description="new names of labels; equal names merge classes, null leaves a label out"
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _names(cls, given: object) -> object:
        """Take whole numbers for names: labels often are numbers."""
        if not isinstance(given, Mapping):
            return given
        return {_text(name): _text(new) for name, new in given.items()}

    @model_validator(mode="after")
    def _one_rule(self) -> HubOptions:
        if self.fold and self.split:
            raise ValueError("fold and split: choose one")
        if isinstance(self.split, dict) and not {"train", "test"} <= set(self.split):
            raise ValueError("split needs train and test, as in split={train: train, test: validation}")
        return self


@dataclass(frozen=True)
class HubChoice:
    """A repository of the hub, or a local folder of one, with its options.

    Attributes:
        repo: name of the repository; `./NAME` for a local folder, without its place, which is no part of a trial.
        revision: branch, tag or commit; None for the main branch.
        options: columns and splits.
        folder: the local folder as it was given; None for a repository of the hub.
    """

    repo: str
    revision: str | None
    options: HubOptions
    folder: Path | None = None

    @property
    def name(self) -> str:
        """Return the canonical name, with the options that differ from their defaults."""
        return self._with_options(f"{PREFIX}{self.repo}{f'@{self.revision}' if self.revision else ''}")

    @property
    def typed(self) -> str:
        """Return the name with the place of a local folder, as a command needs it."""
        if self.folder is None:
            return self.name
        return self._with_options(f"{PREFIX}{'' if self.folder.is_absolute() else './'}{self.folder}")

    def _with_options(self, base: str) -> str:
        return canonical(base, self.options.model_dump(mode="json", exclude_defaults=True))

    @property
    def place(self) -> str:
        """Return the folder below a data root."""
        plain = f"{PREFIX}{self.repo}"
        base = self.repo.removeprefix("./").replace("/", "--")
        return f"hf/{path_name(base, '' if self.name == plain else self.name)}"


class HubDataset(UnpackedDataset):
    """Read `hf/NAME`, which `data prepare` unpacks from a repository of the hub or from a local folder.

    Args:
        choice: which one, and how.
    """

    PREFIX = PREFIX

    def __init__(self, choice: HubChoice) -> None:
        self.choice = choice
        local = choice.folder is not None
        super().__init__(
            choice.name,
            label=choice.repo.removeprefix("./"),
            description="a local dataset of the library `datasets`" if local else "a dataset of the Hugging Face hub",
            place=choice.place,
            holds_out=choice.options.heldout,
            typed=choice.typed,
            homepage="" if local else f"https://huggingface.co/datasets/{choice.repo}",
        )

    @property
    def where_from(self) -> str:
        """Return what is unpacked; see `UnpackedDataset.where_from`."""
        return "the local folder" if self.choice.folder else self.info.homepage


def parse_hub(text: str) -> HubChoice:
    """Return `REPO@REVISION[key=value;...]` as a choice.

    Raises:
        BenchmarkError: another form, or an unknown option.
    """
    where = f"{PREFIX}{text}"
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise BenchmarkError(f"{where}: expected {PREFIX}REPO@REVISION[key=value;key=value]")
    repo, revision = match["repo"].strip(), match["revision"]
    options = _options(match["options"] or "", where)
    if repo.startswith((".", "/", "~")):
        if revision:
            raise BenchmarkError(f"{where}: a local folder has no revision")
        folder = Path(repo).expanduser()
        return HubChoice(f"./{folder.resolve().name}", None, options, folder)
    if not _REPO.fullmatch(repo):
        raise BenchmarkError(f"{where}: '{repo}' is no repository OWNER/NAME; a local folder begins with ./ or /")
    return HubChoice(repo, revision.strip() if revision else None, options)


def _options(text: str, where: str) -> HubOptions:
    found = parse_refs(f"options{text}")
    if len(found) != 1 or len(found[0]) != 1:
        raise BenchmarkError(f"{where}: every option has one value; write several as a list [a, b]")
    return validate(HubOptions, dict(found[0][0].options), where)


def _text(value: Any) -> Any:
    """Return a whole number as text, and anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
