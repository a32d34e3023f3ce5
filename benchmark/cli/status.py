"""`status`: where a results folder stands."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options

if TYPE_CHECKING:
    from benchmark.planning.plan import Entry, Plan
    from benchmark.records.store import ResultStore

WATCH_SECONDS = 2.0


def status(
    results: Annotated[Path, typer.Option("--results", help="Results folder.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Show what is running and how far it is, until all is done or Ctrl-C.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Print the trials that were submitted to a results folder, and which are running, done, stale, failed, missing.

    Example: python -m benchmark status --results OUT --watch
    """
    from benchmark.planning.plan import make_plan
    from benchmark.records.lease import leased
    from benchmark.records.store import ResultStore

    store = ResultStore(results)
    store.require()
    if watch:
        _watch(store)
        return
    plan, running = make_plan(store.submitted(), store), leased(store.folder)
    if json:
        typer.echo(jsonlib.dumps(as_json(plan, [], store.folder, running), indent=1))
        return
    for entry in plan.entries:
        typer.echo(trial_line(entry, running) + _last(store, entry, running))
    typer.echo(counts_line(plan, store.folder, running))


def _watch(store: ResultStore) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from benchmark.planning.plan import make_plan
    from benchmark.records.lease import leased

    def render() -> tuple[Group, bool]:
        plan, running = make_plan(store.submitted(), store), leased(store.folder)
        at_work = [entry for entry in plan.entries if entry.request.id in running]
        lines = [trial_line(entry, running) + _last(store, entry, running) for entry in at_work]
        counts = plan.counts()
        over = not counts["missing"] and not running
        return Group(*map(Text, [*lines, counts_line(plan, store.folder, running)])), over

    shown, over = render()
    try:
        with Live(shown, console=Console(highlight=False), auto_refresh=False) as live:
            while not over:
                time.sleep(WATCH_SECONDS)
                shown, over = render()
                live.update(shown, refresh=True)
    except KeyboardInterrupt:  # how watching ends
        return


def trial_line(entry: Entry, running: Collection[str] = ()) -> str:
    """State, id and name of a trial."""
    known = entry.request.id if entry.request.complete else "-" * 12  # the id needs the digests
    state = "running" if entry.request.id in running else entry.state
    return f"{state:8}{known}  {entry.request.label}"


def counts_line(plan: Plan, folder: Path, running: Collection[str] = ()) -> str:
    """How many trials there are, by state."""
    text = ", ".join(f"{number} {state}" for state, number in plan.counts().items())
    at_work = f" ({len(running)} running)" if running else ""
    return f"{len(plan.entries)} trials: {text}{at_work}; results in {folder}"


def as_json(plan: Plan, missing_inputs: list[str], folder: Path, running: Collection[str] = ()) -> dict[str, Any]:
    """What `status` and `plan` print with --json."""
    return {
        "results": str(folder),
        "counts": plan.counts(),
        "missing_inputs": missing_inputs,
        "running": sorted(running),
        "trials": [
            {"id": entry.request.id, "state": entry.state, "trial": entry.request.label} for entry in plan.entries
        ],
    }


def _last(store: ResultStore, entry: Entry, running: Collection[str]) -> str:
    """The last line of a running trial's log."""
    if entry.request.id not in running:
        return ""
    try:
        lines = store.log_path(entry.request.id).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return f"  {lines[-1].partition(' ')[2]}" if lines else ""
