"""HEAR, X-ARES and the library `datasets` on the command line: prepare, verify, plan, run, list."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from tests.conftest import AST, Cli
from tests.data.public_trees import hear_folds, hub_rows, save_hub, write_hear, write_xares_ravdess

SHORT = ["--set", "recipe.epochs=1", "--set", "recipe.batch_size=4"]


def test_from_the_public_formats_to_the_table(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = write_hear(tmp_path / "beijing_opera-v1.0-hear2021-full", hear_folds(), vocabulary=["bark", "meow"])
    with tarfile.open(tmp_path / "opera.tar.gz", "w:gz") as archive:
        archive.add(made, f"hear-2021.0.6/tasks/{made.name}")
    write_xares_ravdess(data / "env" / "ravdess")
    saved = save_hub(tmp_path / "sounds", train=hub_rows([[0], [1, 2], [2]]), test=hub_rows([[0, 1], [2]]))
    names = {"hear:beijing_opera": ["--from", tmp_path / "opera.tar.gz"], "xares:ravdess": [], f"hf:{saved}": []}
    run = ["--grid", "quick", "--method", "linear", "--backbone", AST, "--fold", "2", "--data-root", data]
    early = cli("plan", *run, "--dataset", ",".join(names), "--results", tmp_path / "out")
    assert [line.split(": ")[1] for line in early.stdout.splitlines() if line.startswith("missing input")] == [
        "hear:beijing_opera", "xares:ravdess", "hf:./sounds",
    ]  # fmt: skip
    for name, options in names.items():
        prepared = cli("data", "prepare", name, *options, "--data-root", data)
        assert prepared.returncode == 0, prepared.stderr
        assert "run it with `python -m benchmark run --grid quick --dataset" in prepared.stdout
        verified = cli("data", "verify", name, "--data-root", data)
        assert verified.returncode == 0, verified.stdout
        assert ": complete (all clips; no digest" in verified.stdout
    done = cli("run", "--no-report", *run, *SHORT, "--dataset", ",".join(names), "--results", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "out" / "trials").rglob("*.json")]
    found = {record["request"]["dataset"]["name"]: record for record in records}
    assert {name: record["data"]["used"] for name, record in found.items()} == {
        "hear:beijing_opera": {"train": 4, "validation": 4, "test": 4},
        "xares:ravdess": {"train": 24, "test": 8},
        "hf:./sounds": {"train": 3, "test": 2},
    }
    assert found["hear:beijing_opera"]["selection"]["rule"] == "best_on_validation"
    assert found["hear:beijing_opera"]["data"]["source"] == "beijing_opera-v1.0-hear2021-full"
    assert (found["hf:./sounds"]["selection"]["metric"], found["hf:./sounds"]["data"]["source"]) == ("map", None)
    listed = cli("data", "list", "--data-root", data).stdout
    own = [line.split("  ") for line in listed.splitlines() if ":" in line.split(" ")[0]]
    assert [row[0] for row in own] == ["hear:beijing_opera", "hf:./sounds", "xares:ravdess"]
    assert all("complete" in map(str.strip, row) for row in own)
    again = cli("data", "prepare", "hear:beijing_opera", "--from", tmp_path / "opera.tar.gz", "--data-root", data)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "exists already" in again.stderr


def test_unknown_names_are_one_clear_line(cli: Cli, tmp_path: Path) -> None:
    for name, message in {
        "hear:esc-50": "hear:esc-50: no task of HEAR",
        "hear:maestro": "is a task of events",
        "xares:ravdes": "(did you mean 'ravdess'?)",
        "hf:owner/name[lable=x]": "lable: unknown key (did you mean 'label'?)",
        "hg:x": "others: folder:NAME, hear:NAME, xares:NAME, hf:NAME",
    }.items():
        for call in (["data", "prepare", name], ["plan", "--grid", "quick", "--dataset", name]):
            refused = cli(*call, "--data-root", tmp_path)
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
            assert message in refused.stderr
