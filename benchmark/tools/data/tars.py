"""Read the tars of an X-ARES task (webdataset: files of one clip share their name up to the first dot)."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from rich.console import Console

from benchmark.console import counting
from benchmark.data.datasets.xares import Task, Xares
from benchmark.data.manifest import Split
from benchmark.errors import BenchmarkError
from benchmark.tools.data.prepare import DOWNLOADS
from benchmark.tools.data.room import ALLOWED, MOST, check_file
from benchmark.tools.data.unpack import Origin, Recorded, unpack
from benchmark.tools.download import DownloadFailedError, fetch
from benchmark.units import data_size, plural

AUDIO = {"flac", "mp3", "wav", "ogg", "opus", "aif", "aiff", "m4a", "wma"}
BLOCK = 512  # bytes
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>[0-9]{3,})(?P<after>[^0-9]*\.tar)")
Open = Callable[[], IO[bytes]]


class DamagedError(BenchmarkError):
    """A file is cut off or damaged: another download of it can be good."""


class Tar(NamedTuple):
    """A tar of a task.

    Attributes:
        place: where it is, for messages.
        open: opens it.
        split: of its clips.
        fold: of its clips.
    """

    place: str
    open: Open
    split: Split | None
    fold: int | None


def unpack_tars(dataset: Xares, data_root: Path, source: str | None, console: Console) -> Path:
    """Unpack the tars of a task, which are downloaded unless they are there.

    Args:
        dataset: the task.
        data_root: where `env/TASK` may be, X-ARES' own folder, and where the unpacked folder goes.
        source: folder of the tars, or a zip file of them, or its address; None for the usual places.
        console: for progress.

    Returns:
        The unpacked folder.

    Raises:
        BenchmarkError: tars are missing or cut, a clip has no audio or no label, or classes are missing. A download
            that is not damaged is kept, and the message names it.
    """
    given = Path(source).expanduser() if source and "://" not in source else _usual_place(dataset, data_root, source)
    archive = given or _download(dataset, data_root, source, console)
    try:
        place = _unpack_all(dataset, data_root, archive, console)
    except DamagedError:
        if given is None:
            archive.unlink()  # it must be downloaded again
        raise
    except BenchmarkError as error:
        if given is not None:
            raise
        raise BenchmarkError(f"{error}; the download is kept, to be used again with --from: {archive}") from None
    if given is None:
        archive.unlink()
    return place


def _unpack_all(dataset: Xares, data_root: Path, archive: Path, console: Console) -> Path:
    if not archive.is_dir():
        return _unpack_zip(dataset, data_root, archive, console)
    files = {path.name: _opener(path) for path in archive.iterdir()}
    return _unpack_files(dataset, data_root, archive, files, console)


def _usual_place(dataset: Xares, data_root: Path, source: str | None) -> Path | None:
    """Return the folder of the tars, as X-ARES itself has it; None if there is none, or an address is given."""
    if source:
        return None
    task = dataset.info.name.removeprefix(dataset.PREFIX)
    places = [data_root / "env" / task, data_root / task]
    return next((place for place in places if place.is_dir() and any(place.glob("*.tar"))), None)


def _download(dataset: Xares, data_root: Path, source: str | None, console: Console) -> Path:
    address = source or dataset.archive_address
    # a kept download of another address is not this one
    mirror = f"-{hashlib.sha256(source.encode()).hexdigest()[:8]}" if source else ""
    target = data_root / DOWNLOADS / f"{dataset.info.name.replace(':', '-')}{mirror}.zip"
    try:
        return fetch([address], target, None, console)
    except DownloadFailedError as error:
        raise BenchmarkError(
            f"{error}; by hand: get the tars from {dataset.info.homepage} and give their folder with --from"
        ) from None


def _unpack_zip(dataset: Xares, data_root: Path, path: Path, console: Console) -> Path:
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked, most = sum(info.file_size for info in packed.infolist()), MOST * path.stat().st_size
            if unpacked > max(ALLOWED, most):  # no more bytes are read of a member than its size
                raise BenchmarkError(
                    f"{path}: unpacks to {data_size(unpacked)}, more than {MOST} times its size; no tars of audio do"
                )
            names = {PurePosixPath(info.filename).name: info.filename for info in packed.infolist()}
            files: dict[str, Open] = {name: _member_opener(packed, member) for name, member in names.items()}
            return _unpack_files(dataset, data_root, path, files, console)
    except FileNotFoundError:
        raise BenchmarkError(f"{path}: no such file or folder") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DamagedError(f"{path}: cannot be unpacked ({error}); get the file again") from None


def _unpack_files(dataset: Xares, data_root: Path, where: Path, files: Mapping[str, Open], console: Console) -> Path:
    tars = list(_choose(dataset, where, files))
    remarks = _gaps([PurePosixPath(tar.place).name for tar in tars])
    origin = Origin(str(where.resolve()), None, None, dataset.task.separator is not None, remarks)
    with counting(console) as show:

        def recordings() -> Iterator[Recorded]:
            classes: set[str] = set()
            for number, tar in enumerate(tars):
                show(f"unpacking {PurePosixPath(tar.place).name}", number, len(tars))
                for recording in _read(tar, dataset.task):
                    classes.update(recording.labels)
                    yield recording
            if len(classes) != dataset.task.classes:
                raise BenchmarkError(
                    f"{where}: {plural(len(tars), 'tar')} with {len(classes)} different labels; "
                    f"{dataset.info.label} has {dataset.task.classes} classes: tars are missing, or are of another task"
                )

        return unpack(dataset, data_root, recordings(), origin)


def _choose(dataset: Xares, where: Path, files: Mapping[str, Open]) -> Iterator[Tar]:
    """Yield the tars of every split or fold.

    Raises:
        BenchmarkError: a split or fold has none.
    """
    for pattern, split, fold in dataset.task.parts:
        names = sorted(name for name in files if fnmatch.fnmatchcase(name, pattern))
        if not names:
            part = f"the {split} clips" if split else f"the clips of fold {fold}"
            there = ", ".join(sorted(name for name in files if name.endswith(".tar"))[:5]) or "no tars"
            raise BenchmarkError(f"{where}: has no {pattern}, {part} of {dataset.info.label} (there: {there})")
        for name in names:
            yield Tar(str(where / name), files[name], split, fold)


def _gaps(names: Iterable[str]) -> list[str]:
    """Return remarks on missing numbers of tars; those after the last one cannot be known."""
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbers[match["before"], match["after"]].add(int(match["number"]))
    remarks = []
    for (before, after), found in sorted(numbers.items()):
        if lacking := sorted(set(range(max(found))) - found):  # X-ARES counts from 0
            listed = ", ".join(map(str, lacking[:5])) + (", ..." if lacking[5:] else "")
            remarks.append(f"tars may be missing: {before}NUMBER{after} has no number {listed}")
    return remarks


def _read(tar: Tar, task: Task) -> Iterator[Recorded]:
    """Yield the recordings of a tar.

    Raises:
        BenchmarkError: it is cut, or a clip lacks its audio or label.
    """
    clips = 0
    for key, fields in _samples(tar):
        place = f"{tar.place}: {key}"
        audio = next((ending for ending in fields if ending in AUDIO), None)
        if audio is None:
            raise BenchmarkError(f"{place}: has no audio ({', '.join(fields)})")
        labels = _labels(place, fields.get("json"), task)
        yield Recorded(f"{PurePosixPath(key).name}.{audio}", fields[audio], labels, tar.split, tar.fold)
        clips += 1
    if not clips:
        raise BenchmarkError(f"{tar.place}: holds no clips")


def _labels(place: str, content: bytes | None, task: Task) -> tuple[str, ...]:
    if content is None:
        raise BenchmarkError(f"{place}: has no .json with its label")
    try:
        values = json.loads(content)
    except ValueError as error:
        raise BenchmarkError(f"{place}.json: cannot be read: {error}") from None
    value = values.get(task.label) if isinstance(values, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        there = ", ".join(values) if isinstance(values, dict) else type(values).__name__
        raise BenchmarkError(
            f"{place}.json: has no '{task.label}', the label of this task (there: {there or 'nothing'})"
        )
    text = str(value)
    return tuple(text.split(task.separator)) if task.separator else (text,)


def _samples(tar: Tar) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield name and files, by ending, of every clip; files of a clip follow each other.

    Raises:
        BenchmarkError: the tar is cut.
    """
    name, fields, end = "", dict[str, bytes](), 0
    try:
        with tar.open() as raw, tarfile.open(fileobj=raw, mode="r:") as archive:
            for member in _files(archive):
                if member.issparse():  # its size has nothing to do with that of the tar
                    raise BenchmarkError(f"{tar.place}: {member.name} is a sparse file, which no recording is")
                check_file(f"{tar.place}: {member.name}", member.size)
                end = member.offset_data + -(-member.size // BLOCK) * BLOCK
                handle = archive.extractfile(member)
                content = handle.read() if handle else b""
                key, ending = _split_name(member.name)
                if key != name and fields:
                    yield name, fields
                    fields = {}
                name = key
                fields[ending] = content
            raw.seek(end)
            if raw.read(BLOCK) != bytes(BLOCK):  # tarfile takes the end of the file for the end of the archive
                raise tarfile.ReadError("no end of the archive")
    except (tarfile.TarError, EOFError) as error:
        raise DamagedError(f"{tar.place}: is cut off or damaged ({error}); get the file again") from None
    if fields:
        yield name, fields


def _files(archive: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    return (member for member in archive if member.isfile())


def _split_name(path: str) -> tuple[str, str]:
    """Return a clip's name and the ending of one of its files: what follows the first dot of the file name."""
    place = PurePosixPath(path)
    stem, _, ending = place.name.partition(".")
    return str(place.with_name(stem)) if stem else path, ending.lower()


def _opener(path: Path) -> Open:
    return lambda: path.open("rb")


def _member_opener(packed: zipfile.ZipFile, name: str) -> Open:
    return lambda: packed.open(name)
