"""The trained shares that `list methods` shows are those that `params` counts."""

from __future__ import annotations

import pytest

from benchmark.api.catalogue import catalogue
from benchmark.api.params import params

LIGHT = ["bitfit", "linear", "lora", "prefix"]
SHOWN = {
    name: entry["trains_percent"]
    for name, entry in catalogue("methods").items()
    if entry["group"] in {"paper", "field"}
}


def test_every_method_of_the_suite_has_a_share() -> None:
    missing = [name for name, share in SHOWN.items() if share is None]
    assert not missing, "count it with `params --grid paper --dataset esc50 --backbone ast --format csv --method NAME`"


@pytest.mark.parametrize(
    "names", [LIGHT, pytest.param([name for name in SHOWN if name not in LIGHT], marks=pytest.mark.slow)]
)
def test_shares_are_counted(names: list[str]) -> None:
    rows = params("paper", methods=names, datasets="esc50", backbones="ast")
    assert {row["method"]: float(row["pct_trainable_of_total_excl"]) for row in rows} == {
        name: SHOWN[name] for name in names
    }
