"""A server on loopback that speaks as much of the Hugging Face hub's protocol as reading a dataset takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse


class HubServer:
    """Serve the files of folders as dataset repositories, each with one commit per revision.

    Args:
        repos: folder by `OWNER/NAME`.
    """

    def __init__(self, repos: Mapping[str, Path]) -> None:
        self.repos = dict(repos)
        self.commits = {"main": "a" * 40}
        self.requests: list[str] = []
        self.address = ""

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and content of an answer."""
        parts = unquote(urlparse(path).path).strip("/").split("/")
        api = parts[0] == "api"
        kind, *rest = parts[1:] if api else parts
        repo, rest = "/".join(rest[:2]), rest[2:]
        revision = rest[1] if len(rest) > 1 else "main"
        commit = self.commits.get(revision, revision)
        if kind != "datasets" or repo not in self.repos or commit not in self.commits.values():
            return self._refuse("RevisionNotFound" if repo in self.repos else "RepoNotFound", 404)
        folder = self.repos[repo]
        if api:
            return self._json(self._described(folder, repo, commit, rest, body))
        file = folder / "/".join(rest[2:])
        if rest[:1] != ["resolve"] or not file.is_file():
            return self._refuse("EntryNotFound", 404)
        content = file.read_bytes()
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content

    def _described(self, folder: Path, repo: str, commit: str, rest: list[str], body: bytes) -> object:
        if rest[:1] == ["tree"]:
            return self._tree(folder, "/".join(rest[2:]))
        if rest[:1] == ["paths-info"]:
            asked = json.loads(body)["paths"]
            return [self._entry(folder, name) for name in asked if (folder / name).is_file()]
        files = [{"rfilename": name} for name in self._files(folder)]
        return {"_id": "1", "id": repo, "sha": commit, "private": False, "siblings": files, "tags": []}

    def _tree(self, folder: Path, below: str) -> list[dict[str, Any]]:
        start = folder / below
        names = sorted(path.relative_to(folder).as_posix() for path in start.rglob("*")) if start.is_dir() else []
        return [self._entry(folder, name) for name in names]

    @staticmethod
    def _entry(folder: Path, name: str) -> dict[str, Any]:
        path = folder / name
        if path.is_dir():
            return {"type": "directory", "oid": "0", "size": 0, "path": name}
        return {
            "type": "file",
            "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            "size": path.stat().st_size,
            "path": name,
        }

    @staticmethod
    def _files(folder: Path) -> list[str]:
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    @staticmethod
    def _json(content: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()

    @staticmethod
    def _refuse(code: str, status: int) -> tuple[int, dict[str, str], bytes]:
        return status, {"X-Error-Code": code, "X-Error-Message": code}, b"{}"


@contextmanager
def serving(server: HubServer) -> Iterator[str]:
    """Serve while the context lasts; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def _send(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            server.requests.append(f"{self.command} {self.path}")
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
                self.wfile.write(content[first:last])

        do_GET = do_POST = do_HEAD = _send  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.address = f"http://127.0.0.1:{listening.server_port}"
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.address
        finally:
            listening.shutdown()
            thread.join()
