"""A results folder with two complete cells, made without training, and a store that has it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.api.submission_facts import known_to_the_suite
from benchmark.api.submit import new_store, submit
from benchmark.metrics import of_split
from benchmark.planning.expand import expand
from benchmark.records.environment import digest
from benchmark.records.schema import Data, Epoch, Parameters, Record, Verified
from benchmark.records.store import ResultStore
from benchmark.spec.request import TrialRequest, changed
from benchmark.submissions.known import Known
from benchmark.submissions.layout import Store
from tests.conftest import tiny_grid
from tests.samples import make_record

CLASSES, TEST_CLIPS, FOLDS = 50, 400, 5  # of ESC-50
ENVIRONMENT = {
    "python": "3.11.9",
    "platform": "linux x86_64",
    "suite": {"version": "0.1.0", "commit": "0" * 40, "dirty": False},
    "packages": {"numpy": "2.4.0", "torch": "2.11.0"},
    "cpu": "a processor",
    "cpu_count": 2,
    "memory_bytes": 2**33,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="session")
def known() -> Known:
    """Return what the suite knows; the parameters of a model are counted once."""
    whole, counted = known_to_the_suite(), dict[str, Parameters | None]()

    def count(request: TrialRequest, classes: int) -> Parameters | None:
        if request.step_key not in counted:
            counted[request.step_key] = whole.count(request, classes)
        return counted[request.step_key]

    return dataclasses.replace(whole, count=count)


@pytest.fixture(scope="session")
def requests_of(data_root: Path) -> Callable[..., list[TrialRequest]]:
    """Return a function that makes the requests of both cells; its arguments are seeds."""

    def make(*seeds: int, methods: Iterable[str] = ("linear", "bitfit")) -> list[TrialRequest]:
        grid = tiny_grid(methods=list(methods), folds=list(range(1, FOLDS + 1)), seeds=seeds, protocol="corrected")
        found = expand(grid, data_root, Path("no-checkpoints")).requests
        backbone = found[0].backbone.model_copy(update={"weights": "pretrained", "sha256": "c" * 64})
        dataset = found[0].dataset.model_copy(update={"manifest": "d" * 64})
        return [changed(request, backbone=backbone, dataset=dataset) for request in found]

    return make


def finish(store: ResultStore, request: TrialRequest, known: Known, *, run: int = 0, **changes: Any) -> Record:
    """Write the record of a trial as `run` would, with predictions that give its score.

    Args:
        store: the results folder.
        request: the trial.
        known: counts its parameters.
        run: another number gives another training of the same trial.
        changes: fields of the record.
    """
    rng = np.random.default_rng([int(request.id, 16), run])
    targets = np.eye(CLASSES, dtype=np.float32)[np.arange(TEST_CLIPS) % CLASSES]
    logits = (rng.normal(size=(2, TEST_CLIPS, CLASSES)) + 3 * targets).astype(np.float32)
    observed = np.ones_like(targets)
    scores = [of_split.evaluate(each, targets, observed, request.ranking) for each in logits]
    curves = [
        Epoch(
            epoch=number,
            lr=1e-3,
            train_loss=1.0 / number,
            splits={"test": scores[number - 1]},
            seconds={"data": 0.1 * rng.random(), "train": rng.random(), "eval": rng.random()},
        )
        for number in (1, 2)
    ]
    verified = Verified(verdict="re-encoded", digest="e" * 64, checked="2026-01-01T00:00:00+00:00", problems=0)
    data = Data(
        kind="complete",
        clips=2000,
        official_clips=2000,
        official_folds=FOLDS,
        used={"train": 1600, "test": TEST_CLIPS},
        classes=CLASSES,
        classes_present=CLASSES,
        verified=verified,
    )
    parameters = known.count(request, CLASSES)
    assert parameters is not None
    record = make_record(request, [0.5, 0.5], curves=curves, data=data, parameters=parameters)
    profile = record.profile.model_copy(update={"seconds": {"setup": rng.random(), "total": 3.0 + rng.random()}})
    told = {"profile": profile, "environment": ENVIRONMENT, "environment_hash": digest(ENVIRONMENT), **changes}
    record = Record.model_validate(record.model_dump() | {name: _plain(value) for name, value in told.items()})
    clips = np.array([f"{request.fold}-{number:03d}.wav" for number in range(TEST_CLIPS)])
    store.write(record, _predictions(record, clips, logits, targets, observed))
    return record


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else value


def _predictions(
    record: Record, clips: np.ndarray, logits: np.ndarray, targets: np.ndarray, observed: np.ndarray
) -> dict[str, np.ndarray]:
    truth = (targets, observed, record.request.ranking, "accuracy")
    return {
        "classes": np.array([f"class {number}" for number in range(CLASSES)]),
        "epochs": np.arange(1, 3),
        "clips_test": clips,
        "groups_test": clips,
        "targets_test": targets,
        "observed_test": observed,
        "logits_test": logits,
        "parts_test": np.stack([of_split.parts(each, *truth) for each in logits]),
        "values_test": np.stack([of_split.by_clip(each, *truth) for each in logits]),
    }


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory, requests_of: Callable[..., list[TrialRequest]], known: Known) -> Path:
    """Return a results folder with two complete cells of one seed."""
    folder = tmp_path_factory.mktemp("submissions") / "out"
    for request in requests_of(0):
        finish(ResultStore(folder), request, known)
    return folder


@pytest.fixture(scope="session")
def submitted(tmp_path_factory: pytest.TempPathFactory, out: Path) -> Store:
    """Return a store with one submission of `ada`, to copy."""
    store = new_store(tmp_path_factory.mktemp("submitted") / "store")
    added = submit(out, store=store.folder, submitter="ada", name="first")
    assert not added.failures
    return store


class Tampered:
    """A submission to change.

    Args:
        folder: the submission.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def record(self, method: str = "linear", fold: int = 1) -> Path:
        """Return the path of a record of seed 0."""
        [path] = self.folder.glob(f"trials/*/*/{method}/f{fold}-s0-*.json")
        return path

    def records(self, method: str = "*") -> list[Path]:
        return sorted(self.folder.glob(f"trials/*/*/{method}/f*.json"))

    @staticmethod
    def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change the content of a JSON file."""
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content))

    @staticmethod
    def edit_arrays(path: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
        """Change the predictions beside a record."""
        with np.load(path.with_suffix(".npz")) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez_compressed(path.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]

    def edit_manifest(self, change: Callable[[dict[str, Any]], Any]) -> None:
        self.edit(self.folder / "submission.json", change)

    def rename(self, path: Path) -> None:
        """Give a record, whose request was changed, the id and name that follow from it."""
        content = json.loads(path.read_bytes())
        request = TrialRequest.model_validate(content["request"])
        content["id"] = request.id
        place = self.folder / "trials" / f"{request.path_stem}.json"
        predictions = path.with_suffix(".npz").read_bytes()
        for old in (path, path.with_suffix(".npz")):
            old.unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content))
        place.with_suffix(".npz").write_bytes(predictions)

    def seal(self) -> None:
        """Write the digests of all files into the manifest, as somebody would who hides a change."""
        files = {
            path.relative_to(self.folder).as_posix(): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for path in self.folder.rglob("*")
            if path.is_file() and path.name != "submission.json"
        }
        self.edit_manifest(lambda manifest: manifest.update(files=files))


@pytest.fixture
def store(tmp_path: Path, submitted: Store) -> Store:
    """Return a copy of the store with the submission of `ada`."""
    shutil.copytree(submitted.folder, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def tampered(store: Store) -> Tampered:
    """Return the submission of `ada` in the copy."""
    return Tampered(store.folder / "submissions" / "ada" / "first")
