"""A pre-training run, described completely."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from benchmark.spec.backbone import SHAPES, Shape, Size
from benchmark.spec.validation import Spec

Objective = Literal["supervised", "ssast"]
Count = Annotated[int, Field(ge=1)]
OFFICIAL_STRIDE: dict[Objective, tuple[int, int]] = {"supervised": (10, 10), "ssast": (16, 16)}
MELS = 128


class Pretraining(Spec):
    """Everything that decides the weights but the audio itself, of which `audio` is the digest.

    Source of the defaults: `supervised` AST@31088be egs/audioset/run.sh, `ssast` SSAST@a1a3eec
    src/pretrain/run_mask_patch.sh and src/traintest_mask.py; the schedule is this suite's own.
    """

    objective: Objective
    size: Size
    frames: Annotated[int, Field(ge=16)]
    stride: tuple[Count, Count]
    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0)] = Field(description="highest learning rate; warmed up, then a cosine to 0")
    weight_decay: Annotated[float, Field(ge=0)]
    freq_mask: Annotated[int, Field(ge=0)]
    time_mask: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]
    mean: float = Field(description="filter-bank mean of the training clips")
    std: Annotated[float, Field(gt=0)]
    classes: int = Field(description="outputs of the tagging head; 0 without labels")
    clips: dict[str, int] = Field(description="clips that train, and that were held out")
    audio: str = Field(description="digest of the clips in use")

    @property
    def shape(self) -> Shape:
        """Width, depth and heads."""
        return SHAPES[self.size]

    @property
    def grid(self) -> tuple[int, int]:
        """Patches in frequency and time."""
        return (MELS - 16) // self.stride[0] + 1, (self.frames - 16) // self.stride[1] + 1

    @property
    def official(self) -> bool:
        """Whether there is an official checkpoint format for such a model."""
        return self.size != "demo" and self.stride == OFFICIAL_STRIDE[self.objective]
