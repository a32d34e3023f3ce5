"""Official datasets in the layouts in which people have them, whole or in part; lists and tables that are damaged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.commands import command
from benchmark.data.dataset import Synthesizable
from benchmark.data.datasets import urbansound8k
from benchmark.data.datasets.speech_commands import LISTS, which_set
from benchmark.data.manifest import Manifest
from benchmark.data.registry import available, get_dataset, own_names
from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.tools.data.prepare import prepare
from tests.data.test_datasets import TREES, touch

SPEAKERS = [f"{number:08x}" for number in range(60)]
V1 = "speech_commands_v0.01"


def esc50(root: Path) -> None:
    from benchmark.data.datasets.esc50 import CLASSES, COLUMNS

    rows = [",".join(COLUMNS)]
    for fold in range(1, 6):
        for target in (0, 49):
            name = f"{fold}-{1000 * fold + target}-A-{target}.wav"
            touch(root / "ESC-50-master" / "audio" / name)
            rows.append(f"{name},{fold},{target},{CLASSES[target]},False,{1000 * fold + target},A")
    (root / "ESC-50-master" / "meta").mkdir()
    (root / "ESC-50-master" / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")


def commands(root: Path) -> Path:
    """Speech Commands V1 with names and lists by the publisher's rule, and audio of two words."""
    folder = root / V1
    listed: dict[str, list[str]] = {split: [] for split in LISTS}
    for word in ("cat", "zero"):
        for speaker in SPEAKERS:
            path = f"{word}/{speaker}_nohash_0.wav"
            touch(folder / path)
            if (split := which_set(path)) in listed:
                listed[split].append(path)
    touch(folder / "_background_noise_" / "pink_noise.wav")
    for split, name in LISTS.items():
        (folder / name).write_text("".join(f"{path}\n" for path in listed[split]))
    return folder


ALL = {**TREES, "esc50": esc50, "speech_commands_v1": commands}


def made(name: str, root: Path) -> Manifest:
    ALL[name](root)
    return get_dataset(name).manifest(root)


def splits(manifest: Manifest) -> list[tuple[str, int | None, str | None]]:
    return sorted((Path(clip.path).stem, clip.fold, clip.split) for clip in manifest.clips)


def move(old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / old).rename(root / ".moving")  # it may move into a folder of its own name
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / ".moving").rename(root / new)

    return change


def esc50_of_kaggle(root: Path) -> None:
    new = root / "environmental-sound-classification-50"
    move("ESC-50-master/audio", f"{new.name}/audio/audio/44100")(root)
    move("ESC-50-master/meta/esc50.csv", f"{new.name}/esc50.csv")(root)
    shutil.copytree(new / "audio" / "audio" / "44100", new / "audio" / "audio" / "16000")
    shutil.rmtree(root / "ESC-50-master")


def urbansound8k_of_kaggle(root: Path) -> None:
    for path in [*(root / "UrbanSound8K" / "audio").glob("fold*"), root / "UrbanSound8K/metadata/UrbanSound8K.csv"]:
        move(str(path.relative_to(root)), f"urbansound8k/{path.name}")(root)
    shutil.rmtree(root / "UrbanSound8K")


def as_au(root: Path) -> None:
    for path in list((root / "genres_original").rglob("*.wav")):
        path.rename(path.with_suffix(".au"))


def upper_case(root: Path) -> None:
    for path in list((root / "UrbanSound8K").rglob("*.wav")):
        path.rename(path.with_suffix(".WAV"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("esc50", move("ESC-50-master", "ESC-50")),
        ("esc50", move("ESC-50-master", "esc-50")),
        ("esc50", move("ESC-50-master", "ESC-50-master/ESC-50-master")),
        ("esc50", move("ESC-50-master/meta/esc50.csv", "ESC-50-master/esc50.csv")),
        ("esc50", esc50_of_kaggle),
        ("urbansound8k", urbansound8k_of_kaggle),
        ("urbansound8k", move("UrbanSound8K", "UrbanSound8K/UrbanSound8K")),
        ("urbansound8k", upper_case),
        ("gtzan", as_au),
        ("gtzan", move("genres_original", "genres/genres")),
        ("gtzan", move("genres_original", "gtzan/genres_original")),
        ("gtzan", move("genres_original", "Data/genres_original")),
        ("speech_commands_v1", move(V1, f"SpeechCommands/{V1}")),
        ("speech_commands_v1", move(V1, f"{V1}/{V1}")),
        ("openmic", move("openmic-2018", "OpenMIC-2018")),
        ("openmic", move("openmic-2018", "openmic-2018/openmic-2018")),
    ],
)
def test_a_copy_in_another_layout(name: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    before = made(name, tmp_path)
    change(tmp_path)
    dataset = get_dataset(name)
    manifest = dataset.manifest(tmp_path)
    assert splits(manifest) == splits(before)
    assert len(manifest.absent) == len(before.absent) == (927 if name == "gtzan" else 0)  # of its 930, three are there
    assert not [group for group in dataset.unused(manifest) if not group.intended]
    assert available(tmp_path) == [name]
    assert own_names(tmp_path) == []


@pytest.mark.parametrize("name", ALL)
def test_the_data_root_may_be_the_datasets_folder(name: str, tmp_path: Path) -> None:
    manifest = made(name, tmp_path)
    assert get_dataset(name).manifest(manifest.folder).digest == manifest.digest
    for other in set(ALL) - {name}:
        with pytest.raises(MissingInputError):
            get_dataset(other).manifest(manifest.folder)


def test_a_second_copy_is_reported_and_never_generated(tmp_path: Path) -> None:
    folder = made("esc50", tmp_path).folder
    dataset = get_dataset("esc50")
    assert isinstance(dataset, Synthesizable)
    shutil.copytree(folder, tmp_path / "ESC-50")
    assert dataset.manifest(tmp_path).remarks == (f"{folder} is used; {tmp_path / 'ESC-50'} is another copy",)
    shutil.rmtree(folder)
    with pytest.raises(BenchmarkError, match="ESC-50: is a copy of ESC-50 already; use another folder"):
        dataset.synthesize(tmp_path, classes=2, clips_per_class=1, seed=0)
    for root in (tmp_path, tmp_path / "ESC-50"):
        with pytest.raises(
            BenchmarkError, match="ESC-50: exists already; `python -m benchmark data verify esc50 --data-root"
        ):
            prepare(dataset, root, None, Console(quiet=True))


def test_a_copy_that_is_not_taken_says_what_was_seen(tmp_path: Path) -> None:
    esc50(tmp_path)
    (tmp_path / "ESC-50-master").rename(tmp_path / "archive")
    with pytest.raises(MissingInputError, match=r"\(.*archive has its layout: rename it to ESC-50-master, or give it"):
        get_dataset("esc50").manifest(tmp_path)
    with pytest.raises(MissingInputError, match=r"\(there are: archive\)"):
        get_dataset("gtzan").manifest(tmp_path)
    with pytest.raises(
        MissingInputError, match=r"nowhere is no folder; name the folder of your datasets with --data-r"
    ):
        get_dataset("gtzan").manifest(tmp_path / "nowhere")
    touch(tmp_path / "genres.tar.gz")
    unpack = command("data", "prepare", "gtzan", "--data-root", tmp_path, "--from", tmp_path / "genres.tar.gz")
    with pytest.raises(MissingInputError, match=f"unpack it with `{re.escape(unpack)}`"):
        get_dataset("gtzan").manifest(tmp_path)
    touch(tmp_path / "genres" / "blues" / "blues.00029.mp3")
    with pytest.raises(BenchmarkError, match=r"genres: has no clips of GTZAN; there is blues/blues\.00029\.mp3"):
        get_dataset("gtzan").manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("esc50", "ESC-50-master/meta/esc50.csv"),
        ("urbansound8k", "UrbanSound8K/metadata/UrbanSound8K.csv"),
        ("speech_commands_v1", f"{V1}/testing_list.txt"),
        ("openmic", "openmic-2018/openmic-2018-aggregated-labels.csv"),
        ("openmic", "openmic-2018/partitions/split01_test.csv"),
    ],
)
def test_a_missing_table_says_what_it_is_and_where_it_comes_from(name: str, file: str, tmp_path: Path) -> None:
    info = made(name, tmp_path).info
    (tmp_path / file).unlink()
    with pytest.raises(BenchmarkError, match=r"This is the publisher's (table|list) of .*; it is part of") as caught:
        get_dataset(name).manifest(tmp_path)
    assert file in str(caught.value)
    assert info.by_hand in str(caught.value)


# ---- Speech Commands


@pytest.mark.parametrize(
    "write",
    [
        lambda line: f"./{line}",
        lambda line: line.replace("/", "\\"),
        lambda line: f".\\{line}".replace("/", "\\"),
        lambda line: f"{V1}/{line}",
        lambda line: f"/data/{V1}/{line}",
        lambda line: line.replace(".wav", ".WAV"),
        lambda line: f"  {line}\t",
    ],
)
def test_lists_in_other_forms_give_the_same_splits(write: Callable[[str], str], tmp_path: Path) -> None:
    before = made("speech_commands_v1", tmp_path)
    for name in LISTS.values():
        path = tmp_path / V1 / name
        path.write_text("".join(f"{write(line)}\r\n" for line in path.read_text().splitlines()))
    assert get_dataset("speech_commands_v1").manifest(tmp_path).digest == before.digest


def test_a_list_in_utf_16_gives_the_same_splits(tmp_path: Path) -> None:
    before = made("speech_commands_v1", tmp_path)
    path = tmp_path / V1 / "testing_list.txt"
    path.write_text(path.read_text(), encoding="utf-16")
    assert get_dataset("speech_commands_v1").manifest(tmp_path).digest == before.digest


def test_files_in_upper_case_are_in_their_split(tmp_path: Path) -> None:
    before = splits(made("speech_commands_v1", tmp_path))
    for path in list((tmp_path / V1 / "cat").iterdir()):
        path.rename(path.with_suffix(".WAV"))
    assert splits(get_dataset("speech_commands_v1").manifest(tmp_path)) == before


@pytest.mark.parametrize("change", [lambda lines: lines[:2], lambda lines: [], lambda lines: lines[::2]])
@pytest.mark.parametrize("name", LISTS.values())
def test_a_list_that_is_cut_off_is_refused(change: Callable[[list[str]], list[str]], name: str, tmp_path: Path) -> None:
    path = commands(tmp_path) / name
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
    message = (
        r"is a train clip by the lists and a (test|validation) clip by the publisher's rule, one of \d+ such clips"
    )
    with pytest.raises(BenchmarkError, match=message):
        get_dataset("speech_commands_v1").manifest(tmp_path)


def test_a_training_clip_in_a_list_is_refused(tmp_path: Path) -> None:
    folder = commands(tmp_path)
    line = next(f"cat/{name}_nohash_0.wav" for name in SPEAKERS if which_set(f"cat/{name}_nohash_0.wav") == "train")
    (folder / "testing_list.txt").write_text((folder / "testing_list.txt").read_text() + line)
    with pytest.raises(BenchmarkError, match="is a test clip by the lists and a train clip by the publisher's rule"):
        get_dataset("speech_commands_v1").manifest(tmp_path)


@pytest.mark.parametrize("line", ["learn/00000000_nohash_0.wav", "00000000_nohash_0.wav", "cat", "path"])
def test_a_line_that_is_no_file_of_a_word_is_refused(line: str, tmp_path: Path) -> None:
    path = commands(tmp_path) / "testing_list.txt"
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(BenchmarkError, match="is not WORD/FILE with a word of Speech Commands V1"):
        get_dataset("speech_commands_v1").manifest(tmp_path)


def test_a_part_with_the_whole_lists_is_read_and_reported(tmp_path: Path) -> None:
    manifest = made("speech_commands_v1", tmp_path)
    dataset = get_dataset("speech_commands_v1")
    assert dataset.remarks(manifest) == []
    shutil.rmtree(manifest.folder / "zero")
    part = dataset.manifest(tmp_path)
    assert splits(part) == splits(manifest)[::2]
    listed = sum(clip.split != "train" for clip in manifest.clips)
    assert dataset.remarks(part) == [f"{listed // 2} of {listed} listed files are not there"]


def test_files_beside_the_words_are_counted(tmp_path: Path) -> None:
    folder = commands(tmp_path)
    touch(folder / "_unknown_" / "a.wav")
    touch(folder / "cat" / "more" / "b.wav")
    touch(folder / "cat" / "c.flac")
    touch(folder / "cat" / "d.m4a")
    dataset = get_dataset("speech_commands_v1")
    found = {(group.reason, group.intended): len(group.paths) for group in dataset.unused(dataset.manifest(tmp_path))}
    assert found == {
        ("not WORD/FILE.wav", False): 3,
        (".m4a is not read; convert to WAV or FLAC", False): 1,
        ("background noise, which is no class", True): 1,
    }


# ---- tables


def test_rows_without_files_are_kept_apart(tmp_path: Path) -> None:
    shutil.rmtree(made("urbansound8k", tmp_path).folder / "audio" / "fold3")
    manifest = get_dataset("urbansound8k").manifest(tmp_path)
    assert (len(manifest.clips), len(manifest.absent)) == (18, 2)
    with pytest.raises(
        BenchmarkError, match=r"fold3/3-0-0-0\.wav is not there, nor are 1 other files that the metadata"
    ):
        manifest.require_all()
    assert manifest.folds == (1, 2, 4, 5, 6, 7, 8, 9, 10)
    with pytest.raises(BenchmarkError, match=r"no clips in the test split of fold 3 \(folds with clips: 1, 2, 4, "):
        manifest.splits(3)


def test_a_table_without_any_file_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(made("esc50", tmp_path).folder / "audio")
    with pytest.raises(BenchmarkError, match=r"10 clips listed, but not one file is there, not audio/1-1000-A-0\.wav"):
        get_dataset("esc50").manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "table"), [("urbansound8k", "metadata/UrbanSound8K.csv"), ("esc50", "meta/esc50.csv")]
)
def test_files_without_rows_are_counted(name: str, table: str, tmp_path: Path) -> None:
    path = made(name, tmp_path).folder / table
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[:-3]))
    dataset = get_dataset(name)
    [group] = dataset.unused(dataset.manifest(tmp_path))
    assert (group.reason, len(group.paths), group.intended) == ("not in the metadata", 3, False)


def test_openmic_and_gtzan_count_what_is_not_used(tmp_path: Path) -> None:
    for name, extra in (("openmic", "audio/000/9.ogg"), ("gtzan", "jazz/jazz.00033.wav"), ("gtzan", "funk/1.wav")):
        if name not in available(tmp_path):
            made(name, tmp_path)
        touch(get_dataset(name).find(tmp_path) / extra)
    found = {
        name: [
            (group.reason, group.intended) for group in get_dataset(name).unused(get_dataset(name).manifest(tmp_path))
        ]
        for name in ("openmic", "gtzan")
    }
    assert found == {
        "openmic": [("not in the metadata", False)],
        "gtzan": [("not in the metadata", False), ("faulty, not in the fault-filtered lists", True)],
    }


def edited(name: str, table: str, old: str, new: str) -> Callable[[Path], str]:
    def change(root: Path) -> str:
        path = made(name, root).folder / table
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return name

    return change


US8K, ESC, MIC = "metadata/UrbanSound8K.csv", "meta/esc50.csv", "openmic-2018-aggregated-labels.csv"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            edited("urbansound8k", US8K, "air_conditioner", "dog_bark"),
            "line 2: classID 0 is 'air_conditioner', not 'dog_b",
        ),
        (
            edited("urbansound8k", US8K, "1-0-0-0.wav,1,", "1-0-0-0.wav,2,"),
            "line 2: file name .* does not match fsID '2'",
        ),
        (
            edited("esc50", ESC, "A-0.wav,1,", "A-0.wav,2,"),
            r"line 2: file name '1-1000-A-0\.wav' does not match fold 2",
        ),
        (edited("esc50", ESC, "A-0.wav,1,0,dog", "A-0.wav,1,5,cat"), "does not match fold 1 and target 5"),
        (edited("openmic", MIC, "0.9", "nan"), "line 2: relevance 'nan' is not a number from 0 to 1"),
        (edited("openmic", MIC, "0.9", "9"), "line 2: relevance '9' is not a number from 0 to 1"),
        (edited("openmic", MIC, "0.9,3", "0.9,3,7"), "line 2: has more values than columns"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    damage: Callable[[Path], str], message: str, tmp_path: Path
) -> None:
    name = damage(tmp_path)
    with pytest.raises(BenchmarkError, match=message):
        get_dataset(name).manifest(tmp_path)


@pytest.mark.parametrize(
    "encode", [lambda t: t.replace(",", ";"), lambda t: t.replace(",", "\t"), lambda t: f"\ufeff{t}"]
)
@pytest.mark.parametrize(("name", "table"), [("urbansound8k", US8K), ("esc50", ESC), ("openmic", MIC)])
def test_tables_that_spreadsheets_saved(name: str, table: str, encode: Callable[[str], str], tmp_path: Path) -> None:
    before = made(name, tmp_path)
    path = before.folder / table
    path.write_text(encode(path.read_text()))
    assert get_dataset(name).manifest(tmp_path).digest == before.digest
    path.write_text(path.read_text(), encoding="utf-16")
    assert get_dataset(name).manifest(tmp_path).digest == before.digest


def test_classes_of_urbansound8k_in_words(tmp_path: Path) -> None:
    before = made("urbansound8k", tmp_path)
    path = before.folder / US8K
    text = path.read_text()
    for name in urbansound8k.CLASSES:
        text = text.replace(name, name.replace("_", " ").title())
    path.write_text(text)
    assert get_dataset("urbansound8k").manifest(tmp_path).digest == before.digest


# ---- names


def test_own_names_are_found_and_suggested(tmp_path: Path) -> None:
    esc50(tmp_path)
    touch(tmp_path / "kws" / "yes" / "1.wav")
    touch(tmp_path / "table" / "clips.csv")
    touch(tmp_path / "texts" / "a.txt")
    touch(tmp_path / "with blank" / "x" / "1.wav")
    assert own_names(tmp_path) == ["folder:kws", "folder:table"]
    with pytest.raises(BenchmarkError, match=r"dataset: unknown dataset 'kws' \(did you mean 'folder:kws'\?\)"):
        get_dataset("kws", data_root=tmp_path)
    with pytest.raises(BenchmarkError, match=r"unknown dataset 'ESC50' \(did you mean 'esc50'\?\)"):
        get_dataset("ESC50", data_root=tmp_path)
