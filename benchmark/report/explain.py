"""What stands behind a cell of a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.errors import BenchmarkError, closest
from benchmark.report.render import RULES
from benchmark.report.results import Results

SHOWN_TRIALS = [
    "fold",
    "seed",
    "status",
    "epoch",
    "epochs",
    "score",
    "id",
    "environment",
    "numerics_version",
    "fingerprint",
    "record",
]


def find_cells(results: Results, names: list[str]) -> pd.DataFrame:
    """The cells that all of these fit: a cell's or a trial's id, or backbone, dataset, method, protocol.

    Raises:
        BenchmarkError: none fits.
    """
    cells = results.cells
    by_trial = dict(zip(results.trials["id"], results.trials["cell"], strict=True))
    for name in names:
        bare = cells["backbone"].str.replace(r"\[.*", "", regex=True)
        fits = cells["cell"].eq(by_trial.get(name, name)) | bare.eq(name)
        for key in ("protocol", "backbone", "dataset", "method"):
            fits |= cells[key].eq(name)
        if not fits.any():
            known = {*bare, *cells["dataset"], *cells["method"], *cells["protocol"]}
            raise BenchmarkError(f"no cell has '{name}'{closest(name, known)}")
        cells = cells[fits]
    return cells


def explain(results: Results, cell: pd.Series) -> dict[str, Any]:
    """Records, folds, seeds, epochs, selection rule, protocol switches and environments of one cell."""
    trials = results.trials[results.trials["cell"] == cell["cell"]].sort_values(["seed", "fold"])
    request, first = results.requests[cell["cell"]], results.firsts.get(cell["cell"])
    missing = results.expected.get(cell["cell"], set()) - set(zip(trials["fold"], trials["seed"], strict=True))
    return {
        "cell": cell["cell"],
        "what": f"{cell['protocol']} {cell['backbone']} {cell['dataset']} {cell['method']}".strip(),
        "settings": cell["settings"],
        "score": _maybe(cell["score"]),
        "interval": [_maybe(cell["low"]), _maybe(cell["high"])],
        "seed_sd": _maybe(cell["seed_sd"]),
        "fold_sd": _maybe(cell["fold_sd"]),
        "marks": cell["marks"],
        "reported_epoch": RULES.get(cell["rule"], "not known yet"),
        "protocol_switches": request.protocol.model_dump(mode="json"),
        "method": [part.model_dump(mode="json") for part in request.method.parts],
        "recipe": request.recipe.model_dump(mode="json"),
        "recipe_changes": request.recipe_changes,
        "backbone": request.backbone.model_dump(mode="json"),
        "data": {
            "manifest": request.dataset.manifest,
            **(first.data.model_dump(mode="json", exclude={"skipped"}) if first else {}),
        },
        "trials": [
            {key: _maybe(value) for key, value in row.items()} for row in trials[SHOWN_TRIALS].to_dict("records")
        ],
        "missing": [f"fold {fold} seed {seed}" for fold, seed in sorted(missing)],
        "environments": {name: results.environments[name] for name in trials["environment"].unique()},
    }


def _maybe(value: Any) -> Any:
    """Unknown is null; numbers as Python's."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
