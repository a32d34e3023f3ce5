"""The description of an exported trial, `adapter.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Record
from benchmark.spec.backbone import load_backbone
from benchmark.spec.request import TrialRequest
from benchmark.spec.yaml import Spec
from benchmark.tools.export.front_end import FrontEndCard, describe
from benchmark.tools.export.trained import THRESHOLD, TrainedModel
from benchmark.trial.adapter_file import Normalisation

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
    """Milliseconds from one clip's filter bank, or its waveform where the runtime says so, to its logits.

    On one CPU thread.
    """

    runtime: str = Field(description="name and version of the runtime")
    median: float = Field(description="milliseconds")
    quartiles: tuple[float, float] = Field(description="milliseconds")
    repeats: int = Field(description="number of measurements")


class Merged(Spec):
    """The ONNX file, compared with the torch model."""

    bytes: int = Field(description="size of the file")
    opset: int = Field(description="version of the ONNX operators")
    input: str = Field(default="spectrogram", description="spectrogram (B, frames, mels), or waveform (B, samples)")
    largest_error: float = Field(description="largest difference of a logit in ONNX Runtime")
    tolerance: float = Field(description="largest difference that is accepted")
    front_end_error: float | None = Field(
        default=None, description="largest difference from torchaudio's filter bank in log mel; null without front end"
    )
    inputs: int = Field(description="number of clips that were compared")


class HuggingFaceFolder(Spec):
    """The whole model in the format of transformers, compared with this suite's from the waveform on."""

    bytes: int = Field(description="size of `model.safetensors`")
    library: str = Field(description="name and version of the package that was compared")
    largest_error: float = Field(description="largest difference of a logit")
    tolerance: float = Field(description="largest difference that is accepted")
    inputs: int = Field(description="number of clips that were compared")


class TrainingData(Spec):
    """The audio that the trial trained and scored on."""

    name: str = Field(description="name of the dataset")
    label: str = Field(description="its name in tables")
    licence: str = Field(description="of the audio; it may restrict what the model may be used for")
    homepage: str = Field(description="of the publisher; empty for the user's own audio")
    kind: str = Field(description="complete, partial, or synthetic")
    used: dict[str, int] = Field(description="clips by split")


class Card(Spec):
    """`adapter.json`."""

    trial: str = Field(description="id of the trial")
    label: str = Field(description="names of the trial's parts in one line")
    title: str = Field(description="what was trained on what, as tables name it")
    marks: list[str] = Field(description="reasons why the score is not comparable with the paper")
    request: TrialRequest = Field(description="complete description of the trial")
    classes: tuple[str, ...] = Field(description="names of the logits, in order")
    frames: int = Field(description="of the input (batch, frames, mels), 10 ms each")
    mels: int = Field(description="mel bands of the input")
    normalisation: Normalisation = Field(description="level of the input")
    normalised: str = Field(default="(filter bank - mean) / (2 * std)", description="formula of the input")
    front_end: FrontEndCard = Field(description="from a sound to the input, to the number")
    scores: Literal["softmax", "sigmoid"] = Field(description="how scores in [0, 1] follow from logits")
    several_labels: bool = Field(description="whether a sound can have several labels")
    threshold: float | None = Field(description="score from which a label is given; null for exactly one label")
    data: TrainingData = Field(description="the audio of the trial")
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
    hugging_face: HuggingFaceFolder | None = Field(default=None, description="null without `--format hf`")
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
    trained: TrainedModel,
    *,
    adapter_bytes: int,
    onnx: Merged | None,
    hugging_face: HuggingFaceFolder | None,
    latency: list[Latency],
) -> Card:
    """Describe an exported trial.

    Args:
        record: of the trial.
        trained: its model.
        adapter_bytes: size of the file of its weights.
        onnx: the ONNX file; None if there is none.
        hugging_face: the folder for transformers; None if there is none.
        latency: one measurement per runtime.
    """
    counts, choice, selection = record.parameters, record.request.backbone, record.selection
    data, parts, known = _data(record), record.request.method.parts, record.labels
    method, backbone = "+".join(known.methods.get(part.name, part.name) for part in parts), choice.name
    adapter, config, frozen = trained.adapter, trained.model.config, counts.total - counts.method - counts.head
    return Card(
        trial=record.id,
        label=record.request.label,
        title=f"{known.backbones.get(backbone, backbone)} with {method} on {data.label}",
        marks=record.marks,
        request=record.request,
        classes=adapter.classes,
        frames=config.frames,
        mels=config.mels,
        normalisation=adapter.normalisation,
        front_end=describe(adapter),
        scores=trained.score,
        several_labels=trained.several,
        threshold=THRESHOLD if trained.several else None,
        data=data,
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
        hugging_face=hugging_face,
        latency=latency,
        numerics_version=record.numerics_version,
        fingerprint=record.fingerprint,
    )


def _data(record: Record) -> TrainingData:
    name = record.request.dataset.name
    try:
        info = get_dataset(name).info
        label, licence, homepage = info.label, info.licence, info.homepage
    except BenchmarkError:  # a dataset of a package that is not installed here
        label, licence, homepage = name, "unknown", ""
    return TrainingData(
        name=name, label=label, licence=licence, homepage=homepage, kind=record.data.kind, used=record.data.used
    )
