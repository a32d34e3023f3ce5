"""Names that choose cells for `explain`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.report.explain import find_cells
from benchmark.report.results import Results
from benchmark.spec.request import TrialRequest
from tests.conftest import AST
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


@pytest.fixture
def results(make_request: Make, tmp_path: Path) -> Results:
    """Return results of three methods, one of them with two settings, on one dataset."""
    methods = ["linear", "aat_ms[bottleneck=12]", "aat_m[bottleneck=8]", "aat_m[bottleneck=16]"]
    return make_results(tmp_path, [make_record(make_request(methods=[method]), [0.5]) for method in methods])


def test_a_bare_name_stands_for_the_only_setting_of_a_method(results: Results) -> None:
    assert find_cells(results, ["esc50", "aat_ms"])["method"].tolist() == ["aat_ms[bottleneck=12]"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["aat_m"], "'aat_m' stands for several cells; name one of aat_m[bottleneck=16], aat_m[bottleneck=8]"),
        (["esc50", "liner"], "no cell matches 'liner' (did you mean 'linear'?)"),
        ([AST, "esc50", "reference", "lora"], "no cell matches 'lora' (method: aat_m[bottleneck=16], aat_m"),
    ],
)
def test_a_name_without_a_cell_is_answered_with_names_of_its_kind(
    results: Results, names: list[str], message: str
) -> None:
    with pytest.raises(BenchmarkError) as caught:
        find_cells(results, names)
    assert str(caught.value).startswith(message)
    assert "esc50" not in str(caught.value)
