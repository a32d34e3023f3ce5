"""The complete description of a pre-training run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from benchmark.spec.backbone import PUBLISHED_SIZES, SHAPES, Shape
from benchmark.spec.choices import Objective, Optimizer, Size
from benchmark.spec.yaml import Spec

Count = Annotated[int, Field(ge=1)]
MELS = 128


class Official(Spec):
    """The settings of an objective's authors; `time_mask` belongs to 1024 frames."""

    stride: tuple[int, int]
    lr: float
    freq_mask: int
    time_mask: int


# AST@31088be egs/audioset/run.sh; SSAST@a1a3eec src/pretrain/run_mask_patch.sh
OFFICIAL: dict[Objective, Official] = {
    "supervised": Official(stride=(10, 10), lr=1e-5, freq_mask=48, time_mask=192),
    "ssast": Official(stride=(16, 16), lr=1e-4, freq_mask=0, time_mask=0),
}


class Pretraining(Spec):
    """Everything that decides the weights; `audio` is the digest of the audio."""

    objective: Objective
    size: Size
    frames: Annotated[int, Field(ge=16)]
    stride: tuple[Count, Count]
    epochs: Count
    batch_size: Count
    lr: Annotated[float, Field(gt=0)] = Field(description="highest learning rate: warm-up, then cosine decay to 0")
    optimizer: Optimizer = Field(default="adam", description="adam as AST and SSAST, or muon with AdamW beside it")
    weight_decay: Annotated[float, Field(ge=0)]
    freq_mask: Annotated[int, Field(ge=0)]
    time_mask: Annotated[int, Field(ge=0)]
    patchout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of the patches that each step leaves out"
    )
    seed: Annotated[int, Field(ge=0)]
    mean: float = Field(description="filter-bank mean of the training clips")
    std: Annotated[float, Field(gt=0)]
    classes: int = Field(description="outputs of the tagging head; 0 without labels")
    clips: dict[str, int] = Field(description="number of training clips and of held-out clips")
    audio: str = Field(description="digest of the clips that are used")
    init: str | None = Field(
        default=None, description="digest of the checkpoint that training starts from; null for random weights"
    )

    @property
    def shape(self) -> Shape:
        """Width, depth and heads."""
        return SHAPES[self.size]

    @property
    def official(self) -> bool:
        """Whether an official checkpoint format exists for this model."""
        return self.size in PUBLISHED_SIZES and self.stride == OFFICIAL[self.objective].stride
