"""The form of records, failed attempts, step and sharing profiles. An unknown value is null, never a special number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.environment import utc_now
from benchmark.spec.protocol import OFFICIAL_DATASETS
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec

# 2: cost; 3: plugins, source of a method; 4: numerics version; 5: memory of evaluation apart; 6: data verified, energy;
# 7: scores of the test split only where they count, frozen part of the model, shared features; 8: labels, source of
# the clips, windows, early stop, few-shot trials, trials that choose a setting
SCHEMA_VERSION = 8

Rule = Literal["best_on_test", "best_on_validation", "last"]  # which epoch is reported


class Verified(Spec):
    """What `data verify` found of files that have not changed since."""

    verdict: str = Field(description="kind of copy, such as official: the publisher's files byte for byte")
    digest: str = Field(description="sha256 over the md5 of all files")
    checked: str = Field(description="when the files were read, UTC, ISO 8601")
    problems: int = Field(description="number of faults that were found")


class Data(Spec):
    """The data of a trial."""

    kind: Literal["complete", "partial", "synthetic"] = Field(description="how the clips compare with the dataset's")
    clips: int = Field(description="clips in the data folder")
    official_clips: int = Field(description="clips of the dataset")
    official_folds: int = Field(description="number of folds of the dataset; 1 if it has none")
    used: dict[str, int] = Field(description="clips per split that the trial used")
    windows: dict[str, int] | None = Field(
        default=None, description="windows of these clips per split; null where each clip is one input, cut or padded"
    )
    classes: int = Field(description="number of outputs of the head")
    classes_present: int = Field(description="number of classes with at least one clip")
    skipped: dict[str, str] = Field(default={}, description="skipped files and the reason of each")
    verified: Verified | None = Field(default=None, description="verdict of `data verify`; null: not verified")
    source: str | None = Field(
        default=None, description="repository and commit of the clips; null if they are of none, or before version 8"
    )
    drawn_from: int | None = Field(
        default=None,
        description="few-shot: training clips that those of the trial were drawn from; null without shots, and before "
        "version 8",
    )

    @property
    def inputs(self) -> dict[str, int]:
        """Return the inputs of the model per split in one pass: clips, or their windows."""
        return self.windows or self.used


class Epoch(Spec):
    """Results of one epoch."""

    epoch: int = Field(description="number of the epoch, from 1")
    lr: float = Field(description="learning rate at the epoch's last step")
    train_loss: float | None = Field(description="mean over batches; null if it is not finite")
    splits: dict[str, dict[str, float | None]] = Field(
        description="metrics by split that was evaluated after this epoch; the test split is left out where its score "
        "cannot be the reported one, unless the run had --test-curves"
    )
    seconds: dict[str, float] = Field(description="seconds by purpose: data, train and eval")


class Selection(Spec):
    """How the reported epoch is chosen."""

    rule: Rule = Field(description="which epoch is chosen")
    scope: Literal["trial", "folds"] = Field(description="whether each trial chooses its epoch, or all folds together")
    split: str = Field(description="the reported split")
    metric: str = Field(description="the reported metric")
    epoch: int | None = Field(description="the chosen epoch; null if all folds are needed to choose it")
    folds: tuple[int, ...] | None = Field(default=None, description="folds that take part in the choice; null for all")


class Parameters(Spec):
    """Numbers of parameters, in this suite's count and in that of the reference (with two unused heads)."""

    total: int = Field(description="parameters of the adapted model")
    trainable: int = Field(description="trainable parameters")
    head: int = Field(description="parameters of the head")
    method: int = Field(description="parameters that the method added")
    total_reference: int = Field(description="parameters of the adapted model, as the reference counts")
    trainable_reference: int = Field(description="trainable parameters, as the reference counts")


class Cost(Spec):
    """Counted costs of a training step, which do not depend on the machine; sizes are in bytes."""

    clips: int = Field(description="clips of the step")
    forward_flops: int = Field(description="floating-point operations of a forward pass, per clip")
    train_flops: int = Field(description="floating-point operations of a forward and a backward pass, per clip")
    saved_bytes: int = Field(description="activations of a (micro-)batch kept for the backward pass")
    weight_bytes: int = Field(description="weights of the adapted model")
    optimizer_bytes: int = Field(description="optimizer state")
    stored_bytes: int = Field(description="what must be stored per task: all trained parameters")
    peak_bytes: int = Field(description="peak size of all tensors of the step, with weights and optimizer state")
    eval_peak_bytes: int | None = Field(
        default=None,
        description="peak size of all tensors of an evaluation of two training batches, in float32; null before schema "
        "version 5",
    )
    frozen_bytes: int | None = Field(
        default=None,
        description="size of the output of the model's frozen first blocks, per clip, in float32; 0 if there are none; "
        "null before schema version 7",
    )
    frozen_flops: int | None = Field(
        default=None,
        description="floating-point operations of the frozen first blocks in a forward pass, per clip; 0 if there are "
        "none; null before schema version 7",
    )


class Profile(Spec):
    """Measured time and memory of a trial."""

    device: str = Field(description="device name")
    precision: str = Field(description="precision of the arithmetic")
    exclusive: bool = Field(description="whether no other trial of the run used the device")
    shares_features: bool = Field(
        default=False,
        description="whether several trials shared batches and frozen features: the seconds contain work for others, "
        "or lack what others did",
    )
    resumed_epochs: int = Field(default=0, description="epochs of earlier processes; their seconds are included")
    seconds: dict[str, float] = Field(description="seconds of the trial by purpose: setup, data, train, eval, total")
    train_clips_per_second: float | None = Field(description="training throughput; null where trials share features")
    joules_per_epoch: float | None = Field(
        default=None, description="energy of the GPU in training; null on a CPU, and where trials share the GPU"
    )
    gpu_hours: float | None = Field(default=None, description="hours times the share of a GPU; null on a CPU")
    # before schema version 5, these three held the larger of training and evaluation. GPU memory is without the filter
    # banks that the suite may hold there, which are as large for every method
    gpu_allocated_bytes: int | None = Field(description="peak allocated by tensors in training")
    gpu_reserved_bytes: int | None = Field(description="peak reserved by the allocator in the first epoch's training")
    host_rss_bytes: int | None = Field(
        description="peak resident memory up to the first evaluation; null in a process used for several trials"
    )
    gpu_eval_allocated_bytes: int | None = Field(default=None, description="peak allocated by tensors in evaluation")
    gpu_eval_reserved_bytes: int | None = Field(
        default=None, description="peak reserved by the allocator, evaluation included"
    )
    host_eval_rss_bytes: int | None = Field(
        default=None, description="peak resident memory, evaluation included; null as host_rss_bytes"
    )


class Plugin(Spec):
    """The installed package of a method from outside the suite; the request has the digest of its file."""

    distribution: str | None = Field(description="name of the package; null if it is not from a package")
    version: str | None = Field(description="version of the package")


class Labels(Spec):
    """What tables show in place of names, by name."""

    methods: dict[str, str] = Field(default={}, description="of the parts of the method")
    datasets: dict[str, str] = Field(default={}, description="of the dataset")
    backbones: dict[str, str] = Field(default={}, description="of the backbone")


class Record(Spec):
    """One finished trial."""

    schema_version: int = SCHEMA_VERSION
    id: str = Field(description="id of the trial")
    request: TrialRequest = Field(description="the complete description of the trial")
    status: Literal["completed", "diverged"] = Field(description="diverged: the loss was not finite")
    data: Data = Field(description="the data of the trial")
    selection: Selection = Field(description="how the reported epoch is chosen")
    curves: list[Epoch] = Field(min_length=1, description="results of every epoch")
    stopped_early: int | None = Field(
        default=None, description="epoch after which early stopping ended training; null if it did not"
    )
    parameters: Parameters = Field(description="numbers of parameters")
    cost: Cost | None = Field(
        default=None,
        description="counted costs of a step; null in records of schema version 1, and where they cannot be counted",
    )
    profile: Profile = Field(description="measured time and memory")
    environment: dict[str, Any] = Field(description="machine and package versions")
    environment_hash: str = Field(description="digest of the environment")
    numerics_version: int = Field(
        default=1, description="version of the numbers that the code computes; 1 in records before schema version 4"
    )
    fingerprint: str = Field(description="digest of the code's files, for information")
    plugins: dict[str, Plugin] = Field(default={}, description="methods from outside the suite")
    labels: Labels = Field(default=Labels(), description="what tables show in place of names")
    started: str = Field(description="start of the trial, UTC, ISO 8601")
    finished: str = Field(description="end of the trial, UTC, ISO 8601")

    @model_validator(mode="after")
    def _selection_fits(self) -> Record:
        chosen = self.selection
        if chosen.epoch is not None and chosen.epoch > len(self.curves):
            raise ValueError("the chosen epoch is not among the curves")
        choosing = self.curves if chosen.rule == "best_on_test" else [self.curves[(chosen.epoch or 0) - 1]]
        if any(chosen.metric not in point.splits.get(chosen.split, {}) for point in [*choosing, self.curves[-1]]):
            raise ValueError(f"the curves have no {chosen.metric} of {chosen.split}")
        return self

    @property
    def is_current(self) -> bool:
        """Whether this code computes the same numbers."""
        return self.numerics_version == NUMERICS_VERSION

    @property
    def score(self) -> float | None:
        """The reported score; None where the epoch is chosen over all folds, and of a diverged trial."""
        chosen = self.selection
        if chosen.epoch is None or self.status == "diverged":
            return None
        return self.curves[chosen.epoch - 1].splits[chosen.split][chosen.metric]

    @property
    def marks(self) -> list[str]:
        """Reasons why this record is not comparable with the paper; empty if it is comparable."""
        marks = self.request.marks
        if self.data.kind == "synthetic":
            marks.append("synthetic audio")
        elif self.data.kind == "partial":
            clips = f"{self.data.clips} of {self.data.official_clips} clips"
            marks.append(f"partial data ({clips}, {self.data.classes_present} of {self.data.classes} classes)")
        if skipped := len(self.data.skipped):
            left = f", {self.data.clips - skipped} of {self.data.clips} left"
            marks.append(f"{skipped} unreadable clips skipped{'' if self.request.recipe.limit_clips else left}")
        if self.selection.rule == "best_on_test" and self.request.dataset.name not in OFFICIAL_DATASETS:
            marks.append("epoch chosen on the test clips")  # only the official code is a reason to do so
        return marks


def best_epoch(values: Sequence[float | None]) -> int | None:
    """Return the first epoch (from 1) with the highest value; None if there is no value."""
    known = [value for value in values if value is not None]
    return values.index(max(known)) + 1 if known else None


class Attempt(Spec):
    """One failed attempt of a trial."""

    schema_version: int = SCHEMA_VERSION
    id: str = Field(description="id of the trial")
    request: TrialRequest = Field(description="the complete description of the trial")
    status: Literal["failed", "out_of_memory", "timeout"] = Field(description="kind of failure")
    error: str = Field(description="the error in one line")
    traceback: str = Field(description="the whole traceback")
    fingerprint: str = Field(description="digest of the code's files")
    finished: str = Field(description="end of the attempt, UTC, ISO 8601")
    run: str = Field(default="", description="name of the call of `run` that made the attempt")

    @classmethod
    def now(
        cls,
        request: TrialRequest,
        status: Literal["failed", "out_of_memory", "timeout"],
        error: str,
        traceback: str,
        fingerprint: str,
        run: str = "",
    ) -> Attempt:
        """Return an attempt of `request` that ended now.

        Args:
            request: the trial.
            status: kind of failure.
            error: the error in one line.
            traceback: the whole traceback.
            fingerprint: digest of the code's files.
            run: name of the call of `run`.
        """
        return cls(
            id=request.id,
            request=request,
            status=status,
            error=error,
            traceback=traceback,
            fingerprint=fingerprint,
            finished=utc_now(),
            run=run,
        )


class StepProfile(Spec):
    """Time and memory of one kind of training step, with random weights and random input."""

    schema_version: int = SCHEMA_VERSION
    request: TrialRequest = Field(description="a trial with this step")
    status: Literal["measured", "counted", "out_of_memory", "failed"] = Field(description="counted: not timed")
    error: str | None = Field(default=None, description="the error in one line")
    cost: Cost = Field(description="counted costs")
    parameters: Parameters = Field(description="numbers of parameters")
    device: str = Field(description="device name")
    threads: int = Field(description="CPU threads")
    precision: str = Field(description="precision of the arithmetic")
    steps: int = Field(description="number of timed steps")
    clips: int = Field(description="clips of a step")
    step_seconds: float | None = Field(default=None, description="seconds of a training step, median")
    step_seconds_spread: tuple[float, float] | None = Field(default=None, description="lower and upper quartile")
    eval_seconds: float | None = Field(default=None, description="seconds of an evaluation batch, median")
    gpu_allocated_bytes: int | None = Field(default=None, description="peak allocated by tensors in training")
    gpu_reserved_bytes: int | None = Field(default=None, description="peak reserved by the allocator in training")
    gpu_eval_allocated_bytes: int | None = Field(
        default=None, description="peak allocated by tensors in evaluation, with the larger batch of a trial"
    )
    gpu_eval_reserved_bytes: int | None = Field(
        default=None, description="peak reserved by the allocator, evaluation included"
    )
    host_rss_bytes: int | None = Field(default=None, description="peak resident memory of the process in training")
    identity_error: float | None = Field(
        default=None, description="largest change of a logit by the method at initialization; null if not computed"
    )
    environment: dict[str, Any] = Field(description="machine and package versions")
    environment_hash: str = Field(description="digest of the environment")
    fingerprint: str = Field(description="digest of the code's files")
    finished: str = Field(description="end of the measurement, UTC, ISO 8601")


class SharingProfile(Spec):
    """Training throughput of processes that take one kind of step at the same time on one device, with random input."""

    schema_version: int = SCHEMA_VERSION
    request: TrialRequest = Field(description="a trial with this step")
    cost: Cost | None = Field(default=None, description="counted costs; null where they cannot be counted")
    device: str = Field(description="device name")
    threads: int = Field(description="CPU cores that the processes divided")
    precision: str = Field(description="precision of the arithmetic")
    mps: bool = Field(description="whether the processes shared the GPU by NVIDIA's Multi-Process Service")
    seconds: float = Field(description="seconds of the measurement of each number")
    clips_per_second: dict[int, float] = Field(
        min_length=1, description="clips per second of all processes together, by the number of processes"
    )
    error: str | None = Field(default=None, description="why larger numbers were not measured, in one line")
    environment: dict[str, Any] = Field(description="machine and package versions")
    environment_hash: str = Field(description="digest of the environment")
    fingerprint: str = Field(description="digest of the code's files")
    finished: str = Field(description="end of the measurement, UTC, ISO 8601")
