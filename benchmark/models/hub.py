"""Checkpoints from Hugging Face's hub: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.

Files are kept in the hub's own cache (`HF_HOME`, `HF_HUB_CACHE`), in its layout, so that other programs share them. Its
client begins an interrupted download again from the start; here the suite downloads the content, which continues, and
the client does the rest. Other programs may keep some of the files only, so that a cache does not show which files a
commit has: the suite keeps the names of those that it needs in its own cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers, validate_repo_id
from rich.console import Console

from benchmark.console import say, stderr_console
from benchmark.errors import BenchmarkError, MissingInputError, first_line
from benchmark.files import write_atomic
from benchmark.hub_errors import Asked, hub_errors
from benchmark.models.weights import INDEX, MODEL_FILES, default_folder
from benchmark.resuming import Resuming
from benchmark.spec.backbone import HUB_FORM

CONFIGURATIONS = ("config.json", "preprocessor_config.json")  # that are read with the weights
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
TIMEOUT_SECONDS = 20
UNLISTED = "fetch it once with network, so that every machine reads the same ones"
logger = logging.getLogger(__name__)


class HubCheckpoint(NamedTuple):
    """A checkpoint of the hub on this machine.

    Attributes:
        name: `hf:OWNER/NAME`.
        commit: of the repository.
        folder: with the files.
    """

    name: str
    commit: str
    folder: Path


class _Wanted(NamedTuple):
    """What a user names.

    Attributes:
        text: as written.
        repo: OWNER/NAME.
        revision: a branch, a tag or a commit.
    """

    text: str
    repo: str
    revision: str

    @property
    def cache(self) -> Path:
        """The repository's folder in the cache."""
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.repo, repo_type="model")

    def list_file(self, commit: str) -> Path:
        """Where the suite keeps the names of the files that it needs of a commit."""
        return default_folder() / "hub" / self.cache.name / f"{commit}.json"

    def at(self, commit: str) -> HubCheckpoint:
        """Return the checkpoint of a commit, whose files may not be there yet."""
        return HubCheckpoint(f"hf:{self.repo}", commit, self.cache / "snapshots" / commit)


def fetch(text: str, console: Console | None = None) -> HubCheckpoint:
    """Return a checkpoint of the hub; what the cache does not have is downloaded, an interrupted download continued.

    Without network, or with `HF_HUB_OFFLINE=1`, the cache alone is used.

    Args:
        text: `hf:OWNER/NAME` for the newest revision, or `hf:OWNER/NAME@REVISION`.
        console: where progress is shown; None for stderr.

    Raises:
        MissingInputError: the cache does not have it, and the hub cannot be reached or must not be asked.
        BenchmarkError: there is no such repository or revision, or it holds no model.
    """
    match = re.fullmatch(HUB_FORM, text)
    if match is None:
        raise BenchmarkError(f"{text}: expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    try:
        validate_repo_id(match["repo"])
    except HFValidationError as error:  # the right form is not enough
        raise BenchmarkError(f"{text}: {error}") from None
    wanted, console = _Wanted(text, match["repo"], match["revision"] or "main"), console or stderr_console()
    cached = _cached(wanted)
    is_fixed = COMMIT.fullmatch(wanted.revision) is not None
    if cached is not None and is_fixed and _listed(wanted, cached.commit) is not None:
        return cached
    try:
        with _explained(wanted):
            return _download(wanted, console)
    except MissingInputError as error:
        if cached is None:
            raise MissingInputError(f"{error}; {constants.HF_HUB_CACHE} does not have it") from None
        unlisted = "" if _listed(wanted, cached.commit) else ", though it may lack files of this commit: " + UNLISTED
        say(console, f"note: {error}; using commit {cached.commit} from {constants.HF_HUB_CACHE}{unlisted}")
        return cached


def _listed(wanted: _Wanted, commit: str) -> list[str] | None:
    """Return the files that are needed of a commit; None if the hub was never asked from here."""
    try:
        names = json.loads(wanted.list_file(commit).read_bytes())
    except (OSError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _keep_list(wanted: _Wanted, commit: str, names: list[str]) -> None:
    path = wanted.list_file(commit)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(names).encode())
    except OSError as error:  # the next call asks the hub again
        logger.warning("%s: cannot be written (%s)", path, first_line(error))


def _cached(wanted: _Wanted) -> HubCheckpoint | None:
    """Return what the cache has of a revision; None if it is not complete.

    A commit whose files are not known counts as complete with a model and its configuration, which most have: without
    it numbers could differ.
    """
    try:
        is_fixed = COMMIT.fullmatch(wanted.revision)
        commit = wanted.revision if is_fixed else (wanted.cache / "refs" / wanted.revision).read_text().strip()
        found = wanted.at(commit)
        present = [path.name for path in found.folder.iterdir() if path.exists()]  # a link may point to nothing
        names = _listed(wanted, commit)
        if names is None:
            model = _needed(present, lambda name: (found.folder / name).read_bytes(), wanted.text)
            names = [CONFIGURATIONS[0], *model]
    except (OSError, BenchmarkError):
        return None
    return found if set(names) <= set(present) else None


def _download(wanted: _Wanted, console: Console) -> HubCheckpoint:
    """Ask the hub for the revision's commit and files, and download what the cache does not have."""
    if constants.is_offline_mode():
        raise OfflineModeIsEnabled
    info = HfApi(endpoint=constants.ENDPOINT).model_info(wanted.repo, revision=wanted.revision, timeout=TIMEOUT_SECONDS)
    if info.sha is None:
        raise BenchmarkError(f"{wanted.text}: {constants.ENDPOINT} does not say which commit this revision is")
    found = wanted.at(info.sha)
    listed = [sibling.rfilename for sibling in info.siblings or ()]
    needed = _needed(listed, lambda name: _file(wanted, found, name, console).read_bytes(), wanted.text)
    for name in needed:
        if name not in listed:
            raise BenchmarkError(f"{wanted.text}: the repository lacks {name}, which its index names")
        _file(wanted, found, name, console)
    _keep_list(wanted, info.sha, needed)
    if wanted.revision != info.sha:
        ref = wanted.cache / "refs" / wanted.revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(ref, info.sha.encode())  # for later calls without network
    return found


def _needed(names: Collection[str], read: Callable[[str], bytes], where: str) -> list[str]:
    """Return the files of a checkpoint: configurations first, so that they are there when the weights are.

    Args:
        names: all files of the repository.
        read: returns the content of one of them.
        where: the repository, for messages.

    Raises:
        BenchmarkError: it holds no model, or a damaged index of one.
    """
    model = next((name for file in MODEL_FILES for name in (file, f"{file}{INDEX}") if name in names), None)
    if model is None:
        raise BenchmarkError(f"{where}: the repository holds neither {' nor '.join(MODEL_FILES)}")
    parts: list[str] = []
    if model.endswith(INDEX):
        try:
            parts = sorted(set(json.loads(read(model))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BenchmarkError(f"{where}: {model} is not an index of a sharded checkpoint") from None
    return [*(name for name in CONFIGURATIONS if name in names), *parts, model]


def _file(wanted: _Wanted, found: HubCheckpoint, name: str, console: Console) -> Path:
    """Return the path of a file in the cache, after its download if it is not there yet."""
    path = found.folder / name
    if path.exists():
        return path
    url = hf_hub_url(wanted.repo, name, revision=found.commit, endpoint=constants.ENDPOINT)
    metadata = get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS, endpoint=constants.ENDPOINT)
    blob = wanted.cache / "blobs" / str(metadata.etag)
    blob.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(blob.with_name(f"{blob.name}.lock")):  # two runs may start at once
        if not blob.exists():
            whole = blob.with_name(f"{blob.name}.whole")
            partial = blob.with_name(f"{blob.name}.part")
            Resuming(partial, console, build_hf_headers(), f"{wanted.repo} {name}")(url, str(whole), None)
            _require_whole(whole, blob.name, metadata.size, f"{wanted.text}: {name}")
            whole.rename(blob)
    return Path(hf_hub_download(wanted.repo, name, revision=found.commit, endpoint=constants.ENDPOINT))


def _require_whole(file: Path, etag: str, size: int | None, where: str) -> None:
    """Check a downloaded file against the hub's digest of it, or its size; a wrong one is removed.

    Raises:
        BenchmarkError: it is another content.
    """
    with file.open("rb") as handle:
        sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
    have = file.stat().st_size
    if (SHA256.fullmatch(etag) and sha256 != etag) or (size is not None and have != size):
        file.unlink()
        raise BenchmarkError(f"{where}: the download is damaged ({have} bytes, sha256 {sha256}); call the same again")


@contextmanager
def _explained(wanted: _Wanted) -> Iterator[None]:
    """Raise what the client and the download raise in one line of the suite's own."""
    try:
        with hub_errors(Asked(wanted.text, wanted.repo, wanted.revision)):
            yield
    except requests.RequestException as error:  # of the suite's own download
        raise MissingInputError(
            f"{wanted.text}: the download was interrupted, the same call continues it ({first_line(error)})"
        ) from None
