"""Choose the trials that decide the most claims in a given time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmark.planning.estimate import Estimate
from benchmark.planning.expand import Expansion
from benchmark.spec.request import TrialRequest

Needs = Collection[tuple[str, ...]]  # cells: what names a cell is up to the caller


@dataclass(frozen=True)
class Choice:
    """Trials that fit the budget.

    Attributes:
        requests: trials to run.
        decided: claims that these trials decide.
        open: claims that stay undecided.
        seconds: time that the trials take.
    """

    requests: list[TrialRequest]
    decided: list[str]
    open: list[str]
    seconds: float


def able_to_judge(
    requests: Sequence[TrialRequest],
    protocol: str,
    expansion: Expansion,
    submitted: Mapping[str, Collection[tuple[int, int, int]]],
    is_comparable: Callable[[TrialRequest], bool],
) -> list[TrialRequest]:
    """Return the trials whose records can judge a claim: comparable with a paper, on all clips and all folds.

    Args:
        requests: trials that are left to run.
        protocol: name of the protocol whose claims are meant.
        expansion: facts and clips of their datasets.
        submitted: fold, seed and draw of the submitted trials, by cell.
        is_comparable: whether the request of a trial is that of a paper.
    """

    def is_able(request: TrialRequest) -> bool:
        name = request.dataset.name
        manifest = expansion.manifests.get(name)
        folds = {fold for fold, _, _ in submitted.get(request.cell, ())}
        return (
            request.protocol.name == protocol
            and is_comparable(request)
            and manifest is not None
            and manifest.kind == "complete"
            and folds >= set(expansion.info[name].fold_units)
        )

    return [request for request in requests if is_able(request)]


def choose(
    requests: Sequence[TrialRequest],
    estimates: Mapping[str, Estimate],
    claims: Mapping[str, Needs],
    complete: Needs,
    seconds: float,
    cells_of: Callable[[TrialRequest], Needs],
) -> Choice:
    """Take the cheapest claim again and again until the time is used up.

    Trials that are taken for one claim are free for the next.

    Args:
        requests: trials that are left to run and can judge.
        estimates: estimates by trial id; their seconds are parts of the run's time.
        claims: cells that decide each claim.
        complete: cells that have all their records and can judge.
        seconds: time that may be used.
        cells_of: the cells that a trial belongs to, one for each paper.
    """
    by_cell: dict[tuple[str, ...], list[TrialRequest]] = {}
    for request in requests:
        for key in cells_of(request):
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
        return sum(estimates[trial_id].seconds or 0.0 for trial_id in waiting[name] if trial_id not in taken)

    while waiting:
        cheapest = min(waiting, key=cost)
        if spent + cost(cheapest) > seconds:
            break
        spent += cost(cheapest)
        taken |= waiting.pop(cheapest)
        decided.append(cheapest)
    left = sorted(claims.keys() - set(decided))
    return Choice([request for request in requests if request.id in taken], decided, left, spent)
