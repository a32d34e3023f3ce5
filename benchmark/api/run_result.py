"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.planning.plan import Plan
    from benchmark.report.write import Report

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
