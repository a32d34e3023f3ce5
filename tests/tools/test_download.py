"""Downloads from a server on this machine: whole, continued, dead, wrong."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

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

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        if body is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])

    def log_message(self, *_: object) -> None:
        pass


def part_of(target: Path, url: str) -> Path:
    """What an interrupted download of an address leaves."""
    return target.with_name(f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")


@pytest.fixture
def server() -> Iterator[tuple[str, type[Handler]]]:
    handler = type("Served", (Handler,), {"files": {"/a.bin": CONTENT}, "asked": []})
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
    caplog.set_level("INFO", logger="benchmark.tools.download")
    url, handler = server
    handler.ranges = ranges
    part_of(tmp_path / "a.bin", f"{url}/a.bin").write_bytes(CONTENT[:1000])
    path = fetch([f"{url}/a.bin"], tmp_path / "a.bin", DIGEST, QUIET)
    assert path.read_bytes() == CONTENT
    assert handler.asked == ["bytes=1000-"]
    assert list(tmp_path.iterdir()) == [path]
    assert ("continuing after 1000 bytes" if ranges else "the server cannot continue") in caplog.text


def test_the_next_address_is_tried(
    server: tuple[str, type[Handler]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="benchmark.tools.download")
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
    handler.files["/ast.pth"] = b"<html>this link is dead</html>"
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
