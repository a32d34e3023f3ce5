"""What commands print with `--json`, as pydantic models: `SCHEMAS[COMMAND].model_json_schema()` is the JSON Schema.

Models of dataclasses are made from their fields and docstrings, so that both say the same.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from types import GenericAlias
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from benchmark.api.data import DatasetState
from benchmark.api.decisions import Decision
from benchmark.api.trial_matrix import Failure, TrialCell
from benchmark.planning.total import Total
from benchmark.records.choice import Choice
from benchmark.records.floor import Floor
from benchmark.records.leftovers import Leftover
from benchmark.records.merge import Merged
from benchmark.records.schema import SharingProfile, StepProfile
from benchmark.report.best import Best
from benchmark.report.claims.ledger import Judged
from benchmark.tools.data.speed import Speed
from benchmark.tools.data.verify import Verification
from benchmark.tools.doctor import Finding
from benchmark.tools.parity.case import Outcome

STRICT = ConfigDict(extra="forbid")
ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


class Output(BaseModel):
    """Base class: what is not described is not printed."""

    model_config = STRICT


def model_of(kind: Any, *, leave_out: tuple[str, ...] = (), **more: Any) -> Any:
    """Return the model of a dataclass, with the descriptions of its docstring.

    Args:
        kind: the dataclass.
        leave_out: fields that are not printed.
        more: more fields, as for `pydantic.create_model`.
    """
    hints, text = get_type_hints(kind), inspect.cleandoc(kind.__doc__ or "")
    described = {name: " ".join(words.split()) for name, words in ATTRIBUTE.findall(text.partition("Attributes:")[2])}
    fields: dict[str, Any] = {
        field.name: (hints[field.name], Field(description=described.get(field.name)))
        for field in dataclasses.fields(kind)
        if field.name not in leave_out
    }
    return create_model(kind.__name__, __base__=Output, __doc__=text.partition("\n")[0], **(fields | more))


def list_of(item: Any) -> type[BaseModel]:
    """Return the model of a list of models."""
    model: Any = RootModel
    made: type[BaseModel] = model[GenericAlias(list, (item,))]
    return made


def mapping_of(item: Any) -> type[BaseModel]:
    """Return the model of models by name."""
    model: Any = RootModel
    made: type[BaseModel] = model[GenericAlias(dict, (str, item))]
    return made


if TYPE_CHECKING:
    from benchmark.api.decisions import Decision as DecisionModel
    from benchmark.api.trial_matrix import Failure as FailureModel
    from benchmark.api.trial_matrix import TrialCell as CellModel
    from benchmark.planning.total import Total as CostModel
    from benchmark.records.leftovers import Leftover as LeftoverModel
    from benchmark.report.best import Best as BestModel
else:
    BestModel = model_of(Best, leave_out=("labels",))
    CellModel, DecisionModel, FailureModel, LeftoverModel = map(model_of, (TrialCell, Decision, Failure, Leftover))
    CostModel = model_of(
        Total,
        device=(str, Field(description="cpu, or name of the GPU")),
        threads=(int, Field(description="CPU threads of a trial")),
    )


class TrialState(Output):
    """A trial and its state."""

    id: str = Field(description="id of the trial; not the final one while data or checkpoint is missing")
    state: str = Field(description="done, stale, failed or missing")
    trial: str = Field(description="protocol, backbone, dataset, method, fold and seed")


class PlannedTrial(TrialState):
    """A trial, its state, and what it would cost if a run would submit it."""

    seconds: float | None = Field(default=None, description="estimated duration; null if unknown")
    by: str | None = Field(default=None, description="what the duration comes from: records, profile, operations")
    flops: float | None = Field(default=None, description="operations of the whole trial")
    memory_bytes: int | None = Field(default=None, description="memory of the GPU; on a CPU, of the machine")
    checkpoint_bytes: int | None = Field(default=None, description="disk space of the resume state")
    record_bytes: int | None = Field(default=None, description="disk space of the record and its predictions")
    steps: int | None = Field(default=None, description="optimizer steps; null if the clips are not known")


class Trials(Output):
    """Trials and their states."""

    results: str = Field(description="the results folder")
    counts: dict[str, int] = Field(description="number of trials by state")
    missing_inputs: list[str] = Field(description="a line per missing dataset or checkpoint")
    running: list[str] = Field(description="ids of the trials that are running now")
    cells: list[CellModel] = Field(description="the trials by backbone, dataset and method")
    failures: list[FailureModel] = Field(description="errors of the failed trials")


class Status(Trials):
    """What `status` prints."""

    trials: list[TrialState] = Field(description="every submitted trial")
    choices: list[Choice] = Field(description="choices of settings, made and open")


class Plan(Trials):
    """What `plan` prints."""

    trials: list[PlannedTrial] = Field(description="every trial of the grid")
    skipped: list[str] = Field(description="a line per trial that its method cannot run")
    too_large: list[str] = Field(description="a line per trial that needs more memory than this machine has")
    no_room: str = Field(description="how much disk space is free and needed if that is too little; else empty")
    unfit: list[str] = Field(description="a line per method that cannot be built")
    notes: list[str] = Field(description="findings on data, checkpoints and recipes")
    phases: list[str] = Field(description="of a grid that chooses settings: states and time of both phases")
    decisions: list[DecisionModel] = Field(
        default=[], description="with --power: what would decide a difference of that many points"
    )
    cost: CostModel = Field(description="sums over the trials that a run would submit")


class Run(Output):
    """What `run` prints at its end."""

    results: str = Field(description="the results folder")
    complete: bool = Field(description="whether no trial of the grid failed or is missing")
    interrupted: bool = Field(description="whether the user stopped the run")
    counts: dict[str, int] = Field(description="number of trials by state, after the run")
    submitted: int = Field(description="number of trials that this call ran")
    failed: int = Field(description="number of trials that failed in this call")
    report: str | None = Field(description="folder of the report; null if none was written")
    notes: list[str] = Field(description="findings on data, checkpoints and recipes before training")
    warnings: list[str] = Field(description="reasons why the results are not comparable with the paper")
    best: list[BestModel] = Field(description="the best method of each dataset and backbone")
    failures: list[FailureModel] = Field(description="errors of the failed trials")


class Report(Output):
    """What `report` prints."""

    folder: str = Field(description="folder of the report")
    files: list[str] = Field(description="names of its files")
    warnings: list[str] = Field(description="reasons why the numbers are not comparable with the paper")
    time: str = Field(description="what the time of the trials was spent on")
    best: list[BestModel] = Field(description="the best method of each dataset and backbone")


class Compared(Output):
    """A table cell minus another one on the same clips, this comparison alone."""

    other: str = Field(description="the other method")
    label: str = Field(description="its label")
    difference: float = Field(description="in points")
    low: float | None = Field(description="lower end of its 95 % interval")
    high: float | None = Field(description="upper end of its 95 % interval")
    p: float | None = Field(description="p value, not corrected for other comparisons")
    clips: int = Field(description="test clips of all folds")
    seeds: int = Field(description="seeds that both methods have")


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


class Search(Output):
    """What `search` prints at its end."""

    results: str = Field(description="the results folder")
    interrupted: bool = Field(description="whether the user stopped the search")
    best_method: str | None = Field(description="the method with the best score; null if nothing could be trained")
    best_lr: float | None = Field(description="its learning rate")
    command: str | None = Field(description="command that runs it under the full protocol")
    pareto_front: list[dict[str, Any]] = Field(description="configurations that no other equals, best first")
    configurations: list[dict[str, Any]] = Field(description="all configurations, with the columns of search.csv")


class CheckedPart(Output):
    """Outcome of a check of a method."""

    check: str = Field(description="name of the check")
    about: str = Field(description="what was checked")
    fault: str | None = Field(description="what is wrong; null if it passed")
    seconds: float = Field(description="time of the check")


class Cleaned(Output):
    """What `clean` prints."""

    results: str = Field(description="the results folder")
    removed: bool = Field(description="False with --dry-run")
    bytes: int = Field(description="size of all")
    leftovers: list[LeftoverModel] = Field(description="the files and folders")


class Levels(Output):
    """Mean and standard deviation of filter banks."""

    mean: float
    std: float
    clips: int | None = Field(default=None, description="number of clips")


class Statistics(Output):
    """What `data stats` prints."""

    dataset: str
    kind: str = Field(description="complete, partial or synthetic")
    frames: int = Field(description="frames of a clip that are measured")
    recipe: Levels = Field(description="values of the recipe")
    training_clips_of_fold: dict[str, Levels] = Field(alias="training clips of fold", description="values by fold")
    left_out: list[str] = Field(alias="left out", description="clips that cannot be read")


class VerifiedCheckpoint(Output):
    """What `checkpoint verify` prints."""

    checkpoint: str = Field(description="the backbone or file")
    found: str = Field(description="what was found, in one line")


SCHEMAS: dict[str, type[BaseModel]] = {
    "plan": Plan,
    "status": Status,
    "run": Run,
    "report": Report,
    "claims": list_of(
        model_of(Judged, as_expected=(bool, Field(description="False if it was judged, and not as the paper says")))
    ),
    "explain": list_of(CellProvenance),
    "params": list_of(ParameterRow),
    "search": Search,
    "check": mapping_of(GenericAlias(list, (CheckedPart,))),
    "floor": list_of(Floor),
    "profile": list_of(StepProfile | SharingProfile),
    "merge": model_of(Merged),
    "clean": Cleaned,
    "doctor": list_of(model_of(Finding)),
    "parity": list_of(model_of(Outcome, passed=(bool, Field(description="whether nothing is wrong")))),
    "predict": list_of(Prediction),
    "list": mapping_of(dict[str, Any]),
    "show": mapping_of(Any),
    "data list": mapping_of(model_of(DatasetState)),
    "data verify": model_of(Verification),
    "data stats": Statistics,
    "data describe": mapping_of(Any),
    "data speed": list_of(
        model_of(
            Speed,
            gain_mixed=(float, Field(description="times faster than the reference, mixed clips")),
            gain_unmixed=(float, Field(description="times faster than the reference, unmixed clips")),
        )
    ),
    "checkpoint inspect": mapping_of(Any),
    "checkpoint verify": VerifiedCheckpoint,
}
