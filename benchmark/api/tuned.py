"""Phases of a grid that chooses settings: trials on held-out clips, then default and chosen settings in full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.console import say
from benchmark.units import plural

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.orchestrator.run import Ended
    from benchmark.planning.estimate import Estimate
    from benchmark.planning.expand import Expansion
    from benchmark.planning.plan import Plan
    from benchmark.planning.total import Total
    from benchmark.records.choice import Candidate, Choice
    from benchmark.records.store import ResultStore
    from benchmark.search.tuned import TunedGrid
    from benchmark.spec.grid import Grid
    from benchmark.spec.request import TrialRequest

    Train = Callable[[list[TrialRequest], list[TrialRequest], Plan, Expansion], tuple[int, Ended]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chosen:
    """What the first phase left.

    Attributes:
        expansion: final trials, with the default settings and those that were chosen.
        choosing: trials that choose.
        submitted: number of them that this call ran.
        ended: how they ended; None if none was run.
    """

    expansion: Expansion
    choosing: list[TrialRequest]
    submitted: int
    ended: Ended | None


def choose_settings(
    tuned: TunedGrid, store: ResultStore, console: Console, train: Train, rerun: Collection[str]
) -> Chosen:
    """Run the trials that choose and have no record yet, and write the choices.

    Args:
        tuned: the candidates.
        store: the results folder.
        console: where progress is shown.
        train: runs trials: what to run, what the results folder is to remember, the plan, datasets and checkpoints.
        rerun: states of trials to run again.
    """
    from benchmark.planning.plan import make_plan

    choosing = tuned.choosing
    plan, ended, submitted = make_plan(choosing.requests, store), None, 0
    to_run = plan.to_run(rerun)
    say(console, f"Choosing settings on held-out clips: {plural(len(to_run), 'trial')} to run; test clips are not read")
    if to_run:
        with store.lock():
            write_choices(tuned, store)  # open ones, from which `status` knows what follows
        submitted, ended = train(to_run, [*choosing.requests, *tuned.expansion.requests], plan, choosing)
    with store.lock():
        choices = write_choices(tuned, store)
    for choice in choices:
        say(console, choice_line(choice))
    return Chosen(tuned.final(choices), choosing.requests, submitted, ended)


def write_choices(tuned: TunedGrid, store: ResultStore) -> list[Choice]:
    """Write the choice of every method, backbone and dataset as the records are now, and return them."""
    choices = [tuning.choice(store) for tuning in tuned.tunings]
    for choice in choices:
        store.write_choice(choice)
    return choices


def choice_line(choice: Choice) -> str:
    """Return what was chosen, and which settings failed, in one line."""
    name, number = f"{choice.backbone} {choice.dataset} {choice.method}", len(choice.candidates)
    failures = "".join(f"; {_failure(one)}" for one in choice.candidates if one.attempts)
    if (winner := choice.winner) is None:
        is_over = choice.finished == number
        text = "all settings diverged or failed" if is_over else f"{choice.finished}/{number} settings"
        return f"not chosen: {name}: {text}{failures}"
    default, known_as = choice.candidates[0], choice.default_name
    of_default = default.state if default.score is None else f"{100 * default.score:.1f} %"
    score = f"{100 * (winner.score or 0):.1f} %"
    text = f"the {known_as}, lr {winner.lr:g}" if choice.chosen == 0 else winner.label
    return f"chosen of {number}: {name}: {text}: {score} on validation clips ({known_as} {of_default}){failures}"


def _failure(candidate: Candidate) -> str:
    """Return which setting failed, why, and what to do."""
    again = (
        "it is left out of the choice, `--rerun failed` tries it again"
        if candidate.state == "failed"
        else "the same call tries it again"
    )
    return (
        f"{candidate.label} failed {plural(candidate.attempts, 'time')} ({candidate.error or 'unknown error'}): {again}"
    )


@dataclass(frozen=True)
class Rounds:
    """The trials of a plan: of one round, or of the two phases of a grid that chooses settings.

    Attributes:
        final: trials whose settings are known.
        choosing: trials that choose; None for a grid with given settings.
        choices: choices, made and open.
        copied: final trials with default settings, for each tuning without a choice: as many trials are to come.
    """

    final: Expansion
    choosing: Expansion | None = None
    choices: tuple[Choice, ...] = ()
    copied: tuple[TrialRequest, ...] = ()

    @property
    def requests(self) -> list[TrialRequest]:
        """Return all trials whose settings are known, in the order in which they run."""
        return [*(self.choosing.requests if self.choosing else []), *self.final.requests]

    def split(self, requests: Sequence[TrialRequest]) -> list[tuple[Expansion, list[TrialRequest]]]:
        """Return trials with the datasets that they are trained on."""
        final = [request for request in requests if not request.held_out]
        if self.choosing is None:
            return [(self.final, final)]
        return [(self.choosing, [request for request in requests if request.held_out]), (self.final, final)]

    def to_come(self, estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
        """Return the estimates of trials whose settings are not chosen yet: those of the default settings.

        Args:
            estimates: by trial id, of `copied` and others.
        """
        return {f"{request.id} chosen": estimates[request.id] for request in self.copied}

    def lines(
        self,
        plan: Plan,
        estimates: Mapping[str, Estimate],
        to_come: Mapping[str, Estimate],
        total: Callable[[dict[str, Estimate]], Total],
    ) -> list[str]:
        """Return states and time of both phases, a line each; empty for a grid with given settings.

        Args:
            plan: the trials with their states.
            estimates: of the trials to run, by id.
            to_come: estimates of trials whose settings are not chosen yet.
            total: sums estimates.
        """
        choosing = {request.id for request in self.choosing.requests} if self.choosing else set()
        first = {trial_id: estimate for trial_id, estimate in estimates.items() if trial_id in choosing}
        second = {trial_id: estimate for trial_id, estimate in estimates.items() if trial_id not in choosing}
        parts = (total(first), total({**second, **to_come}))
        lines = phase_lines(plan, self.choices)
        return [f"{line}; {part.short_text()}" for line, part in zip(lines, parts, strict=False)]


def plan_rounds(grid: Grid, expansion: Expansion, store: ResultStore) -> Rounds:
    """Return the trials of a grid as the results folder is now; nothing is written.

    Args:
        grid: the grid.
        expansion: its trials; of a grid that chooses settings, those with the default settings.
        store: the results folder.
    """
    if grid.tune is None:
        return Rounds(expansion)
    from benchmark.search.tuned import tuned_grid

    tuned = tuned_grid(grid, expansion)
    choices = tuple(tuning.choice(store) for tuning in tuned.tunings)
    copied = tuple(request for tuning in tuned.undecided(choices) for request in tuning.default.finals)
    return Rounds(tuned.final(choices), tuned.choosing, choices, copied)


def phase_lines(plan: Plan, choices: Sequence[Choice], running: Collection[str] = ()) -> list[str]:
    """Return the states of both phases, a line each; empty if nothing is chosen.

    Args:
        plan: trials of a grid or of a results folder.
        choices: choices among its trials.
        running: ids of the trials that are running now.
    """
    from benchmark.planning.plan import Plan

    first = Plan([entry for entry in plan.entries if entry.request.held_out])
    if not first.entries:
        return []
    second = Plan([entry for entry in plan.entries if not entry.request.held_out])
    made = sum(choice.chosen is not None for choice in choices)
    waiting = sum(choice.final_trials for choice in choices if choice.chosen is None)
    more = f"; up to {waiting} more when their settings are chosen" if waiting else ""
    return [
        f"choice of settings, {_counts(first, running)}; {made} of {plural(len(choices), 'choice')} made",
        f"default and chosen settings, {_counts(second, running)}{more}",
    ]


def _counts(plan: Plan, running: Collection[str]) -> str:
    text = ", ".join(f"{number} {state}" for state, number in plan.counts().items())
    now_running = sum(entry.request.id in running for entry in plan.entries)
    return f"{plural(len(plan.entries), 'trial')}: {text}{f' ({now_running} running)' if now_running else ''}"
