"""Recipes that backbones declare: over each dataset's recipe, below those of a grid and of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.models.weights import OWN_FOLDER
from benchmark.planning.expand import expand
from benchmark.records.schema import Record
from benchmark.spec.backbone import enter_backbone_file, forget_backbone, load_backbone, validate_entry
from benchmark.spec.declared import declared
from benchmark.spec.grid import Grid, load_grid, narrow
from benchmark.spec.recipe import Condition, Layer, Recipe, resolve_recipe
from benchmark.spec.request import SAME_NORMALISATION, TrialRequest
from tests.conftest import AST, REPOSITORY, Cli, tiny_grid

DEMO = ["ast-demo", "ssast-demo"]
DATASETS = ["esc50", "urbansound8k", "speech_commands_v1", "speech_commands_v2", "gtzan", "openmic"]
HEARD = {"esc50": 256, "urbansound8k": 256}  # frames, where a demo backbone does not hear the whole clip
RATES = {"full": 2e-4, "linear": 1e-2, "aat_ms": 2e-3}
STATED = {
    "label": "Mine", "description": "A test", "size": "demo", "weights": "random:0", "pretraining": "supervised",
    "grid": [8, 10], "pooling": "cls", "source": "a test", "input": {"mean": -3, "std": 2},
    "recipe": [
        {"source": "mine", "values": {"batch_size": 4, "lr": 0.01}},
        {"source": "mine", "when": {"tuning": "full"}, "values": {"lr": 0.001}},
    ],
}  # fmt: skip


def requests(grid: Grid, data_root: Path) -> list[TrialRequest]:
    return expand(grid, data_root, data_root / "no-checkpoints").requests


@pytest.mark.parametrize("backbone", DEMO)
@pytest.mark.parametrize("dataset", DATASETS)
def test_a_demo_backbone_has_its_recipe_on_every_dataset(backbone: str, dataset: str, tmp_path: Path) -> None:
    grid = narrow(load_grid("paper"), backbones=[backbone], datasets=[dataset], methods=list(RATES), seeds=["0"])
    of_dataset = {
        request.method.name: request.recipe for request in requests(grid.model_copy(update={"folds": [1]}), tmp_path)
    }
    assert {method: recipe.lr for method, recipe in of_dataset.items()} == RATES
    entry, large = (
        load_backbone(backbone),
        resolve_recipe(dataset, backbone="ast", method="full", tuning="full", overrides=[]),
    )
    for recipe in of_dataset.values():
        assert (recipe.stride, recipe.batch_size, recipe.mixup, recipe.warmup_steps) == ((16, 16), 8, 0, 0)
        assert (recipe.mean, recipe.std) == (entry.input.mean, entry.input.std)
        assert recipe.loss == ("bce" if dataset == "openmic" else "cross_entropy")
        heard = HEARD.get(dataset, 100 * get_dataset(dataset).info.seconds)
        assert abs(recipe.frames - heard) <= 24  # the clip, to a patch or two
        assert recipe.weight_decay == large.recipe.weight_decay


@pytest.mark.parametrize("name", DEMO)
def test_the_entry_of_a_demo_backbone_states_the_input_of_its_pre_training(name: str) -> None:
    entry, report = load_backbone(name), json.loads((OWN_FOLDER / f"{name}.json").read_text())["pretraining"]
    assert entry.input.frames == report["frames"] == 16 * entry.grid[1]
    assert entry.input.mean == pytest.approx(report["mean"], abs=SAME_NORMALISATION)
    assert entry.input.std == pytest.approx(report["std"], abs=SAME_NORMALISATION)


def test_the_committed_demo_has_the_recipes_of_its_grid(tmp_path: Path) -> None:
    recipes = {request.label: request.recipe for request in requests(load_grid("demo"), tmp_path)}
    for path in (REPOSITORY / "results" / "demo" / "trials").rglob("*.json"):
        request = Record.model_validate_json(path.read_bytes()).request
        assert request.recipe == recipes[request.label], path


def test_quick_has_the_recipe_of_its_backbone_and_is_short_with_others(data_root: Path) -> None:
    [own] = requests(narrow(load_grid("quick"), methods=["linear"]), data_root)
    assert (own.backbone.name, own.recipe.frames, own.recipe.lr) == ("ast-demo", 256, 1e-2)
    [short] = requests(narrow(load_grid("quick"), methods=["linear"], backbones=[AST]), data_root)
    assert (short.recipe.epochs, short.recipe.lr, short.recipe.batch_size) == (2, 1e-3, 42)


def test_marks_compare_with_the_recipe_of_the_backbone(data_root: Path) -> None:
    grid = narrow(load_grid("quick"), methods=["linear"])
    [request] = requests(grid, data_root)
    assert request.marks == ["demo backbone", "recipe of the backbone"]
    [changed] = requests(narrow(grid, settings=["recipe.epochs=3"]), data_root)
    assert changed.marks == ["demo backbone", "recipe of the backbone", "recipe changed (epochs=3)"]
    [other] = requests(tiny_grid(), data_root)
    assert "recipe of the backbone" not in other.marks


def test_a_users_backbone_declares_a_recipe_below_that_of_the_grid(data_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(STATED))
    grid = tiny_grid(backbones=[str(path)], methods=["full", "linear"], overrides=[])
    full, linear = (request.recipe for request in requests(grid, data_root))
    assert (full.batch_size, full.lr, full.mean, full.std) == (4, 0.001, -3, 2)
    assert (linear.batch_size, linear.lr) == (4, 0.01)
    changed = narrow(grid, settings=["recipe.lr=0.5", "recipe.mean=-1"])
    assert {(request.recipe.lr, request.recipe.mean) for request in requests(changed, data_root)} == {(0.5, -1)}
    forget_backbone("mine")


def test_a_recipe_may_be_named() -> None:
    stated = {**STATED, "name": "mine", "recipe": "demo"}
    assert validate_entry(stated, "mine.yaml").recipe == load_backbone("ast-demo").recipe
    without = {**STATED, "name": "mine", "recipe": []}
    assert validate_entry(without, "mine.yaml").recipe_layers == []  # not even mean and std


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ([{"source": "x", "values": {"epoch": 2}}], "recipe.epoch: unknown key (did you mean 'epochs'?)"),
        ([{"source": "x", "values": {"epochs": "many"}}], "recipe.epochs: Input should be a valid integer"),
        ([{"source": "x", "values": {"std": 0}}], "recipe.std: Input should be greater than 0, got 0"),
        ([{"source": "x", "values": {"stride": [0, 16]}}], "recipe.stride: "),
        ([{"values": {"epochs": 2}}], "recipe.0.source: Field required"),
        ("dmeo", "unknown recipe 'dmeo' (did you mean 'demo'?)"),
    ],
)
def test_a_mistake_in_the_recipe_of_a_backbone_is_one_line_with_its_file(
    recipe: object, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**STATED, "recipe": recipe}))
    with pytest.raises(BenchmarkError) as caught:
        enter_backbone_file(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_measured_of_a_folder_is_below_the_backbone_and_what_was_added_above(cli: Cli, tmp_path: Path) -> None:
    get_dataset("esc50").synthesize(tmp_path, classes=2, clips_per_class=1, seed=0)
    clips = sorted((tmp_path / "ESC-50-master" / "audio").glob("*.wav"))
    for number, clip in enumerate(clips):
        place = tmp_path / "mine" / f"class{number % 2}" / clip.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(clip.read_bytes())
    prepared = cli("data", "prepare", "folder:mine", "--data-root", tmp_path)
    assert prepared.returncode == 0, prepared.stderr
    path = tmp_path / "mine" / "recipe.yaml"
    content = yaml.safe_load(path.read_text())

    def recipe(*layers: Layer, **added: object) -> Recipe:
        path.write_text(yaml.safe_dump({**content, "values": {**content["values"], **added}}))
        grid = narrow(load_grid("quick"), datasets=["folder:mine"], methods=["linear"])
        [request] = requests(grid.model_copy(update={"overrides": [*grid.overrides, *layers]}), tmp_path)
        return request.recipe

    entry = load_backbone("ast-demo")
    assert content["values"]["mean"] != entry.input.mean
    measured = recipe()
    assert (measured.mean, measured.std) == (entry.input.mean, entry.input.std)
    assert (measured.frames, measured.loss) == (content["values"]["frames"], content["values"]["loss"])
    assert measured.time_mask < content["values"]["time_mask"]
    added = recipe(epochs=41, lr=0.25)
    assert (added.epochs, added.lr, added.batch_size) == (41, 0.25, measured.batch_size)
    of_grid = [
        Layer(source="a grid", when=Condition(dataset=f"folder:{name}"), values={"epochs": epochs})
        for name, epochs in (("mine", 3), ("other", 5))
    ]
    assert recipe(*of_grid).epochs == 3


def test_recipes_of_backbones_are_listed_and_shown(cli: Cli) -> None:
    assert "demo" in declared("recipes")
    shown = cli("show", "recipe", "gtzan", "--backbone", "ssast-demo", "--method", "aat_ms", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["values"]["lr"] == 2e-3
    assert found["sources"]["mean"] == "input of ssast-demo's pre-training"
    assert found["sources"]["frames"].startswith("AAT@dc406ad")
