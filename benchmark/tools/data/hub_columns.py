"""The columns of a dataset of the library `datasets`: audio, labels and groups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from benchmark.data.datasets.hub import HubChoice
from benchmark.errors import BenchmarkError, closest
from benchmark.tools.data.room import check_file

if TYPE_CHECKING:
    import datasets

Row = Mapping[str, Any]
SHOWN = 8  # columns that a message names


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        audio: column of the audio.
        is_audio: whether its type is the library's audio type, which decodes unless told not to.
        label: column of the label, and the names of fields in it.
        names: names of the classes where labels are stored as numbers of them; None elsewhere.
        multi_label: whether a row has a list of labels.
        renamed: new names of labels; None to leave one out.
        group_column: column of the groups; None for no groups.
        folders: where files that rows name may be; None for anywhere.
        seen: names of labels that occurred in rows read so far, before they are renamed.
    """

    audio: str
    is_audio: bool
    label: tuple[str, ...]
    names: tuple[str, ...] | None
    multi_label: bool
    renamed: Mapping[str, str | None]
    group_column: str | None
    folders: tuple[Path, ...] | None = None
    seen: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def of(cls, choice: HubChoice, features: Mapping[str, Any], folders: tuple[Path, ...] | None = None) -> Columns:
        """Find the columns.

        Args:
            choice: the dataset and its options.
            features: types of the columns by name.
            folders: where files that rows name may be; None for anywhere.

        Raises:
            BenchmarkError: there is no such column, or it has another type.
        """
        import datasets

        options = choice.options
        audio = _audio_column(choice, features)
        path = tuple(options.label.split(".")) if options.label not in features else (options.label,)
        kind: Any = dict(features)
        for name in path:
            if not isinstance(kind, Mapping) or name not in kind:
                hint = closest(options.label, features)
                raise BenchmarkError(
                    f"{choice.name}: no column '{options.label}' of labels{hint}; name it with label=COLUMN"
                )
            kind = kind[name]
        item = kind[0] if isinstance(kind, list) else getattr(kind, "feature", None)
        multi_label, kind = item is not None, kind if item is None else item
        if not isinstance(kind, datasets.ClassLabel | datasets.Value) or (
            isinstance(kind, datasets.Value) and kind.dtype.startswith(("float", "binary", "timestamp"))
        ):
            raise BenchmarkError(f"{choice.name}: column '{options.label}' holds {_kind(kind)}, which is no label")
        names = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) and kind.names else None
        if names and (unknown := [name for name in options.labels if name not in names]):
            raise BenchmarkError(f"{choice.name}: labels: there is no class '{unknown[0]}'{closest(unknown[0], names)}")
        if options.group:
            require_column(choice, options.group, features)
        is_audio = isinstance(features[audio], datasets.Audio)
        return cls(audio, is_audio, path, names, multi_label, options.labels, options.group, folders)

    @property
    def classes(self) -> list[str] | None:
        """Return the classes in the order of the repository's numbers; None if labels are no numbers of classes."""
        if self.names is None:
            return None
        kept = (self.renamed.get(name, name) for name in self.names)
        return list(dict.fromkeys(name for name in kept if name is not None))

    @property
    def needed(self) -> list[str]:
        """Return the columns that are read."""
        return list(dict.fromkeys(filter(None, (self.audio, self.label[0], self.group_column))))

    def rows(self, split: datasets.Dataset, others: tuple[str, ...] = ()) -> datasets.Dataset:
        """Return a split with the needed columns only, its audio not decoded.

        Args:
            split: of the repository.
            others: further columns to keep.
        """
        import datasets

        chosen = split.select_columns(list(dict.fromkeys([*self.needed, *others])))
        return chosen.cast_column(self.audio, datasets.Audio(decode=False)) if self.is_audio else chosen

    def labels(self, place: str, row: Row) -> tuple[str, ...] | None:
        """Return the labels of a row; None if its only label is left out.

        Raises:
            BenchmarkError: it has none, as rows of hidden test lists.
        """
        value: Any = row
        for name in self.label:
            value = value.get(name) if isinstance(value, Mapping) else None
        if self.multi_label:
            return tuple(dict.fromkeys(self._kept(place, value or ())))
        return next(((name,) for name in self._kept(place, [value])), None)

    def _kept(self, place: str, values: Any) -> Iterator[str]:
        for value in values:
            if value is None or value == "" or (self.names is not None and not 0 <= value < len(self.names)):
                raise BenchmarkError(f"{place}: has no label ({value!r}); leave such splits out with split={{...}}")
            name = self.names[value] if self.names is not None else str(value)
            self.seen.add(name)
            if (new := self.renamed.get(name, name)) is not None:
                yield new

    def content(self, place: str, row: Row) -> tuple[str, bytes]:
        """Return file name (may be empty) and content of the audio of a row.

        Raises:
            BenchmarkError: it has none, or names a file that is not of the dataset.
        """
        value = row[self.audio]
        if isinstance(value, bytes):
            return "", value
        path, content = (value or {}).get("path"), (value or {}).get("bytes")
        name = PurePosixPath(path).name if path else ""
        if content is None and path:
            content = self._read(place, Path(path))
        if content is None:
            raise BenchmarkError(f"{place}: has no audio")
        return name, content

    def _read(self, place: str, path: Path) -> bytes:
        """Return the content of a file that a row names; its publisher must not choose other files of this machine."""
        if self.folders is not None and not any(_is_within(path, top) for top in self.folders):
            raise BenchmarkError(f"{place}: {path} is not a file of the dataset; it was not read")
        try:
            check_file(f"{place}: {path}", path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise BenchmarkError(f"{place}: {path}: cannot be read ({error.strerror})") from None

    def check_renamed(self, choice: HubChoice) -> None:
        """Check, after all rows were read, that every label that `labels` renames or leaves out occurred.

        Args:
            choice: the dataset, for the message.

        Raises:
            BenchmarkError: one did not.
        """
        if self.names is None and (unknown := [name for name in self.renamed if name not in self.seen]):
            hint = closest(unknown[0], sorted(self.seen))
            raise BenchmarkError(f"{choice.name}: labels: no row has the label '{unknown[0]}'{hint}")

    def group(self, row: Row) -> str:
        """Return the group of a row; empty for none."""
        value = row[self.group_column] if self.group_column else None
        return "" if value is None else str(value)


def _is_within(path: Path, folder: Path) -> bool:
    """Return whether a path leads into a folder, by its text or where its links lead: caches consist of links."""
    by_text = Path(os.path.normpath(Path.cwd() / path)).is_relative_to(os.path.normpath(Path.cwd() / folder))
    return by_text or path.resolve().is_relative_to(folder.resolve())


def require_column(choice: HubChoice, name: str, features: Mapping[str, Any]) -> None:
    """Check that a column exists.

    Raises:
        BenchmarkError: it does not.
    """
    if name not in features:
        raise BenchmarkError(f"{choice.name}: no column '{name}'{closest(name, features)}")


def _audio_column(choice: HubChoice, features: Mapping[str, Any]) -> str:
    """Return the column of the audio: the one that is named, or the only one of the audio type."""
    import datasets

    there = ", ".join(f"{name}: {_kind(kind)}" for name, kind in list(features.items())[:SHOWN])
    if name := choice.options.audio:
        require_column(choice, name, features)
        kind = features[name]
        holds_bytes = isinstance(kind, datasets.Value) and kind.dtype in {"binary", "large_binary"}
        if isinstance(kind, datasets.Audio) or holds_bytes or (isinstance(kind, Mapping) and "bytes" in kind):
            return name
        raise BenchmarkError(f"{choice.name}: column '{name}' holds {_kind(kind)}, not audio (columns: {there})")
    found = [name for name, kind in features.items() if isinstance(kind, datasets.Audio)]
    if not found:
        raise BenchmarkError(f"{choice.name}: has no audio column (columns: {there})")
    if len(found) > 1:
        raise BenchmarkError(f"{choice.name}: has several audio columns; choose one with audio={found[0]}")
    return found[0]


def _kind(kind: Any) -> str:
    """Return the type of a column in a word."""
    return str(getattr(kind, "dtype", None) or type(kind).__name__)
