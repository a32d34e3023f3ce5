"""What `data verify` found, kept for the records of later trials on the same files."""

from __future__ import annotations

import logging
from pathlib import Path

from benchmark.files import write_atomic
from benchmark.records.schema import Verified

logger = logging.getLogger(__name__)


def keep(folder: Path, state: str, found: Verified) -> None:
    """Keep a verdict; a folder that cannot be written is only logged.

    Args:
        folder: where verdicts are kept.
        state: digest of names, sizes and modification times of the files.
        found: the verdict.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / f"{state}.json", found.model_dump_json().encode())
    except OSError as error:
        logger.warning("%s: the verdict is not kept for records: %s", folder, error)


def find(folder: Path, state: str) -> Verified | None:
    """Return the verdict on files in this state; None if they were never verified, or have changed since.

    Args:
        folder: where verdicts are kept.
        state: as in `keep`.
    """
    try:
        return Verified.model_validate_json((folder / f"{state}.json").read_bytes())
    except (OSError, ValueError):
        return None
