"""Step profiles to rows: one row per profile of a training step, with ratios to full fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from benchmark.records.environment import measured_on
from benchmark.records.schema import StepProfile
from benchmark.report.full_rows import full_rows
from benchmark.spec.request import TrialRequest

COLUMNS = [
    "device", "threads", "precision", "backbone", "size", "dataset", "method", "status", "clips", "step_seconds",
    "step_seconds_low", "step_seconds_high", "time_ratio", "clips_per_second", "gpu_allocated_bytes", "memory_ratio",
    "gpu_reserved_bytes", "host_rss_bytes",
    "train_flops", "forward_flops", "saved_bytes", "optimizer_bytes", "stored_bytes", "trainable", "step_key",
    "whole_batch", "changed",
]  # fmt: skip
# ratios are within rows that share these
COMPARABLE = ["device", "threads", "backbone", "size", "dataset", "precision"]


def tabulate_steps(profiles: Iterable[StepProfile], methods: list[str]) -> pd.DataFrame:
    """Return one row per profile, with the columns `COLUMNS`.

    Args:
        profiles: measured or counted training steps.
        methods: names of methods in the order of the rows; other methods follow by name.
    """
    profiles = list(profiles)
    rows = [_row(profile) for profile in profiles]
    requests = dict(enumerate(profile.request for profile in profiles))
    table = pd.DataFrame(rows, columns=COLUMNS).astype(
        {"device": str, "backbone": str, "size": str}
    )  # text in an empty table too
    for name in ("step_seconds", "step_seconds_low", "step_seconds_high", "gpu_allocated_bytes", "clips"):
        table[name] = pd.to_numeric(table[name])
    # The recipe may give full fine-tuning another batch size: time is compared per clip, memory per step.
    table["time_ratio"] = _ratio_to_full(table, table["step_seconds"] / table["clips"], requests)
    table["memory_ratio"] = _ratio_to_full(table, table["gpu_allocated_bytes"], requests)
    places = {name: number for number, name in enumerate(methods)}
    table["order"] = table["method"].map(lambda name: places.get(name, len(places)))
    keys = ["backbone", "device", "threads", "size", "dataset", "order", "method"]
    return table.sort_values(keys, ignore_index=True).drop(columns="order")


def _row(profile: StepProfile) -> dict[str, object]:
    request = profile.request
    low, high = profile.step_seconds_spread or (None, None)
    return {
        **profile.model_dump(include=set(COLUMNS)),
        **profile.cost.model_dump(include=set(COLUMNS) - {"clips"}),
        "device": measured_on(profile.device, profile.environment),
        "backbone": request.backbone.name,
        "size": request.backbone.size_text,
        "dataset": request.dataset.name,
        "method": request.method.variant,
        "clips_per_second": profile.clips / profile.step_seconds if profile.step_seconds else None,
        "step_seconds_low": low,
        "step_seconds_high": high,
        "trainable": profile.parameters.trainable,
        "step_key": request.step_key,
        "whole_batch": profile.clips == request.recipe.batch_size,
        "changed": bool(request.recipe_changes),
    }


def _ratio_to_full(table: pd.DataFrame, values: pd.Series, requests: Mapping[int, TrialRequest]) -> pd.Series:
    """Return values divided by that of full fine-tuning in comparable rows; empty where there is none.

    Args:
        table: rows of profiles.
        values: the value of each row.
        requests: the request of each row, by row label.
    """
    compared: dict[int, int] = {}
    for _, rows in table[values.notna()].groupby(COMPARABLE, sort=False):
        compared |= full_rows(rows, requests)
    return values / pd.Series(compared, dtype=float).reindex(table.index).map(values)
