"""The record of a finished trial and of a failed attempt. Unknown is null, never a sentinel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.environment import utc_now
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec

SCHEMA_VERSION = 4  # 2: cost; 3: plugins, source of a method; 4: numerics version


class Data(Spec):
    """What the trial was trained and evaluated on."""

    kind: Literal["complete", "partial", "synthetic"]
    clips: int = Field(description="clips in the data folder")
    official_clips: int
    official_folds: int = Field(description="fold units of the dataset; 1 where there are none")
    used: dict[str, int] = Field(description="clips per split that the trial used")
    classes: int = Field(description="outputs of the head")
    classes_present: int = Field(description="classes that have a clip")
    skipped: dict[str, str] = Field(default={}, description="files that could not be used and were left out, and why")


class Epoch(Spec):
    """One point of the curves."""

    epoch: int = Field(description="from 1")
    lr: float = Field(description="learning rate at the epoch's last step")
    train_loss: float | None = Field(description="mean over batches; null when it is not finite")
    splits: dict[str, dict[str, float | None]] = Field(description="metrics of every evaluation split")
    seconds: dict[str, float] = Field(description="data, train and eval")


class Selection(Spec):
    """How the reported epoch is chosen; `epoch` is null where all folds are needed to choose it."""

    rule: Literal["best_on_test", "best_on_validation", "last"]
    scope: Literal["trial", "folds"]
    split: str = Field(description="the split that is reported")
    metric: str
    epoch: int | None
    folds: tuple[int, ...] | None = Field(default=None, description="folds that choose the epoch; null for all")


class Parameters(Spec):
    """Parameter counts of the model as it is here, and as the reference counts it (two unused heads more)."""

    total: int
    trainable: int
    head: int
    method: int = Field(description="parameters that the method added")
    total_reference: int
    trainable_reference: int


class Cost(Spec):
    """What a training step costs by count, whatever the machine. Sizes in bytes; activations of one (micro-)batch."""

    clips: int = Field(description="clips of the step")
    forward_flops: int = Field(description="floating-point operations of a forward pass, per clip")
    train_flops: int = Field(description="of a forward and a backward pass, per clip")
    saved_bytes: int = Field(description="activations kept for the backward pass")
    weight_bytes: int = Field(description="the adapted model")
    optimizer_bytes: int = Field(description="what the optimiser keeps")
    stored_bytes: int = Field(description="what must be stored per task: all that was trained")
    peak_bytes: int = Field(description="most that the step's tensors hold at once, weights and optimiser included")


class Profile(Spec):
    """Time and memory. Seconds are sums over the trial."""

    device: str
    precision: str = Field(description="what the arithmetic was done in")
    exclusive: bool = Field(description="True when no other trial of the run used the device")
    resumed_epochs: int = Field(default=0, description="epochs done by earlier processes, whose seconds are counted in")
    seconds: dict[str, float] = Field(description="setup, data, train, eval, total")
    train_clips_per_second: float | None
    gpu_allocated_bytes: int | None = Field(description="peak allocated by tensors")
    gpu_reserved_bytes: int | None = Field(description="peak reserved by the allocator")
    host_rss_bytes: int | None = Field(description="peak resident memory; null in a process used for several trials")


class Plugin(Spec):
    """Which installed package a method from outside the suite is of; the digest of its file stands in the request."""

    distribution: str | None
    version: str | None


class Record(Spec):
    """One finished trial."""

    schema_version: int = SCHEMA_VERSION
    id: str
    request: TrialRequest
    status: Literal["completed", "diverged"]
    data: Data
    selection: Selection
    curves: list[Epoch] = Field(min_length=1)
    parameters: Parameters
    cost: Cost | None = Field(default=None, description="of a step; null in records of schema version 1")
    profile: Profile
    environment: dict[str, Any]
    environment_hash: str
    numerics_version: int = Field(
        default=1, description="version of the numbers that the code computes; 1 in records before schema version 4"
    )
    fingerprint: str = Field(description="digest of the code's files, for information")
    plugins: dict[str, Plugin] = Field(default={}, description="methods from outside the suite")
    started: str = Field(description="UTC, ISO 8601")
    finished: str

    @model_validator(mode="after")
    def _selection_fits(self) -> Record:
        chosen = self.selection
        if any(chosen.metric not in point.splits.get(chosen.split, {}) for point in self.curves):
            raise ValueError(f"the curves have no {chosen.metric} of {chosen.split}")
        if chosen.epoch is not None and chosen.epoch > len(self.curves):
            raise ValueError("the chosen epoch is not among the curves")
        return self

    @property
    def is_current(self) -> bool:
        """True when this code computes the same numbers."""
        return self.numerics_version == NUMERICS_VERSION

    @property
    def marks(self) -> list[str]:
        """Why this record does not speak for the paper; empty when it does."""
        marks = self.request.marks
        if self.data.kind == "synthetic":
            marks.append("synthetic audio")
        elif self.data.kind == "partial":
            clips = f"{self.data.clips} of {self.data.official_clips} clips"
            marks.append(f"partial data ({clips}, {self.data.classes_present} of {self.data.classes} classes)")
        if number := len(self.data.skipped):
            left = f", {self.data.clips - number} of {self.data.clips} left"
            marks.append(f"{number} unreadable clips skipped{'' if self.request.recipe.limit_clips else left}")
        return marks


def best_epoch(values: Sequence[float | None]) -> int | None:
    """The first epoch (from 1) with the highest value; None when there is no value."""
    known = [value for value in values if value is not None]
    return values.index(max(known)) + 1 if known else None


class Attempt(Spec):
    """One try that left no record."""

    schema_version: int = SCHEMA_VERSION
    id: str
    request: TrialRequest
    status: Literal["failed", "out_of_memory", "timeout"]
    error: str = Field(description="one line")
    traceback: str
    fingerprint: str
    finished: str

    @classmethod
    def now(
        cls,
        request: TrialRequest,
        status: Literal["failed", "out_of_memory", "timeout"],
        error: str,
        traceback: str,
        fingerprint: str,
    ) -> Attempt:
        """A try of `request` that ended just now."""
        return cls(
            id=request.id,
            request=request,
            status=status,
            error=error,
            traceback=traceback,
            fingerprint=fingerprint,
            finished=utc_now(),
        )


class StepProfile(Spec):
    """Time and memory of one shape of training step, with random weights and random input; no data."""

    schema_version: int = SCHEMA_VERSION
    request: TrialRequest = Field(description="a trial of this shape")
    status: Literal["measured", "counted", "out_of_memory", "failed"] = Field(description="counted: nothing was timed")
    error: str | None = None
    cost: Cost
    parameters: Parameters
    device: str
    threads: int
    precision: str
    steps: int = Field(description="steps that were timed")
    clips: int = Field(description="clips of such a step")
    step_seconds: float | None = Field(default=None, description="median of a training step")
    step_seconds_spread: tuple[float, float] | None = Field(default=None, description="lower and upper quartile")
    eval_seconds: float | None = Field(default=None, description="median of an evaluation batch")
    gpu_allocated_bytes: int | None = Field(default=None, description="peak allocated by tensors")
    gpu_reserved_bytes: int | None = Field(default=None, description="peak reserved by the allocator")
    host_rss_bytes: int | None = Field(default=None, description="peak resident memory of the process")
    identity_error: float | None = Field(
        default=None, description="largest change of a logit by the method at initialisation; null where not computed"
    )
    environment: dict[str, Any]
    environment_hash: str
    fingerprint: str
    finished: str
