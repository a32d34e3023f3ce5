"""The table of measured steps."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from benchmark.records.schema import StepProfile

STEPS = [
    "device", "threads", "precision", "size", "dataset", "method", "status", "clips", "step_seconds", "time_ratio",
    "clips_per_second", "gpu_allocated_bytes", "memory_ratio", "gpu_reserved_bytes", "host_rss_bytes", "train_flops",
    "forward_flops", "saved_bytes", "optimizer_bytes", "stored_bytes", "trainable", "step_key",
    "whole_batch", "changed",
]  # fmt: skip


def steps(profiles: Iterable[StepProfile], methods: list[str]) -> pd.DataFrame:
    """One row a profile, methods in the order given; columns as in `STEPS`."""
    rows = []
    for each in profiles:
        request = each.request
        rows.append(
            {
                **each.model_dump(include=set(STEPS)),
                **each.cost.model_dump(include=set(STEPS) - {"clips"}),
                "size": request.backbone.size,
                "dataset": request.dataset.name,
                "method": request.method.variant,
                "clips_per_second": each.clips / each.step_seconds if each.step_seconds else None,
                "trainable": each.parameters.trainable,
                "step_key": request.step_key,
                "whole_batch": each.clips == request.recipe.batch_size,
                "changed": bool(request.recipe_changes),
            }
        )
    table = pd.DataFrame(rows, columns=STEPS).astype({"device": str, "size": str})  # text where there are no rows too
    for ratio, value in (("time_ratio", "step_seconds"), ("memory_ratio", "gpu_allocated_bytes")):
        table[value] = pd.to_numeric(table[value])
        table[ratio] = pd.Series(index=table.index, dtype=float)
        for _, group in table.groupby(["device", "threads", "size", "dataset", "precision"], sort=False):
            full = group[(group["method"] == "full") & group[value].notna()]
            if len(full) == 1:
                per_clip = group[value] / group["clips"] if value == "step_seconds" else group[value]
                own = float(full[value].iloc[0]) / (int(full["clips"].iloc[0]) if value == "step_seconds" else 1)
                table.loc[group.index, ratio] = per_clip / own
    places = {name: number for number, name in enumerate(methods)}
    order = table["method"].map(lambda name: places.get(name, len(places)))
    return table.assign(order=order).sort_values(["device", "threads", "size", "dataset", "order", "method"],
                                                 ignore_index=True).drop(columns="order")  # fmt: skip


def steps_text(table: pd.DataFrame) -> pd.DataFrame:
    """For people: milliseconds, MB, GFLOPs, with the ratio to full fine-tuning."""

    def number(value: float, scale: float, ratio: float | None = None) -> str:
        if pd.isna(value):
            return ""
        return f"{value * scale:.1f}" + (f" ({ratio:.2f})" if ratio is not None and pd.notna(ratio) else "")

    rows = table.to_dict("records")
    text = table[["device", "threads", "size", "dataset", "method", "clips"]].copy()
    text["ms/step"] = [number(row["step_seconds"], 1e3, row["time_ratio"]) for row in rows]
    text["clips/s"] = [number(row["clips_per_second"], 1) for row in rows]
    text["peak MB"] = [number(row["gpu_allocated_bytes"], 1e-6, row["memory_ratio"]) for row in rows]
    text["GFLOPs/clip"] = [number(row["train_flops"], 1e-9) for row in rows]
    text["saved MB"] = [number(row["saved_bytes"], 1e-6) for row in rows]
    text["optimizer MB"] = [number(row["optimizer_bytes"], 1e-6) for row in rows]
    text["stored MB"] = [number(row["stored_bytes"], 1e-6) for row in rows]
    return text
