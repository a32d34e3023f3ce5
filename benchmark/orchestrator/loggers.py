"""Write training curves for TensorBoard, MLflow and Weights & Biases through Ray's callbacks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback

from benchmark.commands import install
from benchmark.errors import BenchmarkError, first_line
from benchmark.orchestrator.ray_compat import TensorBoardFolders


class TensorBoard(TensorBoardFolders):
    """Write event files into the results folder, in a folder per trial that is named by its label.

    Args:
        folder: folder of the event files.
        labels: labels by trial id.
    """

    def __init__(self, folder: Path, labels: Mapping[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder = folder
        self.labels = dict(labels)

    def log_trial_start(self, trial: Any) -> None:
        """Open the trial's event file (called by Tune)."""
        self.open_writer(trial, self.folder / self.labels[trial.trial_id].replace(" ", "/"))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Close the trial's event file (called by Tune)."""
        self.close_writer(trial)


def _tensorboard(folder: Path, labels: Mapping[str, str]) -> Callback:
    return TensorBoard(folder, labels)


def _mlflow(folder: Path, labels: Mapping[str, str]) -> Callback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    address = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.absolute()}/mlflow.db")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return MLflowLoggerCallback(tracking_uri=address, experiment_name=folder.parent.parent.name)
    except (ImportError, RuntimeError) as error:
        raise BenchmarkError(f"--log mlflow: {first_line(error)}; {install('mlflow')}") from None


def _wandb(folder: Path, labels: Mapping[str, str]) -> Callback:
    """Return the callback of Weights & Biases: a run per trial, in files unless WANDB_MODE says otherwise.

    Ray's callback starts a process for each trial, which need not inherit this environment: it is passed on.
    """
    from ray.air.integrations.wandb import WandbLoggerCallback

    mode = os.environ.setdefault("WANDB_MODE", "offline")
    # W&B refuses project names with these characters
    project = os.environ.get("WANDB_PROJECT") or re.sub(r"[/\\#?%:]", "-", folder.absolute().parent.parent.name)[:128]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        return WandbLoggerCallback(
            project=project,
            group=os.environ.get("WANDB_RUN_GROUP", "trials"),
            entity=os.environ.get("WANDB_ENTITY"),
            mode=mode,
            dir=str(folder.absolute().parent),  # in which W&B makes the folder `wandb`
            resume="allow",  # a trial that continues keeps its curve
        )
    except (ImportError, RuntimeError) as error:
        raise BenchmarkError(f"--log wandb: {first_line(error)}; {install('wandb')}") from None


_MAKERS: dict[str, Callable[[Path, Mapping[str, str]], Callback]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


def make_loggers(names: Sequence[str], folder: Path, labels: Mapping[str, str]) -> list[Callback]:
    """Return Ray's callbacks of these names.

    Args:
        names: `tensorboard`, `mlflow`, `wandb`.
        folder: the results folder.
        labels: labels of the trials by id.

    Raises:
        BenchmarkError: the library of a logger is not installed.
    """
    return [_MAKERS[name](folder / "logs" / name, labels) for name in dict.fromkeys(names)]
