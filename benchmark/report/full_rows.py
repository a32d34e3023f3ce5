"""Which row of full fine-tuning the costs of a row are compared with, if a sweep has several."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from benchmark.report.cell_labels import flatten
from benchmark.spec.request import NOT_IN_STEP, TrialRequest

FULL = "full"  # the method that others are compared with
SMALL = NOT_IN_STEP - {
    "limit_clips",
    "windows",
}  # keys of a recipe that change neither the time of an epoch nor its memory
NOTE = (
    "Of several rows of full fine-tuning, a ratio refers to the one with the most similar recipe, of equals to the "
    "best on validation, else to the one closest to the dataset's recipe"
)


def full_rows(rows: pd.DataFrame, requests: Mapping[int, TrialRequest]) -> dict[int, int]:
    """Return the label of the row of full fine-tuning to compare with, by row label; empty if there is none.

    Args:
        rows: rows whose costs may be compared, with `method` and, where it is known, `validation`.
        requests: a request of each row, by row label.
    """
    labels = [int(label) for label in rows.index]
    full = [label for label, method in zip(labels, rows["method"], strict=True) if method == FULL]
    if len(full) < 2:
        return {label: full[0] for label in labels if full}
    scores = rows["validation"].dropna().to_dict() if "validation" in rows else {}
    settings = {label: _settings(requests[label]) for label in labels}

    def rank(label: int, candidate: int) -> tuple[float, ...]:
        one, other = settings[label], settings[candidate]
        differing = {key.rpartition(".")[2] for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
        changes = len(requests[candidate].recipe_changes)
        return len(differing - SMALL), len(differing), -scores.get(candidate, 0.0), changes

    return {label: min(full, key=lambda candidate: rank(label, candidate)) for label in labels}


def note(cells: pd.DataFrame, column: str, names: pd.Series, datasets: pd.Series) -> str:
    """Return a sentence that names the rows of full fine-tuning that ratios refer to; empty if nothing was chosen.

    Args:
        cells: table cells, as in `benchmark.report.aggregate`.
        column: the column that holds the digest of the row of full fine-tuning.
        names: the label of each row.
        datasets: the label of the dataset of each row.
    """
    by_digest = dict(zip(cells["cell"], names, strict=True))
    used = []
    for dataset, rows in cells.groupby(datasets, sort=False):
        several = rows[rows["method"] == FULL].groupby(["protocol", "backbone"]).size().max() > 1
        if several and (found := dict.fromkeys(by_digest[digest] for digest in rows[column].dropna())):
            used.append(f"{dataset}: {', '.join(found)}")
    return f"{NOTE} ({'; '.join(used)})." if used else ""


def _settings(request: TrialRequest) -> dict[str, object]:
    """Return everything of a request but method, fold, seed and draw, with dotted keys."""
    return flatten(request.model_dump(mode="json", exclude={"method", "fold", "seed", "shots"}))
