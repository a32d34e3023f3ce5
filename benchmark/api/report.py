"""Tables and figures from records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import new_folder
from benchmark.api.papers import choose_papers
from benchmark.console import counting, stderr_console

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from benchmark.records.store import ResultStore
    from benchmark.report.best import Best
    from benchmark.report.write import Report


@checked
def report(
    results: str | Path,
    output: str | Path | None = None,
    *,
    paper: str | Path | Iterable[str | Path] = (),
    against: str | None = None,
    html: bool = False,
    console: Console | None = None,
) -> Report:
    """Write tables (CSV, Markdown, LaTeX, JSON) and figures (PNG, PDF, SVG) from the records alone.

    Args:
        results: results folder.
        output: folder to write; default RESULTS/report.
        paper: papers whose scores and claims are shown, as for `claims`.
        against: a method with which all others are compared in the table `differences`, besides full fine-tuning.
        html: also write one self-contained page, `report.html`.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Returns:
        `paths` of the files, the main table as `results` (a DataFrame, scores in per cent), and `warnings`: reasons
        why the results are not comparable with the paper.

    Raises:
        BenchmarkError: not a results folder, a mistake in `paper`, or no such method `against`.

    Example:
        >>> benchmark.report("OUT").results
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.write import build_report

    with counting(console or stderr_console()) as progress:
        return build_report(
            ResultStore(Path(results)),
            None if output is None else new_folder(Path(output)),
            choose_papers(paper),
            against=against,
            html=html,
            progress=progress,
        )


def main_table(store: ResultStore) -> tuple[pd.DataFrame, list[str], list[Best]]:
    """Return the main table, its warnings and the best methods without writing a file.

    Raises:
        BenchmarkError: not a results folder.
    """
    from benchmark.report.best import best_methods
    from benchmark.report.render import plain
    from benchmark.report.tables.results import score_table
    from benchmark.report.write import read_results

    found = read_results(store)
    return plain(score_table(found)), found.marks, best_methods(found)
