"""Write the report of a results folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.console import Block
from benchmark.errors import ArgumentError, closest
from benchmark.files import write_atomic
from benchmark.progress import Progress, no_progress
from benchmark.records.floor import REGRESSION
from benchmark.records.store import ResultStore
from benchmark.report.against import against_blocks
from benchmark.report.best import Best, best_blocks, best_methods
from benchmark.report.layout import load_layout
from benchmark.report.measured import time_shares
from benchmark.report.papers import DEFAULT_PAPERS, PaperChoice
from benchmark.report.render import Table, plain, to_latex, to_markdown
from benchmark.report.results import Results
from benchmark.report.tables import TableSource, build_table
from benchmark.report.tables.results import BELOW
from benchmark.units import duration, plural

PURPOSE_NAMES = {
    "train": "training", "data": "waiting for its data", "eval": "evaluation",
    "overhead": "other (set-up, resume states)",
}  # fmt: skip


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        paths: files of the report.
        results: the main table as text, for the terminal.
        warnings: reasons why the numbers are not comparable with the paper.
        time: what the time of the trials was spent on, in one line; empty without a record.
        first: backbone, dataset and method of a table cell, of a finished one if there is one, as `explain` takes them;
            None without a cell.
        best: the best method of each dataset and backbone, with its distance to full fine-tuning.
        against: differences from the method that was asked for, as tables and lines.
    """

    paths: list[Path]
    results: pd.DataFrame
    warnings: list[str]
    time: str
    first: tuple[str, str, str] | None = None
    best: tuple[Best, ...] = ()
    against: tuple[Block, ...] = ()

    def blocks(self) -> Iterator[Block]:
        """Yield what the terminal shows below the main table: signs, which method is best, differences asked for."""
        if self.results.map(lambda text: BELOW in str(text)).any(axis=None):
            yield f"{BELOW} below a regression on log-mel statistics, which needs no backbone (row '{REGRESSION}')."
        yield from best_blocks(self.best)
        yield from self.against

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        return {
            "folder": str(self.paths[0].parent),
            "files": [path.name for path in self.paths],
            "warnings": self.warnings,
            "time": self.time,
            "best": [best.as_dict() for best in self.best],
        }


def read_results(store: ResultStore) -> Results:
    """Read a results folder, with methods and datasets in the order of the layout.

    Raises:
        BenchmarkError: not a results folder, or a record of a newer schema.
    """
    return Results.read(store, load_layout().order)


def build_report(
    store: ResultStore,
    folder: Path | None = None,
    papers: PaperChoice = DEFAULT_PAPERS,
    *,
    against: str | None = None,
    html: bool = False,
    progress: Progress = no_progress,
) -> Report:
    """Write tables (CSV, Markdown, LaTeX, JSON) and figures (PNG, PDF, SVG) from the records alone.

    Args:
        store: the results folder.
        folder: where to write; `report/` in the results folder by default.
        papers: papers whose scores and claims are shown.
        against: a method with which all are compared, besides full fine-tuning.
        html: also write `report.html`, one page with everything.
        progress: called with what is made, how many of them are done, and of how many.

    Raises:
        BenchmarkError: not a results folder, a record of a newer schema, a damaged paper, or no method
            `against`.
    """
    from benchmark.report.figures import build_figures, save

    results = read_results(store)
    folder = folder or store.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    tables = build_tables(results, papers, against, progress)
    paths = [path for table in tables for path in _write_table(table, results, folder)]
    figures = build_figures(results, progress)
    if html:
        from benchmark.report.page.build import to_html

        progress("page", 0, 1)
        paths.append(_write(folder / "report.html", to_html(results, tables, figures, papers)))
        progress("page", 1, 1)
    for number, figure in enumerate(figures):
        progress("figures written", number, len(figures))
        paths += save(figure.figure, folder, figure.name)
    main = tables[0]
    finished = results.cells.sort_values("score", na_position="last", key=pd.isna, kind="stable")
    first = next(iter(finished[["backbone", "dataset", "method"]].itertuples(index=False, name=None)), None)
    best = tuple(best_methods(results))
    compared = () if against is None else tuple(against_blocks(results, against, folder))
    return Report(paths, plain(main.text), main.caption.warnings, time_line(results.trials), first, best, compared)


def build_tables(
    results: Results,
    papers: PaperChoice = DEFAULT_PAPERS,
    against: str | None = None,
    progress: Progress = no_progress,
) -> list[Table]:
    """Return the tables of the layout that have something to show; the first, the main table, is always there.

    Args:
        results: the results folder.
        papers: papers whose scores are shown.
        against: a method with which all are compared, besides full fine-tuning.
        progress: as in `build_report`.

    Raises:
        BenchmarkError: there is no such method in the results.
    """
    methods = results.cells["method"].unique().tolist()
    if against is not None and against not in methods:
        raise ArgumentError("against", f"no such method in {results.store.folder}{closest(against, methods)}", against)
    warnings = results.marks
    tables, entries = [], load_layout().tables
    for number, entry in enumerate(entries):
        progress("tables", number, len(entries))
        table = build_table(TableSource(results, entry, warnings, papers, against))
        if table is None:
            logger.debug("table %s: nothing to show", entry.name)
        else:
            tables.append(table)
    return tables


def time_line(trials: pd.DataFrame) -> str:
    """Return what the time of the trials was spent on, in one line; empty without a trial.

    Args:
        trials: finished trials, as in `benchmark.records.frame`.
    """
    if trials.empty:
        return ""
    shares = time_shares(trials)
    return f"time of {plural(len(trials), 'trial')}: {duration(trials['total_seconds'].sum())}, of it " + ", ".join(
        f"{100 * share:.0f} % {PURPOSE_NAMES[purpose]}" for purpose, share in shares.items()
    )


def _write_table(table: Table, results: Results, folder: Path) -> list[Path]:
    contents = {
        "csv": table.data.to_csv(index=False),
        "md": to_markdown(table.text, table.caption),
        "tex": to_latex(table.text, table.caption),
        "json": json.dumps(_to_json(table, results), indent=1, ensure_ascii=False),
    }
    return [_write(folder / f"{table.name}.{ending}", text) for ending, text in contents.items()]


def _write(path: Path, text: str) -> Path:
    write_atomic(path, text.encode("utf-8"))
    return path


def _to_json(table: Table, results: Results) -> dict[str, Any]:
    """Return a table for programs, with the trials of every cell."""
    content: dict[str, Any] = {
        "title": table.caption.title,
        "note": table.caption.note,
        "not_comparable_with_the_paper": table.caption.warnings,
        "rows": json.loads(table.data.to_json(orient="records")),
    }
    if "cell" in table.data:
        by_cell = results.trials.groupby("cell", sort=False)["id"].apply(list).to_dict()
        content["records"] = {cell: by_cell.get(cell, []) for cell in table.data["cell"].dropna()}
    return content
