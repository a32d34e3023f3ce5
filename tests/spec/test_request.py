"""A trial's id: what enters it and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.schema import Record, StepProfile
from benchmark.spec.backbone import resolve_backbones
from benchmark.spec.request import DatasetChoice, Shots, TrialRequest, changed
from tests.conftest import REPOSITORY, SSAST


def test_every_part_of_a_request_changes_the_id(make_request: Callable[..., TrialRequest]) -> None:
    base = make_request()
    others = [
        make_request(backbones=[SSAST]),
        make_request(backbones=["ast[size=demo;weights=random:1]"]),
        make_request(methods=["full"]),
        make_request(methods=["linear+prompt"]),
        make_request(folds=[2]),
        make_request(seeds=[1]),
        make_request(protocol="corrected"),
        make_request(switches={"prompts": "insert"}),
        make_request(overrides=[*[{"source": "test", "values": base.recipe.model_dump() | {"lr": 2e-3}}]]),
        base.model_copy(update={"dataset": base.dataset.model_copy(update={"manifest": "0" * 64})}),
    ]
    ids = {TrialRequest.model_validate(request.model_dump()).id for request in [base, *others]}
    assert len(ids) == 1 + len(others)


def test_hyper_parameters_written_out_at_their_defaults_change_nothing(
    make_request: Callable[..., TrialRequest],
) -> None:
    assert make_request(methods=["aat_ms"]).id == make_request(methods=["aat_ms[bottleneck=0.25]"]).id
    assert make_request(methods=["aat_ms"]).id != make_request(methods=["aat_ms[bottleneck=64]"]).id


def test_a_request_survives_json(make_request: Callable[..., TrialRequest]) -> None:
    request = make_request(methods=["aat_ms[bottleneck=16]+prompt"])
    again = TrialRequest.model_validate_json(request.model_dump_json())
    assert (again, again.id) == (request, request.id)


def test_folds_and_seeds_share_a_cell(make_request: Callable[..., TrialRequest]) -> None:
    base = make_request()
    assert base.cell == make_request(folds=[3], seeds=[7]).cell
    assert base.cell != make_request(methods=["full"]).cell


@pytest.mark.parametrize(("method", "folder"), [("aat_m+prompt", "aat_m+prompt"), ("aat_m[bottleneck=8]", "aat_m-")])
def test_paths_are_readable(make_request: Callable[..., TrialRequest], method: str, folder: str) -> None:
    request = make_request(methods=[method])
    backbone, dataset, method_folder, name = request.path_stem.split("/")
    assert backbone.startswith("ast-")
    assert (dataset, name) == ("esc50", f"f1-s0-{request.id}")
    assert method_folder.startswith(folder)


def test_the_number_of_classes_is_known_and_not_part_of_the_id(make_request: Callable[..., TrialRequest]) -> None:
    request = make_request()
    assert request.classes == 50
    content = request.model_dump(mode="json")
    del content["dataset"]["classes"]  # as in records of earlier releases
    old = TrialRequest.model_validate(content)
    assert (old.id, old.cell, old.step_key) == (request.id, request.cell, request.step_key)
    with pytest.raises(BenchmarkError, match="number of classes is not known"):
        _ = old.classes


def test_two_folders_of_one_name_share_no_cost_unless_their_classes_agree(
    make_request: Callable[..., TrialRequest],
) -> None:
    base = make_request()

    def folder(name: str, classes: int | None) -> str:
        dataset = DatasetChoice(name=f"folder:{name}", manifest=None, classes=classes)
        return base.model_copy(update={"dataset": dataset}).step_key

    assert folder("birds", 3) != folder("birds", 4)
    assert folder("birds", 3) == folder("frogs", 3)
    assert folder("birds", 3) != base.step_key


def test_stored_profiles_keep_their_step_keys() -> None:
    paths = sorted((REPOSITORY / "results" / "h100" / "profiles").glob("*/*.json"))
    assert paths
    for path in paths:
        assert StepProfile.model_validate_json(path.read_bytes()).request.step_key == path.stem


def test_committed_records_keep_their_ids() -> None:
    paths = sorted((REPOSITORY / "results" / "demo" / "trials").rglob("*.json"))
    assert paths
    for path in paths:
        record = Record.model_validate_json(path.read_bytes())
        assert record.request.id == record.id
        assert str(path.with_suffix("")).endswith(f"/trials/{record.request.path_stem}")


def test_records_of_an_earlier_demo_backbone_are_found() -> None:
    """Release 0.2.0 had demo backbones of another size, which was the declared one then."""
    [today] = resolve_backbones("ast-demo", "test")
    earlier = today.model_copy(update={"size": "demo"})
    assert (today.variant, today.path_name) == ("ast-demo", "ast-demo")
    assert earlier.variant == "ast-demo[size=demo]"
    assert earlier.path_name == "ast-demo"


def test_two_folders_whose_classes_are_not_known_share_no_cost_unless_their_files_are_the_same(
    make_request: Callable[..., TrialRequest],
) -> None:
    """Requests of early releases do not hold the number of classes."""

    def key(manifest: str) -> str:
        return (
            make_request()
            .model_copy(update={"dataset": DatasetChoice(name="folder:birds", manifest=manifest)})
            .step_key
        )

    assert key("0" * 64) != key("1" * 64)


def test_new_fields_are_left_out_of_earlier_requests_and_change_the_id(
    make_request: Callable[..., TrialRequest],
) -> None:
    base = make_request()
    assert not {"shots", "held_out"} & set(base.model_dump())
    few, other = make_request(shots=[2]), make_request(shots=[4])
    held_out = changed(base, held_out=True)
    assert len({base.id, few.id, other.id, changed(few, shots=Shots(per_class=2, draw=1)).id, held_out.id}) == 5
    assert few.cell == changed(few, shots=Shots(per_class=2, draw=1)).cell
    assert len({base.cell, few.cell, other.cell, held_out.cell}) == 4
    assert TrialRequest.model_validate_json(few.model_dump_json()).id == few.id
    assert few.task == "esc50[shots=2]"
