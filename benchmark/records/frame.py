"""The pandas view of a results folder: one row per finished trial."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.records.schema import Record, best_epoch
from benchmark.records.store import ResultStore

COLUMNS = {
    "id": "the trial's id",
    "cell": "trials of one table cell share it: the request without fold and seed",
    "status": "completed or diverged",
    "protocol": "protocol name, with switches that were set alone",
    "backbone": "backbone with what differs from its declared entry",
    "pretraining": "supervised or self-supervised",
    "dataset": "dataset name",
    "method": "method with the hyper-parameters that differ from their defaults",
    "fold": "fold, 0 where the dataset has none",
    "seed": "seed",
    "lr": "learning rate of the recipe",
    "batch_size": "batch size of the recipe",
    "recipe_changes": "values that differ from the dataset's own recipe, as JSON",
    "metric": "accuracy, or map (class mean of average precision)",
    "rule": "how the epoch was chosen",
    "epoch": "the chosen epoch",
    "epochs": "epochs trained",
    "score": "the metric on the reported split at the chosen epoch, in [0, 1]",
    "score_last": "the same at the last epoch",
    "validation": "the metric on the validation split at the chosen epoch, where there is one",
    "validation_last": "the metric on the validation split at the last epoch, where there is one",
    "train_loss": "training loss at the last epoch",
    "trainable": "parameters that train",
    "total": "parameters of the adapted model",
    "method_parameters": "parameters that the method added",
    "trainable_reference": "parameters that train, counted as the reference does (two unused heads)",
    "total_reference": "parameters of the adapted model, counted as the reference does",
    "seconds_per_epoch": "training and the wait for its data, median over the epochs after the first",
    "data_seconds_per_epoch": "the wait for training data alone, likewise",
    "clips_per_second": "training throughput",
    "gpu_allocated_bytes": "peak GPU memory allocated",
    "gpu_reserved_bytes": "peak GPU memory reserved",
    "host_rss_bytes": "peak resident memory of the process",
    "train_flops": "operations of a forward and backward pass, per clip (multiply-adds count as two)",
    "forward_flops": "operations of a forward pass, per clip",
    "saved_bytes": "activations kept for the backward pass of a batch",
    "optimizer_bytes": "what the optimiser keeps",
    "stored_bytes": "what must be stored per task",
    "step_key": "trials that share it take the same training steps",
    "device": "device name",
    "precision": "what the arithmetic was done in",
    "exclusive": "no other trial of the run used the device",
    "data": "complete, partial or synthetic",
    "official_folds": "fold units of the dataset",
    "marks": "why the row does not speak for the paper; empty when it does",
    "finished": "when, UTC",
    "record": "the record's path in the results folder",
    "environment": "digest of the environment",
    "numerics_version": "version of the numbers that the code computes",
    "fingerprint": "digest of the code's files",
}

Curve = npt.NDArray[np.float64]
COUNTED = ("train_flops", "forward_flops", "saved_bytes", "optimizer_bytes", "stored_bytes")


def load_results(results: str | Path) -> pd.DataFrame:
    """One row per finished trial, columns as in `COLUMNS`; see `benchmark.load_results`.

    Where the protocol chooses one epoch over all folds, it is chosen here, over the folds that are there, for each
    seed: the first epoch with the highest mean score.
    """
    store = ResultStore(Path(results))
    store.require()
    return to_frame(store.records())


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Records as rows; see `load_results`."""
    return tabulate(records)[0]


def tabulate(records: Iterable[Record]) -> tuple[pd.DataFrame, dict[str, Curve]]:
    """Records as rows, and by trial (epochs,) the metric on the reported split, in [0, 1], nan where it is unknown.

    No record is kept: thousands fill the memory.
    """
    rows: list[dict[str, Any]] = []
    curves: dict[str, Curve] = {}
    choosing: dict[tuple[str, int], list[tuple[dict[str, Any], Curve, bool]]] = {}
    for record in records:
        row, scores, chosen = _row(record), _curve(record), record.selection
        rows.append(row)
        curves[record.id] = scores
        if chosen.scope == "folds" and record.status == "completed":
            chooses = chosen.folds is None or record.request.fold in chosen.folds
            choosing.setdefault((row["cell"], row["seed"]), []).append((row, scores, chooses))
    for trials in choosing.values():
        epoch = _best_mean([scores for _, scores, chooses in trials if chooses])
        for row, _, _ in trials:
            row["epoch"] = epoch
    for row in rows:
        row["score"] = _known(curves[row["id"]][row["epoch"] - 1]) if row["epoch"] else None
    order = ["protocol", "backbone", "dataset", "method", "seed", "fold", "id"]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(order, ignore_index=True), curves


def _curve(record: Record) -> Curve:
    chosen = record.selection
    return np.array([point.splits[chosen.split][chosen.metric] for point in record.curves], dtype=float)


def _best_mean(curves: list[Curve]) -> int | None:
    return best_epoch([_known(mean) for mean in np.mean(np.array(curves), axis=0)]) if curves else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _per_epoch(record: Record, *purposes: str) -> float:
    """Median seconds; the first epoch pays for caches and does not count where there are others."""
    epochs = [sum(point.seconds[purpose] for purpose in purposes) for point in record.curves]
    return float(np.median(epochs[1:] or epochs))


def _validation(record: Record) -> float | None:
    """At the trial's own chosen epoch; a dataset with a validation list chooses no epoch over folds."""
    epoch = record.selection.epoch
    return record.curves[epoch - 1].splits.get("validation", {}).get(record.selection.metric) if epoch else None


def _row(record: Record) -> dict[str, Any]:
    """All but the score, and the epoch where all folds choose it."""
    request, profile, selection = record.request, record.profile, record.selection
    return {
        "id": record.id,
        "cell": request.cell,
        "status": record.status,
        "protocol": request.protocol.name,
        "backbone": request.backbone.variant,
        "pretraining": request.backbone.pretraining,
        "dataset": request.dataset.name,
        "method": request.method.variant,
        "fold": request.fold,
        "seed": request.seed,
        "lr": request.recipe.lr,
        "batch_size": request.recipe.batch_size,
        "recipe_changes": json.dumps(request.recipe_changes),
        "metric": selection.metric,
        "rule": selection.rule,
        "epoch": selection.epoch,
        "epochs": len(record.curves),
        "score_last": record.curves[-1].splits[selection.split][selection.metric],
        "validation": _validation(record),
        "validation_last": record.curves[-1].splits.get("validation", {}).get(selection.metric),
        "train_loss": record.curves[-1].train_loss,
        "trainable": record.parameters.trainable,
        "total": record.parameters.total,
        "method_parameters": record.parameters.method,
        "trainable_reference": record.parameters.trainable_reference,
        "total_reference": record.parameters.total_reference,
        "seconds_per_epoch": _per_epoch(record, "train", "data"),
        "data_seconds_per_epoch": _per_epoch(record, "data"),
        "clips_per_second": profile.train_clips_per_second,
        "gpu_allocated_bytes": profile.gpu_allocated_bytes,
        "gpu_reserved_bytes": profile.gpu_reserved_bytes,
        "host_rss_bytes": profile.host_rss_bytes,
        **{key: getattr(record.cost, key, None) for key in COUNTED},
        "step_key": request.step_key,
        "device": profile.device,
        "precision": profile.precision,
        "exclusive": profile.exclusive,
        "data": record.data.kind,
        "official_folds": record.data.official_folds,
        "marks": "; ".join(record.marks),
        "finished": record.finished,
        "record": f"trials/{request.path_stem}.json",
        "environment": record.environment_hash,
        "numerics_version": record.numerics_version,
        "fingerprint": record.fingerprint,
    }
