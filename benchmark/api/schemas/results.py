"""Output about results: `report`, `explain`, `clean`, `cite`, `submit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from benchmark.api.schemas.base import Output, model_of
from benchmark.records.leftovers import Leftover

if TYPE_CHECKING:
    from benchmark.records.leftovers import Leftover as LeftoverModel
    from benchmark.report.best import Best as BestModel
else:
    from benchmark.api.schemas.trials import BestModel

    LeftoverModel = model_of(Leftover)


class Report(Output):
    """What `report` prints."""

    folder: str = Field(description="folder of the report")
    files: list[str] = Field(description="names of its files")
    warnings: list[str] = Field(description="reasons why the numbers are not comparable with the paper")
    time: str = Field(description="what the time of the trials was spent on")
    best: list[BestModel] = Field(description="the best method of each dataset and backbone")


class Compared(BaseModel):
    """A table cell minus another one on the same clips, this comparison alone."""

    other: str = Field(description="the other method")
    label: str = Field(description="its label")
    difference: float = Field(description="in points")
    low: float | None = Field(description="lower end of its 95 % interval")
    high: float | None = Field(description="upper end of its 95 % interval")
    p: float | None = Field(description="p value, not corrected for other comparisons")
    clips: int = Field(description="test clips of all folds")
    seeds: int = Field(description="seeds that both methods have")


class Board(Output):
    """What `board` prints."""

    folder: str = Field(description="the site")
    pages: int = Field(description="number of pages")
    records: int = Field(description="number of records")
    submitters: int = Field(description="number of submitters")
    results: int = Field(description="number of table cells")
    marks: list[str] = Field(description="what makes every result not comparable with papers, such as synthetic audio")


class ExplainedTrial(BaseModel):
    """One trial of a table cell."""

    fold: int
    seed: int
    status: str = Field(description="completed or diverged")
    epoch: int | None = Field(description="the reported epoch")
    epochs: int = Field(description="number of epochs")
    score: float | None = Field(description="score at the reported epoch, in [0, 1]")
    id: str
    environment: str = Field(description="its key in `environments`")
    numerics_version: int
    fingerprint: str = Field(description="digest of the code's files")
    record: str = Field(description="file of the record, in the results folder")


class CellProvenance(Output):
    """Provenance of a table cell."""

    cell: str = Field(description="digest of the request without fold and seed")
    what: str = Field(description="protocol, backbone, dataset and method")
    label: str = Field(description="the same, as tables show it")
    settings: str = Field(description="settings that differ between rows of the same names")
    score: float | None = Field(description="mean over folds and seeds, in [0, 1]; null while trials are missing")
    interval: tuple[float | None, float | None] = Field(description="its 95 % interval")
    compared: Compared | None = Field(
        description="its score minus that of full fine-tuning, of full minus that of the best other; null if unknown"
    )
    floor: dict[str, float] = Field(description="scores without a backbone, by name")
    seed_sd: float | None = Field(description="standard deviation over seeds")
    fold_sd: float | None = Field(description="standard deviation over folds")
    marks: str = Field(description="reasons why it is not comparable with the paper; empty if it is")
    comparable_with: list[str] = Field(description="papers whose numbers it is comparable with")
    reported_epoch: str = Field(description="how the reported epoch is chosen")
    protocol_switches: dict[str, str] = Field(description="the protocol's name and switches")
    method: list[dict[str, Any]] = Field(description="parts of the method with their hyper-parameters")
    recipe: dict[str, Any] = Field(description="the recipe")
    recipe_changes: dict[str, Any] = Field(description="its values that differ from the dataset's own recipe")
    recipe_declared: dict[str, Any] = Field(description="what the dataset's own recipe has in their place")
    backbone: dict[str, Any] = Field(description="the backbone and its checkpoint")
    data: dict[str, Any] = Field(description="the data, as the records have it")
    trials: list[ExplainedTrial] = Field(description="the finished trials")
    missing: list[str] = Field(description="folds and seeds of the trials that are missing")
    environments: dict[str, dict[str, Any]] = Field(description="machines and package versions, by digest")
    by_class: dict[str, Any] | None = Field(default=None, description="with --classes: the results by class")


class Cleaned(Output):
    """What `clean` prints."""

    results: str = Field(description="the results folder")
    removed: bool = Field(description="False with --dry-run")
    bytes: int = Field(description="size of all")
    leftovers: list[LeftoverModel] = Field(description="the files and folders")


class Submitted(Output):
    """What `submit` prints."""

    submission: str = Field(description="path of the submission in the store")
    folder: str | None = Field(description="its folder; null if it was refused, or with --dry-run")
    records: int = Field(description="number of its records")
    failures: list[str] = Field(description="a line per rule that it breaks")
    marks: dict[str, int] = Field(description="what is not known of the records, with their number")
