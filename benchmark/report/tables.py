"""Tables for people: a row per protocol, backbone and method, a column per dataset; Markdown and LaTeX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pandas as pd

INDEX = ["protocol", "backbone", "method"]


def score_text(cell: pd.Series) -> str:
    """`95.6`, `95.6 ± 0.3` with several seeds, `4/5` while trials are missing."""
    if cell["diverged"]:
        return f"diverged ({cell['diverged']} of {cell['expected']})"
    if cell["done"] < cell["expected"] or pd.isna(cell["score"]):
        return f"{cell['done']}/{cell['expected']}"
    spread = f" ± {100 * cell['seed_sd']:.1f}" if pd.notna(cell["seed_sd"]) else ""
    return f"{100 * cell['score']:.1f}{spread}"


def parameters_text(cell: pd.Series) -> str:
    """`3.590 (4.0)`: millions, and the share of the adapted model in per cent."""
    if pd.isna(cell["trainable"]):
        return ""
    kind = "_reference" if cell["unused_heads"] == "yes" else ""
    trainable, total = cell[f"trainable{kind}"], cell[f"total{kind}"]
    return f"{trainable / 1e6:.3f} ({100 * trainable / total:.1f})"


def seconds_text(cell: pd.Series) -> str:
    """`1.8`, with a star when other trials shared the machine."""
    if pd.isna(cell["seconds_per_epoch"]):
        return ""
    return f"{cell['seconds_per_epoch']:.2f}{'*' if cell['shared'] else ''}"


RULES = {
    "best_on_test": "the best on the test clips",
    "best_on_validation": "the best on the validation clips",
    "last": "the last",
}
TEXTS: dict[str, Callable[[pd.Series], str]] = {
    "score": score_text,
    "parameters": parameters_text,
    "seconds_per_epoch": seconds_text,
}


def wide(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """Cells as text, one column per dataset; columns of the index that say one thing only are kept, for copying."""
    rows = cells.copy()
    named = rows["settings"] != ""
    rows.loc[named, "method"] = rows["method"] + " (" + rows["settings"] + ")"
    rows["text"] = [TEXTS[value](cell) for _, cell in cells.iterrows()]
    table = rows.pivot_table(index=INDEX, columns="dataset", values="text", aggfunc=" / ".join, sort=False)
    return table.fillna("").reset_index().rename_axis(columns=None)


def marks(cells: pd.DataFrame) -> list[str]:
    """Why the numbers do not speak for the paper: each mark, with how many rows it concerns unless it is all."""
    found = Counter(mark for text in cells["marks"] for mark in text.split("; ") if mark)
    marks = [mark if rows == len(cells) else f"{mark} [{rows} of {len(cells)} rows]" for mark, rows in found.items()]
    versions = {version for text in cells["code"] for version in text.split()}
    return [*marks, f"records of {len(versions)} versions of the code"] if len(versions) > 1 else marks


def rules(cells: pd.DataFrame) -> str:
    """How the reported epochs were chosen, for the caption."""
    found = sorted(
        {
            f"{RULES[rule]} ({dataset})"
            for rule, dataset in zip(cells["rule"], cells["dataset"], strict=True)
            if isinstance(rule, str)
        }
    )
    return f"Reported epoch: {'; '.join(found)}." if found else ""


def to_markdown(table: pd.DataFrame, title: str, note: str, warnings: list[str]) -> str:
    """Title, warnings, table, note."""
    warning = [f"**Not comparable with the paper:** {'; '.join(warnings)}.", ""] if warnings else []
    body = table.to_markdown(index=False, disable_numparse=True)
    return "\n".join([f"# {title}", "", *warning, str(body), "", note.strip(), ""])


def to_latex(table: pd.DataFrame, title: str, note: str, warnings: list[str]) -> str:
    """A `table` environment (package booktabs) whose caption carries the warnings."""
    warning = f" Not comparable with the paper: {'; '.join(warnings)}." if warnings else ""
    latex = table.map(_escape).rename(columns=_escape).style.hide(axis="index")
    return str(
        latex.to_latex(hrules=True, caption=_escape(f"{title}.{warning} {note.strip()}"), position_float="centering")
    )


def _escape(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text).replace("+-", r"$\pm$")
