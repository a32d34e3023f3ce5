"""Curves for TensorBoard and MLflow, through Ray's callbacks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.logger import TBXLoggerCallback

from benchmark.errors import BenchmarkError


class TensorBoard(TBXLoggerCallback):
    """Ray's, but into a folder that stays, under the trials' names.

    Args:
        folder: of the event files.
        labels: names by trial id.
    """

    def __init__(self, folder: Path, labels: Mapping[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder = folder
        self.labels = dict(labels)

    def log_trial_start(self, trial: Any) -> None:
        """Open the trial's event file."""
        name = self.labels[trial.trial_id].replace(" ", "/")
        self._trial_writer[trial] = self._summary_writer_cls(str(self.folder / name), flush_secs=30)
        self._trial_result[trial] = {}

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Close it; no table of hyper-parameters, which the records hold."""
        if writer := self._trial_writer.pop(trial, None):
            writer.close()


def _tensorboard(folder: Path, labels: Mapping[str, str]) -> Callback:
    return TensorBoard(folder, labels)


def _mlflow(folder: Path, labels: Mapping[str, str]) -> Callback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    address = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.absolute()}/mlflow.db")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return MLflowLoggerCallback(tracking_uri=address, experiment_name=folder.parent.parent.name)
    except (ImportError, RuntimeError) as error:
        raise BenchmarkError(f"--log mlflow: {str(error).splitlines()[0]}; pip install -e '.[mlflow]'") from None


_MAKERS: dict[str, Callable[[Path, Mapping[str, str]], Callback]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}


def make_loggers(names: Sequence[str], folder: Path, labels: Mapping[str, str]) -> list[Callback]:
    """Ray's callbacks of those names.

    Args:
        names: `tensorboard`, `mlflow`.
        folder: the results folder.
        labels: trials' names by id.

    Raises:
        BenchmarkError: MLflow is not installed.
    """
    return [_MAKERS[name](folder / "logs" / name, labels) for name in dict.fromkeys(names)]
