"""A store of three submitters with real numbers: results/demo, partly repeated, and one method from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.records.schema import Record
from benchmark.report.board.build import Built, build_board
from benchmark.report.board.content import Content, MethodInfo
from benchmark.report.board.read import read_board
from benchmark.report.papers import DEFAULT_PAPERS
from benchmark.spec.request import TrialRequest
from benchmark.submissions.layout import Store
from tests.report.board.stores import new_store, put
from tests.report.hostile import LABEL

DEMO = Path(__file__).parents[3] / "results" / "demo" / "trials" / "ast-demo"
DATASETS = ("esc50", "gtzan")
METHODS = ("full", "linear", "aat_ms")
NAME = LABEL.partition(" \x1b")[0]  # stores refuse invisible characters
NOTE = "<script>alert(1)</script> [red] {{ 7 * 7 }} javascript:alert(1)"
KNOWN = {name: MethodInfo(name.title(), f"What {name} does.", "arXiv:0000.00000") for name in METHODS}


def demo_records() -> list[tuple[Record, Path]]:
    """Return some records of results/demo, with their predictions."""
    paths = sorted(path for path in DEMO.rglob("*.json") if path.parts[-3] in DATASETS and path.parts[-2] in METHODS)
    return [(Record.model_validate_json(path.read_bytes()), path.with_suffix(".npz")) for path in paths]


def changed_record(record: Record, *, points: float = 0.0, seed: int | None = None, method: str = "") -> Record:
    """Return a record with other scores, another seed, or of a method from outside with a hostile label.

    Args:
        record: the record.
        points: added to every score.
        seed: the other seed.
        method: name of the method.
    """
    content = record.model_dump(mode="json")
    for scores in (scores for epoch in content["curves"] for scores in epoch["splits"].values()):
        scores |= {
            name: min(1.0, max(0.0, value + points / 100)) for name, value in scores.items() if value is not None
        }
    if seed is not None:
        content["request"]["seed"] = seed
    if method:
        part = {"name": method, "options": {"gate": 0.5}, "source": "f" * 64}
        content["request"]["method"] = {"parts": [part], "variant": method, "tuning": "peft"}
        content["labels"] = {"methods": {method: LABEL}}
    content["id"] = TrialRequest.model_validate(content["request"]).id
    return Record.model_validate(content)


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store: `ada` has all records, `bob` repeats some and differs once, `eve` has a method of her own."""
    folder = new_store(tmp_path_factory.mktemp("store") / "store", NAME, ["synthetic", "partial"])
    every = demo_records()
    put(folder, "ada", every, day=1, note=NOTE, contact=NOTE)
    of_esc50 = [(record, path) for record, path in every if record.request.dataset.name == "esc50"]
    repeated = [
        (changed_record(record, points=-40.0 if record.request.method.name == "full" else 0.0), path)
        for record, path in of_esc50
    ]
    put(folder, "bob", repeated, "again", day=2, release="0.2.0")
    own = [
        (changed_record(record, method="gate"), path) for record, path in every if record.request.method.name == "full"
    ]
    source = {"gate": {"file": "methods/gate.py", "licence": "MIT"}}
    put(folder, "eve", own, "gate", day=3, sources={"gate.py": "# a method\n"}, methods=source, note=NOTE)
    return folder


@pytest.fixture(scope="session")
def content(store_folder: Path) -> Content:
    """Return what the pages of the store show."""
    return Content.of(read_board(Store(store_folder)), DEFAULT_PAPERS, KNOWN)


@pytest.fixture(scope="session")
def built(store_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the written board of the store."""
    return build_board(Store(store_folder), tmp_path_factory.mktemp("board") / "site", methods=KNOWN)
