"""Write the board of a store: pages, assets, tables for programs, and copies of the records."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from jinja2 import DictLoader, Environment, StrictUndefined

from benchmark.errors import BenchmarkError
from benchmark.files import replacing_folder
from benchmark.report.board.assets import FOLDER, POLICY, load_assets
from benchmark.report.board.content import Content, MethodInfo
from benchmark.report.board.pages import pages_of, structured
from benchmark.report.board.read import read_board
from benchmark.report.papers import DEFAULT_PAPERS, PaperChoice
from benchmark.submissions.layout import Store, Submission
from benchmark.submissions.reading import MAX_JSON_BYTES, MAX_SOURCE_BYTES, RefusedError, read_bytes
from benchmark.units import quantity

MARKER = "board.json"  # by this file a folder is known as a board
BOARD_VERSION = 1
DATA = "data"
TABS = {
    "rankings": ("index.html", "Rankings"),
    "methods": ("methods/index.html", "Methods"),
    "costs": ("", "Costs"),  # the page of the first section
    "improvement": ("improvement.html", "Improvement"),
    "claims": ("claims/index.html", "Claims"),
    "history": ("history.html", "History"),
    "submissions": ("submissions/index.html", "Submissions"),
    "downloads": ("downloads.html", "Downloads"),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """A board that was written.

    Attributes:
        folder: the site.
        pages: number of pages.
        records: number of records.
        submitters: number of submitters.
        results: number of table cells.
        marks: what makes every result not comparable with papers, such as synthetic audio.
    """

    folder: Path
    pages: int
    records: int
    submitters: int
    results: int
    marks: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        return {**vars(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class Addresses:
    """Where the site and the records will be.

    Attributes:
        site: address of the site, ending in a slash, for canonical links and the site map; None leaves both out.
        records: address of the store's folder; None copies the records into the site.
    """

    site: str | None = None
    records: str | None = None


def build_board(
    store: Store,
    site: Path,
    *,
    addresses: Addresses = Addresses(),
    papers: PaperChoice = DEFAULT_PAPERS,
    methods: Mapping[str, MethodInfo] | None = None,
) -> Built:
    """Write the board of a store, in place of an earlier one. Until it is complete, the earlier one stays.

    Args:
        store: the store.
        site: folder to write; a new one, an empty one or an earlier board.
        addresses: where the site and the records will be.
        papers: papers whose claims are shown.
        methods: what the suite says of its methods, by name.

    Raises:
        BenchmarkError: `site` is something else, the store is damaged, or another build writes the same site.
    """
    require_board(site)
    content = Content.of(read_board(store), papers, methods or {})
    with replacing_folder(site) as folder:
        paths = _write_pages(content, folder, addresses)
        for name, text in _texts(content, paths, addresses):
            _write(folder / name, text.encode())
        if addresses.records is None:
            _copy_records(content, folder / DATA)
    board = content.board
    return Built(site, len(paths), len(board.trials), len(board.submitters), len(content.entries), content.marks)


def require_board(site: Path) -> None:
    """Check that a folder can be written: it is new, empty, or an earlier board.

    Raises:
        BenchmarkError: it is something else.
    """
    if site.is_symlink() or (site.exists() and not site.is_dir()):
        raise BenchmarkError(f"{site}: is not a folder; name a new one")
    if site.is_dir() and any(site.iterdir()) and not (site / MARKER).is_file():
        raise BenchmarkError(f"{site}: has other files and no {MARKER}, so it is not replaced; name a new folder")


def _write_pages(content: Content, folder: Path, addresses: Addresses) -> list[str]:
    """Write all pages and return their paths."""
    environment = _environment()
    board = content.board
    environment.globals |= {
        "store": board.store.info,
        "board": board,
        "assets": load_assets(),
        "policy": POLICY,
        "tabs": _tabs(content),
        "unusual": content.marks,
        "site": addresses.site,
        "structured": structured(content, addresses.site),
        "record_link": lambda path: _record_link(path, addresses.records),
    }
    paths = []
    for page in pages_of(content):
        text = environment.get_template(page.template).render(page=page, root=page.root, **page.content)
        _write(folder / page.path, text.encode())
        paths.append(page.path)
    return paths


def _environment() -> Environment:
    sources = {path.name: path.read_text(encoding="utf-8") for path in (files(__package__) / "templates").iterdir()}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": lambda share, digits=1: f"{100 * share:.{digits}f}",
        "points": lambda share: f"{100 * share:+.1f}".replace("-", "−"),
        "quantity": lambda number: quantity(number, ""),
        "path": quote,
    }
    return environment


def _tabs(content: Content) -> dict[str, tuple[str, str]]:
    first = f"costs/{content.sections[0].name}.html" if content.sections else "index.html"
    return {name: (path or first, label) for name, (path, label) in TABS.items()}


def _record_link(path: str, base: str | None) -> str:
    """Return the address of a file of the store; one that begins with http is outside of the site."""
    return f"{base}/{quote(path)}" if base else f"{DATA}/{quote(path)}"


def _texts(content: Content, paths: Iterable[str], addresses: Addresses) -> Iterable[tuple[str, str]]:
    """Yield path and text of all files that are no pages."""
    for asset in load_assets().all:
        yield f"{FOLDER}/{asset.name}", asset.content
    for download in content.downloads:
        yield from download.files()
    if addresses.site:
        links = "".join(f"<url><loc>{escape(addresses.site + quote(path))}</loc></url>\n" for path in paths)
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        yield "sitemap.xml", f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{links}</urlset>\n'
        yield "robots.txt", f"Sitemap: {addresses.site}sitemap.xml\n"
    about = {
        "board_version": BOARD_VERSION,
        "store": content.board.store.info.name,
        "records": len(content.board.trials),
    }
    yield MARKER, json.dumps(about, indent=1) + "\n"


def _copy_records(content: Content, folder: Path) -> None:
    """Copy records and manifests, and methods from outside as text, so that a browser shows and never runs them."""
    store = content.board.store
    for submission in content.board.submissions:
        names = [f"{submission.path}/submission.json", *_sources(submission)]
        for name in names:
            _copy(store.folder, name, folder)
    for name in content.board.trials["record"]:
        _copy(store.folder, name, folder)


def _sources(submission: Submission) -> list[str]:
    return [f"{submission.path}/{source.file}" for source in submission.methods.values() if source.file]


def _copy(store: Path, name: str, folder: Path) -> None:
    """Copy a file of the store; one that leads out of it, or is too large, is left out with a log message."""
    source, place = store / name, folder / name
    limit = MAX_SOURCE_BYTES if source.suffix == ".py" else MAX_JSON_BYTES
    if not source.resolve().is_relative_to(store.resolve()) or ".." in Path(name).parts:
        logger.warning("%s: is outside of the store; it is left out", source)
        return
    try:
        _write(place, read_bytes(source, limit))
    except RefusedError as error:
        logger.warning("%s: %s; it is left out", source, error)


def _write(path: Path, content: bytes) -> None:
    """Write a file of a folder that nobody reads yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
