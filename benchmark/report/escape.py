"""Texts of users (classes, files, labels, marks) in Markdown and LaTeX: shown as they are, never read as markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmark.console import printable

STRONG = ("\ue000", "\ue001")  # around bold text in a `Table.text`; each format replaces them
WITHOUT_STRONG = str.maketrans("", "", "".join(STRONG))
_BOLD = re.compile(f"{STRONG[0]}([^{''.join(STRONG)}]*){STRONG[1]}")
_CODE = re.compile(r"`([^`<>&|$\\]+)`")  # in texts of the suite; without what could end it or begin something else
_MARKDOWN = {character: f"\\{character}" for character in "\\`*[]|$~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_EDGE = re.compile(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")  # inside a word it is no emphasis
_LATEX = {
    "\\": r"\textbackslash{}",
    "`": r"\textasciigrave{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a row it would begin an argument of `\\`
    "]": "{]}",
    "±": r"$\pm$",
    "†": r"$\dagger$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def one_line(text: str) -> str:
    """Return text in one line, with visible control characters, as on a terminal."""
    return printable(" ".join(text.split()))


@dataclass(frozen=True)
class _Format:
    """How a format writes a part of a text.

    Attributes:
        escape: as it is.
        bold: bold, of text that is escaped already.
        code: as code.
    """

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    code: Callable[[str], str]


def markdown(text: str, *, code: bool = False) -> str:
    """Return text for Markdown, also within a table cell.

    Args:
        text: the text, maybe with the signs of bold text.
        code: whether text between backquotes is code, as in notes of the suite.
    """
    return _written(text, _MARKDOWN_FORMAT, has_code=code)


def latex(text: str, *, code: bool = False) -> str:
    """Return text for LaTeX, also at the start of a table row.

    Args:
        text: the text, maybe with the signs of bold text.
        code: whether text between backquotes is code and `+-` means ±, as in notes of the suite.
    """
    found = _written(text.replace("+-", "±") if code else text, _LATEX_FORMAT, has_code=code)
    return f"{{*}}{found[1:]}" if found.startswith("*") else found  # after the end of a row it would belong to `\\`


def _written(text: str, form: _Format, *, has_code: bool) -> str:
    """Return text in a format. Signs of bold text without a partner are dropped."""

    def plain(part: str) -> str:
        return form.escape(part.translate(WITHOUT_STRONG))

    def with_code(part: str) -> str:
        return _alternating(_CODE.split(part), plain, form.code) if has_code else plain(part)

    return _alternating(_BOLD.split(one_line(text)), with_code, lambda part: form.bold(with_code(part)))


def _alternating(parts: list[str], first: Callable[[str], str], second: Callable[[str], str]) -> str:
    return "".join(second(part) if place % 2 else first(part) for place, part in enumerate(parts))


def _escape_markdown(text: str) -> str:
    edges = {match.start() for match in _EDGE.finditer(text)}
    return "".join(
        r"\_" if place in edges else _MARKDOWN.get(character, character) for place, character in enumerate(text)
    )


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text).replace("--", "-{}-")


_MARKDOWN_FORMAT = _Format(_escape_markdown, lambda part: f"**{part}**", lambda part: f"`{part}`")
_LATEX_FORMAT = _Format(
    _escape_latex, lambda part: rf"\textbf{{{part}}}", lambda part: rf"\texttt{{{_escape_latex(part)}}}"
)
