"""The paper's scores, from `paper_tables/scores.yaml` and a file of the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import Field

from benchmark.report.results import Results
from benchmark.spec.yaml import Spec, read_yaml, validate

NAMES = ["protocol", "backbone", "dataset", "method"]
VALUES = ["paper", "measured", "difference", "of", "source", "marks"]


class PaperCell(Spec):
    """One number of the paper, in per cent."""

    source: str
    backbone: str
    dataset: str
    method: str
    score: float = Field(ge=0, le=100)
    split: Literal["test", "validation"] = "test"
    epoch: Literal["last", "reported"] = "reported"
    tolerance: float = Field(default=0.05, ge=0, description="how far the number itself may be off, in points")

    @property
    def key(self) -> tuple[str, ...]:
        """What of the measured it is held against."""
        return self.backbone, self.dataset, self.method, self.split, self.epoch


class PaperFile(Spec):
    """The content of such a file."""

    sources: dict[str, str] = Field(default={})
    cells: list[PaperCell]


def paper_cells(more: Path | None = None) -> tuple[list[PaperCell], dict[str, str]]:
    """The known cells and what their sources are.

    Args:
        more: a file of the user's, whose cells win.

    Raises:
        BenchmarkError: the file does not follow the form.
    """
    content = yaml.safe_load((files("paper_tables") / "scores.yaml").read_text(encoding="utf-8"))
    known = validate(PaperFile, content, "paper_tables/scores.yaml")
    own = validate(PaperFile, read_yaml(more), str(more)) if more else PaperFile(cells=[])
    cells = {cell.key: cell for cell in [*known.cells, *own.cells]}
    return list(cells.values()), {**known.sources, **own.sources}


def beside(results: Results, cells: Iterable[PaperCell]) -> pd.DataFrame:
    """Every known or measured cell: paper, measured, difference, all in per cent, and why they may not be compared."""
    known: dict[tuple[str, ...], PaperCell] = {}
    for each in cells:
        known.setdefault(each.key[:3], each)
    rows = []
    for _, cell in results.cells.iterrows():
        theirs = known.pop((cell["backbone"], cell["dataset"], cell["method"]), None)
        at = theirs or PaperCell(source="", backbone="", dataset="", method="", score=0)
        names = dict(zip(NAMES, cell[NAMES], strict=True))
        rows.append(_row(names, theirs, measured(results, cell, at), cell["marks"]))
    for theirs in known.values():
        names = {"protocol": "", **theirs.model_dump(include=set(NAMES))}
        rows.append(_row(names, theirs, None, "not run"))
    return pd.DataFrame(rows, columns=[*NAMES, *VALUES])


def measured(results: Results, cell: pd.Series, known: PaperCell) -> float | None:
    """What a complete cell has at the split and epoch of a number of the paper, in [0, 1]."""
    if pd.isna(cell["score"]):
        return None
    column = {"validation": "validation_last", "test": "score_last"}[known.split]
    if (known.split, known.epoch) == ("test", "reported"):
        return float(cell["score"])
    trials = results.trials[results.trials["cell"] == cell["cell"]]
    values = pd.to_numeric(trials[column])
    return float(values.mean()) if values.notna().all() else None


def _row(names: dict[str, Any], theirs: PaperCell | None, value: float | None, marks: str) -> dict[str, Any]:
    """Scores as text, so that a digit is not made up."""
    return {
        **names,
        "paper": f"{theirs.score:.1f}" if theirs else "",
        "measured": "" if value is None else f"{100 * value:.1f}",
        "difference": f"{100 * value - theirs.score:+.1f}" if theirs and value is not None else "",
        "of": f"{theirs.split}, {theirs.epoch} epoch" if theirs else "",
        "source": theirs.source if theirs else "",
        "marks": marks,
    }
