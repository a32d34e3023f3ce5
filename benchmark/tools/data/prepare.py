"""Download and unpack a dataset, completely or not at all."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rich.console import Console

from benchmark.commands import command
from benchmark.console import counting, say
from benchmark.data.dataset import Dataset
from benchmark.data.dataset_info import Archive, DatasetInfo
from benchmark.data.manifest import ABSENT
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.tools.data.room import NoRoomError, Room
from benchmark.tools.download import DownloadFailedError, fetch
from benchmark.units import data_size, plural

DOWNLOADS = ".downloads"
ROOM = 2.2  # free space to unpack an archive, in sizes of the archive, which is kept until the end
MEGABYTE = 2**20
logger = logging.getLogger(__name__)


def prepare(dataset: Dataset, data_root: Path, source: str | None, console: Console) -> Path:
    """Download a dataset's archive, unpack it to a temporary folder, check the layout, and move it to its place.

    Args:
        dataset: what to prepare.
        data_root: where its folder goes.
        source: an archive file, or the address of a mirror; None for the publisher's address.
        console: for progress and notes.

    Returns:
        The dataset's folder.

    Raises:
        BenchmarkError: the dataset exists already, the archive cannot be downloaded or is another file, or it does not
            contain the dataset.
    """
    info, archive = dataset.info, dataset.info.archive
    existing = [data_root / folder for folder in info.folders if (data_root / folder).exists()]
    if place := dataset.locate(data_root) or next(iter(existing), None):
        check = command("data", "verify", info.name, "--data-root", data_root)
        raise BenchmarkError(f"{place}: exists already; `{check}` checks it, or remove it first")
    if not source and (archive is None or not archive.urls):
        raise BenchmarkError(f"{info.label} cannot be downloaded: {info.by_hand}, or give --from FILE")
    data_root.mkdir(parents=True, exist_ok=True)
    if archive is not None:
        _check_room(data_root, archive)
    local = Path(source).expanduser() if source and "://" not in source else None
    if local is not None and not local.is_file():
        raise BenchmarkError(f"{local}: no such file")
    path = local or _download(info, data_root, source, console)
    if archive is not None and (local or not archive.certain):
        _compare_hash(path, archive, console, strict=local is not None and archive.certain)
    remove = local is None
    try:
        return _unpack(dataset, path, data_root, console)
    except NoRoomError:
        remove = False  # the next call unpacks it
        raise
    except BenchmarkError:
        raise  # a damaged download is removed, too: it must be downloaded again
    except BaseException:
        remove = False  # the disk is full, or the user stopped: the next call unpacks it
        raise
    finally:
        if remove:
            logger.debug("%s: removing the downloaded archive", path)
            path.unlink()


def _download(info: DatasetInfo, data_root: Path, mirror: str | None, console: Console) -> Path:
    """Download an archive into the data root."""
    archive = info.archive
    name = archive.file if archive else info.folders[0]
    try:
        known = archive.hash.removeprefix("sha256:") if archive and archive.certain else None
        urls = [mirror] if mirror else list(archive.urls if archive else ())
        return fetch(urls, data_root / DOWNLOADS / name, known, console)
    except DownloadFailedError as error:
        raise BenchmarkError(f"{error}; by hand: {info.by_hand}, or give --from FILE") from None


def _check_room(data_root: Path, archive: Archive) -> None:
    """Raise an error if the disk has too little space to unpack an archive."""
    free = shutil.disk_usage(data_root).free
    if archive.bytes and free < ROOM * archive.bytes:
        raise BenchmarkError(
            f"{data_root}: {data_size(free)} are free, {data_size(ROOM * archive.bytes)} are needed to unpack "
            f"{archive.file}"
        )


def _compare_hash(path: Path, archive: Archive, console: Console, *, strict: bool) -> None:
    """Compare a file with the known hash of an archive; a difference is an error if `strict`, else a note."""
    algorithm, _, expected = archive.hash.partition(":")
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, algorithm).hexdigest()
    if digest == expected:
        return
    text = f"{path}: {algorithm} {digest} instead of {expected}"
    if strict:
        raise BenchmarkError(f"{text}; get the file again")
    say(console, f"note: {text}: a repacked archive or another file; `data verify` compares the audio")


def _unpack(dataset: Dataset, path: Path, data_root: Path, console: Console) -> Path:
    """Unpack an archive to a temporary folder, check the layout, and move the dataset's folder to its place."""
    info, archive = dataset.info, dataset.info.archive
    with tempfile.TemporaryDirectory(dir=data_root, prefix=".prepare-") as temporary:
        draft = Path(temporary)
        try:
            with counting(console) as show:
                for done, total in _extract(path, draft):
                    show(f"unpacking {path.name}", done // MEGABYTE, total // MEGABYTE)
        except BenchmarkError:
            raise
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}:
                raise  # the disk is the problem, not the archive
            raise _damaged(path, error) from None
        except Exception as error:  # each compression has its own exceptions for damaged or encrypted files
            raise _damaged(path, error) from None
        try:
            found = dataset.find(draft)
        except MissingInputError:
            if archive is None or archive.top:
                raise BenchmarkError(
                    f"{path}: has no folder {info.folders[0]}; is it the archive of {info.label}?"
                ) from None
            found = draft
        listed = dataset.read(found)
        if not listed:
            raise BenchmarkError(f"{path}: has no clips of {info.label}")
        if lacking := [clip.path for clip in listed if clip.size == ABSENT]:
            raise BenchmarkError(f"{path}: lacks {plural(len(lacking), 'listed clip')}, such as {lacking[0]}")
        place = data_root / dataset.folder_name(found)
        found.rename(place)
        if found == draft:
            draft.mkdir()  # the temporary folder is removed at the end of the block, so it must exist
    return place


def _extract(path: Path, target: Path) -> Iterator[tuple[int, int]]:
    """Unpack member by member; yield the bytes read so far and the size of the archive.

    Raises:
        NoRoomError: the disk is full.
        BenchmarkError: a member or a link points outside the folder, is not a file, or the archive unpacks to far more
            than its size.
    """
    size, room = path.stat().st_size, Room(target, path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            for number, member in enumerate(members, start=1):
                text = member.filename
                name = PurePosixPath(text)
                if name.is_absolute() or ".." in name.parts or "\\" in text:
                    raise _outside(path, text)
                room.take(member.file_size)  # no more bytes are read of a member
                packed.extract(member, target)
                yield size * number // len(members), size
        return
    with path.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as archive:
        for entry in archive:
            room.take(entry.size)
            try:
                archive.extract(entry, target, filter=_safe)
            except tarfile.FilterError:
                raise _outside(path, entry.name) from None
            yield raw.tell(), size


def _safe(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo | None:
    """Apply tarfile's rules, but refuse absolute names instead of making them relative."""
    if member.name.startswith("/"):
        raise tarfile.AbsolutePathError(member)
    return tarfile.data_filter(member, target)


def _damaged(path: Path, error: Exception) -> BenchmarkError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
    return BenchmarkError(f"{path}: cannot be unpacked ({reason}); get the file again")


def _outside(path: Path, name: str) -> BenchmarkError:
    return BenchmarkError(
        f"{path}: '{name}' is a link, a device or a path that leaves the folder; nothing was unpacked"
    )
