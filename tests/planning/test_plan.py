"""Expansion of grids, states of trials, resources."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError, MissingInputError
from benchmark.methods.registry import REGISTRY, find_method
from benchmark.numerics import NUMERICS_VERSION
from benchmark.planning.expand import expand
from benchmark.planning.node import Node
from benchmark.planning.packing import Share, share
from benchmark.planning.plan import MAX_ATTEMPTS, make_plan
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.spec.declared import find
from benchmark.spec.grid import load_grid, narrow
from benchmark.spec.request import TrialRequest
from benchmark.trial.code_digest import code_digest
from tests.conftest import AST, SSAST, tiny_grid
from tests.samples import make_record

Make = Callable[..., TrialRequest]


def test_a_grid_expands_to_every_combination_once(data_root: Path) -> None:
    grid = tiny_grid(
        backbones=[AST, SSAST],
        methods=["linear", "aat_m[bottleneck=8,16]", "linear"],
        folds="all",
        seeds=[0, 1],
    )
    requests = expand(grid, data_root, Path("no-checkpoints")).requests
    assert len(requests) == len({request.id for request in requests}) == 2 * 3 * 5 * 2


def test_swept_recipe_values_are_tried_each_with_each_and_win(data_root: Path) -> None:
    grid = tiny_grid(methods=["linear", "aat_m"], sweep={"lr": [1e-4, 1e-2], "epochs": [1, 2, 3]})
    requests = expand(grid, data_root, Path("no-checkpoints")).requests
    assert len({request.id for request in requests}) == 2 * 2 * 3
    for method in ("linear", "aat_m"):
        tried = {(each.recipe.lr, each.recipe.epochs) for each in requests if each.method.name == method}
        assert tried == {(lr, epochs) for lr in (1e-4, 1e-2) for epochs in (1, 2, 3)}
    with pytest.raises(BenchmarkError, match="learning_rate"):
        expand(tiny_grid(sweep={"learning_rate": [1.0]}), data_root, Path("no-checkpoints"))


def test_without_data_the_trials_are_there_and_the_data_is_named_missing(tmp_path: Path) -> None:
    expansion = expand(tiny_grid(folds="all"), tmp_path, Path("no-checkpoints"))
    assert len(expansion.requests) == 5
    assert expansion.requests[0].dataset.manifest is None
    [line] = expansion.missing_inputs
    assert "ESC-50: no folder" in line


def test_a_checkpoint_that_cannot_be_used_is_as_one_that_is_missing(data_root: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.pth"
    page.write_text("<!DOCTYPE html><html>sign in</html>")
    grid = tiny_grid(backbones=[AST, f"ssast[weights={page}]"])
    expansion = expand(grid, data_root, Path("no-checkpoints"))
    assert (len(expansion.requests), len(expansion.runnable)) == (2, 1)
    [line] = expansion.missing_inputs
    assert line.startswith(f"{page}: a web page, not a checkpoint")
    with pytest.raises(BenchmarkError, match="a web page, not a checkpoint"):
        expand(grid.model_copy(update={"backbones": [f"ssast[weights={page}]"]}), data_root, Path("no-checkpoints"))


def test_available_takes_what_is_there(data_root: Path, tmp_path: Path) -> None:
    assert {r.dataset.name for r in expand(load_grid("quick"), data_root, Path("no-checkpoints")).requests} == {"esc50"}
    with pytest.raises(MissingInputError, match="no dataset under"):
        expand(load_grid("quick"), tmp_path, Path("no-checkpoints"))


def test_a_bare_name_picks_the_grids_entry_and_another_is_added() -> None:
    grid = load_grid("smoke")
    narrowed = narrow(grid, backbones=["ast"], methods=["aat_m,aat_ms[bottleneck=8]"], seeds=["0,1", "2"])
    assert narrowed.backbones == [text for text in grid.backbones if text.startswith("ast[")]
    assert narrowed.methods == ["aat_m", "aat_ms[bottleneck=8]"]
    assert list(narrowed.seeds) == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["aat_mss"]}, r"grid 'tiny': methods: unknown method 'aat_mss' \(did you mean 'aat_ms'"),
        ({"datasets": ["esc5"]}, r"grid 'tiny': datasets: unknown dataset 'esc5' \(did you mean 'esc50'\?\)"),
        ({"backbones": ["asst"]}, r"grid 'tiny': backbones: unknown backbone 'asst' \(did you mean '"),
        ({"backbones": ["ast[size=huge;weights=random:0]"]}, "size"),
        ({"backbones": ["ast[wieghts=3]"]}, r"unknown option 'wieghts' \(did you mean 'weights'"),
        ({"backbones": ["ast[width=3]"]}, "width is an option of weights=FILE and weights=random:SEED"),
        ({"backbones": ["ast[weights=random:x]"]}, "expected pretrained, random:SEED"),
        ({"backbones": ["ast[size=tiny]"]}, "no pre-trained ast of size tiny is published"),
        ({"methods": ["linear+linear"]}, "cannot be composed with itself"),
        ({"folds": [7]}, "no dataset has fold 7; folds are 1 to 5"),
        ({"folds": [1, 9]}, "no dataset has fold 9"),
        ({"methods": ["aat_m[bottleneck=.inf]"]}, "bottleneck: expected a finite number"),
        ({"overrides": [{"source": "--set", "values": {"mean": float("nan")}}]}, "mean: .*finite"),
        ({"switches": {"name": "mine"}}, "name is no switch"),
        ({"protocol": "referense"}, r"did you mean 'reference'"),
        ({"switches": {"prompt": "insert"}}, r"protocol: prompt: unknown key \(did you mean 'prompts'"),
        ({"switches": {"prompts": "inserted"}}, r"protocol: prompts: .*'overwrite' or 'insert'"),
    ],
)
def test_mistakes_name_place_key_and_closest_name(changes: dict, message: str, data_root: Path) -> None:
    with pytest.raises(BenchmarkError, match=message) as caught:
        expand(tiny_grid(**changes), data_root, Path("no-checkpoints"))
    assert "\n" not in str(caught.value)


def test_a_switch_set_alone_renames_the_protocol(make_request: Make) -> None:
    protocol = make_request(switches={"prompts": "insert", "count_unused_heads": False}).protocol
    assert (protocol.prompts, protocol.count_unused_heads) == ("insert", "no")
    assert protocol.name == "reference+count_unused_heads=no+prompts=insert"
    assert make_request(switches={"prompts": "overwrite"}).protocol.name == "reference"


def test_records_of_a_method_that_is_gone_are_stale(make_request: Make, tmp_path: Path) -> None:
    store, request = ResultStore(tmp_path), make_request(methods=["aat_s"])
    store.write(make_record(request, [0.5]), {})
    assert make_plan([request], store).counts()["done"] == 1
    method = find_method("aat_s")
    REGISTRY.forget("aat_s")
    try:
        assert make_plan([request], store).counts()["stale"] == 1
    finally:
        REGISTRY.add(method)


def attempt(request: TrialRequest) -> Attempt:
    return Attempt(
        id=request.id,
        request=request,
        status="failed",
        error="x",
        traceback="x",
        fingerprint="code",
        finished="2026-01-01T00:00:00+00:00",
    )


def test_states_and_what_is_run_again(make_request: Make, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    done, stale, failed, given_up, missing = (make_request(seeds=[seed]) for seed in range(5))
    store.write(make_record(done, [0.5]), {})
    store.write(make_record(stale, [0.5], numerics_version=NUMERICS_VERSION + 1), {})
    store.write_attempt(attempt(failed))
    for _ in range(MAX_ATTEMPTS):
        store.write_attempt(attempt(given_up))
    made = make_plan([done, stale, failed, given_up, missing], store)
    assert [entry.state for entry in made.entries] == ["done", "stale", "failed", "failed", "missing"]
    assert made.counts() == {"done": 1, "stale": 1, "failed": 2, "missing": 1}
    assert made.to_run() == [failed, missing]
    assert made.to_run(["failed"]) == [failed, given_up, missing]
    assert made.to_run(["stale"]) == [stale, failed, missing]


def test_the_fingerprint_is_of_the_methods_used(make_request: Make) -> None:
    linear, adapters = (code_digest(make_request(methods=[name])) for name in ("linear", "aat_m"))
    assert linear != adapters


@pytest.mark.parametrize(
    ("nodes", "asked", "expected", "slots"),
    [
        ([Node(2, 0)], (None, None, False), Share(1, 0), 2),
        ([Node(8, 0)], (4, None, False), Share(4, 0), 2),
        ([Node(8, 0)], (None, None, True), Share(8, 0), 1),
        ([Node(16, 2)], (None, None, False), Share(8, 1), 2),
        ([Node(16, 1)], (None, 0.25, False), Share(4, 0.25), 4),
        ([Node(16, 1)], (None, 1, True), Share(16, 1), 1),
        ([Node(16, 1)], (None, 0, False), Share(1, 0), 16),
        ([Node(1, 0), Node(1, 0)], (None, None, True), Share(1, 0), 2),
        ([Node(4, 0), Node(16, 2)], (None, None, False), Share(8, 1), 2),
    ],
)
def test_shares(nodes: list[Node], asked: tuple, expected: Share, slots: int) -> None:
    got = share(nodes, asked[0], asked[1], exclusive=asked[2])
    assert got == expected
    assert got.slots(nodes) == slots


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((4, None, False), "asks for 4 CPUs"),
        ((1, 1, False), "1 GPUs"),
        ((None, 0.5, True), "--exclusive"),
        ((1, None, True), "--exclusive gives a trial all CPUs"),
    ],
)
def test_a_share_that_never_fits_is_refused_at_once(asked: tuple, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        share([Node(2, 0), Node(2, 0)], asked[0], asked[1], exclusive=asked[2])


def test_a_fold_without_clips_is_told_before_anything_runs(data_root: Path, tmp_path: Path) -> None:
    table = tmp_path / "ESC-50-master" / "meta" / "esc50.csv"
    shutil.copytree(data_root / "ESC-50-master", table.parents[1])
    table.write_text("".join(line for line in table.open() if not line.startswith("3-")))
    assert expand(tiny_grid(folds=[1, 2]), tmp_path, tmp_path).missing_inputs == []
    with pytest.raises(BenchmarkError, match="no clips in the test split of fold 3"):
        expand(tiny_grid(folds=[1, 3]), tmp_path, tmp_path)


def test_a_composed_entry_of_the_grid_is_picked_by_its_bare_name() -> None:
    grid = tiny_grid(methods=["aat_m[bottleneck=8]+prompt", "aat_m"])
    assert narrow(grid, methods=["aat_m"]).methods == ["aat_m"]
    assert narrow(grid, methods=["aat_m+prompt"]).methods == ["aat_m[bottleneck=8]+prompt"]


def test_a_protocol_file_cannot_pose_as_a_declared_one(tmp_path: Path, data_root: Path) -> None:
    own = tmp_path / "reference.yaml"
    own.write_text(find("protocols", "reference").read_text().replace("overwrite", "insert"))
    with pytest.raises(BenchmarkError, match="give the file another name"):
        expand(tiny_grid(protocol=str(own)), data_root, tmp_path)
