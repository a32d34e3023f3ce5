"""Tables as text, Markdown and LaTeX; captions with the reasons why numbers are not comparable with the paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

INDEX = ["protocol", "backbone", "method"]  # leading columns of tables with one column per dataset
MAX_NAME = 24  # characters of a class that are shown
MAX_VARIANTS = 3  # more variants of one mark are counted, not listed
STRONG = ("\ue000", "\ue001")  # around bold text in a `Table.text`; each format replaces them
WITHOUT_STRONG = str.maketrans("", "", "".join(STRONG))
RULES = {
    "best_on_test": "the best on the test clips",
    "best_on_validation": "the best on the validation clips",
    "last": "the last",
}


@dataclass(frozen=True)
class Caption:
    """The text around a table.

    Attributes:
        title: heading.
        note: explanation below the table.
        warnings: reasons why the numbers are not comparable with the paper.
    """

    title: str
    note: str
    warnings: list[str]


@dataclass(frozen=True)
class Table:
    """One table of the report.

    Attributes:
        name: name of its files.
        data: all values, for CSV and JSON.
        text: the table as people read it.
        caption: title, note and warnings.
    """

    name: str
    data: pd.DataFrame
    text: pd.DataFrame
    caption: Caption


def row_names(cells: pd.DataFrame) -> pd.Series:
    """Return the method of each cell, with the settings that distinguish it from cells of the same name."""
    return cells["method"] + cells["settings"].map(lambda text: f" ({text})" if text else "")


def wide(cells: pd.DataFrame, text_of: Callable[[pd.Series], str]) -> pd.DataFrame:
    """Return a text table with one row per protocol, backbone and method, and one column per dataset.

    Args:
        cells: table cells, as in `benchmark.report.aggregate`.
        text_of: the text of one cell.
    """
    rows = cells.assign(method=row_names(cells), text=[text_of(cell) for _, cell in cells.iterrows()])
    table = rows.pivot_table(index=INDEX, columns="dataset", values="text", aggfunc=" / ".join, sort=False)
    return table.fillna("").reset_index().rename_axis(columns=None)


def ratio_text(ratio: float) -> str:
    """Return ` (0.62)`, or nothing if the ratio is unknown."""
    return f" ({ratio:.2f})" if pd.notna(ratio) else ""


def short(name: str) -> str:
    """Return the name of a class in one line, cut to `MAX_NAME` characters."""
    name = " ".join(name.split())
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a text table without the signs of bold text."""
    return table.map(lambda text: text.translate(WITHOUT_STRONG) if isinstance(text, str) else text)


def marks(cells: pd.DataFrame) -> list[str]:
    """Return the reasons why the numbers of some cells are not comparable with the paper.

    A mark of some rows is followed by their number. If more than `MAX_VARIANTS` marks differ only in the values in
    brackets, they are counted in one line.
    """
    of_rows = [mark for text in cells["marks"] for mark in text.split("; ") if mark]
    variants = Counter(_kind(mark) for mark in set(of_rows))
    counts: Counter[str] = Counter()
    for mark in of_rows:
        number = variants[_kind(mark)]
        counts[
            f"{number} different {_plural(_kind(mark))} (see column `marks`)" if number > MAX_VARIANTS else mark
        ] += 1
    lines = [mark if rows == len(cells) else f"{mark} [{rows} of {len(cells)} rows]" for mark, rows in counts.items()]
    versions = sorted({version for text in cells["numerics"] for version in text.split()}, key=int)
    if len(versions) > 1:
        lines.append(f"records of numerics versions {', '.join(versions)}")
    return lines


def _kind(mark: str) -> str:
    return mark.partition(" (")[0]


def _plural(kind: str) -> str:
    return "recipe changes" if kind == "recipe changed" else f"marks of the kind '{kind}'"


def rules(cells: pd.DataFrame) -> str:
    """Return a sentence that says how the reported epochs were chosen; empty without a record."""
    by_dataset = {
        f"{RULES[rule]} ({dataset})"
        for rule, dataset in zip(cells["rule"], cells["dataset"], strict=True)
        if isinstance(rule, str)
    }
    return f"Reported epoch: {'; '.join(sorted(by_dataset))}." if by_dataset else ""


def to_markdown(table: pd.DataFrame, caption: Caption) -> str:
    """Return title, warnings, table and note as Markdown."""
    warning = [f"**Not comparable with the paper:** {'; '.join(caption.warnings)}.", ""] if caption.warnings else []
    cells = table.map(lambda text: text.replace("|", r"\|") if isinstance(text, str) else text)  # names of classes
    body = str(cells.to_markdown(index=False, disable_numparse=True))
    for sign in STRONG:
        body = body.replace(sign, "**")
    return "\n".join([f"# {caption.title}", "", *warning, body, "", caption.note.strip(), ""])


def to_latex(table: pd.DataFrame, caption: Caption) -> str:
    """Return a LaTeX `table` environment (package booktabs) whose caption has title, warnings and note."""
    warning = f" Not comparable with the paper: {'; '.join(caption.warnings)}." if caption.warnings else ""
    latex = table.astype(str).map(_escape).rename(columns=_escape).style.hide(axis="index")
    text = _escape(f"{caption.title}.{warning} {caption.note.strip()}")
    return str(latex.to_latex(hrules=True, caption=text, position_float="centering"))


def _escape(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "†": r"$\dagger$",
        "→": r"$\rightarrow$",
        "…": r"\ldots{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        STRONG[0]: r"\textbf{",
        STRONG[1]: "}",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text).replace("+-", r"$\pm$")
