"""Trials to table cells: one row per protocol, backbone, dataset and method, nothing incomplete averaged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmark.records.frame import COUNTED
from benchmark.spec.request import TrialRequest

DIGITS = 12  # beyond them a spread of equal numbers is rounding
MIXED = {"numerics versions": "numerics_version", "precision": "precision", "devices": "device", "data": "data"}
KEYS = ["protocol", "backbone", "dataset", "method"]
COLUMNS = {
    "cell": "digest of the request without fold and seed; `explain` takes it",
    **dict.fromkeys(KEYS, ""),
    "settings": "what sets this row apart from others of the same protocol, backbone, dataset and method",
    "metric": "accuracy or map",
    "rule": "how the epoch was chosen",
    "score": "mean over folds and seeds, in [0, 1]; empty while trials are missing",
    "validation": "the same on the validation clips, where there are some",
    "low": "lower end of the 95 % bootstrap interval of the score, over clips (map: classes) and seeds",
    "high": "its upper end",
    "best": "the best of its dataset under this protocol and backbone, or not to be told from it (5 %, Holm)",
    "seed_sd": "standard deviation over seeds of the mean over folds",
    "fold_sd": "standard deviation over folds of the mean over seeds",
    "seeds": "seeds that were submitted",
    "folds": "folds that were submitted",
    "official_folds": "folds of the dataset",
    "done": "trials that are finished",
    "expected": "trials that were submitted",
    "diverged": "trials whose loss was not finite",
    "epochs_chosen": "the chosen epoch of every seed",
    "trainable": "parameters that train",
    "total": "parameters of the adapted model",
    "trainable_reference": "counted as the reference does",
    "total_reference": "counted as the reference does",
    "unused_heads": "whether the protocol counts the reference's two unused heads",
    "seconds_per_epoch": "training and the wait for its data, median over trials",
    "data_seconds_per_epoch": "the wait for data alone",
    "time_ratio": "seconds per epoch against full fine-tuning's on the same device",
    "clips_per_second": "training throughput, median over trials",
    "gpu_allocated_bytes": "peak GPU memory allocated, median over trials that had the device to themselves",
    "gpu_reserved_bytes": "peak GPU memory reserved, likewise",
    "memory_ratio": "allocated GPU memory against full fine-tuning's on the same device",
    "train_flops": "operations of a forward and backward pass, per clip (multiply-adds count as two)",
    "forward_flops": "operations of a forward pass, per clip",
    "saved_bytes": "activations kept for the backward pass of a batch",
    "optimizer_bytes": "what the optimiser keeps",
    "stored_bytes": "what must be stored per task",
    "shared": "the time was measured while other trials of the run used the machine",
    "device": "device names",
    "numerics": "numerics versions of the records",
    "marks": "why the row does not speak for the paper; empty when it does",
}


def summarise(
    frame: pd.DataFrame,
    requests: Mapping[str, TrialRequest],
    expected: Mapping[str, set[tuple[int, int]]],
    order: Mapping[str, list[str]],
) -> pd.DataFrame:
    """One row per cell, columns as in `COLUMNS`; intervals and tie groups are left open.

    Args:
        frame: finished trials.
        requests: a request of every cell.
        expected: by cell, folds and seeds that were asked for; where it says nothing of a cell, all folds of the
            dataset are expected.
        order: names of datasets and methods in the order they are to stand in; others follow by name.
    """
    trials = dict(list(frame.groupby("cell", sort=False)))
    settings = _settings(requests)
    rows = [
        {"cell": cell, **_summary(request, trials.get(cell, frame.iloc[:0]), expected.get(cell), settings[cell])}
        for cell, request in requests.items()
    ]
    keys = [*KEYS, "settings"]
    return add_ratios(
        pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
            keys, key=lambda column: _ranks(column, order), ignore_index=True
        )
    )


def add_ratios(cells: pd.DataFrame) -> pd.DataFrame:
    """Time and memory against full fine-tuning's, where both were measured on one and the same device."""
    for ratio, value in (("time_ratio", "seconds_per_epoch"), ("memory_ratio", "gpu_allocated_bytes")):
        cells[ratio] = pd.Series(index=cells.index, dtype=float)
        for _, rows in cells.groupby(["protocol", "backbone", "dataset", "device"], sort=False):
            full = rows[(rows["method"] == "full") & rows[value].notna()]
            if len(full) == 1 and rows["shared"].nunique() == 1:
                cells.loc[rows.index, ratio] = pd.to_numeric(rows[value]) / float(full[value].iloc[0])
    return cells


def _summary(
    request: TrialRequest, trials: pd.DataFrame, expected: set[tuple[int, int]] | None, settings: str
) -> dict[str, Any]:
    head = trials.iloc[0] if len(trials) else None
    official = int(head["official_folds"]) if head is not None else None
    have = set(zip(trials["fold"], trials["seed"], strict=True))
    seeds = sorted({seed for _, seed in expected or have})
    folds = sorted({fold for fold, _ in expected or have})
    # every seed has to have every fold, or the mean over seeds would be one over folds as well
    wanted = len(folds if expected else range(official or 0)) * len(seeds)
    done = len(have & expected if expected else have)
    diverged = int((trials["status"] == "diverged").sum())
    by_seed = trials.groupby("seed")["score"].mean()
    by_fold = trials.groupby("fold")["score"].mean()
    complete = done == wanted == len(trials) and not diverged and trials["score"].notna().all()
    validated = complete and trials["validation"].notna().all()
    marks = list(dict.fromkeys([*request.marks, *filter(None, "; ".join(trials["marks"]).split("; "))]))
    marks += [f"records of different {name}" for name, column in MIXED.items() if trials[column].nunique() > 1]
    if official and len(folds) < official:
        marks.append(f"folds {', '.join(map(str, folds))} of {official}")
    return {
        "protocol": request.protocol.name,
        "backbone": request.backbone.variant,
        "dataset": request.dataset.name,
        "method": request.method.variant,
        "settings": settings,
        "metric": head["metric"] if head is not None else None,
        "rule": head["rule"] if head is not None else None,
        "score": by_seed.mean() if complete else None,
        "validation": trials.groupby("seed")["validation"].mean().mean() if validated else None,
        "seed_sd": round(by_seed.std(), DIGITS) if complete and len(by_seed) > 1 else None,
        "fold_sd": round(by_fold.std(), DIGITS) if complete and len(by_fold) > 1 else None,
        "seeds": " ".join(map(str, seeds)),
        "folds": " ".join(map(str, folds)),
        "official_folds": official,
        "done": done,
        "expected": wanted,
        "diverged": diverged,
        "epochs_chosen": " ".join(str(int(epoch)) for epoch in trials.groupby("seed")["epoch"].first().dropna()),
        **{key: int(head[key]) if head is not None else None for key in _COUNTS},
        "unused_heads": request.protocol.count_unused_heads,
        "seconds_per_epoch": trials["seconds_per_epoch"].median() if len(trials) else None,
        "data_seconds_per_epoch": trials["data_seconds_per_epoch"].median() if len(trials) else None,
        "clips_per_second": trials["clips_per_second"].median() if len(trials) else None,
        **{key: trials.loc[trials["exclusive"].astype(bool), key].median() for key in _MEMORY},
        **{key: head[key] if head is not None else None for key in COUNTED},
        "shared": not trials["exclusive"].all() if len(trials) else None,
        "device": "; ".join(sorted(set(trials["device"]))),
        "numerics": " ".join(map(str, sorted(set(trials["numerics_version"])))),
        "marks": "; ".join(marks),
    }


_MEMORY = ("gpu_allocated_bytes", "gpu_reserved_bytes")
_COUNTS = ("trainable", "total", "trainable_reference", "total_reference")


def _ranks(column: pd.Series, order: Mapping[str, list[str]]) -> pd.Series:
    """Sort keys: the place in the given order by bare name, then the text."""
    names = order.get(f"{column.name}s", [])
    bare = column.str.replace(r"\[[^\]]*\]", "", regex=True)
    places = bare.map(lambda name: names.index(name) if name in names else len(names))
    return places.map("{:04d}".format) + column


def _settings(requests: Mapping[str, TrialRequest]) -> dict[str, str]:
    """For cells that differ in more than their key, the values that tell them apart: `epochs=2`."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for cell, request in requests.items():
        key = (request.protocol.name, request.backbone.variant, request.dataset.name, request.method.variant)
        groups.setdefault(key, []).append(cell)
    notes = {}
    for cells in groups.values():
        flat = {cell: _flat(requests[cell].model_dump(mode="json", exclude={"fold", "seed"})) for cell in cells}
        keys = {key for values in flat.values() for key in values}
        differing = sorted(key for key in keys if len({str(values.get(key)) for values in flat.values()}) > 1)
        for cell, values in flat.items():
            notes[cell] = ", ".join(f"{key.rpartition('.')[2]}={_short(values.get(key))}" for key in differing)
    return notes


def _short(value: object) -> str:
    """A value as text; of a digest the beginning."""
    text = str(value)
    return text[:8] if re.fullmatch("[0-9a-f]{64}", text) else text


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(number): entry for number, entry in enumerate(value)}  # noqa: PLW2901
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
