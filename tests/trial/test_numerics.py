"""Results do not move unless the numerics version says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.numerics import NUMERICS_VERSION
from benchmark.spec.protocol import SWITCHES, load_protocol
from tests.conftest import REPOSITORY
from tests.numerics import CASES, GOLDEN, make_data, moved, run_case

PINNED = json.loads(GOLDEN.read_text())
ADVICE = (
    "If results are meant to change, raise NUMERICS_VERSION in benchmark/numerics.py, add a line 'Numerics version N' "
    "to CHANGELOG.md and run `python tests/numerics.py --write`; if not, this change is a fault."
)


@pytest.fixture(scope="session")
def pinned_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pinned")
    make_data(root)
    return root


@pytest.mark.parametrize("name", CASES)
def test_a_pinned_trial_gives_the_pinned_numbers(name: str, pinned_data: Path, tmp_path: Path) -> None:
    reason = moved(run_case(CASES[name], pinned_data, tmp_path), PINNED["cases"][name])
    assert reason is None, f"{name}: {reason}. {ADVICE}"


def test_the_pinned_numbers_are_of_this_numerics_version() -> None:
    assert PINNED["numerics_version"] == NUMERICS_VERSION, ADVICE
    assert list(PINNED["cases"]) == list(CASES), ADVICE


@pytest.mark.parametrize("version", range(1, NUMERICS_VERSION + 1))
def test_every_numerics_version_has_a_line_in_the_changelog(version: int) -> None:
    assert f"Numerics version {version}:" in (REPOSITORY / "CHANGELOG.md").read_text(), ADVICE


def test_every_protocol_switch_is_pinned_at_both_values() -> None:
    reference = load_protocol("reference")
    pinned = {(name, value) for case in CASES.values() for name, value in case.switches.items()}
    # of half precision and of a GPU, whose rounding is not the same everywhere: `test_protocol.py` shows them
    assert {name for name, _ in pinned} == set(SWITCHES) - {"eval_precision", "eval_tf32"}
    assert all(getattr(reference, name) != value for name, value in pinned)
    different = {name: case for name, case in CASES.items() if case.switches}
    for name, case in different.items():
        twin = next(
            other
            for other, each in CASES.items()
            if not each.switches and (each.method, each.backbone, each.dataset, each.recipe)
            == (case.method, case.backbone, case.dataset, case.recipe)
        )  # fmt: skip
        assert PINNED["cases"][name] != PINNED["cases"][twin], f"{name} pins the numbers of {twin}"
