"""What the finished trials of each cell measured: scores, costs and where they come from, for all cells at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from benchmark.records.frame import COUNTED, PURPOSES

MEMORY = ["gpu_allocated_bytes", "gpu_reserved_bytes"]
PARAMETERS = ["trainable", "total", "trainable_reference", "total_reference"]
TIMES = ["seconds_per_epoch", "data_seconds_per_epoch", "clips_per_second"]
MUST_AGREE = {"numerics versions": "numerics_version", "precision": "precision", "devices": "device", "data": "data"}
SECONDS = ["total_seconds", *(f"{purpose}_seconds" for purpose in PURPOSES)]
DIGITS = 12  # the spread of equal numbers is not exactly zero: digits beyond these are rounding


def measured(trials: pd.DataFrame, complete: Collection[str]) -> pd.DataFrame:
    """Return one row per cell that has trials, with columns of `benchmark.report.aggregate.COLUMNS`.

    Args:
        trials: finished trials, as in `benchmark.records.frame`.
        complete: cells whose scores are averaged: there is no mean of incomplete trials.
    """
    return pd.concat([_scores(trials, complete), _costs(trials), _origins(trials)], axis="columns")


def _scores(trials: pd.DataFrame, complete: Collection[str]) -> pd.DataFrame:
    """Return metric, rule and chosen epochs; of complete cells also the means and their spread."""
    epochs = trials.groupby(["cell", "unit"])["epoch"].first().dropna().astype(int).astype(str)
    found = _first(trials, ["metric", "rule"])
    found["epochs_chosen"] = epochs.groupby("cell").agg(" ".join).reindex(found.index, fill_value="")
    averaged = trials[trials["cell"].isin(complete)].astype({"score": float, "validation": float})
    scores = {name: averaged.groupby(["cell", name])["score"].mean().groupby("cell") for name in ("unit", "fold")}
    found["score"] = scores["unit"].mean()
    known = averaged["validation"].notna().groupby(averaged["cell"]).all()
    validation = averaged.groupby(["cell", "unit"])["validation"].mean().groupby("cell").mean()
    found["validation"] = validation.where(known)
    found["seed_sd"], found["fold_sd"] = (scores[name].std().round(DIGITS) for name in ("unit", "fold"))
    return found


def _costs(trials: pd.DataFrame) -> pd.DataFrame:
    """Return parameters, time, memory and counted costs; memory from trials alone that did not share the device."""
    exclusive = trials["exclusive"].astype(bool)
    found = _first(trials, PARAMETERS).astype(int)
    found[TIMES] = trials[TIMES].astype(float).groupby(trials["cell"]).median()
    found["overhead"] = _shares(trials[SECONDS].astype(float).groupby(trials["cell"]).sum())["overhead"]
    found[MEMORY] = trials.loc[exclusive, MEMORY].astype(float).groupby(trials["cell"]).median()
    found[list(COUNTED)] = _first(trials, list(COUNTED))
    found["shared"] = ~exclusive.groupby(trials["cell"]).all()
    return found


def _origins(trials: pd.DataFrame) -> pd.DataFrame:
    """Return devices and versions; also the marks `of_records`, and how many values `MUST_AGREE` has, by its names."""
    by_cell = trials.groupby("cell")
    found = pd.DataFrame({name: by_cell[column].nunique() for name, column in MUST_AGREE.items()})
    return found.assign(
        device=by_cell["device"].agg(lambda names: "; ".join(sorted(set(names)))),
        numerics=by_cell["numerics_version"].agg(lambda numbers: " ".join(map(str, sorted(set(numbers))))),
        of_records=by_cell["marks"].agg(
            lambda texts: list(dict.fromkeys(mark for text in texts for mark in text.split("; ") if mark))
        ),
    )


def _first(trials: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return values that all trials of a cell share, from the first of them."""
    return trials.drop_duplicates("cell").set_index("cell")[columns]


def time_shares(trials: pd.DataFrame) -> dict[str, float]:
    """Return the shares of the trials' time by purpose; what remains of the total is `overhead`.

    Args:
        trials: finished trials, as in `benchmark.records.frame`; at least one.
    """
    return {name: float(share) for name, share in _shares(trials[SECONDS].astype(float).sum()).items()}


def _shares(seconds: pd.DataFrame | pd.Series) -> dict[str, Any]:
    """Return the shares of sums of `SECONDS`: numbers, or columns if there is a sum per cell."""
    shares = {purpose: seconds[f"{purpose}_seconds"] / seconds["total_seconds"] for purpose in PURPOSES}
    return {**shares, "overhead": 1 - sum(shares.values())}
