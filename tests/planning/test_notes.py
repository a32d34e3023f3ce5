"""What is said about the inputs of a grid before training."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.planning.expand import expand
from benchmark.planning.notes import notes_on_inputs
from benchmark.records.store import ResultStore
from benchmark.spec.grid import load_grid, narrow
from tests.conftest import TINY_RECIPE, tiny_grid


@pytest.mark.parametrize(("steps", "is_said"), [(0, False), (1, False), (3, True), (1000, True)])
def test_a_warm_up_of_most_steps_is_said(steps: int, is_said: bool, data_root: Path, tmp_path: Path) -> None:
    values = {**TINY_RECIPE, "epochs": 4, "batch_size": 6, "warmup_steps": steps}
    grid = tiny_grid(shots=[2], draws=2, overrides=[{"source": "test", "values": values}])  # one step per epoch
    notes = notes_on_inputs(expand(grid, data_root, tmp_path), ResultStore(tmp_path))
    found = [note for note in notes if "scores show how far it rose" in note]
    assert len(found) == is_said
    assert all(note.startswith("esc50[shots=2]: the learning rate rises for ") for note in found)


def test_no_official_few_shot_trial_ends_in_its_warm_up(tmp_path: Path) -> None:
    grid = narrow(load_grid("few-shot"), methods=["linear"])
    requests = expand(grid, tmp_path, tmp_path).requests
    assert {request.recipe.warmup_steps for request in requests if request.dataset.name == "openmic"} == {0}
