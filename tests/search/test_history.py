"""The study of a search: what it tried, how it is continued, and which studies are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError

optuna = pytest.importorskip("optuna")
from optuna.trial import TrialState  # noqa: E402

from benchmark.search.history import (  # noqa: E402
    JOURNAL,
    Configuration,
    configurations,
    open_study,
    pareto_front,
    spent,
    winner,
    write_table,
)  # fmt: skip

SETTINGS = {"seed": 0, "methods": {"linear": []}}
EPOCHS = 9


def row(number: int, score: float | None, trainable: int, peak: int, state: Any = "finished") -> Configuration:
    return Configuration(number, state, "linear", "linear", 1e-3, score, 1, trainable, peak)


def test_the_pareto_front_and_the_winner() -> None:
    best, cheap = row(0, 0.9, 100, 100), row(1, 0.6, 10, 100, "pruned")
    beaten, equal = row(2, 0.5, 10, 100), row(3, 0.9, 100, 100)
    rest = [row(4, 1.0, 1, 1, "failed"), row(5, None, 1, 1, "infeasible"), row(6, 1.0, 1, 1, "unfinished")]
    rows = [best, cheap, beaten, equal, *rest]
    assert pareto_front(rows) == [best, cheap]
    assert winner(rows) == best
    assert winner([cheap, *rest]) == cheap
    assert winner([row(0, 0.9, 1, 1, "pruned"), beaten]) == beaten  # a pruned one only if none finished
    assert winner(rest) is None
    assert spent(rows) == 5


def start(study: Any, rate: float, *scores: float) -> Any:
    """A configuration in training, after epochs with these scores."""
    trial = study.ask()
    trial.suggest_categorical("method", ["linear"])
    trial.suggest_float("rate", rate, rate)
    for key, value in {"name": "linear", "method": "linear", "lr": rate, "trainable": 5, "peak_bytes": 7}.items():
        trial.set_user_attr(key, value)
    for epoch, score in enumerate(scores, 1):
        trial.report(score, epoch)
    return trial


def end(study: Any, trial: Any, state: TrialState, score: float | None = None, error: str | None = None) -> None:
    trial.set_user_attr("seconds", 1.5)
    trial.set_user_attr("error", error)
    study.tell(trial, score, state)


def test_states_and_the_table(tmp_path: Path) -> None:
    study = open_study(tmp_path, SETTINGS, EPOCHS)
    end(study, start(study, 0.1, 0.2, 0.4), TrialState.COMPLETE, 0.4)
    end(study, start(study, 0.2, 0.3), TrialState.PRUNED)
    end(study, start(study, 0.3), TrialState.PRUNED, error="too large")
    end(study, start(study, 0.4, 0.5), TrialState.COMPLETE, 0.0, "its process died")
    start(study, 0.5, 0.6)
    rows = configurations(study)
    assert [r.state for r in rows] == ["finished", "pruned", "infeasible", "failed", "unfinished"]
    assert [r.score for r in rows] == [0.4, 0.3, None, 0.5, None]
    assert spent(rows) == 3
    write_table(tmp_path, study)
    lines = (tmp_path / "search.csv").read_text().splitlines()
    assert lines[0] == "number,state,method,lr,score,epochs,trainable,peak_bytes,seconds,error"
    assert lines[1] == "0,finished,linear,0.1,0.4,2,5,7,1.5,"
    assert lines[4] == "3,failed,linear,0.4,0.5,1,5,7,1.5,its process died"


def test_what_a_dead_search_was_training_is_first_and_once(tmp_path: Path) -> None:
    study = open_study(tmp_path, SETTINGS, EPOCHS)
    end(study, start(study, 0.1, 0.2), TrialState.COMPLETE, 0.2)
    start(study, 0.2, 0.3)  # killed in training
    study.ask()  # killed before it was complete
    study.enqueue_trial({"method": "linear", "rate": 0.2})  # killed while it queued the first one again
    for _ in range(2):
        study = open_study(tmp_path, SETTINGS, EPOCHS)
        states = [trial.state for trial in study.trials]
        assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL, TrialState.WAITING]
    again = study.ask()
    assert again.suggest_categorical("method", ["linear"]) == "linear"
    assert again.suggest_float("rate", 0.1, 10.0) == 0.2
    assert [r.number for r in configurations(study)] == [0]


def test_interrupted_configurations_keep_their_row_until_they_are_trained(tmp_path: Path) -> None:
    study = open_study(tmp_path, SETTINGS, EPOCHS)
    start(study, 0.1, 0.9)
    end(study, start(study, 0.2, 0.2), TrialState.COMPLETE, 0.2)
    study = open_study(tmp_path, SETTINGS, EPOCHS)
    assert [(r.number, r.state, r.lr) for r in configurations(study)] == [(0, "finished", 0.2), (1, "unfinished", 0.1)]
    end(study, start(study, 0.1, 0.7), TrialState.COMPLETE, 0.7)
    assert [(r.number, r.score) for r in configurations(study)] == [(0, 0.2), (1, 0.7)]


def test_pruning_is_successive_halving_without_interrupted_configurations(tmp_path: Path) -> None:
    study = open_study(tmp_path, SETTINGS, EPOCHS)
    assert not start(study, 0.1, 0.5).should_prune()  # the first one is the best of its rung
    assert start(study, 0.2, 0.4).should_prune()
    assert not start(study, 0.3, 0.6).should_prune()
    better = start(study, 0.4, 0.7, 0.8)
    assert not better.should_prune()
    better.report(0.1, 3)
    assert not better.should_prune()  # the only one in the second rung
    study = open_study(tmp_path, SETTINGS, EPOCHS)  # all of them were interrupted
    while any(trial.state == TrialState.WAITING for trial in study.trials):
        study.tell(study.ask(), state=TrialState.FAIL)
    assert not start(study, 0.5, 0.1).should_prune()


def test_other_studies_are_refused_in_one_line(tmp_path: Path) -> None:
    end(study := open_study(tmp_path, SETTINGS, EPOCHS), start(study, 0.1), TrialState.PRUNED, error="too large")
    with pytest.raises(BenchmarkError, match=r"of another search, which differs in seed; give another --results"):
        open_study(tmp_path, {**SETTINGS, "seed": 1}, EPOCHS)
    assert len(open_study(tmp_path, SETTINGS, EPOCHS).trials) == 1
    path = tmp_path / JOURNAL
    content = path.read_bytes()
    path.write_bytes(content + b'{"op_code":4,"st')  # a full disk
    assert len(open_study(tmp_path, SETTINGS, EPOCHS).trials) == 1
    for damaged in (content + b"{\n", b"{\n" + content, b"[]\n"):
        path.write_bytes(damaged)
        with pytest.raises(BenchmarkError, match=r"search.journal: damaged"):
            open_study(tmp_path, SETTINGS, EPOCHS)
    path.unlink()
    (tmp_path / "search.json").write_text("{}")
    with pytest.raises(BenchmarkError, match=r"search.json: a search of an earlier version"):
        open_study(tmp_path, SETTINGS, EPOCHS)
