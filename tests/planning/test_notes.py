"""What is said about the inputs of a grid before training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.planning.expand import expand
from benchmark.planning.notes import notes_on_inputs
from benchmark.records.store import ResultStore
from benchmark.spec.grid import Grid, load_grid, narrow
from tests.conftest import AST, SSAST, TINY_RECIPE, Cli, tiny_grid


def notes_on(grid: Grid, data_root: Path) -> list[str]:
    """Return the notes on a grid, with an empty results folder and no checkpoints."""
    nowhere = data_root / "nowhere"
    return notes_on_inputs(grid, expand(grid, data_root, nowhere), ResultStore(nowhere))


def of_steps(notes: list[str]) -> list[str]:
    """Return the notes on few steps."""
    return [note for note in notes if "which is too few for most methods" in note]


@pytest.mark.parametrize(("steps", "is_said"), [(0, False), (1, False), (3, True), (1000, True)])
def test_a_warm_up_of_most_steps_is_said(steps: int, is_said: bool, data_root: Path) -> None:
    values = {**TINY_RECIPE, "epochs": 4, "batch_size": 6, "warmup_steps": steps}
    grid = tiny_grid(shots=[2], draws=2, overrides=[{"source": "test", "values": values}])  # one step per epoch
    notes = notes_on(grid, data_root)
    found = [note for note in notes if "scores show how far it rose" in note]
    assert len(found) == is_said
    assert all(note.startswith("esc50[shots=2]: the learning rate rises for ") for note in found)


def test_no_official_few_shot_trial_ends_in_its_warm_up(tmp_path: Path) -> None:
    grid = narrow(load_grid("few-shot"), methods=["linear"])
    requests = expand(grid, tmp_path, tmp_path).requests
    assert {request.recipe.warmup_steps for request in requests if request.dataset.name == "openmic"} == {0}


@pytest.mark.parametrize(("epochs", "is_said"), [(99, True), (100, False)])
def test_few_steps_are_said_once_per_dataset_and_backbone(epochs: int, is_said: bool, data_root: Path) -> None:
    values = {**TINY_RECIPE, "epochs": epochs, "batch_size": 6}  # 12 training clips: 2 steps per epoch
    grid = tiny_grid(
        backbones=[AST, SSAST],
        methods=["linear", "full"],
        folds=[1, 2],
        overrides=[{"source": "test", "values": values}],
    )
    assert of_steps(notes_on(grid, data_root)) == is_said * [
        f"{backbone} on esc50: 198 optimizer steps in 4 of 4 trials (99 epochs, batches of 6), which is too few for "
        "most methods; --set recipe.epochs=100 gives 200 or more, and so does a smaller recipe.batch_size"
        for backbone in (AST, SSAST)
    ]


def test_few_steps_of_few_clips_are_said_once(data_root: Path) -> None:
    chosen = {"backbones": [AST, SSAST], "methods": ["linear", "full"]}
    [few_shot] = of_steps(notes_on(tiny_grid(shots=[2, 4], draws=2, **chosen), data_root))
    assert few_shot.startswith("few training clips (shots or limit_clips): 2 to 4 optimizer steps in 16 of 16 trials")
    limited = [{"source": "test", "values": {**TINY_RECIPE, "limit_clips": 2}}]
    assert len(of_steps(notes_on(tiny_grid(overrides=limited, **chosen), data_root))) == 1


def test_no_note_on_steps_where_the_grid_makes_its_own_audio(data_root: Path) -> None:
    grid = tiny_grid()
    assert of_steps(notes_on(grid, data_root))
    made = tiny_grid(synthesize={"classes": 3, "clips_per_class": 1})
    assert not of_steps(notes_on(made, data_root))


@pytest.mark.parametrize("name", ["paper", "paper-corrected", "petl-ast", "peft", "all-backbones", "tuned"])
def test_no_recipe_of_a_paper_has_few_steps(name: str, tmp_path: Path) -> None:
    """Without data, the clips are the official numbers."""
    assert not of_steps(notes_on(narrow(load_grid(name), methods=["linear,full"], seeds=["0"]), tmp_path))


def test_few_steps_are_in_json(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    chosen = ["--grid", "quick", "--backbone", AST, "--method", "linear", "--data-root", data_root]
    chosen += ["--results", tmp_path, "--set", "recipe.frames=64", "--set", "recipe.time_mask=8", "--json"]
    for command in (["plan"], ["run", "--no-report"]):
        done = cli(*command, *chosen)
        assert done.returncode == 0, done.stderr
        [line] = of_steps(json.loads(done.stdout)["notes"])
        assert line.startswith(f"{AST} on esc50: 2 optimizer steps in 1 of 1 trial ")
