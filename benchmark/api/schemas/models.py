"""Output about methods and models: `check`, `params`, `new`, `pretrain`, `checkpoint`, `export`, `predict`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from benchmark.api.schemas.base import Output
from benchmark.spec.pretraining import Pretraining


class CheckedPart(Output):
    """Outcome of a check of a method."""

    check: str = Field(description="name of the check")
    about: str = Field(description="what was checked")
    fault: str | None = Field(description="what is wrong; null if it passed")
    seconds: float = Field(description="time of the check")
    notes: list[str] = Field(description="what else was found, such as what a method trains")


class ParameterRow(BaseModel):
    """Parameters of one backbone, dataset and method; percentages are text with four decimals."""

    backbone: str
    dataset: str
    input_tdim: int = Field(description="filter-bank frames")
    n_class: int = Field(description="outputs of the head")
    method: str
    trainable_incl_deit_heads: int = Field(description="trained, as the reference counts")
    total_incl_deit_heads: int = Field(description="all, as the reference counts")
    trainable_excl_deit_heads: int = Field(description="trained, of the model that is run")
    total_excl_deit_heads: int = Field(description="all, of the model that is run")
    pct_trainable_of_total_incl: str = Field(description="trained share in per cent, as the reference counts")
    pct_trainable_of_total_excl: str = Field(description="trained share in per cent, of the model that is run")


class Prediction(BaseModel):
    """Labels of a file; also `class1`, `score1`, `class2`, ... as many as --top says."""

    path: str = Field(description="the file")
    labels: str = Field(description="its labels, joined by `|`")


class VerifiedCheckpoint(Output):
    """What `checkpoint verify` prints."""

    checkpoint: str = Field(description="the backbone or file")
    found: str = Field(description="what was found, in one line")


class NewFile(Output):
    """A file or folder to start from."""

    path: str = Field(description="the file or folder that was written")
    commands: dict[str, str] = Field(description="what to call next, by purpose")


class Exported(Output):
    """What `export` prints."""

    folder: str = Field(description="folder of the exported model")
    numerics_differ: bool = Field(description="whether this code may compute other outputs than those that were scored")
    card: dict[str, Any] = Field(description="the content of `adapter.json`")


class Pretrained(Output):
    """What `pretrain` prints."""

    checkpoint: str = Field(description="the file that was written")
    sha256: str = Field(description="its digest")
    backbone: str = Field(description="the checkpoint as a backbone of `run`")
    settings: Pretraining = Field(description="every setting that decided the weights")
    report: dict[str, Any] = Field(description="losses and scores by epoch, and the environment")
