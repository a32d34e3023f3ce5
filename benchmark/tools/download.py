"""Download files; pooch checks the hash, and an interrupted download is continued."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path

import pooch
import requests
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.resuming import Resuming

logger = logging.getLogger(__name__)


class DownloadFailedError(BenchmarkError):
    """The file could not be downloaded from any address."""


def fetch(urls: list[str], target: Path, known_hash: str | None, console: Console) -> Path:
    """Download a file from the first address that works, unless the file exists.

    Args:
        urls: addresses, tried in this order.
        target: file to write; an interrupted download leaves `NAME.MIRROR.part` beside it.
        known_hash: sha256, or ALGORITHM:DIGEST; None if no hash is certain. The caller then checks the content.
        console: for progress.

    Returns:
        `target`.

    Raises:
        DownloadFailedError: no address works, or the file has a different hash; the message has each reason.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel(logging.WARNING)
    reasons = []
    for url in urls:
        mirror = hashlib.sha256(url.encode()).hexdigest()[:8]  # a partial file fits its own address only
        downloader = Resuming(target.with_name(f"{target.name}.{mirror}.part"), console)
        try:
            pooch.retrieve(url, known_hash, fname=target.name, path=target.parent, downloader=downloader)
        except (requests.RequestException, OSError, ValueError) as error:
            reasons.append(f"{url}: {_reason(error)}")
            logger.info("%s failed; trying the next address, if there is one", reasons[-1])
            continue
        logger.info("%s: downloaded from %s, or found in place", target, url)
        return target
    raise DownloadFailedError(f"{target.name} could not be downloaded ({'; '.join(reasons)})")


def _reason(error: Exception) -> str:
    """Return the innermost cause of an error, which is the clearest part of what requests reports."""
    cause: BaseException = error
    with contextlib.suppress(AttributeError):
        while cause.__context__ is not None:
            cause = cause.__context__
    text = str(cause) or type(cause).__name__
    return text.splitlines()[0][:200]
