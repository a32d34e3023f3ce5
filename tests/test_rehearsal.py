"""The rehearsal of the paper's grid notices what goes wrong, and its made-up records are of official size."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.registry import get_dataset
from benchmark.planning.expand import expand
from benchmark.records.predictions import open_predictions
from benchmark.spec.grid import load_grid, narrow
from tests.many import made_up_record
from tests.paper_records import predictions, with_sizes
from tests.rehearsal import Rehearsal


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    for name in ("work/out/trials", "logs"):
        (tmp_path / name).mkdir(parents=True)
    return Rehearsal(tmp_path, [])


def test_records_that_are_lost_or_run_again_are_faults(rehearsal: Rehearsal) -> None:
    kept, lost, again = (rehearsal.out / "trials" / f"{name}.json" for name in ("kept", "lost", "again"))
    for path in (kept, lost, again):
        path.write_text("{}")
    assert rehearsal.look() == 3
    assert rehearsal.look() == 3
    assert rehearsal.faults == []
    lost.unlink()
    os.utime(again, ns=(1, 1))
    assert rehearsal.look() == 2
    assert sorted(rehearsal.faults) == ["lost or run again: again.json", "lost or run again: lost.json"]


def test_another_exit_code_is_a_fault(rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]) -> None:
    rehearsal.command("status", "--results", str(rehearsal.folder / "nothing"))
    assert "no results here" in (rehearsal.folder / "logs" / "00-status.txt").read_text()
    assert rehearsal.faults[0].startswith("status: exit code 2 instead of 0")
    assert capsys.readouterr().out.startswith("| status | ")


def test_a_command_is_killed_when_it_has_done_enough(rehearsal: Rehearsal) -> None:
    rehearsal.command("data", "list", code=-signal.SIGKILL, until=lambda: True, sent=signal.SIGKILL)
    assert rehearsal.faults == []
    assert rehearsal.steps[0].name == "data list (SIGKILL)"


@pytest.mark.parametrize(("dataset", "epochs"), [("esc50", 25), ("openmic", 2)])
def test_made_up_predictions_have_the_official_clips_and_about_the_scores_of_their_record(
    tmp_path: Path, dataset: str, epochs: int
) -> None:
    info, rng = get_dataset(dataset).info, np.random.default_rng(0)
    grid = narrow(load_grid("paper"), datasets=[dataset], methods=["full"], backbones=["ast"])
    request = expand(grid, tmp_path, tmp_path).requests[0]
    record = with_sizes(made_up_record(request, rng), info)
    np.savez(tmp_path / "record.npz", **predictions(record, info, rng))  # type: ignore[arg-type]
    last = len(record.curves)
    with open_predictions(tmp_path / "record.json", last) as found:
        assert len(found.whole("epochs")) == epochs
        assert found.at_epoch("logits_test").shape == (record.data.used["test"], len(info.classes))
        right = found.at_epoch("logits_test").argmax(1) == found.whole("targets_test").argmax(1)
        assert right.mean() == pytest.approx(record.curves[-1].splits["test"]["accuracy"], abs=0.05)
