"""What a board shows of a store: rankings, standings, claims, history, probability of improvement."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.records.schema import Record
from benchmark.report.board.content import Content
from benchmark.report.board.entries import Entry, method_page, slug
from benchmark.report.board.history import history_of
from benchmark.report.board.improvement import improvements
from benchmark.report.board.pages import front_of, pages_of
from benchmark.report.board.read import read_board
from benchmark.report.papers import DEFAULT_PAPERS
from benchmark.spec.request import TrialRequest, changed
from benchmark.submissions.layout import Store
from tests.conftest import TINY_RECIPE
from tests.report.board.stores import new_store, put
from tests.report.hostile import LABEL
from tests.report.test_claims import paper_records
from tests.samples import make_record

Request = Callable[..., TrialRequest]


def entries_of(content: Content, dataset: str) -> dict[str, Entry]:
    return {entry.family: entry for entry in content.entries if entry.names[2] == dataset}


def content_of(folder: Path) -> Content:
    return Content.of(read_board(Store(folder)), DEFAULT_PAPERS, {})


def cell(request: TrialRequest, seeds: dict[int, float], folds: int = 5) -> list[tuple[Record, None]]:
    """Return the records of a cell: a score per seed, the same on each fold."""
    return [
        (make_record(changed(request, fold=fold, seed=seed), [score]), None)
        for seed, score in seeds.items()
        for fold in range(1, folds + 1)
    ]


def test_standings_are_those_of_the_store_with_who_agrees(content: Content) -> None:
    found = entries_of(content, "esc50")
    assert {name: entry.standing for name, entry in found.items()} == {
        "full": "disputed",
        "linear": "reproduced",
        "aat_ms": "reproduced",
        "gate": "self-reported",
    }
    assert found["linear"].reproduced_by == ["bob"]
    assert found["full"].disputed_by == ["bob"]
    assert found["full"].submitter == "ada"  # the first with complete records
    [other] = found["full"].others
    assert other.gap == pytest.approx(-0.4)
    assert {entry.standing for entry in entries_of(content, "gtzan").values()} == {"self-reported"}


def test_a_ranking_is_ordered_by_score_and_says_what_it_is_of(content: Content) -> None:
    assert [section.title for section in content.sections] == ["Synthetic audio"]
    assert "Synthetic audio" in content.marks
    assert "demo backbone" in content.marks
    for ranking in content.rankings:
        scores = [entry.score or 0 for entry in ranking.entries]
        assert scores == sorted(scores, reverse=True)
        assert ranking.best is ranking.entries[0]
        assert ranking.entries[0].is_best
        assert ranking.entries[0].low is not None
        assert ranking.marks
    full = entries_of(content, "gtzan")["full"]
    assert full.time_ratio == 1.0


def test_costs_are_compared_on_the_same_hardware_only(tmp_path: Path, make_request: Request) -> None:
    folder = new_store(tmp_path / "store", accepts=["partial", "synthetic", "random"])
    for name, method, cpu in (("ada", "full", "one"), ("bob", "linear", "one"), ("eve", "aat_ms", "another")):
        records = [
            (record.model_copy(update={"environment": {"cpu": cpu, "threads": 1}}), path)
            for record, path in cell(make_request(methods=[method]), {0: 0.5}, folds=2)
        ]
        put(folder, name, records)
    ratios = {entry.family: entry.time_ratio for entry in content_of(folder).entries}
    assert ratios == {"full": 1.0, "linear": 1.0, "aat_ms": None}


def test_an_incomplete_cell_has_no_rank_and_no_mean(tmp_path: Path, make_request: Request) -> None:
    folder = new_store(tmp_path / "store", accepts=["random"])
    put(folder, "ada", cell(make_request(methods=["full"]), {0: 0.9})[1:])
    put(folder, "bob", cell(make_request(methods=["linear"]), {0: 0.2, 1: 0.3}))
    linear, full = content_of(folder).rankings[0].entries
    assert (linear.family, linear.rank, linear.seeds, linear.folds) == ("linear", 1, 2, 5)
    assert linear.score == pytest.approx(0.25)
    assert (full.standing, full.rank, full.score, full.score_text) == ("incomplete", None, None, "4/5")


def test_the_first_complete_submitter_is_shown(tmp_path: Path, make_request: Request) -> None:
    folder, request = new_store(tmp_path / "store", accepts=["random"]), make_request()
    put(folder, "ada", cell(request, {0: 0.9})[1:], day=1)
    put(folder, "bob", cell(request, {0: 0.5}), day=2)
    [entry] = content_of(folder).entries
    assert (entry.submitter, entry.score) == ("bob", 0.5)


def test_other_kinds_of_data_are_never_in_one_ranking(tmp_path: Path, make_request: Request) -> None:
    folder = new_store(tmp_path / "store", accepts=["partial", "random"])
    records = cell(make_request(methods=["full"]), {0: 0.9})
    limited = cell(
        make_request(methods=["full"], overrides=[{"source": "test", "values": {**TINY_RECIPE, "limit_clips": 2}}]),
        {0: 0.8},
    )
    put(folder, "ada", records)
    put(folder, "bob", limited)
    content = content_of(folder)
    assert [section.title for section in content.sections] == ["Partial data, random weights", "Random weights"]
    assert [len(ranking.entries) for ranking in content.rankings] == [1, 1]
    assert content.rankings[0].page == content.rankings[1].page  # two tables on one page


def test_claims_say_who_reproduced_them(tmp_path: Path) -> None:
    shares = {"full": 0.95, "linear": 0.8, "aat_ms": 0.9}
    records, _ = paper_records(shares, backbones=["ast"], seeds=["0,1,2"])
    folder = new_store(tmp_path / "store")
    put(folder, "ada", [(_verified(record), None) for record in records])
    for submission in Store(folder).submissions():
        for record in Store(folder).results(submission).records():
            path = Store(folder).results(submission).record_path(record.request)
            _write_predictions(path.with_suffix(".npz"), shares[record.request.method.name])
    content = content_of(folder)
    [section] = content.sections
    assert section.is_complete
    aat = next(paper for paper in content.papers if paper.paper.name == "aat")
    found = {claim.judged.id: claim for claim in aat.claims}
    claim = found["aat-ms-linear-ast-esc50"]
    assert (claim.judged.verdict, claim.by_verdict) == ("reproduced", {"reproduced": ["ada"]})
    assert len(claim.cells) == 2
    assert aat.others["not run"]


def _verified(record: Record) -> Record:
    found = {"verdict": "official", "digest": "0" * 64, "checked": "2026-01-01T00:00:00+00:00", "problems": 0}
    content = record.model_dump(mode="json")
    return Record.model_validate({**content, "data": {**content["data"], "verified": found}})


def _write_predictions(path: Path, share: float) -> None:
    clips = np.array([f"{number:05d}.wav" for number in range(400)])
    values = (np.arange(400) < share * 400).astype(np.float32)
    np.savez(path, epochs=np.arange(1, 4), clips_test=clips, groups_test=clips, values_test=np.stack([values] * 3))


def test_synthetic_records_judge_no_claim(content: Content) -> None:
    for paper in content.papers:
        assert not [claim for claim in paper.claims if claim.by_verdict]
        assert set(paper.tally) <= {"not run", "not comparable"}


def test_the_history_follows_the_releases(content: Content) -> None:
    history = history_of(content.board, content.rankings)
    assert [release.name for release in history.releases] == ["0.1.0", "0.2.0"]
    assert [release.records for release in history.releases] == [8, 3]
    assert {one.entry.family for one in history.repeated} == {"full", "linear", "aat_ms"}
    for ranking, best in history.best:
        assert best[0] is not None
        assert best[0].is_new
        assert best[-1] is not None
        assert best[-1].entry.cell == (ranking.best.cell if ranking.best else None)
        assert not best[-1].is_new


def test_probabilities_compare_runs_of_other_seeds(content: Content) -> None:
    [table] = improvements(content.sections[0])
    assert len(table.datasets) == 2
    for row, values in enumerate(table.values):
        assert values[row] is None
        for column, value in enumerate(values):
            reverse = table.values[column][row]
            assert value is None or (reverse is not None and value.value + reverse.value == pytest.approx(1))


def test_the_front_keeps_what_no_other_equals(content: Content) -> None:
    for ranking in content.rankings:
        front = front_of(ranking.entries)
        assert [entry.trainable or 0 for entry in front] == sorted(entry.trainable or 0 for entry in front)
        assert [entry.score or 0 for entry in front] == sorted({entry.score or 0 for entry in front})
        assert ranking.best is not None
        assert front[-1].score == ranking.best.score


def test_downloads_have_every_row(content: Content) -> None:
    found = {one.name: dict(one.files()) for one in content.downloads}
    rows = json.loads(found["rankings"]["data/rankings.json"])
    assert len(rows) == len(content.entries)
    assert {row["standing"] for row in rows} == {"reproduced", "disputed", "self-reported"}
    assert rows[0]["cell"] == content.entries[0].cell
    assert found["records"]["data/records.csv"].count("\n") == len(content.board.trials) + 1
    [first, *_] = json.loads(found["submissions"]["data/submissions.json"])
    assert set(first) >= {"submitter", "name", "note", "release", "licence"}


def test_paths_are_safe_and_unique(content: Content) -> None:
    pages = list(pages_of(content))
    assert len({page.path for page in pages}) == len(pages)
    for name in ("../../etc", "a/b", "A", "a", "..", "", "x" * 300, LABEL, "aat_ms+prompt", "aat_ms-prompt"):
        assert set(slug(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        assert 0 < len(slug(name)) < 100
    assert len({slug(name) for name in ("A", "a", "a b", "a-b", "a+b")}) == 5
    assert method_page("full") == "methods/full.html"


def test_an_empty_store_has_a_board(tmp_path: Path) -> None:
    content = content_of(new_store(tmp_path / "store"))
    assert content.entries == []
    assert {page.path for page in pages_of(content)} >= {"index.html", "downloads.html", "claims/index.html"}
    assert isinstance(content.downloads[0].data, pd.DataFrame)
