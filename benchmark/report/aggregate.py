"""Trials to table cells: one row per protocol, backbone, dataset, method and settings; no mean of incomplete trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.report.cell_labels import distinguishing_settings
from benchmark.report.full_rows import full_rows
from benchmark.report.layout import Order
from benchmark.report.measured import MUST_AGREE, measured
from benchmark.spec.request import TrialRequest

Submitted = set[tuple[int, int, int]]  # fold, seed and draw of each submitted trial of a cell; draw 0 without shots
GROUP = ["protocol", "backbone", "dataset"]  # methods are compared within these
KEYS = ["protocol", "backbone", "dataset", "method"]
COLUMNS = {
    "cell": "digest of the request without fold and seed; the argument of `explain`",
    "protocol": "protocol name, with switches that were set one by one",
    "backbone": "backbone, with the options that differ from its declared entry",
    "dataset": "dataset name; few-shot trials with their training clips per class, as esc50[shots=4]",
    "method": "method, with the hyper-parameters that differ from their defaults",
    "settings": "settings that differ between rows of the same protocol, backbone, dataset and method",
    "metric": "accuracy or map (mean average precision)",
    "rule": "how the reported epoch is chosen",
    "score": "mean over folds and seeds, in [0, 1]; empty while trials are missing",
    "validation": "mean validation score over folds and seeds, in [0, 1]; empty without a validation split",
    "low": "lower end of the 95 % interval of the score, over groups of clips and seeds (one seed: of this model)",
    "high": "upper end of the same interval",
    "best": "best of its dataset, protocol and backbone, or not significantly different from it (5 %, Holm)",
    "floor": "score of a regression on log-mel statistics of the clips, which needs no backbone; empty if unknown",
    "seed_sd": "standard deviation over seeds, in few-shot trials over draws, of the mean over folds",
    "fold_sd": "standard deviation over folds of the mean over seeds",
    "seeds": "submitted seeds",
    "shots": "few-shot: training clips per class; empty if all training clips are used",
    "draws": "few-shot: number of submitted draws of the training clips; empty if all are used",
    "folds": "submitted folds",
    "official_folds": "number of folds of the dataset",
    "done": "number of submitted trials that are finished",
    "expected": "number of submitted trials",
    "diverged": "number of trials whose loss was not finite",
    "epochs_chosen": "the chosen epoch of each seed",
    "trainable": "number of trainable parameters",
    "total": "number of parameters of the adapted model",
    "trainable_reference": "trainable parameters as the reference counts them (with two unused heads)",
    "total_reference": "parameters of the adapted model as the reference counts them (with two unused heads)",
    "unused_heads": "whether the protocol counts the two unused heads of the reference: yes or no",
    "seconds_per_epoch": "seconds of training per epoch, with waiting for data; median over trials",
    "data_seconds_per_epoch": "seconds of waiting for data per epoch; median over trials",
    "time_ratio": "seconds per epoch divided by those of full fine-tuning on the same device",
    "time_full": "cell of full fine-tuning that time_ratio refers to",
    "clips_per_second": "training throughput; median over trials",
    "overhead": "share of the trials' time that is neither training, waiting for data nor evaluation",
    "gpu_allocated_bytes": "peak allocated GPU memory in training; median over trials that did not share the device",
    "gpu_reserved_bytes": "peak reserved GPU memory in training; median over trials that did not share the device",
    "memory_ratio": "allocated GPU memory divided by that of full fine-tuning on the same device",
    "memory_full": "cell of full fine-tuning that memory_ratio refers to",
    "train_flops": "operations of a forward and backward pass per clip (a multiply-add counts as two)",
    "forward_flops": "operations of a forward pass per clip",
    "saved_bytes": "activations kept for the backward pass of a batch",
    "optimizer_bytes": "size of the optimizer state",
    "stored_bytes": "size of what must be stored per task",
    "shared": "whether other trials of the run used the machine while the time was measured",
    "device": "device names",
    "numerics": "numerics versions of the records",
    "marks": "reasons why the row is not comparable with the paper; empty if it is comparable",
}


@dataclass(frozen=True)
class Coverage:
    """Which trials of a cell were submitted, and which of them are finished.

    Attributes:
        seeds: submitted seeds, or those of the records if nothing was submitted.
        folds: submitted folds, or those of the records if nothing was submitted.
        draws: submitted draws of training clips, or those of the records if nothing was submitted; [0] without shots.
        official_folds: number of folds of the dataset; None while there is no record.
        done: number of submitted trials that are finished.
        expected: number of trials of the complete cell.
        diverged: number of trials whose loss was not finite.
        is_complete: every expected trial is finished and has a score.
    """

    seeds: list[int]
    folds: list[int]
    draws: list[int]
    official_folds: int | None
    done: int
    expected: int
    diverged: int
    is_complete: bool


def aggregate(
    trials: pd.DataFrame,
    requests: Mapping[str, TrialRequest],
    submitted: Mapping[str, Submitted],
    order: Order,
) -> pd.DataFrame:
    """Return one row per table cell, with the columns `COLUMNS`; `low`, `high`, `best` and `floor` are left empty.

    Args:
        trials: finished trials, as in `benchmark.records.frame`.
        requests: one request of each cell.
        submitted: fold, seed and draw of the submitted trials, by cell. All folds of the dataset are expected of a cell
            that is not in it.
        order: order of the rows.
    """
    coverage = _coverage(trials, requests, submitted)
    settings = distinguishing_settings(requests)
    found = measured(trials, {cell for cell, covered in coverage.items() if covered.is_complete}).to_dict("index")
    rows = [
        {"cell": cell, "settings": settings[cell], **_row(request, coverage[cell], found.get(cell, {}))}
        for cell, request in requests.items()
    ]
    cells = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
        [*KEYS, "settings"], key=lambda column: _sort_keys(column, order), ignore_index=True
    )
    return add_ratios(cells, requests)


def add_ratios(cells: pd.DataFrame, requests: Mapping[str, TrialRequest]) -> pd.DataFrame:
    """Add time and memory relative to full fine-tuning, where both were measured on the same device.

    Rows of a machine that other trials used are compared with each other only. See `full_rows` for the choice between
    several rows of full fine-tuning.

    Args:
        cells: table cells without ratios, numbered from 0.
        requests: one request of each cell.
    """
    of_rows = {label: requests[cell] for label, cell in enumerate(cells["cell"])}
    for name, value in (("time", "seconds_per_epoch"), ("memory", "gpu_allocated_bytes")):
        compared: dict[int, int] = {}
        for _, rows in cells[cells[value].notna()].groupby([*GROUP, "device", "shared"], sort=False):
            compared |= full_rows(rows, of_rows)
        full = pd.Series(compared, dtype=float).reindex(cells.index)
        cells[f"{name}_ratio"] = pd.to_numeric(cells[value]) / full.map(pd.to_numeric(cells[value]))
        cells[f"{name}_full"] = full.map(cells["cell"])
    return cells


def _row(request: TrialRequest, coverage: Coverage, found: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "device": "",
        "numerics": "",
        **found,
        "protocol": request.protocol.name,
        "backbone": request.backbone.variant,
        "dataset": request.task,
        "method": request.method.variant,
        "unused_heads": request.protocol.count_unused_heads,
        **_count_columns(coverage),
        "shots": request.shots.per_class if request.shots else None,
        "draws": len(coverage.draws) if request.shots else None,
        "marks": "; ".join(_marks(request, coverage, found)),
    }


def finished_of(trials: pd.DataFrame) -> Submitted:
    """Return fold, seed and draw of finished trials."""
    draws = trials["draw"].fillna(0).astype(int)
    return set(zip(trials["fold"], trials["seed"], draws, strict=True))


def _coverage(trials: pd.DataFrame, cells: Iterable[str], submitted: Mapping[str, Submitted]) -> dict[str, Coverage]:
    by_cell = trials.groupby("cell")
    finished = {cell: finished_of(found) for cell, found in by_cell[["fold", "seed", "draw"]]}
    facts = pd.DataFrame({
        "official_folds": by_cell["official_folds"].first(),
        "diverged": (trials["status"] == "diverged").groupby(trials["cell"]).sum(),
        "trials": by_cell.size(),
        "scored": trials["score"].notna().groupby(trials["cell"]).sum(),
    }).to_dict("index")  # fmt: skip
    return {cell: _cover(finished.get(cell, set()), submitted.get(cell), facts.get(cell, {})) for cell in cells}


def _cover(finished: Submitted, submitted: Submitted | None, facts: Mapping[Any, int]) -> Coverage:
    """Return the coverage of a cell.

    Args:
        finished: its finished trials.
        submitted: its submitted trials; None if nothing was submitted.
        facts: what its trials say of `official_folds`, the number of `trials`, and how many are `diverged` or `scored`;
            empty without trials.
    """
    seeds = sorted({seed for _, seed, _ in submitted or finished})
    folds = sorted({fold for fold, _, _ in submitted or finished})
    draws = sorted({draw for _, _, draw in submitted or finished})
    official_folds, diverged = facts.get("official_folds"), facts.get("diverged", 0)
    # Each seed needs each fold: otherwise the spread over seeds would also be a spread over folds.
    expected = len(seeds) * len(draws) * (len(folds) if submitted else official_folds or 0)
    done = len(finished & submitted if submitted else finished)
    all_scored = done == expected == facts.get("trials", 0) == facts.get("scored", 0)
    return Coverage(seeds, folds, draws, official_folds, done, expected, diverged, all_scored and not diverged)


def _count_columns(coverage: Coverage) -> dict[str, Any]:
    return {
        "seeds": " ".join(map(str, coverage.seeds)),
        "folds": " ".join(map(str, coverage.folds)),
        "official_folds": coverage.official_folds,
        "done": coverage.done,
        "expected": coverage.expected,
        "diverged": coverage.diverged,
    }


def _marks(request: TrialRequest, coverage: Coverage, found: Mapping[Any, Any]) -> list[str]:
    """Return the reasons why a cell is not comparable with the paper."""
    marks = list(dict.fromkeys([*request.marks, *found.get("of_records", [])]))
    marks += [f"records of different {name}" for name in MUST_AGREE if found.get(name, 0) > 1]
    if coverage.official_folds and len(coverage.folds) < coverage.official_folds:
        number = len(coverage.folds)
        names = f"fold{'' if number == 1 else 's'} {', '.join(map(str, coverage.folds))}"
        marks.append(f"{names} ({number} of {coverage.official_folds})")
    return marks


def _sort_keys(column: pd.Series, order: Order) -> pd.Series:
    """Return sort keys: first the place of the bare name in the given order, then the text itself."""
    names = {"dataset": order.datasets, "method": order.methods}.get(str(column.name), [])
    bare = column.str.replace(r"\[[^\]]*\]", "", regex=True)
    places = bare.map(lambda name: names.index(name) if name in names else len(names))
    text = column.str.replace(r"(?<=\[shots=)\d+", lambda found: found[0].zfill(6), regex=True)  # 2 before 16
    return places.map("{:04d}".format) + text
