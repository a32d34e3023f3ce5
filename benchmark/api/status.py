"""Which trials of a results folder are running, done, stale, failed or missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.trial_matrix import (
    LEGEND,
    STYLES,
    Failure,
    TrialCell,
    failure_lines,
    known_names,
    matrices,
    read_failures,
    trial_cells,
)
from benchmark.api.tuned import phase_lines
from benchmark.console import Block, Styled, as_text
from benchmark.units import duration, plural

if TYPE_CHECKING:
    from benchmark.planning.plan import Entry, Plan
    from benchmark.records.choice import Choice
    from benchmark.records.store import ResultStore


@dataclass(frozen=True)
class StatusResult:
    """The state of a results folder. `print` shows the trials by backbone, dataset and method, and the counts.

    Attributes:
        results: the results folder.
        plan: every submitted trial with its state.
        running: ids of the trials that are running now.
        last_lines: the last line of the log of each running trial, by id.
        failures: the errors of the failed trials.
        choices: choices of settings, made and open.
    """

    results: Path
    plan: Plan
    running: frozenset[str]
    last_lines: Mapping[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    choices: tuple[Choice, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing is missing or running."""
        return not self.plan.counts()["missing"] and not self.running

    @property
    def cells(self) -> list[TrialCell]:
        """The trials by backbone, dataset and method."""
        return trial_cells(self.plan, self.running)

    def blocks(self, *, trials: bool = False) -> Iterator[Block]:
        """Yield the matrix, what is running and failed, and the counts.

        Args:
            trials: yield a line per trial in place of the matrix.
        """
        if trials:
            yield from (self._line(entry) for entry in self.plan.entries)
        else:
            yield from matrices(self.cells, known_names(), show_left=False)
            if self.plan.entries:
                yield f"{LEGEND} of the finished ones."
            yield from self.running_lines()
        yield from failure_lines(self.failures)
        yield from phase_lines(self.plan, self.choices, self.running)
        yield self.counts()

    def running_lines(self) -> Iterator[Block]:
        """Yield a line per running trial."""
        yield from (self._line(entry) for entry in self.plan.entries if entry.request.id in self.running)

    def counts(self) -> str:
        """Return the number of trials by state, and their time."""
        spent = sum(entry.seconds for entry in self.plan.entries)
        time = f"; {duration(spent)} of training and evaluation" if spent else ""
        return counts_line(self.plan, self.results, self.running) + time

    def _line(self, entry: Entry) -> Block:
        last = self.last_lines.get(entry.request.id, "")
        score = "" if entry.score is None else f"  {100 * entry.score:.1f} %"
        return trial_line(entry, self.running, f"{last}{score}{'  weights kept' if entry.keeps_weights else ''}")

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        content = plan_as_dict(self.plan, self.results, running=self.running)
        content["cells"] = [cell.as_dict() for cell in self.cells]
        content["failures"] = [failure.as_dict() for failure in self.failures]
        return {**content, "choices": [choice.model_dump(mode="json") for choice in self.choices]}

    def __str__(self) -> str:
        return as_text(self.blocks())


@checked
def status(results: str | Path) -> StatusResult:
    """Return the state of every trial that was submitted to a results folder.

    Args:
        results: results folder.

    Raises:
        BenchmarkError: not a results folder.

    Example:
        >>> print(benchmark.status("OUT"))
    """
    from benchmark.planning.plan import make_plan
    from benchmark.records.lease import leased
    from benchmark.records.store import ResultStore

    store = ResultStore(Path(results))
    store.require()
    plan, running = make_plan(store.submitted(), store), frozenset(leased(store.folder))
    last_lines = {trial_id: _last_line(store, trial_id) for trial_id in running}
    failures = read_failures(store, plan)
    return StatusResult(store.folder, plan, running, last_lines, failures, tuple(store.choices()))


def _last_line(store: ResultStore, trial_id: str) -> str:
    """Return the last line of a trial's log without its time, indented; empty if there is none."""
    try:
        lines = store.log_path(trial_id).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return f"  {lines[-1].partition(' ')[2]}" if lines else ""


def trial_line(entry: Entry, running: Collection[str] = (), remark: str = "") -> Styled:
    """Return state, id and name of a trial.

    Args:
        entry: the trial.
        running: ids of the trials that are running now.
        remark: text at the end of the line.
    """
    shown_id = entry.request.id if entry.request.complete else "-" * 12  # the id needs the digests of the data
    state = "running" if entry.request.id in running else entry.state
    return Styled(f"{state:8}{shown_id}  {entry.request.label}{remark}", STYLES[state])


def counts_line(plan: Plan, results: Path, running: Collection[str] = ()) -> str:
    """Return the number of trials by state."""
    text = ", ".join(f"{number} {state}" for state, number in plan.counts().items())
    now_running = f" ({len(running)} running)" if running else ""
    return f"{plural(len(plan.entries), 'trial')}: {text}{now_running}; results in {results}"


def plan_as_dict(
    plan: Plan, results: Path, *, missing_inputs: Collection[str] = (), running: Collection[str] = ()
) -> dict[str, Any]:
    """Return trials and their states as plain data.

    Args:
        plan: the trials.
        results: the results folder.
        missing_inputs: one line per missing dataset or checkpoint.
        running: ids of the trials that are running now.
    """
    return {
        "results": str(results),
        "counts": plan.counts(),
        "missing_inputs": list(missing_inputs),
        "running": sorted(running),
        "trials": [
            {"id": entry.request.id, "state": entry.state, "trial": entry.request.label} for entry in plan.entries
        ],
    }
