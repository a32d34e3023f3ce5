"""The description of an exported trial, `adapter.json`."""

from __future__ import annotations

from pydantic import Field

from benchmark.models.transformer import AudioTransformer
from benchmark.records.schema import Record
from benchmark.spec.backbone import load_backbone
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec
from benchmark.trial.adapter_file import AdapterFile, Normalisation

BYTES = 4  # per float32 parameter


class Backbone(Spec):
    """The frozen part, which is not in the folder."""

    variant: str = Field(description="name of the backbone with its settings")
    weights: str = Field(description="`pretrained`, `random:SEED`, or `file:NAME` in the checkpoint folder")
    sha256: str | None = Field(description="of the checkpoint file; null for random weights")
    urls: list[str] = Field(description="where a pretrained checkpoint is published")
    parameters: int = Field(description="number of frozen parameters")
    bytes: int = Field(description="size of the frozen parameters in float32")


class Latency(Spec):
    """Milliseconds from one clip's filter bank to its logits, on one CPU thread."""

    runtime: str = Field(description="name and version of the runtime")
    median: float = Field(description="milliseconds")
    quartiles: tuple[float, float] = Field(description="milliseconds")
    repeats: int = Field(description="number of measurements")


class Merged(Spec):
    """The ONNX file, compared with the torch model."""

    bytes: int = Field(description="size of the file")
    opset: int = Field(description="version of the ONNX operators")
    largest_error: float = Field(description="largest difference of a logit in ONNX Runtime")
    tolerance: float = Field(description="largest difference that is accepted")
    inputs: int = Field(description="number of clips that were compared")


class Card(Spec):
    """`adapter.json`."""

    trial: str = Field(description="id of the trial")
    label: str = Field(description="name of the trial in tables")
    marks: list[str] = Field(description="reasons why the score is not comparable with the paper")
    request: TrialRequest = Field(description="complete description of the trial")
    classes: tuple[str, ...] = Field(description="names of the logits, in order")
    frames: int = Field(description="of the input (batch, frames, mels), 10 ms each")
    mels: int = Field(description="mel bands of the input")
    normalisation: Normalisation = Field(description="level of the input")
    normalised: str = Field(default="(filter bank - mean) / (2 * std)", description="formula of the input")
    epoch: int = Field(description="epoch at whose end these are the weights: the last one")
    reported_epoch: int | None = Field(description="epoch that tables report; null if it is chosen over all folds")
    rule: str = Field(description="how the reported epoch is chosen")
    metric: str = Field(description="name of the metric")
    split: str = Field(description="split of the score")
    score: float | None = Field(description="of these weights")
    trainable: int = Field(description="number of trained parameters")
    parameters: int = Field(description="number of parameters of the whole model")
    adapter_bytes: int = Field(description="size of `adapter.safetensors`")
    backbone: Backbone = Field(description="the frozen part")
    onnx: Merged | None = Field(description="the merged model; null without `--onnx`")
    latency: list[Latency] = Field(description="one entry per runtime")
    numerics_version: int = Field(default=1, description="of the code that trained it")
    fingerprint: str = Field(description="of the code that trained it, for information")

    @property
    def note(self) -> str | None:
        """Return a remark if the weights may not be those of the epoch that tables report, else None."""
        if self.reported_epoch == self.epoch:
            return None
        reported = "is chosen over all folds" if self.reported_epoch is None else f"is {self.reported_epoch}"
        return (
            f"the weights are those of the last epoch, {self.epoch}; the epoch that tables report {reported} "
            f"({self.rule})"
        )


def make_card(
    record: Record,
    adapter: AdapterFile,
    model: AudioTransformer,
    *,
    adapter_bytes: int,
    onnx: Merged | None,
    latency: list[Latency],
) -> Card:
    """Describe an exported trial.

    Args:
        record: of the trial.
        adapter: header of the file of its weights.
        model: the whole model.
        adapter_bytes: size of the file of its weights.
        onnx: the ONNX file; None if there is none.
        latency: one measurement per runtime.
    """
    counts, choice, selection = record.parameters, record.request.backbone, record.selection
    frozen = counts.total - counts.method - counts.head
    return Card(
        trial=record.id,
        label=record.request.label,
        marks=record.marks,
        request=record.request,
        classes=adapter.classes,
        frames=model.config.frames,
        mels=model.config.mels,
        normalisation=adapter.normalisation,
        epoch=adapter.epoch,
        reported_epoch=selection.epoch,
        rule=selection.rule,
        metric=selection.metric,
        split=selection.split,
        score=adapter.splits[selection.split][selection.metric],
        trainable=counts.trainable,
        parameters=counts.total,
        adapter_bytes=adapter_bytes,
        backbone=Backbone(
            variant=choice.variant,
            weights=choice.weights,
            sha256=choice.sha256,
            urls=load_backbone(choice.name).checkpoints[choice.size].urls if choice.weights == "pretrained" else [],
            parameters=frozen,
            bytes=frozen * BYTES,
        ),
        onnx=onnx,
        latency=latency,
        numerics_version=record.numerics_version,
        fingerprint=record.fingerprint,
    )
