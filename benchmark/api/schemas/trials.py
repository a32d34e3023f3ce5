"""Output about trials: `plan`, `run`, `status`, `search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmark.api.decisions import Decision
from benchmark.api.schemas.base import Output, model_of
from benchmark.api.trial_matrix import Failure, TrialCell
from benchmark.planning.total import Total
from benchmark.records.choice import Choice
from benchmark.report.best import Best

if TYPE_CHECKING:
    from benchmark.api.decisions import Decision as DecisionModel
    from benchmark.api.trial_matrix import Failure as FailureModel
    from benchmark.api.trial_matrix import TrialCell as CellModel
    from benchmark.planning.total import Total as CostModel
    from benchmark.report.best import Best as BestModel
else:
    BestModel = model_of(Best, leave_out=("labels",))
    CellModel, DecisionModel, FailureModel = map(model_of, (TrialCell, Decision, Failure))
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


class Search(Output):
    """What `search` prints at its end."""

    results: str = Field(description="the results folder")
    interrupted: bool = Field(description="whether the user stopped the search")
    best_method: str | None = Field(description="the method with the best score; null if nothing could be trained")
    best_lr: float | None = Field(description="its learning rate")
    command: str | None = Field(description="command that runs it under the full protocol")
    pareto_front: list[dict[str, Any]] = Field(description="configurations that no other equals, best first")
    configurations: list[dict[str, Any]] = Field(description="all configurations, with the columns of search.csv")
