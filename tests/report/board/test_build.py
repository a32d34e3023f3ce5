"""The written board: by the command line, replaced as a whole, with every text as text and every link to a page."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from benchmark.api.schemas import SCHEMAS
from benchmark.errors import BenchmarkError
from benchmark.report.board import build
from benchmark.report.board.assets import POLICY, load_assets
from benchmark.report.board.build import Addresses, Built, build_board
from benchmark.submissions.layout import Store
from tests.report.board.stores import new_store
from tests.report.hostile import SHOWN
from tests.snippets import parse

Cli = Callable[..., subprocess.CompletedProcess[str]]
SITE = "https://example.org/board/"


class Document(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.elements, self.texts = path, list[tuple[str, dict[str, str | None]]](), list[str]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, tag: str, name: str) -> list[str]:
        return [str(found[name]) for one, found in self.elements if one == tag and name in found]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def documents(built: Built) -> dict[str, Document]:
    paths = sorted(built.folder.rglob("*.html"))
    return {path.relative_to(built.folder).as_posix(): Document(path) for path in paths}


def test_the_command_writes_a_site_and_says_what_it_is_of(cli: Cli, store_folder: Path, tmp_path: Path) -> None:
    options = ("board", store_folder, "--out", tmp_path / "site", "--url", SITE, "--json")
    done = cli(*options)
    assert done.returncode == 0, done.stderr
    found = SCHEMAS["board"].model_validate(json.loads(done.stdout)).model_dump()
    assert (found["records"], found["submitters"], found["results"]) == (11, 3, 8)
    assert "Synthetic audio" in found["marks"]
    index = Document(tmp_path / "site" / "index.html")
    assert index.attributes("link", "href")[0] == f"{SITE}index.html"
    space = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    locations = [
        one.text or "" for one in ElementTree.parse(tmp_path / "site" / "sitemap.xml").findall(".//s:loc", space)
    ]
    assert len(locations) == found["pages"]
    assert all((tmp_path / "site" / unquote(one.removeprefix(SITE))).is_file() for one in locations)
    assert f"Sitemap: {SITE}sitemap.xml" in (tmp_path / "site" / "robots.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--out", "site"], "nowhere: not a results store"),
        (["STORE", "--out", "STORE"], "has other files and no board.json"),
        (["STORE", "--out", "site", "--url", "javascript:x"], "--url javascript:x: give the address of a folder"),
        (["STORE", "--out", "site", "--records-url", "ftp://x"], "--records-url ftp://x: give the address"),
    ],
)
def test_mistakes_write_nothing(cli: Cli, tmp_path: Path, arguments: list[str], said: str) -> None:
    folder = new_store(tmp_path / "store")
    before = sorted(tmp_path.rglob("*"))
    names = {"STORE": folder, "site": tmp_path / "site", "nowhere": tmp_path / "nowhere"}
    done = cli("board", *(names.get(word, word) for word in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupted_build_leaves_the_earlier_board(tmp_path: Path) -> None:
    store, site = Store(new_store(tmp_path / "store")), tmp_path / "site"
    build_board(store, site)
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    with mock.patch.object(build, "_texts", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        build_board(store, site)
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site", "store"]
    (site / "of-yesterday.html").write_text("x")
    build_board(store, site)
    assert not (site / "of-yesterday.html").exists()


def test_a_board_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "site").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(BenchmarkError, match="not a folder"):
        build_board(Store(new_store(tmp_path / "store")), tmp_path / "site")


def test_equal_stores_give_equal_boards(store_folder: Path, built: Built, tmp_path: Path) -> None:
    from tests.report.board.conftest import KNOWN

    build_board(Store(store_folder), tmp_path / "site", methods=KNOWN)
    for path in built.folder.rglob("*"):
        assert path.is_dir() or (tmp_path / "site" / path.relative_to(built.folder)).read_bytes() == path.read_bytes()


def test_every_link_leads_to_a_file_of_the_site(built: Built, documents: dict[str, Document]) -> None:
    assert len(documents) == built.pages
    for document in documents.values():
        links = document.attributes("a", "href") + document.attributes("script", "src")
        links += document.attributes("link", "href")
        for link in links:
            if link.startswith("data:,"):
                continue
            found = urlsplit(link)
            assert not found.scheme, link
            assert not found.netloc, link
            assert (document.path.parent / unquote(found.path)).resolve().is_relative_to(built.folder.resolve())
            assert (document.path.parent / unquote(found.path)).is_file(), (document.path, link)


def test_every_number_of_a_ranking_opens_its_records(built: Built, documents: dict[str, Document]) -> None:
    rankings = [document for path, document in documents.items() if path.startswith("rankings/")]
    cells = {link for document in rankings for link in document.attributes("a", "href") if "/cells/" in link}
    assert len(cells) == built.results
    for link in cells:
        records = [link for link in documents[link.removeprefix("../")].attributes("a", "href") if "/data/" in link]
        assert records
        for record in records:
            content = json.loads((built.folder / "cells" / unquote(record)).read_text())
            assert content["id"] in record


def test_records_can_be_linked_in_the_store(store_folder: Path, tmp_path: Path) -> None:
    base = "https://example.org/store/blob/main"
    found = build_board(Store(store_folder), tmp_path / "site", addresses=Addresses(records=base))
    assert not (found.folder / "data" / "submissions").exists()
    [cell, *_] = sorted((found.folder / "cells").iterdir())
    links = [link for link in Document(cell).attributes("a", "href") if link.startswith(base)]
    assert links
    assert all((store_folder / unquote(link.removeprefix(f"{base}/"))).is_file() for link in links)


def test_texts_of_submitters_are_text(documents: dict[str, Document]) -> None:
    from tests.report.board.conftest import NAME, NOTE

    for document in documents.values():
        assert "alert(1)" not in "".join(str(found) for tag, found in document.elements if tag not in {"meta", "a"})
        for tag, attributes in document.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
            assert tag not in {"img", "iframe", "object", "embed", "base", "form", "style"}
            assert not str(attributes.get("href", "")).lower().startswith("javascript")
    assert NOTE in documents["submissions/index.html"].text
    assert NOTE in documents["submissions/ada/one.html"].text
    assert " ".join(SHOWN.split()) in documents["methods/index.html"].text
    assert NAME in documents["index.html"].text
    assert any("49" not in text for text in documents["index.html"].texts)
    assert "{{ 7 * 7 }}" in documents["index.html"].text


def test_the_page_of_submissions_says_how_to_add_one(documents: dict[str, Document]) -> None:
    [command] = re.findall(
        r"python -m benchmark (submit OUT [^\n<]*?ACCOUNT)", documents["submissions/index.html"].text
    )
    assert parse(shlex.split(command))[0] == "submit"


def test_pages_have_what_search_engines_and_browsers_need(documents: dict[str, Document]) -> None:
    titles, scripts = [], 0
    for document in documents.values():
        tags = [tag for tag, _ in document.elements]
        assert (tags.count("h1"), tags.count("title"), tags.count("main")) == (1, 1, 1)
        metas = [found for tag, found in document.elements if tag == "meta"]
        policy = next(found["content"] for found in metas if found.get("http-equiv") == "Content-Security-Policy")
        assert policy == POLICY
        [description] = [str(found["content"]) for found in metas if found.get("name") == "description"]
        assert 20 < len(description) <= 300
        scripts += len([1 for tag, found in document.elements if tag == "script" and not found])
        titles.append(document.text[: document.text.index("Theme")])
    assert scripts == 0  # all are files of the site
    assert len(set(titles)) == len(titles)


def test_marks_are_on_every_page(documents: dict[str, Document]) -> None:
    for path, document in documents.items():
        assert "No result on this board is comparable with a paper" in document.text, path


def test_tables_are_there_without_scripts(documents: dict[str, Document]) -> None:
    [text] = [document.text for path, document in documents.items() if path.endswith("esc50.html")]
    for words in ("reproduced", "by bob", "disputed by bob", "self-reported", "95 % interval", "1 x 1", "full"):
        assert words in text


def test_a_file_that_leads_out_of_the_store_is_not_copied(tmp_path: Path) -> None:
    folder = new_store(tmp_path / "store")
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    os.link(tmp_path / "secret.json", folder / "hard.json")
    for name in ("../secret.json", "link.json", "hard.json"):
        build._copy(folder, name, tmp_path / "copy")
    assert not list(tmp_path.rglob("copy/*"))


def test_the_policy_admits_the_files_of_the_site_alone() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none';")
    found: list[Any] = [asset.content for asset in load_assets().all]
    assert all(found)
    assert "url(" not in "".join(style.content for style in load_assets().styles)
