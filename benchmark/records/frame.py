"""The pandas view of a results folder: one row per finished trial."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.records.environment import measured_on
from benchmark.records.schema import Record, best_epoch
from benchmark.records.store import TRIALS, ResultStore

COLUMNS = {
    "id": "id of the trial",
    "cell": "digest of the request without fold and seed; trials of one table cell share it",
    "status": "completed or diverged",
    "protocol": "protocol name, with switches that were set one by one",
    "backbone": "backbone, with the options that differ from its declared entry",
    "pretraining": "supervised or self-supervised",
    "dataset": "dataset name",
    "method": "method, with the hyper-parameters that differ from their defaults",
    "fold": "fold; 0 if the dataset has no folds",
    "seed": "seed of all random streams",
    "shots": "few-shot: training clips per class; empty if all training clips were used",
    "draw": "few-shot: number of the draw of the training clips; empty if all were used",
    "unit": "what errors between trained models are counted over: the seed, in few-shot trials the draw",
    "lr": "learning rate of the recipe",
    "batch_size": "batch size of the recipe",
    "recipe_changes": "values that differ from the dataset's recipe, as JSON",
    "metric": "accuracy, or map (mean average precision over classes)",
    "rule": "how the reported epoch is chosen",
    "epoch": "the chosen epoch, from 1",
    "epochs": "number of trained epochs",
    "score": "metric of the reported split at the chosen epoch, in [0, 1]",
    "score_last": "metric of the reported split at the last epoch, in [0, 1]",
    "validation": "metric of the validation split at the chosen epoch, in [0, 1]; empty without a validation split",
    "validation_last": "metric of the validation split at the last epoch, in [0, 1]; empty without a validation split",
    "train_loss": "training loss at the last epoch",
    "trainable": "number of trainable parameters",
    "total": "number of parameters of the adapted model",
    "method_parameters": "number of parameters that the method added",
    "trainable_reference": "trainable parameters as the reference counts them (with two unused heads)",
    "total_reference": "parameters of the adapted model as the reference counts them (with two unused heads)",
    "seconds_per_epoch": "seconds of training, with waiting for data; median over the epochs after the first; null "
    "where trials shared their features",
    "data_seconds_per_epoch": "seconds of waiting for training data; median over the epochs after the first; null "
    "where trials shared their features",
    "clips_per_second": "training throughput",
    "total_seconds": "seconds of the whole trial, from its set-up to its last evaluation",
    "train_seconds": "seconds of training, without waiting for data",
    "data_seconds": "seconds of waiting for training data",
    "eval_seconds": "seconds of evaluation, with its data",
    "gpu_allocated_bytes": "peak allocated GPU memory in training, without filter banks and what evaluation keeps",
    "gpu_reserved_bytes": "peak reserved GPU memory in training, without filter banks",
    "host_rss_bytes": "peak resident memory of the process in training",
    "train_flops": "operations of a forward and backward pass per clip (a multiply-add counts as two)",
    "forward_flops": "operations of a forward pass per clip",
    "saved_bytes": "activations kept for the backward pass of a batch",
    "optimizer_bytes": "size of the optimizer state",
    "stored_bytes": "size of what must be stored per task",
    "step_key": "digest of the training step; trials that share it have the same cost per step",
    "device": "device name, and how training was compiled, if it was",
    "precision": "precision of the arithmetic",
    "exclusive": "whether no other trial of the run used the device",
    "data": "complete, partial or synthetic",
    "official_folds": "number of folds of the dataset",
    "marks": "reasons why the row is not comparable with the paper; empty if it is comparable",
    "finished": "end of the trial, UTC",
    "record": "path of the record in the results folder",
    "environment": "digest of the environment",
    "numerics_version": "version of the numbers that the code computes; results of different versions can differ",
    "fingerprint": "digest of the code's files",
}

PURPOSES = ("train", "data", "eval")  # of a trial's time; the rest of it is overhead
Curve = npt.NDArray[np.float64]
NO_CHOICE = "last epoch: fold {fold} takes no part in its choice"
COUNTED = ("train_flops", "forward_flops", "saved_bytes", "optimizer_bytes", "stored_bytes")


def load_results(results: str | Path) -> pd.DataFrame:
    """Return one row per finished trial, with the columns `COLUMNS`; see `benchmark.load_results`.

    Some protocols choose one epoch over all folds. It is chosen here, for each seed and draw, over the finished folds:
    the first epoch with the highest mean score. Folds that take no part in the choice, alone, are reported at their
    last epoch.

    Raises:
        BenchmarkError: not a results folder, or a record of a newer schema.
    """
    store = ResultStore(Path(results))
    store.require()
    return to_frame(store.records())


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row per record; see `load_results`."""
    return tabulate(records)[0]


def tabulate(records: Iterable[Record]) -> tuple[pd.DataFrame, dict[str, Curve]]:
    """Return one row per record, and the (epochs,) scores of each trial by its id, in [0, 1].

    A score is nan where it is not finite, and after epochs without an evaluation of the split.

    Scores are those of the validation split where it chooses the epoch, else of the reported split. Records are read
    one by one and not kept, as there may be thousands.
    """
    rows: list[dict[str, Any]] = []
    curves: dict[str, Curve] = {}
    reported: dict[str, Curve] = {}
    # Trials whose epoch is chosen over folds, by cell, seed and draw: row, curve, and whether its fold takes part.
    open_trials: dict[tuple[str, int, int | None], list[tuple[dict[str, Any], Curve, bool]]] = {}
    for record in records:
        row, curve, selection = _row(record), _curve(record, record.selection.split), record.selection
        rows.append(row)
        reported[record.id] = curve
        curves[record.id] = _curve(record, "validation") if selection.rule == "best_on_validation" else curve
        if selection.scope == "folds" and record.status == "completed":
            takes_part = selection.folds is None or record.request.fold in selection.folds
            open_trials.setdefault((row["cell"], row["seed"], row["draw"]), []).append((row, curve, takes_part))
    for trials in open_trials.values():
        choosing = [curve for _, curve, takes_part in trials if takes_part]
        epoch = _best_mean(choosing)
        for row, curve, _ in trials:
            if choosing:
                row["epoch"] = epoch
            else:  # a fold that takes no part, alone
                row["epoch"], row["rule"] = len(curve), "last"
                row["marks"] = "; ".join(filter(None, (row["marks"], NO_CHOICE.format(fold=row["fold"]))))
    for row in rows:
        row["score"] = _known(reported[row["id"]][row["epoch"] - 1]) if row["epoch"] else None
    order = ["protocol", "backbone", "dataset", "method", "seed", "fold", "shots", "draw", "id"]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(order, ignore_index=True), curves


def _curve(record: Record, split: str) -> Curve:
    metric = record.selection.metric
    return np.array([point.splits.get(split, {}).get(metric) for point in record.curves], dtype=float)


def _best_mean(curves: list[Curve]) -> int | None:
    """Return the first epoch with the highest mean score; None without a score."""
    return best_epoch([_known(mean) for mean in np.mean(np.array(curves), axis=0)]) if curves else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _per_epoch(record: Record, *purposes: str) -> float:
    """Return the median seconds per epoch; the first epoch fills caches and counts only if it is the only one.

    Trials that share features have none: their seconds are not those of one trial.
    """
    if record.profile.shares_features:
        return float("nan")
    epochs = [sum(point.seconds[purpose] for purpose in purposes) for point in record.curves]
    return statistics.median(epochs[1:] or epochs)


def _validation(record: Record) -> float | None:
    """Return the validation score at the chosen epoch; datasets with a validation split choose no epoch over folds."""
    epoch = record.selection.epoch
    return record.curves[epoch - 1].splits.get("validation", {}).get(record.selection.metric) if epoch else None


def _row(record: Record) -> dict[str, Any]:
    """Return a row without the score, and without the epoch if it is chosen over folds."""
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
        "shots": request.shots.per_class if request.shots else None,
        "draw": request.shots.draw if request.shots else None,
        "unit": request.unit,
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
        **{f"{purpose}_seconds": profile.seconds.get(purpose) for purpose in ("total", *PURPOSES)},
        "gpu_allocated_bytes": profile.gpu_allocated_bytes,
        "gpu_reserved_bytes": profile.gpu_reserved_bytes,
        "host_rss_bytes": profile.host_rss_bytes,
        **{key: getattr(record.cost, key, None) for key in COUNTED},
        "step_key": request.step_key,
        "device": measured_on(profile.device, record.environment),
        "precision": profile.precision,
        "exclusive": profile.exclusive,
        "data": record.data.kind,
        "official_folds": record.data.official_folds,
        "marks": "; ".join(record.marks),
        "finished": record.finished,
        "record": f"{TRIALS}/{request.path_stem}.json",
        "environment": record.environment_hash,
        "numerics_version": record.numerics_version,
        "fingerprint": record.fingerprint,
    }
