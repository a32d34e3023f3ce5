"""Parameter counts of the paper's grid against the official model classes'."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tests.conftest import Cli

GOLDEN = Path(__file__).parents[1] / "golden" / "params.csv"


def test_all_96_cells_are_exact_in_both_conventions(cli: Cli) -> None:
    done = cli("params", "--grid", "paper", "--format", "csv")
    assert done.returncode == 0, done.stderr
    found = {(r["backbone"], r["dataset"], r["method"]): r for r in csv.DictReader(io.StringIO(done.stdout))}
    golden = {(r["backbone"], r["dataset"], r["method"]): r for r in csv.DictReader(GOLDEN.open())}
    assert set(found) == set(golden)
    assert len(found) == 96
    for key, row in found.items():
        assert {column: golden[key][column] for column in row} == row
    assert found["ast", "openmic", "aat_ms"]["trainable_incl_deit_heads"] == "7117844"
