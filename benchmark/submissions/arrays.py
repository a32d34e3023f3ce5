"""Read predictions that a stranger may have written: sizes and types are checked before anything is unpacked."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from benchmark.submissions.reading import RefusedError
from benchmark.units import data_size

Arrays = dict[str, npt.NDArray[Any]]

MAX_NPZ_BYTES = 64 * 2**20  # of the file
MAX_UNPACKED_BYTES = 256 * 2**20  # of all its arrays: 100,000 clips and 500 classes fit
MAX_ARRAYS = 32
MAX_LENGTH = 10**7  # of an axis
MAX_TEXT = 1024  # characters of a path or of the name of a class
MAX_HEADER = 4096  # bytes of the header of an array
SHARED = ("classes", "epochs")
OF_A_SPLIT = ("clips", "groups", "targets", "observed", "logits", "parts", "values")
NAMES = re.compile(rf"(?:{'|'.join(SHARED)}|(?:{'|'.join(OF_A_SPLIT)})_(?:validation|test))\.npy")
END, LOCAL = struct.Struct("<4s4H2LH"), struct.Struct("<4s5H3L2H")  # records of a zip file
BEFORE_THE_END = 20  # bytes of the record that says that a zip file has records of 64 bits
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, NotImplementedError, OSError)


def parse_arrays(content: bytes) -> Arrays:
    """Return the arrays of a predictions file.

    Raises:
        RefusedError: it is no such file, too large when unpacked, or has something else in it.
    """
    try:
        _check_end(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(content, members, archive.start_dir)
            return {member.filename.removesuffix(".npy"): _read(archive, member) for member in members}
    except DAMAGED as error:
        raise RefusedError(f"is no predictions file, or damaged ({type(error).__name__}); write it again") from None


def _check_end(content: bytes) -> None:
    """Check the end of the file, which says how long the list of its members is, before that list is read."""
    *_, total, size, _, comment = END.unpack(content[-END.size :])
    if not content[-END.size :].startswith(b"PK\5\6") or comment:
        raise RefusedError("has something after its end; write it again")
    if content[-END.size - BEFORE_THE_END :].startswith(b"PK\6\7") or total > MAX_ARRAYS or size > MAX_ARRAYS * 256:
        raise RefusedError(f"has more than {MAX_ARRAYS} members; predictions have fewer")


def _check_members(content: bytes, members: list[zipfile.ZipInfo], end: int) -> None:
    """Check names, sizes and places of the members, of which nothing is unpacked yet.

    Args:
        content: of the whole file.
        members: its members.
        end: where the last of them ends.
    """
    names = [member.filename for member in members]
    if strange := next((name for name in names if not NAMES.fullmatch(name)), None):
        raise RefusedError(f"has a member {strange!a}, which is no array of predictions; remove it")
    if len(set(names)) < len(names):
        raise RefusedError("has two members of one name; write it again")
    if any(member.flag_bits & 1 or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
           for member in members):  # fmt: skip
        raise RefusedError("is encrypted, or packed in another way than numpy does; write it again")
    if (unpacked := sum(member.file_size for member in members)) > MAX_UNPACKED_BYTES:
        raise RefusedError(f"grows to {data_size(unpacked)}; at most {data_size(MAX_UNPACKED_BYTES)} are unpacked")
    place = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        *_, name, extra = LOCAL.unpack_from(content, member.header_offset)
        if member.header_offset != place:
            raise RefusedError("has something between its members; write it again")
        place += LOCAL.size + name + extra + member.compress_size
    if place != end:
        raise RefusedError("has something between its members; write it again")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return one array, whose header must announce exactly the bytes that are there."""
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as handle:
        version = npy.read_magic(handle)
        if version not in {(1, 0), (2, 0)}:
            raise RefusedError(f"has an array {name} of another format; write it again with numpy")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = read_header(handle, max_header_size=MAX_HEADER)
        if dtype.hasobject or dtype.names or dtype.kind not in "fiuU" or not 0 < dtype.itemsize <= 4 * MAX_TEXT:
            raise RefusedError(f"has an array {name} of type {dtype.str!r}; only numbers and short texts are read")
        size = math.prod(shape) * dtype.itemsize
        if any(not 0 <= length <= MAX_LENGTH for length in shape) or size != member.file_size - handle.tell():
            raise RefusedError(f"has an array {name} whose shape {shape} does not fit its {member.file_size} bytes")
        data = handle.read(size)
        if len(data) != size or handle.read(1):  # reading to the end also compares the checksum
            raise RefusedError(f"has an array {name} that is shorter or longer than announced")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_column else "C")
