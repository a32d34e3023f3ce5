"""Downloads that continue a partial file of an earlier call."""

from __future__ import annotations

import codecs
import dataclasses
import itertools
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import DownloadColumn

from benchmark.console import bars, say
from benchmark.files import write_atomic

CHUNK = 2**20
TIMEOUT_SECONDS = 30
GONE = {401, 403, 404, 410, 412}  # statuses after which the server does not send the same file later
CHANGED = "note: {} has changed since its first part was downloaded: downloading it from the start"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """What a server says of the state of a file: two states are different ones if they differ in a known field.

    Attributes:
        etag: its tag.
        modified: when it was modified.
        size: in bytes.
    """

    etag: str | None = None
    modified: str | None = None
    size: int | None = None

    @classmethod
    def of(cls, response: requests.Response) -> Version:
        """Return the version of the file that a response holds, or holds a range of."""
        headers = response.headers
        is_whole = response.status_code == requests.codes.ok
        size = headers.get("Content-Length", "") if is_whole else headers.get("Content-Range", "").rpartition("/")[2]
        return cls(headers.get("ETag"), headers.get("Last-Modified"), int(size) if size.isdigit() else None)

    @property
    def condition(self) -> str | None:
        """Return the value of `If-Range`; None if the server said nothing that identifies the content."""
        is_strong = self.etag is not None and not self.etag.startswith("W/")
        return self.etag if is_strong else self.modified

    def differs(self, other: Version) -> bool:
        """Return whether the two cannot be of the same content."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return any(one != two for one, two in pairs if one is not None and two is not None)


def _is_page(first: bytes) -> bool:
    """Return whether a file's first bytes are those of a web page.

    A safetensors file can begin with `<`, too: with the length of its header in eight bytes, and then `{`.
    """
    is_safetensors = first[8:9] == b"{" and int.from_bytes(first[:8], "little") < 1 << 40
    return not is_safetensors and first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


class Resuming:
    """A pooch downloader that continues a partial file if the server allows it and the file is still the same.

    Args:
        partial: the partial file; created by the first download. Beside it is kept which version of the file it is of.
        console: for a progress bar and notes.
        headers: to send with every request, such as a token.
        name: of the file, for the progress bar; None for that of `partial`.
    """

    def __init__(
        self, partial: Path, console: Console, headers: Mapping[str, str] | None = None, name: str | None = None
    ) -> None:
        self.partial = partial
        self.headers = dict(headers or {})
        self.name = name or partial.stem
        self.version_file = partial.with_name(f"{partial.name}.json")
        self.console = console

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Download `url` into `output_file`.

        Raises:
            requests.RequestException: the server cannot be reached, or answers with an error or a web page.
        """
        have = self.partial.stat().st_size if self.partial.exists() else 0
        if not (have and self._continue(url, have)):
            with self._get(url, {}) as response:
                self._receive(response, 0)
        shutil.move(self.partial, output_file)
        self.version_file.unlink(missing_ok=True)

    def _continue(self, url: str, have: int) -> bool:
        """Download the rest; return False, without a partial file, if the file must be downloaded from its start."""
        version = self._version()
        condition = {"If-Range": version.condition} if version.condition else {}
        with self._get(url, {"Range": f"bytes={have}-", **condition}) as response:
            has_changed = version.differs(Version.of(response))
            if response.status_code == requests.codes.ok:
                logger.info("%s: the file has changed, or the server cannot continue", url)
                if has_changed:
                    say(self.console, CHANGED.format(url))
                self._receive(response, 0)
                return True
            place = response.headers.get("Content-Range", "")
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if not has_changed and (not place or place == f"bytes */{have}"):
                    return True  # it is complete
            elif not has_changed and (not place or place.startswith(f"bytes {have}-")):
                logger.info("%s: continuing after %d bytes", url, have)
                self._receive(response, have)
                return True
        self._discard()
        say(self.console, CHANGED.format(url))
        return False

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        """Ask for a file or the rest of it.

        Raises:
            requests.HTTPError: the server refuses. A partial file is kept if the server may send the same file later.
        """
        # encoded content would have other bytes, and another length
        headers = {**self.headers, "Accept-Encoding": "identity", **headers}
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
        status = response.status_code
        if status < 400 or (status == requests.codes.requested_range_not_satisfiable and "Range" in headers):
            return response
        response.close()
        text = f"{status} {response.reason}"
        if status == requests.codes.too_many_requests:
            seconds = response.headers.get("Retry-After", "")
            raise self._refusal(f"{text}: try again {f'in {seconds} s' if seconds.isdigit() else 'later'}")
        if status in GONE:
            self._discard()
        if status in {requests.codes.unauthorized, requests.codes.forbidden}:
            text += ": the server does not give this file to everybody, or no longer at this address"
        raise requests.HTTPError(text)

    def _receive(self, response: requests.Response, have: int) -> None:
        """Write the content of a response, after the first `have` bytes of the partial file."""
        size = response.headers.get("Content-Length")
        chunks = response.iter_content(CHUNK)
        first = next(chunks, b"")
        if not have:
            if not first or _is_page(first):
                raise self._refusal(
                    f"the server answers with {'a web page' if first else 'nothing'}, not with the file"
                )
            self._discard()
            write_atomic(self.version_file, json.dumps(dataclasses.asdict(Version.of(response))).encode())
        with bars(self.console, DownloadColumn()) as progress, self.partial.open("ab") as handle:
            task = progress.add_task(self.name, total=int(size) + have if size else None, completed=have)
            for chunk in itertools.chain([first], chunks):
                handle.write(chunk)
                progress.advance(task, len(chunk))

    def _refusal(self, text: str) -> requests.HTTPError:
        """Return an error after which a partial file is kept if it is known which version of the file it is of."""
        if self._version().condition is None:
            self._discard()
        return requests.HTTPError(text)

    def _version(self) -> Version:
        """Return which version of the file the partial file is of; all unknown if nothing is stored."""
        try:
            return Version(**json.loads(self.version_file.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Version()

    def _discard(self) -> None:
        if self.partial.exists():
            logger.warning("%s: removed", self.partial)
        self.partial.unlink(missing_ok=True)
        self.version_file.unlink(missing_ok=True)
