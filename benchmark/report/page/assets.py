"""Styles and scripts of the page, and the Content-Security-Policy that admits nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup

STYLE = "style.css"
THEME = "theme.js"  # runs before the page is drawn
LIBRARY = "vendor/echarts.min.js"  # of charts
SCRIPTS = (
    LIBRARY, "tables.js", "contents.js", "data.js", "dialogs.js", "looks.js", "score_charts.js", "class_charts.js",
    "draw.js",
)  # fmt: skip


@dataclass(frozen=True)
class Assets:
    """What is written into the page.

    Attributes:
        style: the style sheet.
        theme: the script of the head.
        scripts: the scripts of the body, in order.
        policy: the Content-Security-Policy.
    """

    style: Markup
    theme: Markup
    scripts: tuple[Markup, ...]
    policy: str


@functools.cache
def load_assets() -> Assets:
    """Return styles, scripts and the policy that admits these by their digests: nothing is loaded or sent."""
    style, theme, *scripts = (read(name) for name in (STYLE, THEME, *SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_digests([theme, *scripts])}; style-src {_digests([style])}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Assets(Markup(style), Markup(theme), tuple(map(Markup, scripts)), policy)


def read(name: str) -> str:
    """Return the text of a file of this folder."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def _digests(texts: Iterable[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
