"""What a worker receives: the request, the setting and the resources of a trial. This is the process boundary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from benchmark.planning.packing import Share
from benchmark.records.schema import Cost
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.outside import outside_places
from benchmark.trial.setting import Setting

if TYPE_CHECKING:
    from benchmark.orchestrator.remote_results import RelayAddress


class WorkerConfig(TypedDict):
    """Ray Tune's config of one trial.

    Attributes:
        request: the request as JSON content: loggers such as MLflow show it key by key.
        setting: where and with what the trial runs; the worker fills in the device.
        bundle: resources in Ray's form.
        labels: Ray's label selector of the machines that may run it; empty for all.
        relay: where results go when the worker does not see the results folder; None without a cluster.
    """

    request: dict[str, Any]
    setting: Setting
    bundle: dict[str, float]
    labels: dict[str, str]
    relay: RelayAddress | None


def run_setting(
    options: RunOptions,
    results: Path,
    requests: Iterable[TrialRequest],
    *,
    stop: Path,
    run: str = "",
    features: Path | None = None,
) -> Setting:
    """Return what the settings of all trials of a run have in common.

    Args:
        options: options of the run.
        results: the results folder.
        requests: all trials of the run.
        stop: file whose presence asks to stop.
        run: name of this call of `run`.
        features: see `Setting`.
    """
    return Setting(
        results=results,
        options=_with_absolute_folders(options),
        fresh_process=options.exclusive,
        stop=stop,
        run=run,
        features=features,
        outside=outside_places(requests),
    )


def _with_absolute_folders(options: RunOptions) -> RunOptions:
    """Return the options for workers, which may have another working directory."""
    cache = options.cache and options.cache.absolute()
    return dataclasses.replace(options, data_root=options.data_root.absolute(), cache=cache)


def trial_setting(setting: Setting, share: Share, cost: Cost | None, sharers: int = 1) -> Setting:
    """Return the setting of one trial.

    Args:
        setting: what all trials have in common.
        share: resources of the trial.
        cost: counted cost of a step; None counts it again.
        sharers: number of trials with the same batches.
    """
    return dataclasses.replace(
        setting,
        threads=share.cpus,
        workers=share.workers,
        gpu_share=share.gpus,
        cost=cost,
        sharers=sharers,
    )


def make_worker_config(
    request: TrialRequest,
    share: Share,
    cost: Cost | None,
    setting: Setting,
    relay: RelayAddress | None = None,
    sharers: int = 1,
) -> WorkerConfig:
    """Return the config of one trial.

    Args:
        request: the trial.
        share: its resources.
        cost: counted cost of a step; None counts it again.
        setting: what all trials have in common.
        relay: see `WorkerConfig`.
        sharers: number of trials with the same batches.
    """
    return WorkerConfig(
        request=request.model_dump(mode="json"),
        setting=trial_setting(setting, share, cost, sharers),
        bundle=share.bundle,
        labels=share.labels,
        relay=relay,
    )
