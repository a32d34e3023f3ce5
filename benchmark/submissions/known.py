"""What the suite knows of datasets, methods and itself; a submission is compared with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmark.records.schema import Parameters
from benchmark.spec.request import TrialRequest


@dataclass(frozen=True)
class KnownDataset:
    """Official facts of a dataset.

    Attributes:
        clips: number of clips.
        classes: number of classes.
        folds: numbers of the folds; (0,) if it has none.
        metric: what is reported.
        test_clips: test clips by fold; empty if they are not published.
        audio: digest of the publisher's audio, as `data verify` computes it; None if none is published.
    """

    clips: int
    classes: int
    folds: tuple[int, ...]
    metric: Literal["accuracy", "map"]
    test_clips: Mapping[int, int] = field(default_factory=dict)
    audio: str | None = None


@dataclass(frozen=True)
class Known:
    """What the suite knows.

    Attributes:
        release: of this suite.
        datasets: its datasets; those of a user's folder or a public collection are not among them.
        methods: names of its methods.
        backbones: names of its backbones.
        count: counts the parameters of a trial of its methods; None where it cannot. Code of a submission never runs.
    """

    release: str
    datasets: Mapping[str, KnownDataset]
    methods: frozenset[str]
    backbones: frozenset[str]
    count: Callable[[TrialRequest, int], Parameters | None]
