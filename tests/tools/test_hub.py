"""Datasets of the library `datasets`: local folders, a hub on loopback, and what is refused."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from huggingface_hub import constants
from rich.console import Console

from benchmark.api.prepare import prepare_data
from benchmark.data.datasets.hub import HubDataset, parse_hub
from benchmark.data.manifest import Manifest
from benchmark.errors import BenchmarkError
from benchmark.tools.data.hub import check_revision, unpack_hub
from tests.data.public_trees import hub_rows, save_hub, sound
from tests.hub_server import HubServer, Repository, serving, use_hub

REPO = "datasets/owner/sounds"
QUIET = Console(quiet=True)


def unpacked(root: Path, text: str) -> Manifest:
    dataset = HubDataset(parse_hub(text))
    unpack_hub(dataset, root, QUIET)
    return dataset.manifest(root)


def sizes(manifest: Manifest, fold: int = 0) -> dict[str, int]:
    return {split: len(clips) for split, clips in manifest.splits(fold).items()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that `save_to_disk` wrote: splits train and test, and one of other rows."""
    folder = tmp_path_factory.mktemp("saved") / "sounds"
    people, again = ["a", "a", "b", "b", "c", "c"], [0, 0, 1, 1, 2, 2]
    train = hub_rows([0, 1, 2, 0, 1, 2], person=people, part=["train", "dev", "test"] * 2, number=again)
    test = hub_rows([0, 1, 2], "FLAC", person=["d", "d", "e"], part=["train", "train", "test"], number=[0, 1, 2])
    return save_hub(folder, train=train, test=test, unlabelled=test.select([0]))


def test_a_saved_folder_with_its_own_splits_and_classes(saved: Path, tmp_path: Path) -> None:
    manifest = unpacked(tmp_path, f"{saved}[group=person]")
    assert manifest.info.classes == ("dog", "cat", "cow")  # in the order of the repository, not of the alphabet
    assert (sizes(manifest), manifest.info.metric) == ({"train": 6, "test": 3}, "accuracy")
    clip = next(clip for clip in manifest.clips if clip.path == "test/000001-clip1.flac")
    assert (clip.labels, clip.group) == ((1,), "d")
    assert (manifest.folder / clip.path).read_bytes() == sound(1, 1, "FLAC")
    assert manifest.remarks == ("the repository's unlabelled is not used",)
    assert manifest.source is None
    again = HubDataset(parse_hub("./sounds[group=person]")).manifest(tmp_path)  # without the folder at hand
    assert again.digest == manifest.digest


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("split={train: test, test: train}", {"train": 3, "test": 6}),
        ("split={train: [train, unlabelled], test: test}", {"train": 7, "test": 3}),
        ("split=part", {"train": 5, "validation": 2, "test": 3}),
        ("fold=number", {"train": 6, "test": 4}),
        ("fold=person", {"train": 8, "test": 2}),
        ("heldout=true", {"train": 3, "validation": 3, "test": 3}),
        ("split=part;heldout=true", {"train": 5, "validation": 2, "test": 3}),
        ("fold=number;heldout=true", {"train": 3, "validation": 3, "test": 4}),
    ],
)
def test_splits_and_folds_by_options(saved: Path, tmp_path: Path, options: str, expected: dict[str, int]) -> None:
    manifest = unpacked(tmp_path, f"{saved}[{options}]")
    assert sizes(manifest, manifest.folds[0]) == expected


def test_labels_can_be_merged_and_left_out(saved: Path, tmp_path: Path) -> None:
    manifest = unpacked(tmp_path, f"{saved}[labels={{dog: pet, cat: null}}]")
    assert manifest.info.classes == ("pet", "cow")
    assert sizes(manifest) == {"train": 4, "test": 2}


def test_lists_of_labels_and_texts(tmp_path: Path) -> None:
    several = save_hub(tmp_path / "several", train=hub_rows([[0, 2], [1]]), test=hub_rows([[1], [0]]))
    manifest = unpacked(tmp_path, str(several))
    assert (manifest.info.metric, manifest.clips[-2].labels) == ("map", (0, 2))
    texts = save_hub(tmp_path / "texts", train=hub_rows(["10", "9", "10"]), test=hub_rows(["9", "10"]))
    assert unpacked(tmp_path, str(texts)).info.classes == ("9", "10")


def test_the_label_may_be_a_field_of_a_column(tmp_path: Path) -> None:
    fields = [{"tag": "dog", "n": 1}, {"tag": "cat", "n": 2}]
    rows = hub_rows([0, 1]).remove_columns("label").add_column("json", fields)
    saved = save_hub(tmp_path / "fields", train=rows, test=rows)
    assert unpacked(tmp_path, f"{saved}[label=json.tag]").info.classes == ("cat", "dog")
    with pytest.raises(BenchmarkError, match=r"no column 'json\.x' of labels"):
        unpacked(tmp_path, f"{saved}[label=json.x]")


def test_one_split_is_dealt_to_folds(tmp_path: Path) -> None:
    hub_rows([0, 1] * 5).save_to_disk(str(tmp_path / "one"))
    manifest = unpacked(tmp_path, str(tmp_path / "one"))
    assert manifest.info.folds == (1, 2, 3, 4, 5)
    assert [sizes(manifest, fold)["test"] for fold in manifest.folds] == [2] * 5
    assert "its clips are dealt to five folds" in manifest.remarks[0]
    with pytest.raises(BenchmarkError, match="has 2 groups, fewer than the 5 folds"):
        unpacked(tmp_path, f"{tmp_path}/one[group=label]")
    hub_rows([0, 1] * 10, person=[f"p{number // 4}" for number in range(20)]).save_to_disk(str(tmp_path / "more"))
    manifest = unpacked(tmp_path, f"{tmp_path}/more[group=person]")
    assert {clip.group: clip.fold for clip in manifest.clips}.keys() == {f"p{number}" for number in range(5)}
    assert len({(clip.group, clip.fold) for clip in manifest.clips}) == 5


def test_a_folder_of_audio_files_without_torchcodec(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number, label in enumerate(("cat", "dog")):
            path = tmp_path / "files" / split / label / f"{label}.wav"
            path.parent.mkdir(parents=True)
            path.write_bytes(sound(number, 0))
    manifest = unpacked(tmp_path, str(tmp_path / "files"))
    assert {clip.path for clip in manifest.clips} == {
        f"{split}/00000{number}-{label}.wav"
        for split in ("train", "test")
        for number, label in enumerate(("cat", "dog"))
    }
    assert manifest.info.classes == ("cat", "dog")
    assert not list(tmp_path.glob(".prepare-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("audio=wav", r"no column 'wav' \(valid: audio, label, number, part, person\)"),
        ("audio=person", "column 'person' holds string, not audio"),
        ("label=labels", r"no column 'labels' of labels \(did you mean 'label'\?\); name it with label=COLUMN"),
        ("label=audio", "holds Audio|which is no label"),
        ("group=who", "no column 'who'"),
        ("fold=folds", "no column 'folds'"),
        ("split=person", "column 'person': 'a' is not train, validation or test"),
        ("split={train: train, test: dev}", r"no split 'dev' \(there: train, test, unlabelled\)"),
        ("split={train: train, test: train}", "split 'train' is used twice"),
        ("labels={bird: x}", r"there is no class 'bird' \(valid: cat, cow, dog\)"),
        ("labels={dog: x, cat: x, cow: x}", r"hf:\./sounds\[.*\]: has fewer than two classes \(x\)"),
    ],
)
def test_a_wrong_option_is_one_clear_line(saved: Path, tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message) as caught:
        unpacked(tmp_path, f"{saved}[{options}]")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_rows_without_label_or_audio(tmp_path: Path) -> None:
    hidden = save_hub(tmp_path / "hidden", train=hub_rows([0, 1]), test=hub_rows([-1, -1]))
    with pytest.raises(BenchmarkError, match=r"row 0 of test: has no label \(-1\); leave such splits out"):
        unpacked(tmp_path, str(hidden))
    rows = hub_rows([0, 1]).map(lambda row: {**row, "audio": None}, load_from_cache_file=False)
    silent = save_hub(tmp_path / "silent", train=rows, test=rows)
    with pytest.raises(BenchmarkError, match="row 0 of train: has no audio"):
        unpacked(tmp_path, str(silent))
    mute = save_hub(tmp_path / "mute", train=rows.remove_columns("audio"), test=rows.remove_columns("audio"))
    with pytest.raises(BenchmarkError, match=r"has no audio column \(columns: label: int64\)"):
        unpacked(tmp_path, str(mute))
    with pytest.raises(BenchmarkError, match=r"no such folder: .*nowhere"):
        unpacked(tmp_path, f"{tmp_path}/nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchmarkError, match="cannot be loaded: ") as caught:
        unpacked(tmp_path, f"{tmp_path}/empty")
    assert "\n" not in str(caught.value)


def test_another_folder_of_the_same_name_is_refused(saved: Path, tmp_path: Path) -> None:
    unpacked(tmp_path, str(saved))
    other = tmp_path / "elsewhere" / "sounds"
    other.mkdir(parents=True)
    with pytest.raises(BenchmarkError, match=r"was unpacked from .*; rename one of the folders, or remove it"):
        check_revision(HubDataset(parse_hub(str(other))), tmp_path / "hf" / "sounds")


def test_without_the_library(saved: Path, tmp_path: Path) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args)

    with (
        mock.patch("builtins.__import__", missing),
        pytest.raises(
            BenchmarkError, match=r"needs the library `datasets`: pip install -e '\.\[hf\]' -c constraints\.txt$"
        ),
    ):
        unpacked(tmp_path, str(saved))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Yield a hub on loopback with the repository `owner/sounds`: parquet files of train and test."""
    import datasets

    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    for split, labels in (("train", [0, 1, 2]), ("test", [0, 1])):
        hub_rows(labels).to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    server = HubServer({REPO: Repository.of(folder)})
    with serving(server, monkeypatch):
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
        yield server


def test_a_repository_of_the_hub_and_its_revisions(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Callable[[str], str]
) -> None:
    repo = hub.repos[REPO]
    repo.commits["v1"] = "a" * 40
    prepared = prepare_data("hf:owner/sounds", tmp_path, console=QUIET, cache="none")
    assert prepared.path == tmp_path / "hf" / "owner--sounds" / "recipe.yaml"  # type: ignore[union-attr]
    manifest = HubDataset(parse_hub("owner/sounds")).manifest(tmp_path)
    assert (sizes(manifest), manifest.source) == ({"train": 3, "test": 2}, f"owner/sounds@{'a' * 40}")
    assert refusal("hf:owner/sounds").endswith("recipe.yaml: exists already; remove it to measure again")
    assert refusal("hf:owner/none") == (
        f"hf:owner/none: {hub.address} has no dataset owner/none, or it is private: then log in with `hf auth login`, "
        "or set HF_TOKEN"
    )
    assert refusal("hf:owner/sounds@v9") == "hf:owner/sounds@v9: the dataset has no revision 'v9'"
    repo.files["b" * 40], repo.commits["main"] = repo.files["a" * 40], "b" * 40
    moved = refusal("hf:owner/sounds")
    assert moved.startswith(f"hf:owner/sounds: the revision 'main' has moved: it is commit {'b' * 40} now, and ")
    assert moved.endswith(f"name that commit (hf:owner/sounds@{'a' * 40}), or remove the folder")
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached (ConnectError" in (other := refusal("hf:owner/other"))
    assert other.endswith("; only a dataset that is unpacked already needs no network")
    assert HubDataset(parse_hub("owner/sounds")).manifest(tmp_path).digest == manifest.digest  # needs no network


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that prepares a dataset and returns the error, one line."""

    def prepare(name: str) -> str:
        with pytest.raises(BenchmarkError) as caught:
            prepare_data(name, tmp_path, console=QUIET, cache="none")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return prepare


def stolen_rows(secret: Path) -> Any:
    """Return rows that name a file instead of holding audio."""
    from datasets import Dataset, Features, Value

    features = Features({"audio": {"bytes": Value("binary"), "path": Value("string")}, "label": Value("string")})
    rows = [{"audio": {"bytes": None, "path": str(secret)}, "label": label} for label in ("a", "b")]
    return Dataset.from_list(rows, features=features)


@pytest.mark.parametrize("kind", ["hub", "folder"])
def test_a_published_row_cannot_name_another_file_of_the_machine(hub: HubServer, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.txt").write_text("key")
    folder = tmp_path / "repo"
    for split in ("train", "test"):
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        stolen_rows(tmp_path / "secret.txt" if kind == "hub" else folder / ".." / "secret.txt").to_parquet(str(path))
    hub.repos[REPO] = Repository.of(folder)
    name = "owner/sounds" if kind == "hub" else str(folder)
    with pytest.raises(BenchmarkError, match=r"row 0 of train: .*secret\.txt is not a file of the dataset") as caught:
        unpacked(tmp_path / "root", f"{name}[audio=audio]")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "root").iterdir())


def test_what_a_user_saved_may_name_own_files(tmp_path: Path) -> None:
    (tmp_path / "own.wav").write_bytes(sound(0, 0))
    rows = stolen_rows(tmp_path / "own.wav")
    saved = save_hub(tmp_path / "saved", train=rows, test=rows)
    assert len(unpacked(tmp_path, f"{saved}[audio=audio]").clips) == 4


@pytest.mark.parametrize("labels", [["cat", "dog"], [3, 4]])
def test_a_renamed_label_must_occur(tmp_path: Path, labels: list[Any]) -> None:
    rows = hub_rows(["x", "y"]).remove_columns("label").add_column("label", labels)
    saved = save_hub(tmp_path / "texts", train=rows, test=rows)
    name = {"cat": "dgo", 3: "5"}[labels[0]]
    with pytest.raises(
        BenchmarkError, match=rf"labels: no row has the label '{name}' \((did you mean|valid)"
    ) as caught:
        unpacked(tmp_path, f"{saved}[labels={{{name}: null}}]")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hf").exists()


def test_groups_in_several_folds_or_splits_are_named(tmp_path: Path) -> None:
    rows = hub_rows([0, 1] * 3, f=[1, 1, 2, 2, 3, 3], speaker=["s"] * 6)
    rows.save_to_disk(str(tmp_path / "one"))
    assert unpacked(tmp_path, f"{tmp_path}/one[fold=f;group=speaker]").remarks == (
        "1 group with clips in several folds, such as 's'",
    )
    both = save_hub(tmp_path / "both", train=rows, test=rows)
    remarks = unpacked(tmp_path, f"{both}[group=speaker]").remarks
    assert remarks == ("1 group with clips in several splits, such as 's'",)
