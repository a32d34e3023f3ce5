"""Output about data: `data stats`."""

from __future__ import annotations

from pydantic import Field

from benchmark.api.schemas.base import Output


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
