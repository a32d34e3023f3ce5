"""Read what a checkpoint file holds, execute nothing in it, and name what is no checkpoint."""

from __future__ import annotations

import functools
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch

from benchmark.errors import BenchmarkError, first_line

HEAD_BYTES = 512
SAVE = "save its weights alone: torch.save(model.state_dict(), FILE)"
AGAIN = "download it again"
NEITHER = "not a checkpoint: neither a file of torch nor of safetensors"
# first bytes of what people name by mistake: what it is, and what to do
FOREIGN = (
    (rb"\s*<", "a web page, not a checkpoint", "the link answered with a page: download the file itself"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "get the file with `git lfs pull`"),
    (rb"# xet version", "a pointer of Hugging Face's store, not the file itself", AGAIN),
    (rb"\s*[\[{]", "JSON text, not a checkpoint", "name the file of weights, or its folder"),
    (rb"\x89HDF", "an HDF5 file", "convert it to safetensors or to a torch file"),
    (rb"\x93NUMPY", "a NumPy array", "convert it to safetensors or to a torch file"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed archive", "unpack it first"),
    (rb".{257}ustar", "a tar archive", "unpack it first"),
    (rb"GGUF", "a GGUF file", "convert it to safetensors or to a torch file"),
)


class Content(NamedTuple):
    """What a file holds: usually a mapping with tensors, and the metadata of a safetensors file."""

    values: object
    metadata: Mapping[str, str]


class Unknown:
    """Stands for an object of a class that is not loaded: whatever is stored of it, nothing is executed.

    Attributes:
        kind: full name of the class.
    """

    kind = ""

    def __new__(cls, *_: object, **__: object) -> Unknown:
        """Accept any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        """Forget them."""

    def __setstate__(self, _: object) -> None:
        """Forget the stored state."""


def read_content(file: Path) -> Content:
    """Read a file of tensors; its content, not its name, shows whether it is of safetensors or of torch.

    Raises:
        BenchmarkError: it is not a checkpoint, or incomplete; one line says what it is and what to do.
    """
    try:
        status = file.stat()
        size = status.st_size
        with file.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
        if not head:
            raise BenchmarkError(f"{file}: empty, not a checkpoint; {AGAIN}")
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
            return _safetensors(file, 8 + int.from_bytes(head[:8], "little"), size)
        for pattern, kind, advice in FOREIGN:
            if re.match(pattern, head, re.DOTALL):
                raise BenchmarkError(f"{file}: {kind}; {advice}")
        mapped = False
        if head.startswith(b"PK\x03\x04"):
            mapped = _require_torch_archive(file, size, status.st_mtime_ns)
        elif not head.startswith(b"\x80"):  # a pickle of protocol 2 or later, as torch.save wrote it up to version 1.5
            raise BenchmarkError(f"{file}: {NEITHER}; {AGAIN}")
        return Content(_load(file, mapped=mapped), {})
    except OSError as error:
        raise BenchmarkError(f"{file}: cannot be read: {error.strerror or error}") from None


def _safetensors(file: Path, header: int, size: int) -> Content:
    try:
        with safetensors.safe_open(file, framework="pt") as handle:
            metadata = handle.metadata() or {}
        return Content(safetensors.torch.load_file(file), metadata)
    except safetensors.SafetensorError as error:
        cut = header > size or "incomplete" in str(error).lower() or "truncated" in str(error).lower()
        reason = f"an incomplete safetensors file ({size} bytes)" if cut else f"damaged: {first_line(error)}"
        raise BenchmarkError(f"{file}: {reason}; {AGAIN}") from None


@functools.lru_cache(maxsize=16)  # to compare 350 MB takes longer than to read them, before every trial of a worker
def _require_torch_archive(file: Path, size: int, _changed: int) -> bool:
    """Refuse other zip archives and damaged ones: torch itself compares no checksums.

    Args:
        file: the archive.
        size: in bytes.
        _changed: modification time; an archive that was found to be good is not read again until it changes.

    Returns:
        Whether the tensors can be mapped into memory: they are not compressed.

    Raises:
        BenchmarkError: as `read_content`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _require_torch_names(file, archive.namelist())
            is_plain = all(part.compress_type == zipfile.ZIP_STORED for part in archive.infolist())
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        raise BenchmarkError(f"{file}: incomplete, its end is missing ({size} bytes are there); {AGAIN}") from None
    except (RuntimeError, zlib.error, EOFError) as error:  # a password, an unknown compression, damaged parts
        raise BenchmarkError(f"{file}: cannot be unpacked: {first_line(error)}; {AGAIN}") from None
    if damaged is not None:
        raise BenchmarkError(f"{file}: damaged: the checksum of {damaged} is wrong; {AGAIN}")
    return is_plain


def _require_torch_names(file: Path, names: list[str]) -> None:
    if any(name.endswith("/constants.pkl") for name in names):
        raise BenchmarkError(f"{file}: a TorchScript program, not a checkpoint; load it with torch.jit.load and {SAVE}")
    if not any(name.rpartition("/")[2] == "data.pkl" for name in names):
        kind = "a NumPy archive" if all(name.endswith(".npy") for name in names) else "a zip archive"
        raise BenchmarkError(f"{file}: {kind}, not a checkpoint; unpack it and name the file of weights")


def _load(file: Path, *, mapped: bool) -> object:
    """Load a file of torch. Objects other than tensors and plain values become `Unknown`.

    Args:
        file: what to load.
        mapped: map the tensors into memory instead of reading them: trials on one machine share their pages.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except Exception:  # a file of an old format, or damaged: loading says which
        names = []
    stands_for: list[Any] = [(type("Unknown", (Unknown,), {"kind": name}), name) for name in names]
    try:
        with torch.serialization.safe_globals(stands_for), warnings.catch_warnings(action="ignore"):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises many kinds of errors for damaged files
        raise BenchmarkError(f"{file}: {_reason(error, names)}") from None


def _reason(error: Exception, names: list[str]) -> str:
    """Return why torch cannot load a file, without its advice to execute what is in there."""
    text = str(error)
    unsupported = re.search(r"(?:Unsupported global|unsupported GLOBAL)\S* (?:GLOBAL )?([\w.]+)", text)
    found = [unsupported[1]] if unsupported else names
    if found:
        return f"holds objects that need their program ({', '.join(found[:3])}), which is never executed here; {SAVE}"
    if "Invalid magic number" in text:
        return f"{NEITHER}; {AGAIN}, or {SAVE}"
    if "PytorchStreamReader" in text or "central directory" in text or isinstance(error, EOFError):
        return f"incomplete or damaged; {AGAIN}"
    if "Weights only load failed" in text or "weights_only" in text:
        return f"{NEITHER}; {AGAIN}, or {SAVE}"
    return f"cannot be read as a checkpoint: {first_line(error)}"
