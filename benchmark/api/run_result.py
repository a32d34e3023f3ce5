"""The result of a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.commands import command
from benchmark.console import say
from benchmark.errors import first_line

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from benchmark.orchestrator.run import Ended
    from benchmark.planning.plan import Plan
    from benchmark.records.store import ResultStore
    from benchmark.report.write import Report

logger = logging.getLogger(__name__)

RERUN = ("failed", "stale")  # states that a run leaves alone unless asked


@dataclass(frozen=True)
class RunResult:
    """What a run did. `print` shows the counts, the main table and the folder.

    Attributes:
        results: the results folder.
        counts: number of trials of the grid by state (done, stale, failed, missing), after the run.
        submitted: number of trials that this call ran; 0 if there was nothing to do.
        failed: number of trials that failed in this call.
        interrupted: whether the user stopped the run.
        table: the main table, mean scores in per cent with one row per backbone and method; None if `report=False`, or
            if the report failed.
        warnings: reasons why the results are not comparable with the paper.
        report: the files of the report that this call wrote; None if it wrote none.
        plan: every trial of the grid with its state, after the run.
    """

    results: Path
    counts: dict[str, int]
    submitted: int
    failed: int
    interrupted: bool
    table: pd.DataFrame | None = field(repr=False)
    warnings: list[str] = field(repr=False)
    report: Report | None = field(repr=False)
    plan: Plan = field(repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether no trial of the grid failed or is missing, and none failed in this call."""
        return not (self.interrupted or self.failed or self.counts["failed"] or self.counts["missing"])

    def summary(self) -> str:
        """Return the counts, how to run what a run leaves alone, and the folder, in one line."""
        text = ", ".join(f"{number} {state}" for state, number in self.counts.items() if number or state == "done")
        retried = {request.id for request in self.plan.to_run()}
        left_alone = {entry.state for entry in self.plan.entries if entry.request.id not in retried} & set(RERUN)
        hints = [f"--rerun {state} runs the {state} trials again" for state in sorted(left_alone)]
        start = "interrupted: " if self.interrupted else "" if self.submitted else "nothing to do: "
        return start + "; ".join([text, *hints, f"results in {self.results}"])

    def __str__(self) -> str:
        parts = []
        if self.table is not None and not self.table.empty:
            parts.append(self.table.to_string(index=False))
        if self.warnings:
            parts.append(f"Not comparable with the paper: {'; '.join(self.warnings)}.")
        return "\n\n".join([*parts, self.summary()])


def make_result(
    store: ResultStore, plan: Plan, *, report: bool, ended: Ended | None, submitted: int, console: Console
) -> RunResult:
    """Write the report, unless nothing was run and there is one, and collect the result.

    Args:
        store: the results folder.
        plan: states of all trials after the run.
        report: whether a report is wanted. One that fails is reported in one line: the trials count.
        ended: how the run ended; None if there was nothing to do.
        submitted: number of trials that were run.
        console: where a failed report is shown.
    """
    written, table, warnings = None, None, list[str]()
    if report:
        try:
            written, table, warnings = _report(store, write=submitted > 0 or not (store.folder / "report").is_dir())
        except Exception as error:
            logger.info("the report failed", exc_info=True)
            again = command("report", "--results", store.folder)
            where = store.folder / "report"
            say(console, f"{where}: not written ({first_line(error)}); the records are kept: `{again}` writes it")
    return RunResult(
        results=store.folder,
        counts={str(state): number for state, number in plan.counts().items()},
        submitted=submitted,
        failed=ended.failed if ended else 0,
        interrupted=ended is not None and ended.interrupted,
        table=table,
        warnings=warnings,
        report=written,
        plan=plan,
    )


def _report(store: ResultStore, *, write: bool) -> tuple[Report | None, pd.DataFrame, list[str]]:
    """Return the report if it is to be written, the main table, and its warnings."""
    from benchmark.api.report import main_table
    from benchmark.report.write import build_report

    if not write:
        return None, *main_table(store)
    written = build_report(store)
    return written, written.results, written.warnings
