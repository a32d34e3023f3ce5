"""Choose the trials that decide the most claims in a given time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmark.planning.estimate import Estimate
from benchmark.spec.request import TrialRequest

Needs = Collection[tuple[str, str, str]]


@dataclass(frozen=True)
class Choice:
    """Trials to run, the claims that they decide, those left open, and the device seconds that all this takes."""

    requests: list[TrialRequest]
    decided: list[str]
    open: list[str]
    seconds: float


def choose(
    requests: Sequence[TrialRequest],
    estimates: Mapping[str, Estimate],
    claims: Mapping[str, Needs],
    complete: Needs,
    seconds: float,
) -> Choice:
    """Take the claim that costs least, counting what is taken already as free, until the time is used up.

    Args:
        requests: trials that are left to run.
        estimates: by trial id.
        claims: (backbone, dataset, method) cells that decide each claim.
        complete: cells that are there already.
        seconds: device time there is.
    """
    by_cell: dict[tuple[str, str, str], list[TrialRequest]] = {}
    for request in requests:
        key = (request.backbone.name, request.dataset.name, request.method.variant)
        by_cell.setdefault(key, []).append(request)
    needed = {
        name: {request.id: request for cell in cells for request in by_cell.get(cell, [])}
        for name, cells in claims.items()
        if all(cell in by_cell or cell in complete for cell in cells)
    }
    waiting = {name: trials for name, trials in needed.items() if trials}
    taken: dict[str, TrialRequest] = {}
    decided: list[str] = []
    spent = 0.0

    def cost(name: str) -> float:
        return sum(estimates[each].seconds or 0.0 for each in waiting[name] if each not in taken)

    while waiting:
        cheapest = min(waiting, key=cost)
        if spent + cost(cheapest) > seconds:
            break
        spent += cost(cheapest)
        taken |= waiting.pop(cheapest)
        decided.append(cheapest)
    left = sorted(claims.keys() - set(decided))
    return Choice([each for each in requests if each.id in taken], decided, left, spent)
