"""What is known of a dataset before any of its files is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DatasetFacts:
    """Facts of one dataset, stated in its file under `benchmark/data/datasets/`.

    `folders` are the names that the official folder goes by under the data root, the first one found is taken.
    `folds` is empty where the dataset comes with listed `splits`. `clips` is the official number. `metric` is what is
    reported: accuracy, or the class mean of average precision.
    """

    name: str
    label: str
    description: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    clips: int
    seconds: float
    metric: Literal["accuracy", "map"]
    licence: str
    homepage: str
    citation: str
    by_hand: str
    folds: tuple[int, ...] = ()
    splits: tuple[str, ...] = ()

    multi_label: bool = False

    @property
    def fold_units(self) -> tuple[int, ...]:
        """Folds to train on; (0,) where there are none."""
        return self.folds or (0,)
