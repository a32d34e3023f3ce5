"""The board of a results store: static pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.papers import choose_papers
from benchmark.errors import ArgumentError

if TYPE_CHECKING:
    from benchmark.report.board.build import Built

ADDRESS = re.compile(r"https?://[^\s\"'<>?#]+")  # of a folder


@checked
def board(
    store: str | Path,
    out: str | Path,
    *,
    url: str | None = None,
    records_url: str | None = None,
    paper: str | Path | Iterable[str | Path] = (),
) -> Built:
    """Write the board of a results store: static pages that need no network, in place of an earlier board.

    Args:
        store: folder of the results store.
        out: folder to write; a new one, an empty one or an earlier board.
        url: address where the site will be, for canonical links and the site map.
        records_url: address of the store's folder, such as that of a repository; without it, records are copied.
        paper: papers whose claims are shown, as for `claims`.

    Returns:
        `folder`, and the numbers of `pages`, `records`, `submitters` and `results`.

    Raises:
        BenchmarkError: not a results store, a damaged submission, or `out` has files of something else.

    Example:
        >>> benchmark.board("STORE", "SITE").pages
    """
    from benchmark.report.board.build import Addresses, build_board
    from benchmark.report.board.content import MethodInfo
    from benchmark.submissions.layout import Store

    site, records = _address("url", url), _address("records_url", records_url)
    addresses = Addresses(f"{site}/" if site else None, records)
    known = {name: MethodInfo(*texts) for name, texts in _methods().items()}
    return build_board(Store(Path(store)), Path(out), addresses=addresses, papers=choose_papers(paper), methods=known)


def _address(argument: str, text: str | None) -> str | None:
    """Return the address of a folder without its last slash.

    Raises:
        ArgumentError: it is not an address.
    """
    if text is None:
        return None
    if not ADDRESS.fullmatch(text):
        raise ArgumentError(argument, "give the address of a folder, such as https://example.org/board/", text)
    return text.rstrip("/")


def _methods() -> dict[str, tuple[str, str, str]]:
    """Return label, summary and source of every known method."""
    from benchmark.methods.registry import methods

    return {
        name: (one.label, (inspect.getdoc(one) or "").partition("\n\n")[0], one.source)
        for name, one in methods().items()
    }
