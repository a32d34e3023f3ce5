"""Choosing trials by the claims that they decide."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.planning.budget import choose
from benchmark.planning.estimate import Estimate
from benchmark.spec.request import TrialRequest

SECONDS = {"full": 30.0, "linear": 10.0, "aat_ms": 20.0}


@pytest.fixture
def requests_(make_request: Callable[..., TrialRequest]) -> list[TrialRequest]:
    return [make_request(methods=[name]) for name in SECONDS]


def names(chosen: list[TrialRequest]) -> set[str]:
    return {each.method.name for each in chosen}


def test_the_cheapest_claims_come_first_and_shared_cells_are_paid_once(requests_: list[TrialRequest]) -> None:
    estimates = {each.id: Estimate(None, SECONDS[each.method.name], "operations", 0.0, 0, 0, 0) for each in requests_}

    def cells(*methods: str) -> list[tuple[str, str, str]]:
        return [("ast", "esc50", method) for method in methods]

    claims = {
        "a": cells("linear", "aat_ms"),
        "b": cells("full", "aat_ms"),
        "c": cells("linear", "full"),
        "elsewhere": [("ssast", "esc50", "full")],
    }
    few = choose(requests_, estimates, claims, [], 45)
    assert (names(few.requests), few.decided, few.seconds) == ({"linear", "aat_ms"}, ["a"], 30)
    assert few.open == ["b", "c", "elsewhere"]
    every = choose(requests_, estimates, claims, [], 60)
    assert every.decided == ["a", "b", "c"]
    assert every.seconds == 60
    assert choose(requests_, estimates, claims, [], 5).requests == []
    done = choose(requests_[1:], estimates, claims, cells("full"), 30)
    assert done.decided == ["c", "a", "b"]  # full is there already
