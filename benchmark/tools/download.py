"""Download files; pooch checks the hash, and an interrupted download is continued."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import pooch
import requests
from rich.console import Console
from rich.progress import DownloadColumn

from benchmark.console import bars
from benchmark.errors import BenchmarkError

CHUNK = 2**20
TIMEOUT_SECONDS = 30
RANGE_NOT_SATISFIABLE = 416
PARTIAL_CONTENT = 206
logger = logging.getLogger(__name__)


class DownloadFailedError(BenchmarkError):
    """The file could not be downloaded from any address."""


class Resuming:
    """A pooch downloader that continues a partial file if the server allows it.

    Args:
        partial: the partial file; created by the first download.
        console: for a progress bar.
    """

    def __init__(self, partial: Path, console: Console) -> None:
        self.partial = partial
        self.console = console

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Download `url` into `output_file`.

        Raises:
            requests.RequestException: the server cannot be reached, or answers with an error.
        """
        have = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code == RANGE_NOT_SATISFIABLE:  # the partial file is complete, or too long
                if response.headers.get("Content-Range", f"bytes */{have}") != f"bytes */{have}":
                    self.partial.unlink()
                    logger.warning("%s: removed, because it is longer than the file at %s", self.partial, url)
                    raise requests.HTTPError(f"{self.partial.name} is longer than the file; run the command again")
            else:
                response.raise_for_status()
                continued = response.status_code == PARTIAL_CONTENT
                if have:
                    outcome = f"continuing after {have} bytes" if continued else "the server cannot continue"
                    logger.info("%s: %s", url, outcome)
                self._receive(response, have if continued else 0)
        shutil.move(self.partial, output_file)

    def _receive(self, response: requests.Response, have: int) -> None:
        size = response.headers.get("Content-Length")
        mode = "ab" if have else "wb"
        with bars(self.console, DownloadColumn()) as progress, self.partial.open(mode) as handle:
            task = progress.add_task(self.partial.stem, total=int(size) + have if size else None, completed=have)
            for chunk in response.iter_content(CHUNK):
                handle.write(chunk)
                progress.advance(task, len(chunk))


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
