"""What a duel with the official code makes of the answers of its sides; the duel itself is a script."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest

from tests.duel_epoch import EPOCH_ROW, EPOCH_TABLE, EndOfTurns, Turns, _compared
from tests.duel_sides import alternate


def side(*seconds: float, clips: int = 80) -> SimpleNamespace:
    return SimpleNamespace(
        turns=[{"seconds": value, "cpu_seconds": 2 * value, "clips": clips, "batches": 18} for value in seconds]
    )


def test_the_first_epoch_is_apart_and_ratios_are_those_of_pairs() -> None:
    found = _compared(side(9, 2, 4, 20), side(7, 1, 3, 5))  # type: ignore[arg-type]
    assert (found["official_first_s"], found["ours_first_s"]) == (9, 7)
    assert (found["official_s"], found["ours_s"], found["time_ratio"]) == (4, 3, 0.5)
    assert (found["official_cpu_s"], found["ours_cpu_s"], found["cpu_ratio"]) == (8, 6, 0.5)
    row = EPOCH_ROW.format(method="full", frames=512, **found)
    assert {line.count("|") for line in [row, *EPOCH_TABLE.strip().splitlines()]} == {13}


def test_sides_that_saw_other_clips_are_not_compared() -> None:
    with pytest.raises(SystemExit, match="differ"):
        _compared(side(1, 1), side(1, 1, clips=79))  # type: ignore[arg-type]


def test_an_epoch_is_counted_from_its_turn_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\ngo\n"))
    answer = io.StringIO()
    turns = Turns(answer)
    for batches in (3, 2):
        turns.wait()
        for _ in range(batches):
            turns.count(([0] * 4,))
        turns.end()
    with pytest.raises(EndOfTurns):
        turns.wait()
    found = [json.loads(line) for line in answer.getvalue().splitlines()]
    assert [(turn["clips"], turn["batches"]) for turn in found] == [(12, 3), (8, 2)]


def test_each_side_is_first_in_every_other_turn() -> None:
    order: list[str] = []
    sides = tuple(SimpleNamespace(take_turn=lambda name=name: order.append(name)) for name in ("official", "ours"))
    alternate(sides, 2)  # type: ignore[arg-type]
    assert order == ["ours", "official", "official", "ours"]
