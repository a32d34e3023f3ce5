"""How to run: machine, resources and folders. Nothing here changes a result beyond rounding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError

RESUME_SECONDS = 60.0  # a state of full fine-tuning has 1 GB, which takes longer to write than a short epoch


@dataclass(frozen=True)
class RunOptions:
    """Options of a run, passed whole from the caller to the workers.

    Attributes:
        data_root: folder of the official dataset folders.
        cache: folder of the audio cache; None decodes every time.
        checkpoints: paths of backbone checkpoints by sha256.
        address: Ray cluster to use; None starts one here.
        cpus: CPU cores to use in all; None for all of them.
        cpus_per_trial: CPU cores of one trial; None divides the machine.
        gpus_per_trial: GPUs of one trial, at most 1, fractions allowed; None packs by memory and measured throughput.
        exclusive: one trial per device, each in a fresh process, to measure time and memory.
        timeout: seconds after which a trial is ended; None for no limit.
        deterministic: use only algorithms that repeat bit for bit on a GPU.
        compile: compile training, which changes results by rounding only.
        test_curves: evaluate the test split after every epoch, not only where its score counts.
        checkpointing: compute activations again in the backward pass instead of keeping them, which changes no result.
        loggers: where curves are also written: `tensorboard`, `mlflow`, `wandb`.
        gang: trials that differ in what only the optimizer sees, and train only the head, compute its input once.
        verified: verdicts of `data verify` on the data as it is now, as JSON, by the manifest's digest.
        keep_weights: keep the trained parameters beside the record.
        restart_on_ray_death: run the command line of this process again when Ray's own processes die. Only for
            command lines: a script or a notebook would start from its beginning.
        resume_seconds: shortest time between two resume states of a trial; 0 saves one after every epoch.
    """

    data_root: Path
    cache: Path | None = None
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    address: str | None = None
    cpus: int | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: float | None = None
    exclusive: bool = False
    timeout: float | None = None
    deterministic: bool = False
    compile: bool = False
    gang: bool = False
    test_curves: bool = False
    checkpointing: bool = False
    verified: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    loggers: tuple[str, ...] = ()
    keep_weights: bool = False
    restart_on_ray_death: bool = False
    resume_seconds: float = field(default_factory=lambda: RESUME_SECONDS)

    def __post_init__(self) -> None:
        """Refuse values that no run can use.

        Raises:
            BenchmarkError: a number that is not one, or is out of range.
        """
        for name, (least, most, kind) in _LIMITS.items():
            value: Any = getattr(self, name)
            if value is None:
                continue
            is_number = isinstance(value, int) or (kind is float and isinstance(value, float))
            # nan compares false with everything
            if isinstance(value, bool) or not (is_number and least <= value <= most):
                limits = f"at least {least}" if most == math.inf else f"from {least} to {most:g}"
                raise BenchmarkError(f"{name} = {value!r}: expected a number, {limits}")
        if self.compile and self.deterministic:
            raise BenchmarkError("compile and deterministic: compiled training may differ by rounding; choose one")
        if self.gang and (self.compile or self.exclusive):
            other = "compile" if self.compile else "exclusive"
            reason = "are not compiled" if self.compile else "measure no time"
            raise BenchmarkError(f"gang and {other}: trials that share their features {reason}; choose one")


_LIMITS: dict[str, tuple[int, float, type]] = {  # least, most, kind
    "cpus": (1, math.inf, int),
    "cpus_per_trial": (1, math.inf, int),
    "gpus_per_trial": (0, 1, float),  # a trial trains on one GPU
    "timeout": (1, math.inf, float),
    "resume_seconds": (0, math.inf, float),
}
