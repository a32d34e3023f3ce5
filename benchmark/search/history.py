"""What a search tried: the configurations in an Optuna study, which is stored in the results folder."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.search.pruner import COUNTED, make_pruner
from benchmark.search.space import RATE
from benchmark.units import data_size, duration, quantity

logger = logging.getLogger(__name__)

JOURNAL, TABLE, EARLIER = "search.journal", "search.csv", "search.json"
COLUMNS = ("number", "state", "method", "lr", "score", "epochs", "trainable", "peak_bytes", "seconds", "error")
SETTINGS = "settings"  # user attribute of the study
State = Literal["finished", "pruned", "infeasible", "failed", "unfinished"]


@dataclass(frozen=True)
class Configuration:
    """A method with hyper-parameters and a learning rate, and its result.

    Attributes:
        number: position in the search, from 0.
        state: `infeasible` ones exceed a limit and are not trained, `unfinished` ones are trained again.
        name: the method without options.
        method: the method as the command line takes it.
        lr: learning rate.
        score: best validation score of an epoch, as a share of 1; None before the first epoch.
        epochs: trained epochs.
        trainable: trainable parameters, head included; None if not computed.
        peak_bytes: computed memory of one training step; None if not computed.
        seconds: training time.
        error: why it is infeasible or failed.
    """

    number: int
    state: State
    name: str
    method: str
    lr: float
    score: float | None = None
    epochs: int = 0
    trainable: int | None = None
    peak_bytes: int | None = None
    seconds: float = 0.0
    error: str | None = None

    @classmethod
    def of(cls, trial: FrozenTrial, number: int) -> Configuration:
        """Return the configuration of a trial of the study, whose user attributes are fields."""
        has_error = trial.user_attrs.get("error") is not None
        states: dict[TrialState, State] = {
            TrialState.COMPLETE: "failed" if has_error else "finished",
            TrialState.PRUNED: "infeasible" if has_error else "pruned",
        }
        state, scores = states.get(trial.state, "unfinished"), list(trial.intermediate_values.values())
        if state == "unfinished":
            scores = []
        return cls(number, state, score=max(scores, default=None), epochs=len(scores), **trial.user_attrs)

    @property
    def is_trained(self) -> bool:
        """Return whether it was trained and has a score."""
        return self.state in {"finished", "pruned"} and self.score is not None

    @property
    def objectives(self) -> tuple[float, ...]:
        """Score, parameters and memory, signed so that more is better."""
        return (self.score or 0.0, -(self.trainable or 0), -(self.peak_bytes or 0))

    def __str__(self) -> str:
        text = f"{self.state}: {self.method}, lr {self.lr:g}"
        if self.error:
            return f"{text}: {self.error}"
        size = "" if self.trainable is None else f", {quantity(self.trainable, '')} parameters"
        memory = "" if self.peak_bytes is None else f", {data_size(self.peak_bytes)}"
        score = f"{100 * (self.score or 0):.1f} % by epoch {self.epochs}"
        return f"{text}: {score}{size}{memory}, {duration(self.seconds)}"


def open_study(folder: Path, settings: dict[str, Any], epochs: int) -> optuna.Study:
    """Open the study of a results folder, or create it. Interrupted configurations are queued again.

    Args:
        folder: results folder, in which no other search is running.
        settings: everything that decides what the search tries, as JSON values.
        epochs: epochs of the longest training.

    Raises:
        BenchmarkError: the study is damaged, or belongs to another search or to an earlier version.
    """
    path, settings = (folder / JOURNAL).absolute(), json.loads(json.dumps(settings))
    if not path.exists() and (folder / EARLIER).exists():
        raise BenchmarkError(
            f"{folder / EARLIER}: a search of an earlier version, which cannot be continued; give another --results, "
            "or remove the file"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = make_pruner(epochs)
    try:
        _check_lines(path)
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(
            study_name="search", storage=storage, direction="maximize", pruner=pruner, load_if_exists=True
        )
        before = study.user_attrs.get(SETTINGS, settings)
        keys = sorted(before.keys() | settings.keys())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path}: damaged ({type(error).__name__}); remove it to start again") from None
    if different := [key for key in keys if before.get(key) != settings.get(key)]:
        raise BenchmarkError(
            f"{path}: of another search, which differs in {', '.join(different)}; give another --results, or remove it"
        )
    study.set_user_attr(SETTINGS, settings)
    _queue_interrupted(study)
    return study


def _check_lines(path: Path) -> None:
    """Cut off a last line without its end (the disk was full); raise ValueError if another line is not JSON."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines():
        json.loads(line)
    if whole != content:
        logger.warning("%s: removed its incomplete last line", path)
        os.truncate(path, len(whole))


def _queue_interrupted(study: optuna.Study) -> None:
    """Queue what a dead search was training. Without a learning rate, a configuration was not yet complete."""
    trials = study.get_trials(deepcopy=False)
    queued = [trial.system_attrs.get("fixed_params") for trial in trials if trial.state == TrialState.WAITING]
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            if RATE in trial.params and trial.params not in queued:
                logger.info("configuration %d was interrupted and is trained again", trial.number)
                study.enqueue_trial(trial.params, trial.user_attrs)
            study.tell(trial.number, state=TrialState.FAIL)


def configurations(study: optuna.Study) -> list[Configuration]:
    """Return what was tried, in order; of a configuration that was trained again only the last training."""
    trials = study.get_trials(deepcopy=False, states=(*COUNTED, TrialState.WAITING))
    return [Configuration.of(trial, number) for number, trial in enumerate(trials) if "lr" in trial.user_attrs]


def write_table(folder: Path, study: optuna.Study) -> None:
    """Write `search.csv`, one row per configuration."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, name) for name in COLUMNS] for row in configurations(study))
    write_atomic(folder / TABLE, text.getvalue().encode())


def spent(rows: Sequence[Configuration]) -> int:
    """Return how many configurations count against the budget."""
    return sum(row.state in {"finished", "pruned", "failed"} for row in rows)


def pareto_front(rows: Sequence[Configuration]) -> list[Configuration]:
    """Return the trained configurations that no other equals or beats in score, parameters and memory, best first."""
    first = {row.objectives: row for row in reversed(rows) if row.is_trained}
    kept = [
        row
        for own, row in first.items()
        if not any(other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in first)
    ]
    return sorted(kept, key=lambda row: row.objectives, reverse=True)


def winner(rows: Sequence[Configuration]) -> Configuration | None:
    """Return the best score, then the fewest parameters, then the least memory; pruned ones only if none finished."""
    finished = pareto_front([row for row in rows if row.state == "finished"])
    return next(iter(finished or pareto_front(rows)), None)
