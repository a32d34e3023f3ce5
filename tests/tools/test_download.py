"""Downloads from a server on this machine: whole, continued, dead, wrong."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmark import resuming
from benchmark.errors import BenchmarkError
from benchmark.spec.backbone import CheckpointSource, Shape, load_backbone, resolve_backbones
from benchmark.tools import checkpoints
from benchmark.tools.download import DownloadFailedError, fetch
from tests.checkpoints import official_ast, official_ssast

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUIET = Console(quiet=True)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files with ranges; remembers what was asked for."""

    files: dict[str, bytes]
    asked: list[str | None]
    ranges = True
    heeds_condition = True
    version: dict[str, str]  # headers of files
    refusals: dict[str, tuple[int, dict[str, str]]]  # status and headers by path

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        self.asked.append(wanted)
        status, headers = self.refusals.get(self.path, (200 if body is not None else 404, {}))
        if status != 200 or body is None:
            self.answer(status, headers, b"refused")
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if condition is not None and self.heeds_condition and condition not in self.version.values():
            start = 0
        if start > len(body) or (start and start == len(body)):
            self.answer(416, {**self.version, "Content-Range": f"bytes */{len(body)}"}, b"")
        elif start:
            place = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            self.answer(206, {**self.version, **place}, body[start:])
        else:
            self.answer(200, self.version, body)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def part_of(target: Path, url: str) -> Path:
    """What an interrupted download of an address leaves."""
    return target.with_name(f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")


@pytest.fixture
def server() -> Iterator[tuple[str, type[Handler]]]:
    handler = type("Served", (Handler,), {"files": {"/a.bin": CONTENT}, "asked": [], "version": {}, "refusals": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()


def test_a_whole_file(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    for _ in range(2):  # the second call finds it there
        path = fetch([f"{url}/a.bin"], tmp_path / "a.bin", DIGEST, QUIET)
        assert path.read_bytes() == CONTENT
    assert handler.asked == [None]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ranges", [True, False], ids=["resumes", "server-cannot"])
def test_an_interrupted_download_is_continued(
    server: tuple[str, type[Handler]], tmp_path: Path, ranges: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="benchmark")
    url, handler = server
    handler.ranges = ranges
    part_of(tmp_path / "a.bin", f"{url}/a.bin").write_bytes(CONTENT[:1000])
    path = fetch([f"{url}/a.bin"], tmp_path / "a.bin", DIGEST, QUIET)
    assert path.read_bytes() == CONTENT
    assert handler.asked == ["bytes=1000-"]
    assert list(tmp_path.iterdir()) == [path]
    assert ("continuing after 1000 bytes" if ranges else "the server cannot continue") in caplog.text


NEW = CONTENT[::-1]
SHORTER = NEW[:-5000]
PART = 300_000


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost of an interrupted download."""
    monkeypatch.setattr(resuming, "CHUNK", 2**16)


def interrupted(server: tuple[str, type[Handler]], target: Path, **version: str) -> Path:
    """Download a file of a version until the connection breaks; the partial file."""
    url, handler = server
    handler.version = {name.replace("_", "-"): value for name, value in version.items()}
    whole, handler.files["/a.bin"] = handler.answer, CONTENT

    def breaks(self: Handler, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:PART])

    handler.answer = breaks  # type: ignore[method-assign]
    with pytest.raises(DownloadFailedError):
        fetch([f"{url}/a.bin"], target, None, QUIET)
    handler.answer = whole  # type: ignore[method-assign]
    handler.asked.clear()
    part = part_of(target, f"{url}/a.bin")
    assert 0 < part.stat().st_size <= PART
    return part


ETAG = {"ETag": '"one"'}
DATE = {"Last_Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
WEAK = {"ETag": 'W/"one"'}


@pytest.mark.parametrize("version", [{}, ETAG, DATE, WEAK, ETAG | DATE], ids=["none", "tag", "date", "weak", "both"])
def test_the_same_file_is_continued(server: tuple[str, type[Handler]], tmp_path: Path, version: dict[str, str]) -> None:
    url, handler = server
    have = interrupted(server, tmp_path / "a.bin", **version).stat().st_size
    path = fetch([f"{url}/a.bin"], tmp_path / "a.bin", None, QUIET)
    assert path.read_bytes() == CONTENT
    assert handler.asked == [f"bytes={have}-"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("heeds", [True, False], ids=["if-range", "no-if-range"])
@pytest.mark.parametrize(
    ("version", "later", "content"),
    [
        (ETAG, {"ETag": '"two"'}, NEW),
        (DATE, {"Last-Modified": "Thu, 22 Oct 2015 07:28:00 GMT"}, NEW),
        (WEAK, {"ETag": 'W/"two"'}, NEW),
        ({}, {}, SHORTER),
        (ETAG, {"ETag": '"two"'}, NEW[: PART // 2]),
    ],
    ids=["tag", "date", "weak", "size", "shorter-than-the-part"],
)
def test_a_file_that_changed_is_downloaded_from_the_start(
    server: tuple[str, type[Handler]],
    tmp_path: Path,
    heeds: bool,
    version: dict[str, str],
    later: dict[str, str],
    content: bytes,
) -> None:
    url, handler = server
    interrupted(server, tmp_path / "a.bin", **version)
    handler.version, handler.heeds_condition, handler.files["/a.bin"] = later, heeds, content
    console = Console(file=io.StringIO(), width=300)
    path = fetch([f"{url}/a.bin"], tmp_path / "a.bin", None, console)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    assert "a.bin has changed since its first part was downloaded" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_part_that_is_the_whole_file_is_complete(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    part_of(tmp_path / "a.bin", f"{url}/a.bin").write_bytes(CONTENT)
    assert fetch([f"{url}/a.bin"], tmp_path / "a.bin", DIGEST, QUIET).read_bytes() == CONTENT
    assert handler.asked == [f"bytes={len(CONTENT)}-"]


PAGES = [
    b"<html>sign in</html>",
    b"\n\n <!DOCTYPE html><title>Quota exceeded</title>",
    b"\xef\xbb\xbf<?xml version='1.0'?>",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_is_no_file(server: tuple[str, type[Handler]], tmp_path: Path, page: bytes) -> None:
    url, handler = server
    handler.files["/a.bin"] = page
    for part in (b"", CONTENT[:1000]):  # an older part is of unknown version
        if part:
            part_of(tmp_path / "a.bin", f"{url}/a.bin").write_bytes(part)
        handler.ranges = not part
        with pytest.raises(DownloadFailedError, match=r"a\.bin: the server answers with a web page, not with the file"):
            fetch([f"{url}/a.bin"], tmp_path / "a.bin", None, QUIET)
        assert not list(tmp_path.iterdir())
    handler.files["/b.bin"] = CONTENT
    assert fetch([f"{url}/a.bin", f"{url}/b.bin"], tmp_path / "a.bin", None, QUIET).read_bytes() == CONTENT


def test_a_safetensors_file_may_begin_like_a_page(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    for length in (15_392, 60):  # of the header: " <", and "<"
        handler.files["/a.safetensors"] = length.to_bytes(8, "little") + b"{}".ljust(length)
        path = fetch([f"{url}/a.safetensors"], tmp_path / f"{length}.safetensors", None, QUIET)
        assert path.read_bytes() == handler.files["/a.safetensors"]


def test_an_empty_answer_is_no_file(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    handler.files["/a.bin"] = b""
    with pytest.raises(DownloadFailedError, match="the server answers with nothing, not with the file"):
        fetch([f"{url}/a.bin"], tmp_path / "a.bin", None, QUIET)
    assert not list(tmp_path.iterdir())


REFUSALS = [
    (401, {}, "401 Unauthorized: the server does not give this file to everybody"),
    (403, {}, "403 Forbidden: the server does not give this file to everybody"),
    (404, {}, "404 Not Found"),
    (410, {}, "410 Gone"),
    (429, {}, "429 Too Many Requests: try again later"),
    (429, {"Retry-After": "90"}, "429 Too Many Requests: try again in 90 s"),
]


@pytest.mark.parametrize(("status", "headers", "text"), REFUSALS)
def test_a_refusal_is_reported_and_a_part_of_unknown_version_removed(
    server: tuple[str, type[Handler]], tmp_path: Path, status: int, headers: dict[str, str], text: str
) -> None:
    url, handler = server
    handler.refusals = {"/a.bin": (status, headers)}
    part_of(tmp_path / "a.bin", f"{url}/a.bin").write_bytes(CONTENT[:1000])
    with pytest.raises(DownloadFailedError, match=f"a.bin: {text}"):
        fetch([f"{url}/a.bin"], tmp_path / "a.bin", None, QUIET)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "kept"),
    [(408, True), (425, True), (429, True), (503, True), (403, False), (404, False), (410, False), (412, False)],
)
def test_a_part_is_kept_while_the_same_file_may_come_later(
    server: tuple[str, type[Handler]], tmp_path: Path, status: int, kept: bool
) -> None:
    url, handler = server
    part = interrupted(server, tmp_path / "a.bin", **ETAG)
    handler.refusals = {"/a.bin": (status, {})}
    with pytest.raises(DownloadFailedError, match=str(status)):
        fetch([f"{url}/a.bin"], tmp_path / "a.bin", None, QUIET)
    assert part.exists() == kept
    handler.refusals = {}
    assert fetch([f"{url}/a.bin"], tmp_path / "a.bin", DIGEST, QUIET).read_bytes() == CONTENT


def test_the_next_address_is_tried(
    server: tuple[str, type[Handler]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="benchmark")
    url, _ = server
    path = fetch([f"{url}/gone", f"{url}/a.bin"], tmp_path / "a.bin", None, QUIET)
    assert path.read_bytes() == CONTENT
    assert f"{url}/gone: 404" in caplog.text
    assert f"downloaded from {url}/a.bin" in caplog.text


def test_a_dead_link_and_a_wrong_hash_say_so(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, _ = server
    with pytest.raises(DownloadFailedError, match=r"a\.bin could not be downloaded .*/gone: 404"):
        fetch([f"{url}/gone"], tmp_path / "a.bin", None, QUIET)
    with pytest.raises(DownloadFailedError, match="hash"):
        fetch([f"{url}/a.bin"], tmp_path / "a.bin", "0" * 64, QUIET)
    assert not (tmp_path / "a.bin").exists()


def source(url: str) -> dict[str, object]:
    made = CheckpointSource(file="ast.pth", urls=[f"{url}/ast.pth"], sha256=None, by_hand="ask the authors")
    return {"checkpoints": {"base": made}}


def test_fetching_a_backbone_reads_what_came(
    server: tuple[str, type[Handler]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = server
    torch.save(official_ast(Shape(width=192, depth=2, heads=3)), tmp_path / "made.pth")
    handler.files["/ast.pth"] = (tmp_path / "made.pth").read_bytes()
    entry = load_backbone("ast").model_copy(update=source(url))
    monkeypatch.setattr(checkpoints, "load_backbone", lambda _: entry)
    choice = resolve_backbones("ast", "test")[0].model_copy(update={"width": 192, "depth": 2, "heads": 3})
    path = checkpoints.fetch_backbone(choice, tmp_path / "cache", QUIET)
    assert path == tmp_path / "cache" / "ast.pth"
    path.unlink()
    handler.files["/ast.pth"] = b"this link is dead"
    with pytest.raises(BenchmarkError, match=r"is not a checkpoint .*ask the authors"):
        checkpoints.fetch_backbone(choice, tmp_path / "cache", QUIET)
    assert not path.exists()
    torch.save(official_ssast(Shape(width=192, depth=2, heads=3)), tmp_path / "made.pth")
    handler.files["/ast.pth"] = (tmp_path / "made.pth").read_bytes()
    with pytest.raises(BenchmarkError, match=r"is not a checkpoint of ast .*is of the family ssast"):
        checkpoints.fetch_backbone(choice, tmp_path / "cache", QUIET)
    assert not path.exists()
    del handler.files["/ast.pth"]
    with pytest.raises(BenchmarkError, match=r"404 .*by hand: ask the authors, and put it at"):
        checkpoints.fetch_backbone(choice, tmp_path / "cache", QUIET)
