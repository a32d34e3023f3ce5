"""Records with chosen numbers, and predictions to compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmark.data.loader import evaluation_batches
from benchmark.data.registry import get_dataset
from benchmark.numerics import NUMERICS_VERSION
from benchmark.records.floor import Floor, floor_settings
from benchmark.records.schema import (
    Cost,
    Data,
    Epoch,
    Parameters,
    Profile,
    Record,
    Selection,
    SharingProfile,
    StepProfile,
)
from benchmark.records.store import ResultStore
from benchmark.report.results import Results
from benchmark.report.write import read_results
from benchmark.spec.request import TrialRequest
from benchmark.trial.data import prepare


def make_record(request: TrialRequest, scores: Sequence[float | None], **changes: object) -> Record:
    """Return a record of `request`.

    Args:
        request: the trial.
        scores: score of each epoch.
        changes: other fields of the record.
    """
    over_folds = request.protocol.selection == "best_on_test"
    fields: dict[str, object] = {
        "id": request.id,
        "request": request,
        "status": "completed",
        "data": Data(
            kind="complete",
            clips=2000,
            official_clips=2000,
            official_folds=5,
            used={"train": 1600, "test": 400},
            classes=50,
            classes_present=50,
        ),
        "selection": Selection(
            rule=request.protocol.selection,
            scope="folds" if over_folds else "trial",
            split="test",
            metric="accuracy",
            epoch=None if over_folds else len(scores),
        ),
        "curves": [
            Epoch(
                epoch=number,
                lr=1e-4,
                train_loss=1.0 / number,
                splits={"test": {"accuracy": score, "map": score, "mauc": score}},
                seconds={"data": 0.5, "train": 1.5, "eval": 0.25},
            )
            for number, score in enumerate(scores, start=1)
        ],
        "parameters": Parameters(
            total=1000, trainable=100, head=10, method=90, total_reference=1200, trainable_reference=100
        ),
        "profile": Profile(
            device="cpu",
            precision="float32",
            exclusive=True,
            seconds={
                "setup": 1.0,
                "data": 0.5 * len(scores),
                "train": 1.5 * len(scores),
                "eval": 0.25,
                "total": 9.0,
            },
            train_clips_per_second=800.0,
            gpu_allocated_bytes=None,
            gpu_reserved_bytes=None,
            host_rss_bytes=None,
        ),
        "environment": {},
        "environment_hash": "env",
        "numerics_version": NUMERICS_VERSION,
        "fingerprint": "code",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
    }
    return Record.model_validate({**fields, **changes})


def make_floor(request: TrialRequest, **scores: float) -> Floor:
    """Return the floor of a request's dataset and fold; `scores` are by name, with `_` for a blank."""
    return Floor(
        settings=floor_settings(request),
        metric="accuracy",
        scores={name.replace("_", " "): value for name, value in scores.items()},
        clips={"train": 12, "test": 3},
        regression="made up",
        computed="2026-01-01T00:00:00+00:00",
    )


def make_cost(**changes: int) -> Cost:
    """Return the cost of a step; `changes` are its other fields."""
    sizes = dict.fromkeys(("saved_bytes", "weight_bytes", "optimizer_bytes", "stored_bytes", "peak_bytes"), 1000)
    return Cost.model_validate({"clips": 8, "forward_flops": 10**9, "train_flops": 3 * 10**9, **sizes, **changes})


def make_profile(request: TrialRequest, cost: Cost, **changes: object) -> StepProfile:
    """Return the profile of a step of `request` on one thread of a CPU.

    Args:
        request: the trial.
        cost: its counted cost.
        changes: other fields of the profile.
    """
    fields: dict[str, object] = {
        "request": request,
        "status": "measured",
        "cost": cost,
        "parameters": make_record(request, [0.5]).parameters,
        "device": "cpu",
        "threads": 1,
        "precision": "float32",
        "steps": 3,
        "clips": cost.clips,
        "step_seconds": 2.0,
        "eval_seconds": 1.0,
        "environment": {},
        "environment_hash": "env",
        "fingerprint": "code",
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return StepProfile.model_validate({**fields, **changes})


def make_sharing(request: TrialRequest, clips_per_second: Mapping[int, float], **changes: object) -> SharingProfile:
    """Return a measurement of trials that share a GPU of the name `card`.

    Args:
        request: the trial.
        clips_per_second: of all together, by the number of trials.
        changes: other fields of the measurement.
    """
    fields: dict[str, object] = {
        "request": request,
        "cost": make_cost(),
        "device": "card",
        "threads": 16,
        "precision": "float16",
        "mps": False,
        "seconds": 5.0,
        "clips_per_second": clips_per_second,
        "environment": {},
        "environment_hash": "env",
        "fingerprint": "code",
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return SharingProfile.model_validate({**fields, **changes})


def make_results(
    folder: Path,
    records: Iterable[Record],
    submitted: Iterable[TrialRequest] | None = None,
    parts: Mapping[str, np.ndarray] | None = None,
) -> Results:
    """Write a results folder and read it.

    Args:
        folder: the results folder.
        records: finished trials.
        submitted: submitted trials; by default those of the records.
        parts: (clips,) values whose mean is the metric, by trial id; the same at every epoch.
    """
    store, records = ResultStore(folder), list(records)
    (store.folder / "trials").mkdir(parents=True, exist_ok=True)
    store.submit([record.request for record in records] if submitted is None else submitted)
    for record in records:
        epochs = np.arange(1, len(record.curves) + 1)
        store.write(record, {"epochs": epochs, **({} if parts is None else _by_clip(parts[record.id], len(epochs)))})
    return read_results(store)


def _by_clip(values: np.ndarray, epochs: int) -> dict[str, np.ndarray]:
    clips = np.array([f"{number:05d}.wav" for number in range(len(values))])
    return {"clips_test": clips, "groups_test": clips, "values_test": np.stack([values] * epochs)}


def logits_of_test(
    model: torch.nn.Module, request: TrialRequest, store: ResultStore, data_root: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return (clips, classes) logits of the test clips: those of the model on the CPU, and the stored ones.

    Args:
        model: the model.
        request: the trial.
        store: results folder with the predictions of the last epoch.
        data_root: folder of the datasets.
    """
    clips = prepare(request, get_dataset("esc50").manifest(data_root), None).splits["test"]
    batches = evaluation_batches(clips, request.recipe.batch_size, 0, torch.device("cpu"))
    with torch.inference_mode(), np.load(store.record_path(request).with_suffix(".npz")) as stored:
        return torch.cat([model(features) for features, _, _ in batches]).numpy(), stored["logits_test"][-1]
