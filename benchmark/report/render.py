"""Tables as text, Markdown and LaTeX; captions with the reasons why numbers are not comparable with the paper."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.report.escape import WITHOUT_STRONG, latex, markdown, one_line
from benchmark.spec.grammar import split_list

INDEX = ["protocol", "backbone", "method"]  # leading columns of tables with one column per dataset
RECIPE_CHANGED = "recipe changed"  # the mark of such rows, before the changes in brackets
CONSTANT = ("device", "threads", "size", "dataset")  # more columns that are left out where they say one thing
MAX_NAME = 24  # characters of a class that are shown
MAX_VARIANTS = 3  # more variants of one mark are counted, not listed
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
        cells: table cells, as in `benchmark.report.aggregate`, with labels in place of names.
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
    name = one_line(name)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a text table without the signs of bold text."""
    return table.map(lambda text: text.translate(WITHOUT_STRONG) if isinstance(text, str) else text)


def marks(cells: pd.DataFrame) -> list[str]:
    """Return the reasons why the numbers of some cells are not comparable with the paper.

    A mark of some rows is followed by their number. Changes of recipes are one line. If more than `MAX_VARIANTS` other
    marks differ only in the values in brackets, they are counted.
    """
    of_rows = [mark for text in cells["marks"] for mark in text.split("; ") if mark]
    recipes = _recipe_changes([mark for mark in of_rows if _kind(mark) == RECIPE_CHANGED])
    variants = Counter(_kind(mark) for mark in set(of_rows))
    counts: Counter[str] = Counter()
    for mark in of_rows:
        kind, number = _kind(mark), variants[_kind(mark)]
        if kind == RECIPE_CHANGED:
            mark = recipes  # noqa: PLW2901
        elif number > MAX_VARIANTS:
            mark = f"{number} different marks of the kind '{kind}' (see column `marks`)"  # noqa: PLW2901
        counts[mark] += 1
    lines = [mark if rows == len(cells) else f"{mark} [{rows} of {len(cells)} rows]" for mark, rows in counts.items()]
    versions = sorted({version for text in cells["numerics"] for version in text.split()}, key=int)
    if len(versions) > 1:
        lines.append(f"records of numerics versions {', '.join(versions)}")
    return lines


def bare_marks(marks: Iterable[str]) -> list[str]:
    """Return the kinds of marks without what is in brackets; those of recipes and folds, which say less, are last.

    Args:
        marks: the marks of each cell, joined by semicolons.
    """
    kinds = [_kind(mark) for text in marks for mark in text.split("; ") if mark]
    kinds = ["some folds only" if re.match(r"folds? \d", kind) else kind for kind in kinds]
    return sorted(dict.fromkeys(kinds), key=lambda kind: kind.startswith(("recipe", "some folds")))


def _kind(mark: str) -> str:
    return mark.partition(" (")[0]


def _recipe_changes(marks: Sequence[str]) -> str:
    """Return the changes of several recipes as one: `recipe changed (epochs=2, lr=0.001 or 0.01, frames: 5 values)`.

    Args:
        marks: of the rows whose recipe was changed, each as `recipe changed (epochs=2, lr=0.001)`.
    """
    values: dict[str, dict[str, None]] = {}
    for mark in marks:
        for change in split_list([mark.partition(" (")[2].removesuffix(")")]):
            key, _, value = change.partition("=")
            values.setdefault(key, {})[value] = None
    changes = [
        f"{key}={' or '.join(each)}" if len(each) <= MAX_VARIANTS else f"{key}: {len(each)} values"
        for key, each in values.items()
    ]
    return f"{RECIPE_CHANGED} ({', '.join(changes)})"


def rules(cells: pd.DataFrame) -> str:
    """Return a sentence that says how the reported epochs were chosen; empty without a record."""
    by_rule: dict[str, dict[str, None]] = {}
    for rule, dataset in zip(cells["rule"], cells["dataset"], strict=True):
        if isinstance(rule, str):
            by_rule.setdefault(RULES[rule], {})[dataset] = None
    found = [f"{rule} ({', '.join(datasets)})" for rule, datasets in sorted(by_rule.items())]
    return f"Reported epoch: {'; '.join(found)}." if found else ""


def without_constants(table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Take out the leading columns that say the same in every row; return what they say, and the table without them."""
    same = [name for name in (*INDEX[:-1], *CONSTANT) if name in table and table[name].nunique() == 1]
    said = "; ".join(f"{name}: {table[name].iloc[0]}" for name in same if table[name].iloc[0])
    return said, table.drop(columns=same)


def to_markdown(table: pd.DataFrame, caption: Caption) -> str:
    """Return title, what all rows share, warnings, table and note as Markdown."""
    said, rows = without_constants(table)
    reasons = markdown("; ".join(caption.warnings), code=True)
    warning = [f"**Not comparable with the paper:** {reasons}.", ""] if caption.warnings else []
    cells = rows.map(lambda text: markdown(text) if isinstance(text, str) else text).rename(columns=markdown)
    body = str(cells.to_markdown(index=False, disable_numparse=True))
    shared = [f"{markdown(_sentence(said))}.", ""] if said else []
    title, note = markdown(caption.title), markdown(caption.note, code=True)
    return "\n".join([f"# {title}", "", *shared, *warning, body, "", note, ""])


def to_latex(table: pd.DataFrame, caption: Caption) -> str:
    """Return a LaTeX `table` environment (package booktabs), grouped by backbone; warnings and note are below it."""
    said, rows = without_constants(table)
    groups = [name for name in INDEX[:-1] if name in rows]
    escaped = rows.astype(str).map(latex).rename(columns=latex)
    if groups:  # names of a group stand in its first row, with a line between groups
        style = escaped.set_index([*groups, *escaped.columns[len(groups) : len(groups) + 1]]).style
        style = style.hide(names=True)
    else:
        style = escaped.style.hide(axis="index")
    text = latex(". ".join(filter(None, (caption.title, _sentence(said)))) + ".")
    table_text = str(
        style.to_latex(
            hrules=True,
            caption=text,
            position_float="centering",
            clines="skip-last;data" if groups else None,
            multirow_align="naive",
        )
    )
    table_text = re.sub(r"\\cline\{1-\d+\}\n(\\bottomrule)?", lambda line: line[1] or "\\midrule\n", table_text)
    warning = f"Not comparable with the paper: {'; '.join(caption.warnings)}. " if caption.warnings else ""
    below = f"\\par\\smallskip\n{{\\footnotesize {latex(warning + caption.note, code=True)}}}\n"
    return table_text.replace("\\end{table}", f"{below}\\end{{table}}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
