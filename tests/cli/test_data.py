"""Datasets on the command line: generate, check, describe, run; bad files; a user's own audio."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import AST, SSAST, TINY_RECIPE, Cli, json_of

SMALL = [f"recipe.{key}={value}" for key, value in TINY_RECIPE.items()]
TINY = [word for setting in SMALL for word in ("--set", setting.replace(" ", ""))]


@pytest.fixture(scope="module")
def root(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with all six datasets: two classes, one clip per class in every fold or split."""
    place = tmp_path_factory.mktemp("data")
    for name in json.loads(cli("data", "list", "--data-root", place, "--json").stdout):
        done = cli("data", "synthesize", name, "--data-root", place, "--classes", 2, "--clips-per-class", 1)
        assert done.returncode == 0, done.stderr
        assert "synthetic clips" in done.stdout
    return place


def test_list_says_what_is_there(cli: Cli, root: Path, tmp_path: Path) -> None:
    rows = [
        line.split("  ") for line in cli("data", "list", "--data-root", root).stdout.splitlines()[2:] if line.strip()
    ]
    assert len(rows) == 6
    assert all("synthetic" in map(str.strip, row) for row in rows)
    rows = json.loads(cli("data", "list", "--data-root", tmp_path, "--json").stdout)
    assert {row["state"] for row in rows.values()} == {"missing"}
    assert rows["gtzan"]["official"] == 930


def test_a_trial_of_every_dataset(cli: Cli, root: Path, tmp_path: Path) -> None:
    names = ["urbansound8k", "speech_commands_v1", "speech_commands_v2", "gtzan", "openmic"]
    run = [
        "run", "--grid", "quick", "--dataset", ",".join(names), "--method", "aat_ms", "--backbone", SSAST,
        "--fold", "1", *TINY, "--limit-clips", 4, "--data-root", root, "--results", tmp_path,
    ]  # fmt: skip
    done = cli(*run, "--cache", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "urbansound8k: caching 6 clips, about " in done.stdout
    # version 2 has recordings of version 1: equal files are cached once
    assert "speech_commands_v1: caching" in done.stdout
    assert "speech_commands_v2: caching" not in done.stdout
    records = [json.loads(path.read_text()) for path in (tmp_path / "trials").rglob("*.json")]
    assert sorted(record["request"]["dataset"]["name"] for record in records) == sorted(names)
    assert {record["data"]["kind"] for record in records} == {"synthetic"}
    assert all(max(record["data"]["used"].values()) <= 4 for record in records)
    assert "limit_clips=4" in done.stdout
    assert "synthetic audio" in done.stdout


def test_bad_files_stop_a_run_or_are_skipped_and_reported(cli: Cli, tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    cli("data", "synthesize", "gtzan", "--data-root", root, "--classes", 2, "--clips-per-class", 2)
    first, *_, last = sorted((root / "genres").rglob("*.wav"))
    first.write_bytes(b"")
    os.truncate(last, 100_000)
    run = [
        "run", "--grid", "quick", "--dataset", "gtzan", "--method", "linear", "--backbone", AST, *TINY,
        "--data-root", root, "--results", out,
    ]  # fmt: skip
    stopped = cli(*run)
    assert stopped.returncode == 2
    assert stopped.stderr.count("\n") == 1
    assert stopped.stderr.startswith((f"error: {first}: is empty", f"error: {last}: is cut off: "))
    assert stopped.stderr.endswith("get the file again, or leave such files out with --on-bad-audio skip\n")
    assert not list(out.rglob("*.json"))
    for cache in ("none", tmp_path / "cache"):
        skipped = cli(*run, "--on-bad-audio", "skip", "--cache", cache, "--results", out / str(cache)[-5:])
        assert skipped.returncode == 0, skipped.stderr
        assert "2 unreadable clips skipped, 10 of 12 left" in skipped.stdout
        [path] = (out / str(cache)[-5:] / "trials").rglob("*.json")
        data = json.loads(path.read_text())["data"]
        assert sorted(data["skipped"]) == [str(each.relative_to(root / "genres")) for each in (first, last)]
        assert sum(data["used"].values()) == 10
    assert "10 of 12 left" in (out / "cache" / "report" / "results.md").read_text()
    verified = cli("data", "verify", "gtzan", "--data-root", root)
    assert verified.returncode == 3
    assert "2 bad files, 2 problems" in verified.stdout


def test_verify_stats_and_describe(cli: Cli, root: Path) -> None:
    found = json.loads(cli("data", "verify", "openmic", "--data-root", root, "--json").stdout)
    assert (found["verdict"], found["bad_files"]) == ("synthetic", {})
    assert "synthetic (generated audio" in cli("data", "verify", "openmic", "--data-root", root).stdout
    stats = cli("data", "stats", "speech_commands_v1", "--data-root", root).stdout
    assert "recipe    mean" in stats
    assert "2 clips" in stats
    text = cli("data", "describe", "urbansound8k", "--data-root", root).stdout
    for part in ("UrbanSound8K", "CC BY-NC 3.0", "sources 106905", "air_conditioner", "####", "seconds", "WAV"):
        assert part in text
    refused = cli("data", "stats", "esc50", "--data-root", root, "--fold", "9")
    assert (refused.returncode, refused.stderr) == (2, "error: esc50: has no fold 9\n")
    unknown = cli("data", "verify", "esc", "--data-root", root)
    assert unknown.stderr.startswith("error: dataset: unknown dataset 'esc' (did you mean 'esc50'?)")


def test_a_users_own_audio_from_prepare_to_the_table(cli: Cli, root: Path, tmp_path: Path) -> None:
    (tmp_path / "birds").symlink_to(root / "speech_commands_v0.01")
    (tmp_path / "mine").mkdir()
    for word in ("bed", "bird"):
        (tmp_path / "mine" / word).mkdir()
        for number, path in enumerate(sorted((root / "speech_commands_v0.01" / word).glob("*.wav")) * 2):
            (tmp_path / "mine" / word / f"{number}.wav").write_bytes(path.read_bytes() + bytes(number))
    out = tmp_path / "out"
    run = [
        "run", "--grid", "quick", "--dataset", "folder:mine", "--method", "linear", "--backbone", AST, "--fold", "2",
        "--data-root", tmp_path, "--results", out,
    ]  # fmt: skip
    early = cli(*run)
    assert early.returncode == 2
    assert "data prepare folder:mine" in early.stderr
    prepared = cli("data", "prepare", "folder:mine", "--data-root", tmp_path)
    assert prepared.returncode == 0, prepared.stderr
    assert "measured on 12 clips of folder:mine" in prepared.stdout
    done = cli(*run)
    assert done.returncode == 0, done.stderr
    assert "folder:mine" in done.stdout
    [path] = (out / "trials").rglob("*.json")
    record = json.loads(path.read_text())
    assert record["request"]["recipe"]["frames"] == 112
    assert record["data"]["classes"] == 2
    assert "folder-mine" in path.parts
    assert record["selection"]["rule"] == "last"  # the exported model is the one of the table


def test_own_recordings_in_groups_and_windows(cli: Cli, root: Path, tmp_path: Path) -> None:
    """Two clips of each of six recordings, each longer than the input of the model."""
    for word in ("bed", "bird"):
        (tmp_path / "mine" / word).mkdir(parents=True)
        for number, path in enumerate(sorted((root / "speech_commands_v0.01" / word).glob("*.wav")) * 2):
            (tmp_path / "mine" / word / f"{word}{number // 2}_{number}.wav").write_bytes(
                path.read_bytes() + bytes(number)
            )
    prepared = cli("data", "prepare", "folder:mine", "--data-root", tmp_path, "--group", r"^.*?/(\w+?\d+)_")
    assert prepared.returncode == 0, prepared.stderr
    assert "6 groups in 5 folds, balanced by class" in prepared.stdout
    options = [
        "--grid", "quick", "--dataset", "folder:mine", "--method", "linear", "--backbone", AST, "--fold", "1", *TINY,
        "--set", "recipe.windows=all", "--data-root", tmp_path, "--results", tmp_path / "out",
    ]  # fmt: skip
    done = cli("run", *options, "--no-report")
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "out" / "trials").rglob("*.json")
    data = json.loads(path.read_text())["data"]
    assert data["windows"] == {name: 2 * clips for name, clips in data["used"].items()}
    with np.load(path.with_suffix(".npz")) as predictions:
        assert len(predictions["clips_test"]) == len(predictions["logits_test"][0]) == data["used"]["test"]
        assert len(set(predictions["groups_test"])) == len(predictions["clips_test"]) / 2
    assert "by records" not in cli("plan", *options, "--trials").stdout  # the trial is done
    wrong = cli("plan", *options, "--set", "recipe.early_stop=2")
    assert wrong.returncode == 2
    assert "folder:mine: recipe.early_stop needs validation clips, and it lists none" in wrong.stderr


def test_a_cache_that_cannot_be_written_is_one_clear_line(cli: Cli, root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    done = cli(
        "run", "--grid", "quick", "--dataset", "esc50", "--method", "linear", *TINY, "--data-root", root,
        "--results", tmp_path / "out", "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the audio cache cannot be written" in done.stderr
    assert "--cache none" in done.stderr


@pytest.mark.slow
def test_speed_measures_both_ways(cli: Cli) -> None:
    rows = json.loads(cli("data", "speed", "--rounds", 1, "--json").stdout)
    assert [row["seconds"] for row in rows] == [1, 5, 10, 30]
    assert all(row[way] > 0 for row in rows for way in ("reference", "reference_mixed", "mixed", "unmixed"))


def test_a_record_tells_what_verify_found_of_the_same_files(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    root, out = tmp_path / "data", tmp_path / "out"
    cli("data", "synthesize", "esc50", "--data-root", root, "--classes", 2, "--clips-per-class", 1)
    clip = next((root / "ESC-50-master" / "audio").glob("*.wav"))

    def verdict(seed: int) -> dict[str, Any] | None:
        done = cli(
            "run", "--grid", "quick", "--dataset", "esc50", "--method", "linear", "--backbone", SSAST, "--fold", 1,
            *TINY,
            "--seed", seed, "--data-root", root, "--results", out, "--no-report",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        [path] = (out / "trials").rglob(f"f1-s{seed}-*.json")
        found: dict[str, Any] | None = json.loads(path.read_text())["data"]["verified"]
        return found

    assert verdict(0) is None
    assert "verified not verified" in " ".join(cli("explain", "esc50", "--results", out).stdout.split())
    assert cli("data", "verify", "esc50", "--data-root", root).returncode == 0
    found = verdict(1)
    assert found is not None
    assert (found["verdict"], found["problems"]) == ("synthetic", 0)
    assert len(found["digest"]) == 64
    os.utime(clip, (1, 1))  # it may have changed, though its size is the same
    assert verdict(2) is None


def make_folder(root: Path, source: Path) -> Path:
    """Write an own folder `mine` of two words with three clips each, from the synthetic Speech Commands."""
    for word in ("bed", "bird"):
        (root / "mine" / word).mkdir(parents=True)
        for number, path in enumerate(sorted((source / "speech_commands_v0.01" / word).glob("*.wav"))):
            (root / "mine" / word / f"{number}.wav").write_bytes(path.read_bytes())
    return root / "mine"


def test_what_is_not_used_is_reported_by_every_command(cli: Cli, root: Path, tmp_path: Path) -> None:
    mine = make_folder(tmp_path, root)
    for path in ("bed/x.m4a", "bed/y.m4a", "bird/more/0.wav", "loose.wav", "bird/noending"):
        (mine / path).parent.mkdir(exist_ok=True)
        (mine / path).write_bytes((mine / "bed" / "0.wav").read_bytes())
    (mine / "_silence_").mkdir()
    for number in range(2):
        (mine / "_silence_" / f"{number}.wav").write_bytes((mine / "bed" / f"{number}.wav").read_bytes())
    lines = (
        "2 files not used: .m4a is not read; convert to WAV or FLAC (such as bed/x.m4a)",
        "1 file not used: not directly in the folder of a class (such as bird/more/0.wav)",
        "1 file not used: not in a folder (such as loose.wav)",
        "1 file not used: the name has no ending; add the right one (such as bird/noending)",
    )
    prepared = cli("data", "prepare", "folder:mine", "--data-root", tmp_path)
    verified = cli("data", "verify", "folder:mine", "--data-root", tmp_path)
    described = cli("data", "describe", "folder:mine", "--data-root", tmp_path)
    planned = cli("plan", "--grid", "quick", "--dataset", "folder:mine", "--data-root", tmp_path, "--fold", 1)
    done = cli(
        "run", "--grid", "quick", "--dataset", "folder:mine", "--method", "linear", "--backbone", AST, "--fold", 1,
        *TINY, "--data-root", tmp_path, "--results", tmp_path / "out",
    )  # fmt: skip
    for text in (prepared.stdout, verified.stdout, described.stdout, planned.stdout, done.stdout):
        assert all(line in text for line in lines)
    assert (verified.returncode, done.returncode) == (0, 0)
    assert "_silence_ 2, bed 3, bird 3" in verified.stdout
    assert "_silence_ (folds 3, 4, 5)" in described.stdout
    listed = cli("data", "list", "--data-root", tmp_path).stdout
    assert re.search(rf"folder:mine +mine +complete +8 of 8 +{re.escape(str(mine))}", listed)
    for command in ("verify", "prepare", "describe", "stats"):
        refused = cli("data", command, "mine", "--data-root", tmp_path)
        assert "unknown dataset 'mine' (did you mean 'folder:mine'?)" in refused.stderr
    refused = cli("run", "--grid", "quick", "--dataset", "mine", "--data-root", tmp_path)
    assert "unknown dataset 'mine' (did you mean 'folder:mine'?)" in refused.stderr


def test_the_command_that_prepare_prints_works_with_bad_files(cli: Cli, root: Path, tmp_path: Path) -> None:
    place = tmp_path / "my data #1"
    mine = make_folder(place, root)
    (mine / "bed" / "0.wav").write_bytes(b"")
    prepared = cli("data", "prepare", "folder:mine", "--data-root", place)
    assert f"left out: {mine / 'bed' / '0.wav'}: is empty" in prepared.stdout
    (mine / "recipe.yaml").unlink()
    again = json_of(cli("data", "prepare", "folder:mine", "--data-root", place, "--json"), "data prepare")
    assert (again["path"], again["needs_skip"]) == (str(mine / "recipe.yaml"), True)
    assert re.search(r"2 classes have no test clips: .*bed \(folds \d, \d, \d\)", prepared.stdout)
    command = prepared.stdout.splitlines()[-1].partition("`python -m benchmark ")[2].removesuffix("`")
    assert command.endswith(f"--data-root '{place}' --on-bad-audio skip --keep-weights")
    done = cli(*shlex.split(command), "--method", "linear", "--backbone", AST, "--results", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "1 unreadable clips skipped, 5 of 6 left" in done.stdout


def test_a_copy_without_some_listed_files_is_run_with_consent(cli: Cli, tmp_path: Path) -> None:
    small = ["--classes", 2, "--clips-per-class", 1, "--json"]
    made = json_of(cli("data", "synthesize", "urbansound8k", "--data-root", tmp_path, *small), "data synthesize")
    assert (made["folder"], made["clips"]) == (str(tmp_path / "UrbanSound8K"), 20)
    audio = tmp_path / "UrbanSound8K" / "audio"
    shutil.rmtree(audio / "fold3")
    next((audio / "fold2").glob("*-0-0-0.wav")).unlink()
    run = [
        "run", "--grid", "quick", "--dataset", "urbansound8k", "--method", "linear", "--backbone", SSAST, *TINY,
        "--fold", "1,2", "--data-root", tmp_path, "--results", tmp_path / "out",
    ]  # fmt: skip
    for command in (run, ["plan", *run[1:]]):
        stopped = cli(*command)
        assert (stopped.returncode, stopped.stderr.count("\n")) == (2, 1)
        assert "nor are 2 other files that the metadata lists: get them, or use the other 17 clips" in stopped.stderr
    done = cli(*run, "--on-bad-audio", "skip")
    assert done.returncode == 0, done.stderr
    assert "note: urbansound8k: 3 listed clips without a file, such as audio/fold2/" in done.stdout
    assert "note: urbansound8k: 1 class has no test clips: air_conditioner (fold 2)" in done.stdout
    for path in (tmp_path / "out" / "trials").rglob("*.json"):
        record = json.loads(path.read_text())
        assert (record["data"]["clips"], record["request"]["recipe"]["on_bad_audio"]) == (17, "skip")
    lacking = cli(*run, "--on-bad-audio", "skip", "--fold", "3")
    assert "no clips in the test split of fold 3 (folds with clips: 1, 2, 4, 5, 6, 7, 8, 9, 10)" in lacking.stderr
    present = cli(
        "plan", "--grid", "real-small", "--dataset", "urbansound8k", "--method", "linear", "--backbone", SSAST,
        "--seed", "0", "--set", "recipe.on_bad_audio=skip", "--data-root", tmp_path, "--json",
    )  # fmt: skip
    assert present.returncode == 0, present.stderr
    labels = [trial["trial"] for trial in json.loads(present.stdout)["trials"] if " choice " not in trial["trial"]]
    assert sorted(label.split()[-2] for label in labels) == sorted(f"f{fold}" for fold in (1, 2, 4, 5, 6, 7, 8, 9, 10))
    stats = cli("data", "stats", "urbansound8k", "--data-root", tmp_path).stdout
    assert "fold 10" in stats
    assert "fold 3 " not in stats
    assert "nor are 2 other files" in stats
    verified = cli("data", "verify", "urbansound8k", "--data-root", tmp_path)
    assert verified.returncode == 0
    assert "nor are 2 other files" in verified.stdout


def test_fold_10_alone_has_a_score_and_a_mark(cli: Cli, root: Path, tmp_path: Path) -> None:
    """Under `reference`, fold 10 takes no part in the choice of the epoch (D12)."""
    run = [
        "--grid", "quick", "--dataset", "urbansound8k", "--method", "linear", "--backbone", SSAST, *TINY,
        "--data-root", root, "--results", tmp_path,
    ]  # fmt: skip
    note = "urbansound8k: fold 10 takes no part in the choice of the epoch under protocol reference"
    assert note not in cli("plan", *run, "--fold", 10).stdout  # under `corrected`, the protocol of `quick`
    run += ["--protocol", "reference"]
    assert note in cli("plan", *run, "--fold", 10).stdout
    assert note not in cli("plan", *run, "--fold", "9,10").stdout
    done = cli("run", *run, "--fold", 10)
    assert note in done.stdout
    [path] = (tmp_path / "trials").rglob("*.json")
    last = json.loads(path.read_text())["curves"][-1]["splits"]["test"]["accuracy"]
    [cell] = json.loads((tmp_path / "report" / "results.json").read_text())["rows"]
    assert cell["score"] == last
    assert "last epoch: fold 10 takes no part in its choice" in cell["marks"]
    assert cli("run", *run, "--fold", "9,10").returncode == 0
    [cell] = json.loads((tmp_path / "report" / "results.json").read_text())["rows"]
    assert "takes no part" not in cell["marks"]
