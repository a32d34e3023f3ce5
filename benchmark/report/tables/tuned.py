"""The table of tuned methods: what was chosen on validation clips, and default beside tuned."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pandas as pd

from benchmark.records.choice import Candidate, Choice
from benchmark.report.aggregate import GROUP
from benchmark.report.inference import Estimate, holm
from benchmark.report.outcomes import difference
from benchmark.report.render import Table
from benchmark.report.results import Results
from benchmark.report.tables import TableSource

VALUES = ("score", "low", "high", "trainable", "done", "expected", "diverged")  # of a table cell
COLUMNS = [
    "cell", *GROUP, "method", "tried", "finished", "failed", "fold", "seed", "setting", "lr", "validation",
    *VALUES, "default_name", "default_cell", "default_setting", "default_lr", "default_validation",
    *(f"default_{name}" for name in VALUES), "difference", "difference_low", "difference_high", "p", "p_holm",
    "clips", "seeds", "unseen", "unseen_low", "unseen_high", "marks",
]  # fmt: skip


def build(source: TableSource) -> Table | None:
    """Return the table; None if no setting was to be chosen."""
    data, reasons = tuned_rows(source.results)
    if data.empty:
        return None
    label = source.results.names.dataset
    how = dict.fromkeys(f"{label(choice.dataset)}: {choice.validation}" for choice in source.results.choices)
    not_compared = f" Not compared: {'; '.join(reasons)}." if reasons else ""
    failed = [
        f"{label(choice.dataset)}: {_failure(one, source.results.names.method(one.method))}"
        for choice in source.results.choices
        for one in choice.failed
    ]
    left_out = f" Never chosen, because they failed too often: {'; '.join(failed)}." if failed else ""
    introduction = f"Validation clips: {'; '.join(how)}.{left_out}{not_compared}"
    return source.table(data, tuned_text(_named(source.results, data)), introduction)


def _named(results: Results, data: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with labels in place of names."""
    label, named = results.names.method, results.names.named(data)
    for column in ("setting", "default_setting"):
        named[column] = [label(text) if isinstance(text, str) else None for text in data[column]]
    return named


def tuned_rows(results: Results) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per choice, with the columns `COLUMNS`, and why some settings cannot be compared.

    What is not known yet is empty. Where the default was chosen, there is no difference.
    """
    cells = {cell["cell"]: cell for _, cell in results.cells.iterrows()}
    reasons: dict[str, None] = {}
    rows = [_row(results, choice, cells, reasons) for choice in results.choices]
    data = pd.DataFrame(rows, columns=COLUMNS)
    if data.empty:
        return data, []
    places = {name: place for place, name in enumerate([*results.order.datasets, *results.order.methods])}
    data = data.sort_values(
        [*GROUP, "method"], key=lambda column: column.map(lambda name: (places.get(name, len(places)), name)),
        ignore_index=True, kind="stable",
    )  # fmt: skip
    for _, family in data.groupby(GROUP, sort=False):
        known = family[family["p"].notna()]
        data.loc[known.index, "p_holm"] = holm(known["p"].tolist())
    return data, list(reasons)


def _row(results: Results, choice: Choice, cells: dict[str, pd.Series], reasons: dict[str, None]) -> dict[str, Any]:
    """Return the row of one choice.

    Args:
        results: the results folder.
        choice: the choice.
        cells: table cells by digest.
        reasons: takes why settings cannot be compared.
    """
    default, winner = choice.candidates[0], choice.winner
    tuned, other = (cells.get(one.cell) if one else None for one in (winner, default))
    row: dict[str, Any] = {
        "protocol": choice.protocol,
        "backbone": choice.backbone,
        "dataset": choice.dataset,
        "method": choice.method,
        "tried": len(choice.candidates),
        "finished": choice.finished,
        "failed": "; ".join(_failure(one, one.method) for one in choice.failed),
        "fold": choice.fold if choice.has_folds else None,
        "seed": choice.seed,
        "default_name": choice.default_name,
        **_of_candidate(winner, tuned, ""),
        **_of_candidate(default, other, "default_"),
        "marks": "" if tuned is None else tuned["marks"],
    }
    if tuned is None or other is None or not choice.chosen or tuned["score"] is None or other["score"] is None:
        return row
    if pd.isna(tuned["score"]) or pd.isna(other["score"]):
        return row
    if reason := results.obstacle(tuned, other):
        reasons[f"{reason} ({choice.backbone}, {choice.dataset})"] = None
        return row
    found = results.difference(tuned, other)
    assert found is not None
    row |= {**_points(found, "difference"), "clips": found.clips, "seeds": found.seeds}
    if not choice.has_folds:
        return row | {"p": found.p}
    if unseen := _on_fold(results, tuned, other, choice.fold):
        row |= {**_points(unseen, "unseen"), "p": unseen.p}
    return row


def _failure(candidate: Candidate, method: str) -> str:
    """Return a setting with its error: `lora[rank=64], lr 0.001 (out of memory)`."""
    return f"{method}, lr {candidate.lr:g} ({candidate.error or 'unknown error'})"


def _of_candidate(candidate: Candidate | None, cell: pd.Series | None, prefix: str) -> dict[str, Any]:
    if candidate is None:
        return {}
    own = {"cell": candidate.cell, "setting": candidate.method, "lr": candidate.lr, "validation": candidate.score}
    values = {} if cell is None else {name: cell[name] for name in VALUES}
    return {f"{prefix}{name}": value for name, value in {**own, **values}.items()}


def _on_fold(results: Results, first: pd.Series, second: pd.Series, fold: int) -> Estimate | None:
    """Return the difference on the test clips of one fold; None if that fold was not trained."""
    outcomes = [results.outcome(cell["cell"]) for cell in (first, second)]
    one, other = (
        dataclasses.replace(outcome, folds={fold: outcome.folds[fold]}) if outcome and fold in outcome.folds else None
        for outcome in outcomes
    )
    return difference(one, other) if one and other else None


def _points(found: Estimate, name: str) -> dict[str, float]:
    """Return an estimate in points with its interval."""
    low, high = found.interval()
    return {name: 100 * found.mean, f"{name}_low": 100 * low, f"{name}_high": 100 * high}


def tuned_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return choices, scores and gaps as people read them; `3/8 settings` while the choice is open."""
    rows = table.to_dict("records")
    text = table[[*GROUP, "method", "tried"]].copy()
    text["choice"] = [_choice_text(row) for row in rows]
    text["validation"] = [f"{_percent(row['default_validation'])} → {_percent(row['validation'])}" for row in rows]
    text["default"] = [_score_text(row, "default_") for row in rows]
    text["tuned"] = [_score_text(row, "") for row in rows]
    text["gap"] = [_gap(row, "difference") for row in rows]
    text["p"] = ["" if pd.isna(row["p_holm"]) else f"{row['p_holm']:.2g}" for row in rows]
    text["unseen"] = [_gap(row, "unseen") for row in rows]
    text["chosen on"] = [
        f"seed {row['seed']}" if pd.isna(row["fold"]) else f"fold {row['fold']:.0f}, seed {row['seed']}" for row in rows
    ]
    return text


def _choice_text(row: dict[Any, Any]) -> str:
    if isinstance(row["setting"], str):
        same = (row["setting"], row["lr"]) == (row["default_setting"], row["default_lr"])
        first = f" (the {row['default_name']})" if same else ""
        return f"{row['setting']}, lr {row['lr']:g}{first}"
    if row["finished"] == row["tried"]:
        return "all diverged or failed" if row["failed"] else "all diverged"
    return f"{row['finished']}/{row['tried']} settings"


def _score_text(row: dict[Any, Any], prefix: str) -> str:
    score, done, expected, diverged = (row[f"{prefix}{name}"] for name in ("score", "done", "expected", "diverged"))
    if pd.notna(score):
        return _percent(score)
    if pd.isna(expected):
        return ""
    return f"diverged ({diverged:.0f} of {expected:.0f})" if diverged else f"{done:.0f}/{expected:.0f}"


def _gap(row: dict[Any, Any], name: str) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if pd.isna(value):
        return ""
    return f"{value:+.1f}" if math.isnan(low) else f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _percent(score: float | None) -> str:
    return "–" if score is None or pd.isna(score) else f"{100 * score:.1f}"
