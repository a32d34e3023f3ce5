"""The command line on a tiny grid that is really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import benchmark
from benchmark.api.schemas import SCHEMAS
from benchmark.records.lease import Lease
from benchmark.report.layout import load_layout
from tests.conftest import AST, SSAST, TINY_RECIPE, Cli, without_notes

pytestmark = pytest.mark.ray

GRID = {
    "description": "for tests",
    "backbones": [AST, SSAST],
    "datasets": ["esc50"],
    "methods": ["linear", "aat_m+prompt"],
    "folds": [1, 2],
    "recipe": TINY_RECIPE,
}


@pytest.fixture(scope="module")
def grid_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "tiny.yaml"
    path.write_text(yaml.safe_dump(GRID))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, ray_cli: Cli, grid_file: Path, data_root: Path) -> Path:
    """Return a results folder with the finished grid."""
    folder = tmp_path_factory.mktemp("run") / "out"
    arguments = ["run", "--grid", grid_file, "--data-root", data_root, "--results", folder]
    done = ray_cli(*arguments, "--log", "tensorboard", "--deterministic", "--cpus", "1", figures=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "8/8 done, 0 failed, 0 running" in done.stdout
    shown = done.stdout.replace("\n", " ")
    assert "Not comparable with the paper: random weights; demo backbone; recipe changed (frames=64, " in shown
    assert "synthetic audio; folds 1, 2 (2 of 5)" in shown
    assert done.stdout.splitlines()[-1] == f"8 done; results in {folder}"
    return folder


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of every record."""
    found = (folder / "trials").rglob("*.json")
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in found}


def test_a_run_leaves_records_predictions_and_a_report(results: Path) -> None:
    records = sorted((results / "trials").rglob("*.json"))
    assert len(records) == 8
    assert all(path.with_suffix(".npz").is_file() for path in records)
    assert {path.parent.name for path in records} == {"linear", "aat_m+prompt"}
    report = {path.name for path in (results / "report").iterdir()}
    tables = {"results", "parameters", "time", "compute", "classes", "confusion", "paper"}
    figures = {figure.name for figure in load_layout().figures} - {"shots"}
    expected = {f"{name}.{ending}" for name in tables for ending in ("csv", "md", "tex", "json")}
    assert report == expected | {f"{name}.{ending}" for name in figures for ending in ("png", "pdf", "svg")}
    left = [path for path in results.rglob("*") if path.name.endswith(".tmp") or path.name == ".tune"]
    assert left == []


def test_every_trial_has_a_log_and_curves_for_tensorboard(results: Path) -> None:
    logs = [path.read_text().splitlines() for path in (results / "logs" / "trials").glob("*.log")]
    assert len(logs) == 8
    for first, *epochs, last in logs:
        assert "reference " in first
        assert [line.split()[2] for line in epochs] == ["1/2:", "2/2:"]
        assert last.endswith(" completed")
    events = list((results / "logs" / "tensorboard").rglob("events.*"))
    assert len(events) == 8
    record = json.loads(next((results / "trials").rglob("*.json")).read_text())
    assert record["environment"]["deterministic"] is True
    assert record["cost"]["train_flops"] > 0


def test_curves_for_wandb_are_written_offline(ray_cli: Cli, grid_file: Path, data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    arguments = ["run", "--grid", grid_file, "--data-root", data_root, "--results", tmp_path, "--log", "wandb"]
    done = ray_cli(*arguments, "--backbone", AST, "--method", "linear", "--fold", "1", "--no-report")
    assert done.returncode == 0, done.stdout + done.stderr
    [run] = (tmp_path / "logs" / "wandb").glob("offline-run-*/*.wandb")
    assert b"scores" in run.read_bytes()


def test_status_shows_what_is_running_and_watches_until_the_end(results: Path, cli: Cli) -> None:
    trial = json.loads(next((results / "trials").rglob("*.json")).read_text())["id"]
    with Lease.take(results, trial):
        shown = cli("status", "--results", results).stdout
        [line] = [line for line in shown.splitlines() if trial in line]
        assert line.startswith("running ")
        assert line.endswith(" completed")  # the last line of its log
        assert json.loads(cli("status", "--results", results, "--json").stdout)["running"] == [trial]
    (results / "leases").rmdir()
    watched = cli("status", "--results", results, "--watch")
    assert watched.returncode == 0
    assert watched.stdout.splitlines()[-1].startswith("8 trials: 8 done")


def test_the_stored_predictions_give_the_recorded_score(results: Path) -> None:
    for path in (results / "trials").rglob("*.json"):
        record, arrays = json.loads(path.read_text()), np.load(path.with_suffix(".npz"))
        hits = arrays["logits_test"][-1].argmax(1) == arrays["targets_test"].argmax(1)
        recorded = record["curves"][-1]["splits"]["test"]["accuracy"]
        assert arrays["values_test"][-1].mean() == pytest.approx(recorded)
        sources = [Path(clip).name.split("-")[1] for clip in arrays["clips_test"]]  # FOLD-SOURCE-TAKE-CLASS.wav
        assert arrays["groups_test"].tolist() == sources
        if record["request"]["backbone"]["name"] == "ssast":  # scored on the logits themselves
            assert recorded == pytest.approx(hits.mean())


def test_every_table_has_a_floor(results: Path, cli: Cli, data_root: Path) -> None:
    """Scores without a backbone have rows of their own, and what is below the regression is marked."""
    floors = sorted((results / "floors" / "esc50").iterdir())
    assert [path.name[:3] for path in floors] == ["f1-", "f2-"]  # one per fold, for both backbones and all methods
    scores = [json.loads(path.read_text())["scores"] for path in floors]
    cells = pd.read_csv(results / "report" / "results.csv")
    assert cells["floor"].unique().tolist() == pytest.approx([np.mean([s["log-mel regression"] for s in scores])])
    text = (results / "report" / "results.md").read_text()
    rows = [line for line in text.splitlines() if "| no backbone " in line]
    assert [row.split("|")[2].strip() for row in rows] == ["chance", "majority class", "log-mel regression"]
    assert text.count("†") == (cells["score"] < cells["floor"]).sum() + ("† below a regression" in text)
    again = cli("floor", "--results", results, "--data-root", data_root)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("esc50 fold ") == 2
    floors[0].write_text("{")
    shown = cli("explain", AST, "esc50", "linear", "--results", results)
    assert (shown.returncode, "floor" in shown.stdout) == (0, False)  # one fold of two is not averaged
    assert f"{floors[0]}: damaged floor; it is skipped, `floor` computes it again" in shown.stderr
    assert len(json.loads(cli("floor", "--results", results, "--data-root", data_root, "--json").stdout)) == 2
    shown = cli("explain", AST, "esc50", "linear", "--results", results).stdout
    assert "floor chance 2.00 %, majority class " in " ".join(shown.split())
    lost = cli("floor", "--results", results, "--data-root", results / "nowhere")
    assert (lost.returncode, lost.stderr.count("\n")) == (2, 1)


def test_a_second_run_does_nothing_and_says_so(cli: Cli, results: Path, grid_file: Path, data_root: Path) -> None:
    before = files(results)
    done = cli("run", "--grid", grid_file, "--data-root", data_root, "--results", results)
    assert done.returncode == 0
    assert without_notes(done.stdout) == f"nothing to do: 8 done; results in {results}\n"
    assert files(results) == before


def test_plan_and_status_agree(cli: Cli, results: Path, grid_file: Path, data_root: Path) -> None:
    chosen = ["--grid", grid_file, "--data-root", data_root, "--results", results, "--seed", "0,1"]
    plan = cli("plan", *chosen, "--trials")
    assert plan.returncode == 0
    *_, counts, cost = plan.stdout.splitlines()
    assert counts.startswith("16 trials: 8 done, 0 stale, 0 failed, 8 missing")
    assert cost.startswith("cost of the 8 to run on cpu: ")
    assert "by records" in plan.stdout  # those of the other seed have taken the same steps
    matrix = cli("plan", *chosen).stdout.splitlines()
    assert [line.split() for line in matrix if "/4" in line] == [["linear", "2/4"], ["aat_m+prompt", "2/4"]] * 2
    assert matrix[-2:] == [counts, cost]
    status = json.loads(cli("status", "--results", results, "--json").stdout)
    assert status["counts"] == {"done": 8, "stale": 0, "failed": 0, "missing": 0}
    assert {trial["id"] for trial in status["trials"]} <= {line.split()[1] for line in plan.stdout.splitlines()}


def test_load_results_agrees_with_the_table(results: Path) -> None:
    frame = benchmark.load_results(results)
    assert len(frame) == 8
    table = pd.read_csv(results / "report" / "results.csv").set_index(["backbone", "method"])["score"]
    means = frame.groupby(["backbone", "method"])["score"].mean()
    for key, score in table.items():
        assert score == pytest.approx(means[key])


def test_a_report_needs_the_records_alone(cli: Cli, results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    for name in ("trials", "floors"):
        shutil.copytree(results / name, copy / name)
    shutil.copy(results / "grid.json", copy)
    done = cli("report", "--results", copy)
    assert done.returncode == 0, done.stderr
    for path in (results / "report").iterdir():
        assert (copy / "report" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_changed_setting_is_a_new_trial(cli: Cli, results: Path, grid_file: Path, data_root: Path) -> None:
    plan = cli("plan", "--grid", grid_file, "--data-root", data_root, "--results", results, "--set", "recipe.lr=0.002")
    assert "8 trials: 0 done" in plan.stdout


def test_another_numerics_version_makes_records_stale(
    cli: Cli, results: Path, grid_file: Path, data_root: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    path = sorted((copy / "trials").rglob("*.json"))[0]
    path.write_text(path.read_text().replace('"numerics_version": ', '"numerics_version": 9'))
    done = cli("run", "--grid", grid_file, "--data-root", data_root, "--results", copy)
    assert done.returncode == 0
    assert "nothing to do: 7 done, 1 stale; --rerun stale runs the stale trials again" in done.stdout


def test_one_broken_trial_does_not_stop_the_others(
    ray_cli: Cli, grid_file: Path, data_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_root, tmp_path / "data")
    audio = sorted((tmp_path / "data" / "ESC-50-master" / "audio").iterdir())
    broken = next(path for path in audio if path.name.startswith("2-"))
    broken.write_bytes(b"not audio".ljust(broken.stat().st_size, b"\0"))
    # with two folds, the broken clip is a training clip of one trial and a test clip of the other
    out = tmp_path / "out"
    arguments = ["--grid", grid_file, "--data-root", tmp_path / "data", "--results", out, "--backbone", "ast"]
    done = ray_cli(
        "run", "--no-report", *arguments, "--method", "linear", "--cache", "none"
    )  # a cache would be filled before
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"{broken}: cannot be decoded" in done.stdout.replace("\n", "")
    assert "Traceback" not in done.stdout + done.stderr
    attempts = [json.loads(path.read_text()) for path in (out / "attempts").iterdir()]
    assert {attempt["status"] for attempt in attempts} == {"failed"}
    assert all("BadAudioError" in attempt["traceback"] for attempt in attempts)
    assert "0 done, 2 failed" in done.stdout


def test_a_rerun_that_fails_says_so_and_keeps_the_record(
    cli: Cli, results: Path, grid_file: Path, data_root: Path, tmp_path: Path
) -> None:
    copy, data = tmp_path / "copy", tmp_path / "data"
    shutil.copytree(results, copy)
    shutil.copytree(data_root, data)
    for path in (data / "ESC-50-master" / "audio").iterdir():
        path.write_bytes(b"x" * path.stat().st_size)  # as large as before: the manifest digest stays the same
    for path in (copy / "trials").rglob("*.json"):
        path.write_text(path.read_text().replace('"numerics_version": ', '"numerics_version": 9'))
    before = files(copy)
    arguments = ["--grid", grid_file, "--data-root", data, "--results", copy, "--method", "linear", "--fold", "1"]
    done = cli("run", "--no-report", *arguments, "--backbone", "ast", "--rerun", "stale", "--cache", "none")
    assert done.returncode == 3, done.stdout
    assert "cannot be decoded" in done.stdout.replace("\n", "")
    assert files(copy) == before


def test_an_address_without_a_listener_is_refused_at_once(
    ray_cli: Cli, grid_file: Path, data_root: Path, tmp_path: Path
) -> None:
    arguments = ["--grid", grid_file, "--data-root", data_root, "--results", tmp_path / "out"]
    for address, message in (("127.0.0.1:9", "nothing answers there"), ("somewhere", "expected auto or host:port")):
        done = ray_cli("run", *arguments, "--address", address)
        assert done.returncode == 2
        assert message in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--grid", "smokey"], "unknown grid 'smokey' (did you mean 'smoke'?)"),
        (["run", "--grid", "nowhere.yaml"], "nowhere.yaml: no such grid file"),
        (["run", "--grid", "quick", "--data-root", "nowhere"], "no dataset under nowhere"),
        (["run", "--grid", "quick", "--dataset", "esc50", "--data-root", "nowhere"], "ESC-50: no folder"),
        (["plan", "--grid", "smoke", "--method", "aat"], "unknown method 'aat'"),
        (["plan", "--grid", "smoke", "--set", "epochs=2"], "expected recipe.KEY=VALUE"),
        (["plan", "--grid", "smoke", "--set", "recipe.epoch=2"], "(did you mean 'epochs'?)"),
        (["plan", "--grid", "smoke", "--seed", "one"], "--seed: expected whole numbers, got 'one'"),
        (["plan", "--grid", "smoke", "--fold", "9"], "no dataset has fold 9"),
        (["status", "--results", "nowhere"], "no results here"),
        (["report", "--results", "nowhere"], "no results here"),
        (["show", "method", "aat_mss"], "unknown method 'aat_mss' (did you mean 'aat_ms'?)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli: Cli, arguments: list[str], message: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: [full", "line 1: not valid YAML"),
        ("just text", "expected keys and values, found str"),
        (yaml.safe_dump({**GRID, "method": ["full"]}), "method: unknown key (did you mean 'methods'?)"),
        (yaml.safe_dump({**GRID, "seeds": "zero"}), "seeds: "),
        (yaml.safe_dump({**GRID, "methods": []}), "methods: "),
        (yaml.safe_dump({**GRID, "recipe": {"epochs": "x"}}), "epochs: "),
    ],
)
def test_a_mistake_in_a_grid_file_names_file_and_key(cli: Cli, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    done = cli("plan", "--grid", path)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f"error: {path}" in line
    assert message in line


@pytest.mark.parametrize("kind", ["methods", "datasets", "backbones", "grids", "protocols"])
def test_everything_listed_can_be_shown(cli: Cli, kind: str) -> None:
    listed = json.loads(cli("list", kind, "--json").stdout)
    words = [line.split()[0] for line in cli("list", kind).stdout.splitlines() if line.strip()]
    assert [word for word in words if word in listed] == list(listed)
    name = next(iter(listed))
    shown = cli("show", kind.removesuffix("s"), name)
    assert shown.returncode == 0
    assert name in yaml.safe_load(shown.stdout)


def test_show_prints_hyper_parameters_sources_and_defaults(cli: Cli) -> None:
    shown = yaml.safe_load(cli("show", "method", "aat_ms").stdout)["aat_ms"]
    assert shown["hyper-parameters"]["bottleneck"]["default"] == 0.25
    assert "2401.10544" in shown["source"]
    assert set(yaml.safe_load(cli("show", "method", "aat_m+prompt").stdout)) == {"aat_m", "prompt"}


def test_real_recordings_from_end_to_end(cli: Cli, esc10_root: Path, tmp_path: Path) -> None:
    done = cli(
        "run", "--grid", "quick", "--dataset", "esc50", "--data-root", esc10_root, "--results", tmp_path / "out",
        "--method", "aat_ms", "--backbone", SSAST, "--fold", "1", "--set", "recipe.limit_clips=40",
        "--protocol", "reference",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "partial data (400 of 2000 clips, 10 of 50 classes)" in done.stdout.replace("\n", " ")
    frame = benchmark.load_results(tmp_path / "out")
    assert frame["data"].tolist() == ["partial"]
    assert frame["score"][0] == pytest.approx(5 / 40, abs=1 / 40)  # recorded; another processor may move one clip
    assert frame["train_loss"][0] == pytest.approx(3.8123, rel=1e-3)


def test_the_test_split_is_evaluated_where_it_counts_or_after_every_epoch(
    cli: Cli, grid_file: Path, data_root: Path, tmp_path: Path
) -> None:
    """Both leave the same scores; only the curves have more points."""
    left = []
    for more in ((), ("--test-curves",)):
        results = tmp_path / f"out{len(left)}"
        done = cli(
            "run", "--grid", grid_file, "--data-root", data_root, "--results", results, "--method", "linear",
            "--backbone", AST, "--fold", "1", "--set", "protocol.selection=last", "--no-report", "--json", *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        ended = json.loads(done.stdout)  # progress is on stderr
        SCHEMAS["run"].model_validate(ended)
        assert (ended["complete"], ended["submitted"], ended["failures"]) == (True, 1, [])
        [path] = (results / "trials").rglob("*.json")
        left.append((path.name, json.loads(path.read_text())["curves"]))
    (name, short), (other, whole) = left
    assert name == other  # one id
    assert [list(point["splits"]) for point in short] == [[], ["test"]]
    assert [list(point["splits"]) for point in whole] == [["test"], ["test"]]
    assert short[-1]["splits"] == whole[-1]["splits"]
