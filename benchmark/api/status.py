"""Which trials of a results folder are running, done, stale, failed or missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.tuned import phase_lines
from benchmark.units import plural

if TYPE_CHECKING:
    from benchmark.planning.plan import Entry, Plan
    from benchmark.records.choice import Choice
    from benchmark.records.store import ResultStore


@dataclass(frozen=True)
class StatusResult:
    """The state of a results folder. `print` shows a line per trial and the counts.

    Attributes:
        results: the results folder.
        plan: every submitted trial with its state.
        running: ids of the trials that are running now.
        last_lines: the last line of the log of each running trial, by id.
        choices: choices of settings, made and open.
    """

    results: Path
    plan: Plan
    running: frozenset[str]
    last_lines: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing is missing or running."""
        return not self.plan.counts()["missing"] and not self.running

    def lines(self, *, only_running: bool = False) -> list[str]:
        """Return a line per trial, and the counts."""
        shown = [entry for entry in self.plan.entries if not only_running or entry.request.id in self.running]
        return [
            *(trial_line(entry, self.running) + self.last_lines.get(entry.request.id, "") for entry in shown),
            *phase_lines(self.plan, self.choices, self.running),
            counts_line(self.plan, self.results, self.running),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        content = plan_as_dict(self.plan, self.results, running=self.running)
        return {**content, "choices": [choice.model_dump(mode="json") for choice in self.choices]}

    def __str__(self) -> str:
        return "\n".join(self.lines())


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
    return StatusResult(store.folder, plan, running, last_lines, tuple(store.choices()))


def _last_line(store: ResultStore, trial_id: str) -> str:
    """Return the last line of a trial's log without its time, indented; empty if there is none."""
    try:
        lines = store.log_path(trial_id).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return f"  {lines[-1].partition(' ')[2]}" if lines else ""


def trial_line(entry: Entry, running: Collection[str] = ()) -> str:
    """Return state, id and name of a trial."""
    shown_id = entry.request.id if entry.request.complete else "-" * 12  # the id needs the digests of the data
    state = "running" if entry.request.id in running else entry.state
    return f"{state:8}{shown_id}  {entry.request.label}"


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
