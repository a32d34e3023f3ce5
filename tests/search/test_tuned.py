"""The tuned track: fixed candidates, a choice without test clips, both phases from the command line."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from rich.console import Console

import benchmark
from benchmark.api.tuned import choice_line
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.orchestrator.run import Ended
from benchmark.planning.expand import expand
from benchmark.records.choice import Candidate, best_candidate
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.report.tables.swept import swept_rows
from benchmark.report.tables.tuned import tuned_rows
from benchmark.report.write import read_results
from benchmark.search.space import method_spaces
from benchmark.search.tuned import TunedGrid, draws, learning_rates, tuned_grid, with_defaults
from benchmark.spec.grid import Grid, Tune, load_grid, narrow
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import choose_clips
from benchmark.trial.run import Setting, attempt_trial
from tests.conftest import AST, TINY_RECIPE, Cli, run_trials_here, tiny_grid
from tests.samples import make_cost, make_record


def tuned(root: Path, **changes: object) -> TunedGrid:
    grid: Grid = tiny_grid(protocol="corrected", folds=[1, 2], tune=Tune(candidates=3), **changes)
    return tuned_grid(grid, expand(with_defaults(grid), root, Path("none")))


def test_rates_are_a_series_in_which_the_default_replaces_the_nearest() -> None:
    tune = Tune(candidates=4, rates=(1e-5, 1e-2))
    assert learning_rates(2e-4, tune) == [2e-4, 1e-5, 1e-3, 1e-2]
    assert learning_rates(5e-2, tune) == [5e-2, 1e-5, 1e-4, 1e-3]
    assert all(len(set(learning_rates(1e-4, Tune(candidates=number)))) == number for number in (2, 8, 20))


def test_hyper_parameters_are_tried_equally_often_and_the_list_is_fixed() -> None:
    [space] = method_spaces(["adapter"]).values()
    first, again = draws(space, 8), draws(space, 8)
    lists = [next(first(place)) for place in range(8)]
    assert lists == [next(again(place)) for place in range(8)]
    for parameter in space.hyperparameters:
        times = Counter(params[parameter.label] for params in lists)
        assert set(times) == set(range(len(parameter.values)))
        assert max(times.values()) - min(times.values()) <= (8 % len(parameter.values) > 0)


def test_candidates_begin_with_the_default_and_given_values_narrow_the_others(data_root: Path) -> None:
    found = tuned(data_root, methods=["linear", "lora[rank=4,8;alpha=16]"])
    linear, lora = ([one.method for one in tuning.candidates] for tuning in found.tunings)
    assert linear == ["linear"] * 3
    assert lora[0] == "lora"  # rank=8 and alpha=16 are its defaults
    assert set(lora) <= {"lora", "lora[rank=4]"}
    assert len({one.trial.id for tuning in found.tunings for one in tuning.candidates}) == 6
    again = tuned(data_root, methods=["lora[rank=4,8;alpha=16]"], seeds=[0, 1]).tunings[0]
    assert [one.trial.id for one in again.candidates] == [one.trial.id for one in found.tunings[1].candidates]
    assert [len(one.finals) for one in again.candidates] == [4, 4, 4]


def test_choosing_trials_are_of_the_first_fold_and_use_no_test_clip(data_root: Path) -> None:
    found = tuned(data_root)
    choosing = found.choosing
    assert {(request.fold, request.seed, request.held_out) for request in choosing.requests} == {(1, 0, True)}
    [manifest] = choosing.manifests.values()
    used = {clip.path for request in choosing.requests for c in choose_clips(request, manifest).values() for clip in c}
    whole = get_dataset("esc50").manifest(data_root)
    test = {whole.clips[i].path for i in whole.splits(1)["test"]}
    assert not used & test
    assert used | test == {clip.path for clip in whole.clips}
    assert found.final([tuning.choice(ResultStore(Path("none"))) for tuning in found.tunings]).requests == list(
        found.tunings[0].default.finals
    )


def test_test_clips_are_not_read_and_the_last_epoch_on_validation_counts(data_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(data_root, tmp_path / "data")
    whole = get_dataset("esc50").manifest(root)
    for i in whole.splits(1)["test"]:  # as long as before, but no audio
        path = whole.folder / whole.clips[i].path
        path.write_bytes(b"x" * path.stat().st_size)
    candidate = tuned(root).tunings[0].candidates[1]
    setting = Setting(tmp_path / "out", RunOptions(root, None), cost=make_cost())
    assert attempt_trial(candidate.trial, setting, lambda _: None).status == "completed"
    store = ResultStore(tmp_path / "out")
    [record] = store.choice_records()
    assert not list(store.records())
    selection = record.selection
    assert (selection.rule, selection.split, selection.epoch) == ("last", "validation", 2)
    assert record.data.used == {"train": 9, "validation": 3}
    assert set(record.curves[-1].splits) == {"validation"}
    with pytest.raises(BenchmarkError, match="no finished trial"):
        store.find(record.id)  # it is no result


def test_the_choice_is_the_first_best_and_never_a_diverged_one() -> None:
    def tried(*scores: float | None) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(
                method="m",
                lr=1,
                trial=str(i),
                cell="c",
                score=score,
                state="diverged" if score is None else "completed",
            )
            for i, score in enumerate(scores)
        )

    assert best_candidate(tried(0.5, 0.7, 0.7)) == 1
    assert best_candidate(tried(0.5, 0.5, None)) == 0
    assert best_candidate(tried(None, None)) is None
    failed = tried(None)[0].model_copy(update={"state": "failed"})
    assert best_candidate((failed, *tried(0.5, 0.7))) == 2
    missing = tried(0.5, 0.7)[0].model_copy(update={"state": "missing", "score": None})
    assert best_candidate((*tried(0.5, 0.7), missing)) is None


def test_a_setting_that_fails_three_times_is_left_out_and_the_line_says_why(data_root: Path, tmp_path: Path) -> None:
    tuning, store = tuned(data_root).tunings[0], ResultStore(tmp_path)
    first, second, third = (candidate.trial for candidate in tuning.candidates)
    for request, score in ((first, 0.5), (second, 0.75)):
        record = make_record(request, [score])
        chosen = record.selection.model_copy(update={"rule": "last", "scope": "trial", "epoch": 1})
        store.write(record.model_copy(update={"selection": chosen}), {})
    lines = []
    for _ in range(3):
        store.write_attempt(Attempt.now(third, "out_of_memory", "out of memory: 90 GB", "", "code"))
        lines.append(choice_line(tuning.choice(store)))
    lr = f"lr {third.recipe.lr:g}"
    assert lines[0] == (
        f"not chosen: {AST} esc50 linear: 2/3 settings; linear, {lr} failed 1 time (out of memory: 90 GB): "
        "the same call tries it again"
    )
    choice = tuning.choice(store)
    assert (choice.chosen, choice.finished, choice.candidates[2].state) == (1, 3, "failed")
    assert "chosen of 3: " in lines[2]
    assert f"; linear, {lr} failed 3 times (out of memory: 90 GB): it is left out of the choice, " in lines[2]
    assert "`--rerun failed` tries it again" in lines[2]


def test_calls_that_divide_folds_and_seeds_share_the_choice(data_root: Path) -> None:
    grid = tiny_grid(protocol="corrected", folds="all", seeds=[0, 1], tune=Tune(candidates=3))

    def of(**changes: list[str]) -> TunedGrid:
        narrowed = narrow(narrow(grid, **changes), methods=["linear"])
        return tuned_grid(narrowed, expand(with_defaults(narrowed), data_root, Path("none")))

    whole, parts = of(), [of(seeds=["1"]), of(folds=["2"]), of(folds=["3"], seeds=["7"])]
    for part in parts:
        assert part.choosing.requests == whole.choosing.requests
    assert {(request.fold, request.seed) for request in parts[2].tunings[0].default.finals} == {(3, 7)}


def test_the_default_is_the_methods_own_if_it_is_among_given_values() -> None:
    assert [method_spaces([text])["lora"].default for text in ("lora[rank=32,8]", "lora[rank=8,32]")] == ["lora"] * 2
    assert method_spaces(["lora[rank=32,4]"])["lora"].default == "lora[rank=32]"
    assert method_spaces(["lora[rank=32,4]+prompt"])["lora+prompt"].default == "lora[rank=32]+prompt"


def test_openmic_is_refused_where_its_test_clips_are_the_training_clips() -> None:
    grid = tiny_grid(datasets=["openmic"], tune=Tune(), overrides=[])
    with pytest.raises(BenchmarkError, match="OpenMIC's training clips"):
        tuned_grid(grid, expand(with_defaults(grid), Path("none"), Path("none")))


@pytest.fixture(scope="module")
def grid_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "choose.yaml"
    content = {
        "description": "for tests", "protocol": "corrected", "backbones": [AST], "datasets": ["esc50"],
        "methods": ["linear"], "folds": [1, 2], "recipe": {**TINY_RECIPE, "epochs": 1},
        "tune": {"candidates": 3, "rates": [1e-4, 1.0]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.slow
def test_both_phases_from_the_command_line(cli: Cli, grid_file: Path, data_root: Path, tmp_path: Path) -> None:
    arguments = ["--grid", grid_file, "--data-root", data_root, "--results", tmp_path / "out"]
    planned = cli("plan", *arguments).stdout
    assert "choice of settings, 3 trials: 0 done, 0 stale, 0 failed, 3 missing; 0 of 1 choice made; " in planned
    assert "default and chosen settings, 2 trials: " in planned
    assert "up to 2 more when their settings are chosen; " in planned
    done = cli("run", *arguments, "--no-report")
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = (tmp_path / "out" / "tuning" / "choices").glob("*.json")
    choice = json.loads(path.read_text())
    assert [round(one["lr"], 6) for one in choice["candidates"]] == [0.001, 0.01, 1.0]
    assert choice["validation"].startswith("fold 2, held out")
    best = max(one["score"] for one in choice["candidates"])
    assert choice["candidates"][choice["chosen"]]["score"] == best
    assert "chosen of 3: " in done.stdout
    finals = 2 if choice["chosen"] == 0 else 4
    assert f"{3 + finals} done; results in" in done.stdout
    status = cli("status", "--results", tmp_path / "out").stdout
    assert "3 trials: 3 done, 0 stale, 0 failed, 0 missing; 1 of 1 choice made" in status
    results = read_results(ResultStore(tmp_path / "out"))
    assert swept_rows(results).empty
    [row] = tuned_rows(results)[0].to_dict("records")
    assert (row["tried"], row["finished"], row["fold"], row["seed"]) == (3, 3, 1, 0)
    assert row["validation"] == best
    assert ("setting chosen on clips of other test folds (of 3)" in row["marks"]) == (choice["chosen"] > 0)
    again = cli("run", *arguments, "--no-report")
    assert "nothing to do" in again.stdout
    merged = cli("merge", tmp_path / "out", "--results", tmp_path / "merged")
    assert merged.returncode == 0
    assert ResultStore(tmp_path / "merged").choices() == ResultStore(tmp_path / "out").choices()
    assert len(list(ResultStore(tmp_path / "merged").choice_records())) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shots", "2"], "--shots: .* chooses settings with all training clips"),
        (["--candidates", "1"], "--candidates"),
        (["--budget", "1h"], "--budget: .* chooses settings, which judges no claim"),
    ],
)
def test_mistakes_are_one_line(
    cli: Cli, grid_file: Path, data_root: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = cli("run", "--grid", grid_file, "--data-root", data_root, "--results", tmp_path / "out", *options)
    assert done.returncode == 2
    assert re.search(message, done.stderr)


def test_an_interrupted_choice_is_continued(data_root: Path, tmp_path: Path) -> None:
    def only_one(requests: Sequence[TrialRequest], *arguments: Any, **options: Any) -> Ended:
        run_trials_here(requests[:1], *arguments, **options)
        return Ended(0, interrupted=True)

    grid = tiny_grid(protocol="corrected", tune=Tune(candidates=2))
    folders = {"data_root": data_root, "results": tmp_path, "cache": "none"}
    quiet = Console(quiet=True)
    with mock.patch("benchmark.orchestrator.run.run_trials", only_one):
        stopped = benchmark.run(grid, **folders, report=False, console=quiet)
    assert stopped.interrupted
    assert [entry.request.held_out for entry in stopped.plan.entries if entry.state == "done"] == [True]
    first = benchmark.status(tmp_path)
    assert "1 done, 0 stale, 0 failed, 1 missing; 0 of 1 choice made" in str(first)
    assert "up to 1 more when their settings are chosen" in str(first)
    with mock.patch("benchmark.orchestrator.run.run_trials", run_trials_here):
        done = benchmark.run(grid, **folders, report=False, console=quiet)
    assert done.is_complete
    assert done.submitted == done.counts["done"] - 1


@pytest.mark.parametrize("other", [{"sweep": {"lr": [0.1, 0.2]}}, {"shots": [1]}])
def test_a_grid_chooses_settings_and_nothing_else(grid_file: Path, tmp_path: Path, other: dict[str, Any]) -> None:
    path = tmp_path / "both.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(grid_file.read_text()), **other}))
    with pytest.raises(BenchmarkError, match=rf"both.yaml: tune: .* leave out {next(iter(other))}, got .{{1,60}}$"):
        load_grid(str(path))
