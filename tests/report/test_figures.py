"""Figures are the same whatever the user's matplotlib is set to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.report.figures.scores import _curves_of, curves, mean_curve
from benchmark.report.figures.style import Look
from benchmark.report.write import build_report
from benchmark.spec.request import TrialRequest
from tests.conftest import REPOSITORY
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of seaborn's heatmap

SETTINGS = {
    "text.usetex": True,
    "font.family": "No Such Font",
    "font.size": 30,
    "figure.dpi": 17,
    "savefig.transparent": True,
    "savefig.bbox": "tight",
    "axes.grid": True,
    "axes.titlecolor": "red",
    "svg.fonttype": "none",
    "svg.hashsalt": "mine",
    "pdf.fonttype": 42,
    "lines.linewidth": 9,
}


@pytest.fixture
def store(make_request: Make, tmp_path: Path) -> ResultStore:
    shares = {"full": 0.9, "linear": 0.7, "aat_m": 0.8}
    records = [make_record(make_request(methods=[name]), [0.5, share]) for name, share in shares.items()]
    return make_results(tmp_path / "results", records).store


def drawn(folder: Path) -> dict[str, bytes]:
    """Return the figures of a report, and the page, which has them too."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".png", ".svg", ".pdf", ".html"}
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "place"),
    [
        ("module://matplotlib_inline.backend_inline", "MATPLOTLIBRC"),  # as notebooks set it; here it does not exist
        ("TkAgg", "current folder"),
    ],
)
def test_backend_and_matplotlibrc_of_the_user_are_not_used(
    store: ResultStore, tmp_path: Path, backend: str, place: str
) -> None:
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "matplotlibrc").write_text("\n".join(f"{key}: {value}" for key, value in SETTINGS.items()))
    build_report(store, tmp_path / "plain", html=True)
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": str(REPOSITORY)}
    if place != "current folder":
        environment[place] = str(settings)
    arguments = ["report", "--html", "--results", str(store.folder), "--output", str(tmp_path / "users")]
    command = [sys.executable, "-m", "benchmark", *arguments]
    done = subprocess.run(command, env=environment, cwd=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert drawn(tmp_path / "users") == drawn(tmp_path / "plain")


@pytest.mark.slow
def test_a_notebook_keeps_its_settings_and_figures_do_not_use_them(store: ResultStore, tmp_path: Path) -> None:
    build_report(store, tmp_path / "plain", html=True)
    with mpl.rc_context({**SETTINGS, "backend": "svg"}):
        before = dict(mpl.rcParams)
        build_report(store, tmp_path / "users", html=True)
        assert dict(mpl.rcParams) == before
    assert drawn(tmp_path / "users") == drawn(tmp_path / "plain")


def test_curves_have_points_where_all_trials_have_a_score() -> None:
    nan = float("nan")
    trials = [np.array([0.25, nan, 0.5, 0.5]), np.array([0.5, 0.5, nan, 1.0]), np.array([0.75])]  # one ended early
    assert mean_curve(trials) == ([1, 4], [0.5, 0.75])
    axes = Figure().subplots()
    _curves_of(
        axes, {"a": trials, "b": [np.array([nan, 0.5])]}, dict.fromkeys("ab", Look((0.0, 0.0, 0.0), "o", "-", ""))
    )
    assert [line.get_xdata().tolist() for line in axes.lines] == [[1, 4], [2]]


def test_one_evaluation_of_several_epochs_is_no_curve(
    make_request: Callable[..., TrialRequest], tmp_path: Path
) -> None:
    def titles(records: list[Record], folder: Path) -> list[str]:
        figure = curves(make_results(folder, records), "Score by epoch")
        return [panel.get_title() or panel.texts[0].get_text() for panel in figure.axes]

    complete = make_record(make_request(protocol="corrected"), [0.9, 0.5])
    content = complete.model_dump()
    content["curves"][0]["splits"] = {}
    assert "`run --test-curves`" in " ".join(" ".join(titles([Record.model_validate(content)], tmp_path / "a")).split())
    assert titles([complete], tmp_path / "b")[0].endswith(", ESC-50")
    assert titles([make_record(make_request(), [0.9])], tmp_path / "c")[0].endswith(", ESC-50")
