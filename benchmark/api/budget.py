"""Choose the trials to run when the time is too short for all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.console import say
from benchmark.errors import BenchmarkError
from benchmark.units import duration, parse_duration

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.planning.estimate import Estimate
    from benchmark.records.store import ResultStore
    from benchmark.spec.request import TrialRequest


def within_budget(
    budget: str | float,
    requests: Sequence[TrialRequest],
    estimates: Mapping[str, Estimate],
    store: ResultStore,
    protocol: str,
    console: Console,
) -> list[TrialRequest]:
    """Return the trials that decide the most claims within a time, and print which claims stay open.

    Args:
        budget: seconds, or text such as `8h`.
        requests: the trials that are not finished.
        estimates: their time, by trial id.
        store: the results folder, whose finished cells count as decided.
        protocol: name of the protocol whose claims are meant.
        console: where the choice is printed.

    Raises:
        BenchmarkError: a budget that cannot be read, or that is too short for any claim.
    """
    from benchmark.planning.budget import choose
    from benchmark.planning.memory import Need
    from benchmark.planning.node import node_here
    from benchmark.planning.packing import pack
    from benchmark.report.claims.judge import judge
    from benchmark.report.write import read_results

    seconds = parse_duration(budget, "--budget") if isinstance(budget, str) else float(budget)
    if not 0 < seconds < math.inf:
        raise BenchmarkError(f"budget {budget}: expected seconds above 0, or a time such as 8h")
    with store.lock():
        store.submit(requests)  # the report reads which cells a complete grid would have
    results, node = read_results(store), node_here()
    cells = results.cells[results.cells["score"].notna() & (results.cells["protocol"] == protocol)]
    complete = set(zip(cells["backbone"], cells["dataset"], cells["method"], strict=True))
    claims = {claim.id: claim.needs for claim in judge(results, protocol) if claim.verdict == "not run" and claim.needs}
    share = next(iter(pack([node], {"": Need()}, None, None, exclusive=False).values()))
    at_once = node.gpus or share.slots([node])
    choice = choose(requests, estimates, claims, complete, seconds * at_once)
    say(
        console,
        f"budget: {len(choice.requests)} of {len(requests)} trials, about {duration(choice.seconds / at_once)}, decide "
        f"{len(choice.decided)} claims; {len(choice.open)} stay open: {', '.join(choice.open) or 'none'}",
    )
    if not choice.requests:
        raise BenchmarkError("--budget: the time is too short to decide any claim; `plan` shows how long trials take")
    return choice.requests
