"""What a search tried: the configurations with their validation scores, kept in files that no table reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.planning.estimate import duration, gigabytes
from benchmark.spec.yaml import Spec

State = Literal["finished", "pruned", "infeasible", "failed", "unfinished"]
Draw = dict[str, str | int | float]
SPENT = {"finished", "pruned", "failed"}  # what counts against a budget
COLUMNS = ("number", "state", "method", "lr", "score", "epochs", "trainable", "peak_bytes", "seconds", "error")


class Configuration(Spec):
    """One draw: a method with hyper-parameters and a learning rate, and what became of it.

    `infeasible` ones were counted and never trained, `unfinished` ones are trained again when the search goes on.
    `scores` are the validation metric by epoch (shares of 1), `trainable` counts parameters with the head's,
    `peak_bytes` is the counted memory of a training step, `draw` what Optuna chose.
    """

    number: int
    state: State
    method: str
    lr: float
    scores: tuple[float, ...] = ()
    trainable: int | None = None
    peak_bytes: int | None = None
    seconds: float = 0.0
    error: str | None = None
    draw: Draw

    @property
    def score(self) -> float | None:
        """Of the best epoch; None before the first."""
        return max(self.scores, default=None)

    @property
    def trained(self) -> bool:
        """It has a score that counts."""
        return self.state in {"finished", "pruned"} and bool(self.scores)


class Ledger:
    """The configurations of one search, in `search.json` and for spreadsheets in `search.csv`.

    Args:
        folder: of the results.
        settings: everything that decides what the search finds, but its length; JSON.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.path = folder / "search.json"
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))
        self.configurations: list[Configuration] = []

    def load(self) -> None:
        """Go on with what is there.

        Raises:
            BenchmarkError: it is damaged, or of another search.
        """
        if not self.path.is_file():
            return
        try:
            content = json.loads(self.path.read_bytes())
            found = [Configuration.model_validate(each) for each in content["configurations"]]
            before = dict(content["settings"])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise BenchmarkError(f"{self.path}: damaged ({type(error).__name__}); remove it to begin anew") from None
        keys = sorted(before.keys() | self.settings.keys())
        if other := [key for key in keys if before.get(key) != self.settings.get(key)]:
            raise BenchmarkError(
                f"{self.path}: is of another search (other {', '.join(other)}); give another --results, or remove it"
            )
        self.configurations = found

    def put(self, configuration: Configuration) -> None:
        """Add a configuration, or replace the one of its number, on disk too."""
        others = [each for each in self.configurations if each.number != configuration.number]
        self.configurations = sorted([*others, configuration], key=lambda each: each.number)
        self._write()

    def renumber(self) -> list[Configuration]:
        """Take out the unfinished ones, which are to be trained again, and close the gaps; returns them."""
        unfinished = [each for each in self.configurations if each.state == "unfinished"]
        kept = [each for each in self.configurations if each.state != "unfinished"]
        self.configurations = [each.model_copy(update={"number": i}) for i, each in enumerate(kept)]
        return unfinished

    def _write(self) -> None:
        configurations = [each.model_dump(mode="json") for each in self.configurations]
        content = {"note": NOTE, "settings": self.settings, "configurations": configurations}
        write_atomic(self.path, json.dumps(content, indent=1).encode())
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in self.configurations:
            row = {**each.model_dump(mode="json"), "score": each.score, "epochs": len(each.scores)}
            writer.writerow([row[name] for name in COLUMNS])
        write_atomic(self.path.with_suffix(".csv"), text.getvalue().encode())


NOTE = "scores are on validation data, of a search; they belong into no table of results"


def front(configurations: Iterable[Configuration]) -> list[Configuration]:
    """The trained configurations that no other equals or beats in score, parameters and memory at once, best first."""
    best: dict[tuple[float, ...], Configuration] = {}
    for each in configurations:
        if each.trained:
            best.setdefault(_aims(each), each)
    kept = [
        each
        for aims, each in best.items()
        if not any(other != aims and all(a >= b for a, b in zip(other, aims, strict=True)) for other in best)
    ]
    return sorted(kept, key=_aims, reverse=True)


def winner(configurations: Sequence[Configuration]) -> Configuration | None:
    """The best score, then the fewest parameters, then the least memory; pruned ones only where none finished."""
    finished = [each for each in configurations if each.state == "finished" and each.trained]
    return max(finished or [each for each in configurations if each.trained], key=_aims, default=None)


def _aims(each: Configuration) -> tuple[float, ...]:
    """Score, parameters and memory, such that more is better."""
    return (each.score or 0.0, -(each.trainable or 0), -(each.peak_bytes or 0))


def spent(configurations: Sequence[Configuration]) -> int:
    """How much of a budget is used up."""
    return sum(each.state in SPENT for each in configurations)


def described(each: Configuration) -> str:
    """One line for people."""
    text = f"{each.state}: {each.method}, lr {each.lr:g}"
    if each.error:
        return f"{text}: {each.error}"
    size = "" if each.trainable is None else f", {each.trainable / 1e6:.3g} M parameters"
    memory = "" if each.peak_bytes is None else f", {gigabytes(each.peak_bytes)}"
    return (
        f"{text}: {100 * (each.score or 0):.1f} % by epoch {len(each.scores)}{size}{memory}, {duration(each.seconds)}"
    )
