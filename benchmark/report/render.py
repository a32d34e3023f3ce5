"""Tables for people: a row per protocol, backbone and method, a column per dataset; Markdown and LaTeX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

INDEX = ["protocol", "backbone", "method"]
MOST_WAYS = 3
STRONG = ("\ue000", "\ue001")  # around bold text, until a format says how it looks
BARE = str.maketrans("", "", "".join(STRONG))


def score_text(cell: pd.Series) -> str:
    """`95.6`, `95.6 ± 0.3` with several seeds, `4/5` while trials are missing; the best are strong."""
    if cell["diverged"]:
        return f"diverged ({cell['diverged']} of {cell['expected']})"
    if cell["done"] < cell["expected"] or pd.isna(cell["score"]):
        return f"{cell['done']}/{cell['expected']}"
    spread = f" ± {100 * cell['seed_sd']:.1f}" if pd.notna(cell["seed_sd"]) else ""
    text = f"{100 * cell['score']:.1f}{spread}"
    return text.join(STRONG) if cell["best"] else text


def parameters_text(cell: pd.Series) -> str:
    """`3.590 (4.0)`: millions, and the share of the adapted model in per cent."""
    if pd.isna(cell["trainable"]):
        return ""
    kind = "_reference" if cell["unused_heads"] == "yes" else ""
    trainable, total = cell[f"trainable{kind}"], cell[f"total{kind}"]
    return f"{trainable / 1e6:.3f} ({100 * trainable / total:.1f})"


def seconds_text(cell: pd.Series) -> str:
    """`1.80 (0.62)`, with a star when other trials shared the machine."""
    if pd.isna(cell["seconds_per_epoch"]):
        return ""
    return f"{cell['seconds_per_epoch']:.2f}{'*' if cell['shared'] else ''}{_ratio(cell['time_ratio'])}"


def memory_text(cell: pd.Series) -> str:
    """`5120 (0.55)`: MB, and the ratio to full fine-tuning."""
    if pd.isna(cell["gpu_allocated_bytes"]):
        return ""
    return f"{cell['gpu_allocated_bytes'] / 1e6:.0f}{_ratio(cell['memory_ratio'])}"


def compute_text(cell: pd.Series) -> str:
    """`245.60 (5802)`: GFLOPs a clip, and MB kept for the backward pass."""
    if pd.isna(cell["train_flops"]):
        return ""
    return f"{cell['train_flops'] / 1e9:.2f} ({cell['saved_bytes'] / 1e6:.0f})"


def _ratio(value: float) -> str:
    return f" ({value:.2f})" if pd.notna(value) else ""


RULES = {
    "best_on_test": "the best on the test clips",
    "best_on_validation": "the best on the validation clips",
    "last": "the last",
}
TEXTS: dict[str, Callable[[pd.Series], str]] = {
    "score": score_text,
    "parameters": parameters_text,
    "seconds_per_epoch": seconds_text,
    "gpu_allocated_bytes": memory_text,
    "train_flops": compute_text,
}


def named(cells: pd.DataFrame) -> pd.Series:
    """The method of each cell, with what sets it apart from others of the same name."""
    return cells["method"] + cells["settings"].map(lambda text: f" ({text})" if text else "")


def wide(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """Cells as text, one column per dataset; columns of the index that say one thing only are kept, for copying."""
    rows = cells.assign(method=named(cells), text=[TEXTS[value](cell) for _, cell in cells.iterrows()])
    table = rows.pivot_table(index=INDEX, columns="dataset", values="text", aggfunc=" / ".join, sort=False)
    return table.fillna("").reset_index().rename_axis(columns=None)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """A table without marks for strong text."""
    return table.map(lambda text: text.translate(BARE) if isinstance(text, str) else text)


def marks(cells: pd.DataFrame) -> list[str]:
    """Why the numbers do not speak for the paper: each mark, with how many rows it concerns unless it is all.

    Marks that differ in their values alone are one where there are more than a reader can use.
    """
    every = [mark for text in cells["marks"] for mark in text.split("; ") if mark]
    ways = Counter(mark.partition(" (")[0] for mark in set(every))
    found: Counter[str] = Counter()
    for mark in every:
        name = mark.partition(" (")[0]
        found[f"{name} in {ways[name]} ways, told in each row's marks" if ways[name] > MOST_WAYS else mark] += 1
    marks = [mark if rows == len(cells) else f"{mark} [{rows} of {len(cells)} rows]" for mark, rows in found.items()]
    versions = {version for text in cells["numerics"] for version in text.split()}
    return (
        [*marks, f"records of numerics versions {', '.join(sorted(versions, key=int))}"] if len(versions) > 1 else marks
    )


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


@dataclass(frozen=True)
class Caption:
    """What stands around a table."""

    title: str
    note: str
    warnings: list[str]


@dataclass(frozen=True)
class Table:
    """One table: all values (`data`), as people read it (`text`), what stands around it."""

    name: str
    data: pd.DataFrame
    text: pd.DataFrame
    caption: Caption


def to_markdown(table: pd.DataFrame, caption: Caption) -> str:
    """Title, warnings, table, note."""
    warning = [f"**Not comparable with the paper:** {'; '.join(caption.warnings)}.", ""] if caption.warnings else []
    body = str(table.to_markdown(index=False, disable_numparse=True))
    for sign in STRONG:
        body = body.replace(sign, "**")
    return "\n".join([f"# {caption.title}", "", *warning, body, "", caption.note.strip(), ""])


def to_latex(table: pd.DataFrame, caption: Caption) -> str:
    """A `table` environment (package booktabs) whose caption carries the warnings."""
    warning = f" Not comparable with the paper: {'; '.join(caption.warnings)}." if caption.warnings else ""
    latex = table.astype(str).map(_escape).rename(columns=_escape).style.hide(axis="index")
    text = _escape(f"{caption.title}.{warning} {caption.note.strip()}")
    return str(latex.to_latex(hrules=True, caption=text, position_float="centering"))


def _escape(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        STRONG[0]: r"\textbf{",
        STRONG[1]: "}",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text).replace("+-", r"$\pm$")
