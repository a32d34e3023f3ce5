"""Styles and scripts of the board: those of the report's page and its own, as files beside the pages."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from benchmark.report.page.assets import LIBRARY, STYLE, THEME, read

FOLDER = "assets"
OWN_STYLE, OWN_SCRIPT = "board.css", "board.js"
EVERYWHERE = ("tables.js",)  # after the page was read
CHARTS = (LIBRARY, "data.js", OWN_SCRIPT, "looks.js", "score_charts.js", "draw.js")  # on pages with charts
# everything is loaded from the site itself, nothing from elsewhere; no inline script or style runs
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Asset:
    """A file of the folder of assets.

    Attributes:
        name: name of the file.
        content: its text.
    """

    name: str
    content: str

    @property
    def link(self) -> str:
        """Path of the file; a browser that has an earlier version loads it again."""
        return f"{FOLDER}/{self.name}?{hashlib.sha256(self.content.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Assets:
    """Styles and scripts.

    Attributes:
        styles: style sheets.
        theme: the script of the head, which runs before a page is drawn.
        scripts: scripts of every page.
        charts: scripts of pages with charts, after these.
        licences: licences of the chart library.
    """

    styles: tuple[Asset, ...]
    theme: Asset
    scripts: tuple[Asset, ...]
    charts: tuple[Asset, ...]
    licences: tuple[Asset, ...]

    @property
    def all(self) -> tuple[Asset, ...]:
        """All files."""
        return (*self.styles, self.theme, *self.scripts, *self.charts, *self.licences)


@functools.cache
def load_assets() -> Assets:
    """Return the styles and scripts of the board."""
    return Assets(
        styles=(_of_page(STYLE), _own(OWN_STYLE)),
        theme=_of_page(THEME),
        scripts=tuple(map(_of_page, EVERYWHERE)),
        charts=tuple(_own(name) if name == OWN_SCRIPT else _of_page(name) for name in CHARTS),
        licences=tuple(_of_page(f"vendor/{name}") for name in ("LICENSE", "LICENSE-d3", "NOTICE")),
    )


def _of_page(name: str) -> Asset:
    return Asset(name.rpartition("/")[2], read(name))


def _own(name: str) -> Asset:
    return Asset(name, (files(__package__) / name).read_text(encoding="utf-8"))
