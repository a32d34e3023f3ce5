"""Downloads that can be interrupted: pooch checks the hash, a partial file is continued."""

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
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from benchmark.errors import BenchmarkError

CHUNK = 2**20
TIMEOUT_SECONDS = 30
RANGE_NOT_SATISFIABLE = 416
PARTIAL_CONTENT = 206


class DownloadFailedError(BenchmarkError):
    """No address gave the file."""


class Resuming:
    """A pooch downloader that continues `partial` where the server allows it, with a progress bar on `console`."""

    def __init__(self, partial: Path, console: Console) -> None:
        self.partial = partial
        self.console = console

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Download `url` into `output_file`."""
        have = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code == RANGE_NOT_SATISFIABLE:  # nothing is missing, or it is another file
                if response.headers.get("Content-Range", f"bytes */{have}") != f"bytes */{have}":
                    self.partial.unlink()
                    raise requests.HTTPError(f"{self.partial.name} is longer than the file; give the command again")
            else:
                response.raise_for_status()
                continued = response.status_code == PARTIAL_CONTENT
                self._receive(response, have if continued else 0)
        shutil.move(self.partial, output_file)

    def _receive(self, response: requests.Response, have: int) -> None:
        size = response.headers.get("Content-Length")
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console) as progress, self.partial.open("ab" if have else "wb") as handle:
            task = progress.add_task(self.partial.stem, total=int(size) + have if size else None, completed=have)
            for chunk in response.iter_content(CHUNK):
                handle.write(chunk)
                progress.advance(task, len(chunk))


def fetch(urls: list[str], target: Path, known_hash: str | None, console: Console) -> Path:
    """Download a file from the first address that gives it, unless it is there.

    Args:
        urls: in the order to try.
        target: where it goes; `NAME.MIRROR.part` beside it keeps what an interrupted download left.
        known_hash: sha256, or ALGORITHM:DIGEST; None where none is certain: then the caller checks the content.
        console: for progress.

    Raises:
        DownloadFailedError: no address gave it, or what came has another hash; names each reason.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel(logging.WARNING)
    reasons = []
    for url in urls:
        mirror = hashlib.sha256(url.encode()).hexdigest()[:8]  # what one address left does not go with another
        downloader = Resuming(target.with_name(f"{target.name}.{mirror}.part"), console)
        try:
            pooch.retrieve(url, known_hash, fname=target.name, path=target.parent, downloader=downloader)
        except (requests.RequestException, OSError, ValueError) as error:
            reasons.append(f"{url}: {_reason(error)}")
            continue
        return target
    raise DownloadFailedError(f"{target.name} could not be downloaded ({'; '.join(reasons)})")


def _reason(error: Exception) -> str:
    """The last and most telling part of what requests says."""
    cause: BaseException = error
    with contextlib.suppress(AttributeError):
        while cause.__context__ is not None:
            cause = cause.__context__
    text = str(cause) or type(cause).__name__
    return text.splitlines()[0][:200]
