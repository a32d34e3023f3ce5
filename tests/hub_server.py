"""A server on loopback that speaks as much of the Hugging Face hub's protocol as the suite needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import pytest
from huggingface_hub import constants

LARGE = 10_000  # bytes from which the hub names a file by its sha256
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)/?(.*))?")
FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repository:
    """A repository.

    Attributes:
        files: content by name, by commit.
        commits: commit by revision.
    """

    files: dict[str, dict[str, bytes]]
    commits: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> Repository:
        """Return a repository with the files of a folder as its only commit."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return cls({"a" * 40: files}, {"main": "a" * 40})


class Request(NamedTuple):
    """A request: GET, HEAD or POST, the path, the range of bytes."""

    command: str
    path: str
    range: str | None


class Answer(NamedTuple):
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class HubServer:
    """A hub.

    Attributes:
        repos: repositories by `OWNER/NAME` of a model, or `datasets/OWNER/NAME`.
        requests: what it was asked, in order.
        cut_at: bytes of a large file after which the connection ends; None sends all.
        address: while it is serving.
    """

    repos: dict[str, Repository]
    requests: list[Request] = field(default_factory=list)
    cut_at: int | None = None
    address: str = ""

    def answer(self, path: str, body: bytes) -> Answer:
        """Return the answer to a request for a path with this body."""
        plain = unquote(urlparse(path).path)
        if found := API.fullmatch(plain):
            kind, name, _, revision, below = found.groups()
            name, is_file = name if kind == "models" else f"datasets/{name}", False
        elif found := FILE.fullmatch(plain):
            folder, name, revision, below = found.groups()
            name, is_file = f"{folder or ''}{name}", True
        else:
            return _refuse("RepoNotFound")
        if (repo := self.repos.get(name)) is None:
            return _refuse("RepoNotFound")
        commit = repo.commits.get(revision or "main", revision or "main")
        if (files := repo.files.get(commit)) is None:
            return _refuse("RevisionNotFound")
        if not is_file:
            return _json(_described(name, commit, files, found[3], below or "", body))
        return _sent(files[below], commit) if below in files else _refuse("EntryNotFound")


def _described(
    name: str, commit: str, files: Mapping[str, bytes], asked: str | None, below: str, body: bytes
) -> object:
    if asked == "tree":
        parents = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
        entries = [*({"type": "directory", "oid": "0", "size": 0, "path": path} for path in parents),
                   *(_entry(path, content) for path, content in files.items())]  # fmt: skip
        return sorted(
            (entry for entry in entries if _is_below(str(entry["path"]), below)), key=lambda e: str(e["path"])
        )
    if asked == "paths-info":
        return [_entry(path, files[path]) for path in json.loads(body)["paths"] if path in files]
    siblings = [{"rfilename": path} for path in files]
    bare = name.removeprefix("datasets/")
    return {"_id": "1", "id": bare, "modelId": bare, "sha": commit, "private": False, "siblings": siblings, "tags": []}


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": path}


def _sent(content: bytes, commit: str) -> Answer:
    is_large = len(content) > LARGE
    tag = (hashlib.sha256 if is_large else hashlib.sha1)(content).hexdigest()
    headers = {"X-Repo-Commit": commit, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
    if is_large:
        headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(content))}
    return Answer(200, headers, content)


def _json(content: object) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _refuse(code: str) -> Answer:
    return Answer(404, {"X-Error-Code": code, "X-Error-Message": code}, b"{}")


@contextmanager
def serving(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve while the context lasts, and let the hub's client ask this server.

    Args:
        server: the hub.
        monkeypatch: of the test.
    """

    class Handler(BaseHTTPRequestHandler):
        def _send(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.requests.append(Request(self.command, self.path, self.headers.get("Range")))
            status, headers, content = server.answer(self.path, body)
            first, last = 0, len(content)
            if (wanted := self.headers.get("Range", "")).startswith("bytes=") and status == 200:
                begin, _, end = wanted.removeprefix("bytes=").partition("-")
                first, last, status = int(begin), min(len(content), int(end or len(content) - 1) + 1), 206
                headers = {**headers, "Content-Range": f"bytes {first}-{last - 1}/{len(content)}"}
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(last - first)}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[first:last][: server.cut_at if len(content) > LARGE else None])

        do_GET = do_POST = do_HEAD = _send  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.address = f"http://127.0.0.1:{listening.server_port}"
        use_hub(monkeypatch, server.address)
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown()
            thread.join()


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let the hub's client ask the server at an address."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
