"""Small results stores, written without the checks of `submit`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.submissions.layout import StoredFile, StoreInfo, Submission

Predictions = Path | None  # a file of predictions to copy


def new_store(folder: Path, name: str = "a store", accepts: Iterable[str] = ()) -> Path:
    """Write an empty store and return its folder."""
    folder.mkdir(parents=True)
    info = StoreInfo.model_validate({"name": name, "accepts": list(accepts)})
    (folder / "store.json").write_text(info.model_dump_json())
    return folder


def put(
    store: Path,
    submitter: str,
    records: Iterable[tuple[Record, Predictions]],
    name: str = "one",
    *,
    day: int = 1,
    sources: Mapping[str, str] | None = None,
    **fields: Any,
) -> Submission:
    """Write a submission.

    Args:
        store: folder of the store.
        submitter: who submits.
        records: records with the file of their predictions.
        name: name of the submission.
        day: day of February 2026 on which it was submitted.
        sources: files of methods from outside, by name of the file.
        fields: other fields of the manifest.
    """
    known = {"release": "0.1.0", "licence": "CC-BY-4.0", "files": {}, **fields}
    submission = Submission.model_validate(
        {"submitter": submitter, "name": name, "submitted": f"2026-02-{day:02d}T12:00:00+00:00", **known}
    )
    folder = store / submission.path
    files = {}
    for record, predictions in records:
        path = ResultStore(folder).record_path(record.request)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json(indent=1))
        if predictions is not None:
            path.with_suffix(".npz").write_bytes(predictions.read_bytes())
        files[path.relative_to(folder).as_posix()] = StoredFile(sha256="0" * 64, bytes=path.stat().st_size)
    for file, text in (sources or {}).items():
        (folder / "methods").mkdir(parents=True, exist_ok=True)
        (folder / "methods" / file).write_text(text)
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(submission.model_dump_json())
    content["files"] = {path: file.model_dump() for path, file in files.items()}
    (folder / "submission.json").write_text(json.dumps(content))
    return submission
