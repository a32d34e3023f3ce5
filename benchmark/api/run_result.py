"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.trial_matrix import Failure, failure_lines
from benchmark.console import as_text

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.planning.plan import Plan
    from benchmark.report.best import Best
    from benchmark.report.write import Report

RERUN = ("failed", "stale")  # states that a run leaves alone unless asked


@dataclass(frozen=True)
class RunResult:
    """What a run did. `print` shows the main table, the best methods, what failed, the counts and the folder.

    Attributes:
        results: the results folder.
        counts: number of trials of the grid by state (done, stale, failed, missing), after the run.
        submitted: number of trials that this call ran; 0 if there was nothing to do.
        failed: number of trials that failed in this call.
        interrupted: whether the user stopped the run.
        table: the main table, mean scores in per cent with one row per backbone and method; None if `report=False`, or
            if the report failed.
        notes: findings on data, checkpoints and recipes before training, such as trials with few optimizer steps.
        warnings: reasons why the results are not comparable with the paper.
        report: the files of the report that this call wrote; None if it wrote none.
        plan: every trial of the grid with its state, after the run.
        best: the best method of each dataset and backbone, with its distance to full fine-tuning.
        failures: the errors of the failed trials.
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
    notes: list[str] = field(default_factory=list, repr=False)
    best: list[Best] = field(default_factory=list, repr=False)
    failures: list[Failure] = field(default_factory=list, repr=False)

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

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        return {
            "results": str(self.results),
            "complete": self.is_complete,
            "interrupted": self.interrupted,
            "counts": self.counts,
            "submitted": self.submitted,
            "failed": self.failed,
            "report": None if self.report is None else str(self.report.paths[0].parent),
            "notes": self.notes,
            "warnings": self.warnings,
            "best": [best.as_dict() for best in self.best],
            "failures": [failure.as_dict() for failure in self.failures],
        }

    def __str__(self) -> str:
        parts = []
        if self.table is not None and not self.table.empty:
            parts.append(self.table.to_string(index=False))
        if self.warnings:
            parts.append(f"Not comparable with the paper: {'; '.join(self.warnings)}.")
        if self.best:
            from benchmark.report.best import best_blocks

            parts.append(as_text(best_blocks(self.best)))
        if self.failures:
            parts.append(as_text(failure_lines(self.failures)))
        return "\n\n".join([*parts, self.summary()])
