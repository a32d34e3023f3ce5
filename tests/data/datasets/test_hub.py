"""Names of the hub's datasets: options, canonical form, folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data.datasets.hub import parse_hub
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.records.floor import read_floors, write_floor
from benchmark.spec.request import TrialRequest, dataset_path_name
from tests.samples import make_floor


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("owner/name", "hf:owner/name"),
        ("owner/name[label=label]", "hf:owner/name"),
        ("owner/name@v1.0[label=category; audio=wav]", "hf:owner/name@v1.0[audio=wav;label=category]"),
        ("name[split={train: a, test: [b, c]}]", 'hf:name[split={"test": ["b", "c"], "train": "a"}]'),
        ("name[labels={1: one, 2: null}]", 'hf:name[labels={"1": "one", "2": null}]'),
    ],
)
def test_names_have_one_form(text: str, name: str) -> None:
    choice = parse_hub(text)
    assert choice.name == name
    assert parse_hub(name.removeprefix("hf:")) == choice
    assert get_dataset(name).info.name == name


def test_a_local_folder_is_named_without_its_place(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    choice = parse_hub(f"{tmp_path}/saved[fold=f]")
    assert (choice.name, choice.folder) == ("hf:./saved[fold=f]", tmp_path / "saved")
    assert parse_hub(f"{tmp_path}/x/../saved").name == "hf:./saved"
    assert parse_hub("./a/../b/c").typed == "hf:./a/../b/c"
    with pytest.raises(MissingInputError, match=f"get the local folder with .* 'hf:{tmp_path}/saved"):
        get_dataset(f"hf:{tmp_path}/saved[fold=f]").manifest(tmp_path)


def test_options_are_part_of_the_folder() -> None:
    plain, other = get_dataset("hf:owner/name").info.folders[0], get_dataset("hf:owner/name[label=x]").info.folders[0]
    assert plain == "hf/owner--name"
    assert other.startswith("hf/owner--name-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owner/name[lable=x]", r"lable: unknown key \(did you mean 'label'\?\)"),
        ("owner/name[label=a,b]", "every option has one value"),
        ("owner/name[split={train: a}]", "split needs train and test"),
        ("owner/name[split={training: a, test: b}]", "split"),
        ("owner/name[fold=f;split=s]", "fold and split: choose one"),
        ("owner/name/more", "'owner/name/more' is no repository OWNER/NAME"),
        ("a b", "is no repository"),
        ("", "expected hf:REPO"),
        ("owner/name]", "expected hf:REPO"),
        ("./x@v1", "a local folder has no revision"),
    ],
)
def test_a_wrong_name_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message) as caught:
        get_dataset(f"hf:{text}")
    assert "\n" not in str(caught.value)


def test_a_dataset_that_was_not_unpacked_says_how(tmp_path: Path) -> None:
    with pytest.raises(
        MissingInputError, match=r"get https://huggingface.co/datasets/a/b with `python -m benchmark data"
    ):
        get_dataset("hf:a/b").manifest(tmp_path)


def test_names_of_folders_in_results() -> None:
    assert dataset_path_name("folder:mine") == "folder-mine"
    assert dataset_path_name("hear:esc50") == "hear-esc50"
    name = dataset_path_name("hf:owner/name@v1[label=x]")
    assert name.startswith("hf-owner_name_v1-")
    assert name != dataset_path_name("hf:owner/name@v1")
    assert dataset_path_name("hf:./saved").startswith("hf-saved-")


def test_floors_of_any_name_are_read_again(make_request: Callable[..., TrialRequest], tmp_path: Path) -> None:
    floor = make_floor(make_request(), chance=0.5)
    floor = floor.model_copy(update={"settings": {**floor.settings, "dataset": "hf:./a[split={train: b, test: c}]"}})
    write_floor(tmp_path, floor)
    assert list(read_floors(tmp_path).values()) == [floor]
