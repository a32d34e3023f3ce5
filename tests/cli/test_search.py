"""`search` from outside, on a tiny generated dataset with a backbone that comes with the suite."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmark.search.history import Configuration, winner
from tests.conftest import Cli

pytest.importorskip("optuna")
SETTINGS = ["recipe.frames=64", "recipe.time_mask=12", "recipe.stride=[16,16]", "recipe.batch_size=8"]
COMMON = ["--backbone", "ast-demo", "--epochs", "2", "--cpus", "1", *(w for s in SETTINGS for w in ("--set", s))]


def search(cli: Cli, data_root: Path, out: Path, *more: str) -> tuple[int, str, str]:
    done = cli("search", "--dataset", "esc50", "--data-root", data_root, "--results", out, *COMMON, *more)
    return done.returncode, done.stdout, done.stderr


def tried(out: Path) -> list[dict[str, Any]]:
    """What was tried, without how long it took."""
    found = json.loads((out / "search.json").read_text())["configurations"]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in found]


@pytest.fixture(scope="module")
def found(cli: Cli, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("search") / "out"
    code, shown, errors = search(cli, data_root, out, "--budget", "4", "--max-params", "30k", "--max-memory", "1")
    assert code == 0, shown + errors
    assert errors == ""
    return out, shown


def test_a_search_ends_with_a_front_and_a_command_that_runs(cli: Cli, found: tuple[Path, str]) -> None:
    out, shown = found
    assert "validation: fold 2, held out from the training folds of test fold 1 (3 of 12 clips)" in shown
    assert "Not comparable with the paper: validation data, search; demo backbone; recipe changed (" in shown
    assert "; synthetic audio." in shown
    files = {path.name for path in out.iterdir()}
    assert files == {"search.json", "search.csv", "logs", *(f"pareto-search.{e}" for e in ("png", "pdf", "svg"))}
    configurations = tried(out)
    trained = [each for each in configurations if each["state"] in {"finished", "pruned"}]
    assert len(trained) == 4
    assert all(each["trainable"] <= 30_000 and each["peak_bytes"] <= 1e9 for each in trained)
    assert all(len(each["scores"]) == 2 for each in trained if each["state"] == "finished")
    infeasible = [each for each in configurations if each["state"] == "infeasible"]
    assert {each["error"] for each in infeasible if "more than 30,000" not in each["error"]} == set()
    assert not any(each["scores"] for each in infeasible)
    with (out / "search.csv").open() as handle:
        assert [row["method"] for row in csv.DictReader(handle)] == [each["method"] for each in configurations]
    command = shlex.split(shown.splitlines()[-1])
    assert command[:4] == ["python", "-m", "benchmark", "run"]
    best = winner([Configuration.model_validate(each) for each in configurations])
    assert best
    assert best.method in command
    assert f"recipe.lr={best.lr:g}" in command
    planned = cli("plan", *command[4:], "--results", out.parent / "winner", "--json")
    assert planned.returncode == 0, planned.stderr
    trials = json.loads(planned.stdout)["trials"]
    assert len(trials) == 15  # five folds, three seeds


def test_test_clips_do_not_matter_and_a_search_goes_on_as_an_undisturbed_one(
    cli: Cli, found: tuple[Path, str], data_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_root, tmp_path / "data")
    spoilt = list((tmp_path / "data" / "ESC-50-master" / "audio").glob("1-*.wav"))
    assert len(spoilt) == 3
    for path in spoilt:
        path.write_bytes(b"")
    limits = ["--max-params", "30k", "--max-memory", "1"]
    code, shown, errors = search(cli, tmp_path / "data", tmp_path / "out", "--budget", "2", *limits)
    assert code == 0, shown + errors
    file = tmp_path / "out" / "search.json"
    content = json.loads(file.read_text())
    last = content["configurations"][-1]
    last |= {"state": "unfinished", "scores": []}  # as if the process had died in it
    file.write_text(json.dumps(content))
    code, shown, errors = search(cli, tmp_path / "data", tmp_path / "out", "--budget", "4", *limits)
    assert code == 0, shown + errors
    assert tried(tmp_path / "out") == tried(found[0])


def test_failures_do_not_end_a_search(cli: Cli, data_root: Path, tmp_path: Path) -> None:
    diverges = ["--budget", "2", "--method", "linear", "--set", "recipe.lr=1e30"]
    code, shown, errors = search(cli, data_root, tmp_path / "out", *diverges)
    assert code == 3, shown + errors
    assert shown.count("failed: linear, lr ") == 2
    assert [each["state"] for each in tried(tmp_path / "out")] == ["failed", "failed"]
    assert all("not finite" in each["error"] for each in tried(tmp_path / "out"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "--budget 0: expected at least 1 configuration"),
        (["--budget", "1", "--max-params", "many"], "--max-params many: expected a number such as 300k"),
        (["--budget", "1", "--dataset", "esc5"], "unknown dataset 'esc5' (did you mean 'esc50'?)"),
        (["--budget", "1", "--dataset", "gtzan"], "GTZAN: no folder"),
        (["--budget", "1", "--method", "linear", "--max-params", "10"], "none of 100 configurations fits; the nearest"),
    ],
)
def test_a_mistake_is_one_line(cli: Cli, data_root: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    code, shown, errors = search(cli, data_root, tmp_path / "out", *arguments)
    assert code == 2, shown + errors
    assert message in errors
    assert len(errors.splitlines()) == 1
