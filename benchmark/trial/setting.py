"""Where and with what one trial runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.schema import Cost
from benchmark.spec.options import RunOptions
from benchmark.spec.recipe import EVAL_FACTOR
from benchmark.trial.evaluation_plan import eval_factor


@dataclass(frozen=True)
class Setting:
    """The options of the run, and what differs between its trials. No field changes a result beyond rounding.

    Attributes:
        results: results folder that this process writes to.
        options: options of the run.
        device: `cpu` or `cuda`.
        threads: CPU threads for arithmetic.
        workers: processes that may load data; 0 loads in the trial's own process.
        gpu_share: part of the GPU's memory that the trial may fill; 1 is all of it.
        fresh_process: True when this process runs no other trial, so that its peak memory belongs to the trial.
        cost: counted cost of a training step; None counts it again.
        stop: file whose presence asks to stop after the current epoch.
        run: name of the call of `run`; an attempt of it that ended by timeout is not repeated.
        outside: places of methods and backbones from outside the suite, see `benchmark.trial.outside`.
        features: folder of features that several trials of the run share; None shares none.
        sharers: number of trials of the run that train on the same batches.
        numerics_version: numerics version of the code that submitted the trial.
    """

    results: Path
    options: RunOptions
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    gpu_share: float = 1.0
    fresh_process: bool = False
    cost: Cost | None = None
    stop: Path | None = None
    run: str = ""
    outside: Mapping[str, str] = field(default_factory=dict)
    features: Path | None = None
    sharers: int = 1
    numerics_version: int = NUMERICS_VERSION

    @property
    def eval_factor(self) -> int:
        """Return how many training batches are evaluated at once, which changes results by rounding only.

        On a CPU, larger batches leave its caches. CUDA graphs keep the memory of training during an evaluation.
        """
        if self.cost is None or self.device == "cpu" or self.options.compile:
            return EVAL_FACTOR
        return eval_factor(self.cost)

    @property
    def asked_to_stop(self) -> bool:
        """Return True when the user asked to stop the run."""
        return self.stop is not None and self.stop.exists()
