"""Numbers that take long to compute, kept in the results folder by the digest of what they come from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from benchmark.files import write_atomic

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)


def cached(path: Path, model: type[Model], compute: Callable[[], Model]) -> Model:
    """Return what the file holds; if it is missing or damaged, compute it and write it.

    A folder that cannot be written is no error.

    Args:
        path: file whose name has the digest of everything that the numbers depend on.
        model: form of the content.
        compute: returns the content.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        content = compute()
    try:
        write_atomic(path, content.model_dump_json().encode())
    except OSError as error:
        logger.info("%s: not kept: %s", path, error)
    return content
