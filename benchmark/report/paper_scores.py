"""The paper's scores, from `paper_tables/scores.yaml` and from a file of the user."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml
from pydantic import Field

from benchmark.report.results import Results
from benchmark.spec.yaml import Spec, read_yaml, validate


class PaperScore(Spec):
    """One score of the paper, in per cent."""

    source: str = Field(description="key of the source in `sources`")
    backbone: str = Field(description="name of the backbone")
    dataset: str = Field(description="name of the dataset")
    method: str = Field(description="name of the method")
    score: float = Field(ge=0, le=100, description="accuracy or mAP in per cent")
    split: Literal["test", "validation"] = Field(default="test", description="split that was scored")
    epoch: Literal["last", "reported"] = Field(default="reported", description="epoch that was scored")
    tolerance: float = Field(default=0.05, ge=0, description="how inexact the number itself may be, in points")

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies the number: backbone, dataset, method, split and epoch."""
        return self.backbone, self.dataset, self.method, self.split, self.epoch


class PaperFile(Spec):
    """The content of a file with scores."""

    sources: dict[str, str] = Field(default={}, description="description of each source by its key")
    cells: list[PaperScore] = Field(description="scores of the paper")


def load_paper_scores(more: Path | None = None) -> tuple[list[PaperScore], dict[str, str]]:
    """Return the known scores of the paper, and the description of each source.

    Args:
        more: a file of the user; its scores replace those with the same key.

    Raises:
        BenchmarkError: the file does not follow the form.
    """
    content = yaml.safe_load((files("paper_tables") / "scores.yaml").read_text(encoding="utf-8"))
    shipped = validate(PaperFile, content, "paper_tables/scores.yaml")
    added = validate(PaperFile, read_yaml(more), str(more)) if more else PaperFile(cells=[])
    scores = {score.key: score for score in [*shipped.cells, *added.cells]}
    return list(scores.values()), {**shipped.sources, **added.sources}


def measured_score(
    results: Results, cell: pd.Series, split: Literal["test", "validation"], epoch: Literal["last", "reported"]
) -> float | None:
    """Return the measured score that corresponds to a score of the paper, in [0, 1]; None if it is incomplete.

    Args:
        results: the results folder.
        cell: the table cell.
        split: split that the paper scored.
        epoch: epoch that the paper scored.
    """
    if pd.isna(cell["score"]):
        return None
    if (split, epoch) == ("test", "reported"):
        return float(cell["score"])
    trials = results.trials[results.trials["cell"] == cell["cell"]]
    values = pd.to_numeric(trials[{"validation": "validation_last", "test": "score_last"}[split]])
    return float(values.mean()) if values.notna().all() else None
