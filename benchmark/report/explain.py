"""Provenance of a table cell."""

from __future__ import annotations

import difflib
from typing import Any

import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.records.predictions import UnusablePredictionsError
from benchmark.report.aggregate import GROUP, finished_of
from benchmark.report.by_class.read import read_by_class
from benchmark.report.full_rows import FULL
from benchmark.report.papers import known_papers, load_paper
from benchmark.report.render import RULES
from benchmark.report.results import Results
from benchmark.spec.grammar import bare_name, unordered

PAIRS = 10  # confused classes that are named
KINDS = ("protocol", "backbone", "dataset", "method")  # of names that choose cells
TRIAL_COLUMNS = [
    "fold",
    "seed",
    "draw",
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
    """Return the cells that match every name.

    Args:
        results: the results folder.
        names: ids of cells or trials, or names of backbones, datasets, methods or protocols.

    Raises:
        BenchmarkError: no cell matches.
    """
    cells = results.cells
    by_trial = dict(zip(results.trials["id"], results.trials["cell"], strict=True))
    open_kinds = list(KINDS)
    for name in names:
        matches = cells["cell"].eq(by_trial.get(name, name))
        for kind in KINDS:
            of_kind = _of_kind(cells[kind], kind, name)
            if of_kind.any() and kind in open_kinds:
                open_kinds.remove(kind)
            matches |= of_kind
        if not matches.any():
            raise BenchmarkError(_no_cell(cells, name, open_kinds))
        cells = cells[matches]
    return cells


def _of_kind(values: pd.Series, kind: str, name: str) -> pd.Series:
    """Return which cells a name chooses by their backbone, dataset, method or protocol.

    A backbone's bare name stands for it with all options. A method's bare name stands for the method with options if
    only one of its settings is there, and none without options.
    """
    if kind == "backbone":
        return values.eq(name) | values.map(bare_name).eq(name)
    if kind != "method":
        return values.eq(name)
    exact = values.map(lambda method: unordered(method) == unordered(name)).astype(bool)
    bare = values.map(lambda method: unordered(bare_name(method)) == unordered(name)).astype(bool)
    return exact if exact.any() or values[bare].nunique() > 1 else bare


def _no_cell(cells: pd.DataFrame, name: str, kinds: list[str]) -> str:
    """Return that no cell matches a name, and what would: values of the kinds that no other name has chosen."""
    values = {kind: sorted(set(cells[kind])) for kind in kinds or KINDS}
    if settings := [value for found in values.values() for value in found if bare_name(value) == name]:
        return f"'{name}' stands for several cells; name one of {', '.join(settings)}"
    if near := difflib.get_close_matches(name, [value for found in values.values() for value in found], n=1):
        return f"no cell matches '{name}' (did you mean '{near[0]}'?)"
    known = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in values.items())
    return f"no cell matches '{name}' ({known})"


def explain(results: Results, cell: pd.Series) -> dict[str, Any]:
    """Return records, folds, seeds, epochs, selection rule, protocol switches and environments of one cell."""
    trials = results.trials[results.trials["cell"] == cell["cell"]].sort_values(["seed", "fold"])
    request, first = results.requests[cell["cell"]], results.first_records.get(cell["cell"])
    recipe, names = request.declared_recipe([]), results.names
    declared = recipe.values if recipe else {}
    missing = results.submitted.get(cell["cell"], set()) - finished_of(trials)
    return {
        "cell": cell["cell"],
        "what": f"{cell['protocol']} {cell['backbone']} {cell['dataset']} {cell['method']}".strip(),
        "label": f"{names.method(cell['method'])} on {names.dataset(cell['dataset'])}, "
        f"{names.backbone(cell['backbone'])}, protocol {names.protocol(cell['protocol'])}",
        "settings": cell["settings"],
        "score": _to_json(cell["score"]),
        "interval": [_to_json(cell["low"]), _to_json(cell["high"])],
        "floor": results.floor(cell),
        "compared": _compared(results, cell),
        "seed_sd": _to_json(cell["seed_sd"]),
        "fold_sd": _to_json(cell["fold_sd"]),
        "marks": cell["marks"],
        "comparable_with": [
            paper.name for paper in map(load_paper, known_papers()) if not paper.marks(request, cell["marks"])
        ],
        "reported_epoch": _reported_epoch(cell["rule"], request.protocol.selection),
        "protocol_switches": {"name": request.protocol.name, **request.protocol.switches},
        "method": [part.model_dump(mode="json") for part in request.method.parts],
        "recipe": request.recipe.values,
        "recipe_changes": request.recipe_changes,
        "recipe_declared": {key: declared.get(key) for key in request.recipe_changes},
        "backbone": {**request.backbone.model_dump(mode="json"), "checkpoint": request.backbone.checkpoint_status},
        "data": {
            "manifest": request.dataset.manifest,
            **(first.data.model_dump(mode="json", exclude={"skipped"}) if first else {}),
        },
        "trials": [
            {name: _to_json(value) for name, value in row.items()} for row in trials[TRIAL_COLUMNS].to_dict("records")
        ],
        "missing": [
            f"fold {fold} seed {seed}{f' draw {draw}' if request.shots else ''}" for fold, seed, draw in sorted(missing)
        ],
        "environments": {name: results.environments[name] for name in trials["environment"].unique()},
    }


def _compared(results: Results, cell: pd.Series) -> dict[str, Any] | None:
    """Return the score minus that of full fine-tuning, of which minus that of the best other method, in points.

    None if the cell or the other one is not finished, or if they cannot be compared clip by clip.
    """
    is_in_group = (results.cells[GROUP] == cell[GROUP]).all(axis=1) & (results.cells["cell"] != cell["cell"])
    others = results.cells[is_in_group & results.cells["score"].notna()].sort_values("score", ascending=False)
    if cell["method"] != FULL:
        others = others[others["method"] == FULL]
    if others.empty or pd.isna(cell["score"]):
        return None
    other = others.iloc[0]
    estimate = results.difference(cell, other)
    if estimate is None:
        return None
    low, high = estimate.interval()
    return {
        "other": other["method"],
        "label": results.names.method(other["method"]),
        "difference": _to_json(100 * estimate.mean),
        "low": _to_json(100 * low),
        "high": _to_json(100 * high),
        "p": _to_json(estimate.p),
        "clips": estimate.clips,
        "seeds": estimate.seeds,
    }


def explain_classes(results: Results, cell: pd.Series) -> dict[str, Any]:
    """Return the results by class of one cell, and the most confused pairs; only `missing`, the reason, without any."""
    try:
        found = read_by_class(results, cell)
    except UnusablePredictionsError as error:
        return {"missing": str(error)}
    confused = [
        {"true": true.name, "predicted": predicted.name, "clips": clips, "share": clips / true.support}
        for true, predicted, clips in found.confused()[:PAIRS]
    ]
    return {**found.model_dump(mode="json"), "confused": confused}


def _reported_epoch(rule: Any, switch: str) -> str:
    """Return how the reported epoch is chosen, and why that may differ from the protocol's switch `selection`."""
    if rule == "best_on_validation":
        return f"{RULES[rule]}; the switch selection={switch} is for datasets without validation clips"
    return RULES.get(rule, "not known yet")


def _to_json(value: Any) -> Any:
    """Return a value of a table for JSON: None if it is unknown, numbers as Python's own types."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
