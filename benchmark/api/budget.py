"""Choose the trials to run when the time is too short for all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.console import say
from benchmark.errors import ArgumentError, BenchmarkError
from benchmark.units import duration, parse_duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.planning.estimate import Estimate
    from benchmark.planning.expand import Expansion
    from benchmark.records.store import ResultStore
    from benchmark.spec.options import RunOptions
    from benchmark.spec.request import TrialRequest


def within_budget(
    budget: str | float,
    requests: Sequence[TrialRequest],
    estimates: Mapping[str, Estimate],
    store: ResultStore,
    expansion: Expansion,
    protocol: str,
    options: RunOptions,
    console: Console,
) -> list[TrialRequest]:
    """Return the trials that decide the most claims within a time, and print which claims stay open.

    Args:
        budget: seconds, or text such as `8h`.
        requests: the trials that are not finished.
        estimates: their time, by trial id.
        store: the results folder, whose finished cells count as decided.
        expansion: datasets of the trials.
        protocol: name of the protocol whose claims are meant.
        options: resources of the run.
        console: where the choice is printed.

    Raises:
        BenchmarkError: a budget that cannot be read or that is too short for any claim, or trials that cannot judge.
    """
    from benchmark.planning.budget import able_to_judge, choose
    from benchmark.report.claims.judge import judge
    from benchmark.report.papers import known_papers, load_paper
    from benchmark.report.write import read_results

    seconds = parse_duration(budget, "budget") if isinstance(budget, str) else float(budget)
    if not 0 < seconds < math.inf:
        raise ArgumentError("budget", "expected seconds above 0, or a time such as 8h", budget)
    with store.lock():
        store.submit(requests)  # the report reads which cells a complete grid would have
    results = read_results(store)
    cells = results.cells
    open_cells = cells[cells["diverged"] == 0]["cell"]  # a cell with a diverged trial never has a score
    papers = {name: load_paper(name) for name in known_papers()}

    def papers_of(request: TrialRequest) -> list[str]:
        marks = "; ".join(request.marks)
        return [name for name, paper in papers.items() if not paper.marks(request, marks)]

    def cells_of(request: TrialRequest) -> list[tuple[str, ...]]:
        cell = (request.backbone.name, request.dataset.name, request.method.variant)
        return [(name, *cell) for name in papers_of(request)]

    able = able_to_judge(requests, protocol, expansion, results.submitted, lambda request: bool(papers_of(request)))
    able = [request for request in able if request.cell in set(open_cells)]
    if not able:
        raise ArgumentError(
            "budget",
            f"none of the {len(requests)} trials can judge a claim, which needs a paper's models, recipes, "
            "clips and folds; run without a budget",
        )
    finished = cells[cells["score"].notna() & (cells["protocol"] == protocol)]
    complete = {
        (name, cell["backbone"], cell["dataset"], cell["method"])
        for _, cell in finished.iterrows()
        for name, paper in papers.items()
        if not paper.marks(results.requests[cell["cell"]], cell["marks"])
    }
    able_papers = {name for request in able for name in papers_of(request)}
    claims = {
        claim.id: [(claim.publication, *need) for need in claim.needs]
        for claim in judge(results, [paper for name, paper in papers.items() if name in able_papers], protocol)
        if claim.verdict == "not run" and claim.needs and (claim.kind != "ratio" or _measures(options))
    }
    choice = choose(able, _in_parallel(estimates, options), claims, complete, seconds, cells_of)
    say(
        console,
        f"budget: {len(choice.requests)} of {plural(len(requests), 'trial')}, about "
        f"{duration(choice.seconds)}, for {plural(len(choice.decided), 'claim')}; still open: "
        f"{', '.join(choice.open) or 'none'}",
    )
    if not choice.requests:
        raise ArgumentError("budget", "the time is too short to decide any claim; `plan` shows how long trials take")
    return choice.requests


def _in_parallel(estimates: Mapping[str, Estimate], options: RunOptions) -> dict[str, Estimate]:
    """Return the estimates with the part of the run's time that each trial takes, as others run at the same time."""
    from benchmark.planning.node import node_here
    from benchmark.planning.packing import pack

    here = node_here()
    node = here if options.cpus is None else dataclasses.replace(here, cpus=min(here.cpus, options.cpus))
    needs = {trial_id: estimate.need for trial_id, estimate in estimates.items()}
    try:
        shares = pack([node], needs, options.cpus_per_trial, options.gpus_per_trial, exclusive=options.exclusive)
    except BenchmarkError:
        if options.address is None:
            raise
        return dict(estimates)  # the machines of a cluster are not known yet, and this one is too small
    return {
        trial_id: dataclasses.replace(
            estimate,
            seconds=None if estimate.seconds is None else estimate.seconds / shares[trial_id].undisturbed([node]),
        )
        for trial_id, estimate in estimates.items()
    }


def _measures(options: RunOptions) -> bool:
    """Return whether trials measure time and memory for claims: on a GPU that they do not share."""
    from benchmark.planning.node import node_here

    return options.exclusive and options.gpus_per_trial != 0 and bool(node_here().gpus or options.address)
