"""How to run: machine, resources and folders. Nothing here changes a result beyond rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
        gpus_per_trial: GPUs of one trial, fractions allowed; None packs by memory.
        exclusive: one trial per device, each in a fresh process, to measure time and memory.
        timeout: seconds after which a trial is ended; None for no limit.
        deterministic: use only algorithms that repeat bit for bit on a GPU.
        loggers: where curves are also written: `tensorboard`, `mlflow`.
        keep_weights: keep the trained parameters beside the record.
        restart_on_ray_death: run the command line of this process again when Ray's own processes die. Only for
            command lines: a script or a notebook would start from its beginning.
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
    loggers: tuple[str, ...] = ()
    keep_weights: bool = False
    restart_on_ray_death: bool = False
