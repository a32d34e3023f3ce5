"""What a search found, as data and as text."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

from benchmark.errors import first_line

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.search.history import Configuration
    from benchmark.search.space import Space


@dataclass(frozen=True)
class SearchResult:
    """What a search found; printed, it is what the command line shows.

    Attributes:
        folder: results folder, with the study (`search.journal`), `search.csv` and the figure.
        configurations: one row per configuration, with the columns of `search.csv` and the `name` of the method.
        pareto_front: the rows that no other equals or beats in score, parameters and memory, best first.
        best_method: the method with the best score, as the command line takes it; None if nothing could be trained.
        best_lr: its learning rate.
        command: command that runs it under the full protocol.
        interrupted: the user stopped the search before its budget was spent.
        summary: everything as text.
    """

    folder: Path
    configurations: pd.DataFrame
    pareto_front: pd.DataFrame
    best_method: str | None
    best_lr: float | None
    command: str | None
    interrupted: bool
    summary: str = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        rows = {
            name: json.loads(getattr(self, name).to_json(orient="records"))
            for name in ("pareto_front", "configurations")
        }
        return {
            "results": str(self.folder),
            "interrupted": self.interrupted,
            "best_method": self.best_method,
            "best_lr": self.best_lr,
            "command": self.command,
            **rows,
        }

    def __str__(self) -> str:
        return self.summary


def make_result(
    space: Space,
    rows: list[Configuration],
    folder: Path,
    budget: int,
    *,
    interrupted: bool,
    words: list[str],
    settings: list[str],
) -> SearchResult:
    """Collect what a search found, and write its figure.

    Args:
        space: the search space.
        rows: what was tried.
        folder: results folder.
        budget: configurations to train in all.
        interrupted: the user stopped the search.
        words: command that runs a method under the full protocol, without the method.
        settings: settings of the search, as KEY=VALUE.
    """
    from benchmark.search.history import JOURNAL, TABLE, pareto_front, spent, winner

    best, front, command = winner(rows), pareto_front(rows), None
    lines = _report(space, rows, front, folder) if best else []
    lines.append(
        f"{'interrupted: ' if interrupted else ''}{spent(rows)} of {budget} configurations; all of them in "
        f"{folder / TABLE}, and as a study of Optuna in {folder / JOURNAL}"
    )
    if best and space.source.info.folds:
        lines.append(
            f"under the full protocol, only the winner's score on fold {space.first.fold} is of clips that the search "
            "did not see: it trained on the other folds, and chose on one of them"
        )
    if best:
        settings = [text for text in settings if text.partition("=")[0].strip() != "recipe.lr"]
        changes = [word for text in [f"recipe.lr={best.lr:g}", *settings] for word in ("--set", text)]
        command = join([*words, "--method", best.method, *changes])
        lines += ["the winner under the full protocol:", command]
    return SearchResult(
        folder=folder,
        configurations=_frame(rows),
        pareto_front=_frame(front),
        best_method=best.method if best else None,
        best_lr=best.lr if best else None,
        command=command,
        interrupted=interrupted,
        summary="\n".join(lines),
    )


def _frame(rows: list[Configuration]) -> pd.DataFrame:
    """Return one row per configuration."""
    import pandas as pd

    from benchmark.search.history import Configuration

    columns = [column.name for column in dataclasses.fields(Configuration)]
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows], columns=columns)
    return frame.astype({"trainable": "Int64", "peak_bytes": "Int64"})


def _report(space: Space, rows: list[Configuration], front: list[Configuration], folder: Path) -> list[str]:
    """Write the figure, and return the Pareto front as a table, with what limits its meaning.

    Args:
        space: the search space.
        rows: what was tried.
        front: the Pareto front.
        folder: results folder.
    """
    from benchmark.report.figures.search import pareto_search
    from benchmark.report.figures.style import measure, save

    metric = measure(space.split.manifest.info.metric)
    title = f"Search: {space.source.info.name}, {space.first.backbone.variant}, on validation data"
    frame = _frame(rows)
    figure = pareto_search(frame[[row.is_trained for row in rows]], title, metric, space.marks)
    try:
        [path, *_] = save(figure, folder, "pareto-search")
    except OSError as error:  # a full disk, for example: what was found must be shown
        written = f"figure: not written ({first_line(error)})"
    else:
        written = f"figure: {path} (.pdf, .svg)"
    return [
        f"{title}. Pareto front:",
        _table(front, metric),
        "",
        f"Not comparable with the paper: {'; '.join(space.marks)}.",
        written,
    ]


def _table(rows: list[Configuration], metric: str) -> str:
    """Return configurations as a table of text."""
    cells = [["method", "lr", metric, "epochs", "params (M)", "step (GB)"]]
    for row in rows:
        epochs = f"{row.epochs}{' (pruned)' if row.state == 'pruned' else ''}"
        sizes = [f"{(row.trainable or 0) / 1e6:.3f}", f"{(row.peak_bytes or 0) / 1e9:.3f}"]
        cells.append([row.method, f"{row.lr:g}", f"{100 * (row.score or 0):.1f}", epochs, *sizes])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
