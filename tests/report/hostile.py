"""Results whose names are markup of every format that a report is written in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.records.schema import Labels, Record
from benchmark.records.store import ResultStore
from benchmark.report.results import Results
from benchmark.report.write import read_results
from benchmark.spec.request import TrialRequest
from tests.report.test_by_class import answers
from tests.report.test_claims import paper_records
from tests.samples import make_results

CLASSES = ("<img src=x onerror=alert(1)>", "$x_1$", "a|b", "[red]", "</script>")
LABEL = "[red] <img src=x onerror=alert(1)> $x_1$ a|b </script> \\input{x} `c` {{ 7 * 7 }} \x1b[31m\u202e"
SHOWN = LABEL.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")  # in tables, figures and on a terminal
FILE = "<img src=x onerror=alert(1)> $x_1$ a|b.pth"
SHARES = {"full": 0.95, "linear": 0.8, "aat_m": 0.949, "aat_ms": 0.96, "bitfit": 0.9}


def hostile_results(folder: Path) -> Results:
    """Write 24 of 25 trials of five methods, one of another package on weights from a file; read them.

    The results by class of `aat_ms` have the classes `CLASSES`; every clip of the last is wrong.
    """
    records, parts = paper_records(SHARES, backbones=["ast"], seeds=["0"])
    known = [record if record.request.method.name != "bitfit" else _of_a_package(record) for record in records]
    parts |= {new.id: parts[old.id] for old, new in zip(records, known, strict=True)}
    place = folder / "<img src=x onerror=alert(1)>"
    results = make_results(place, known[1:], [record.request for record in known], parts)
    for record in known:
        if record.request.method.name == "aat_ms":
            _add_logits(results.store, record)
    return read_results(results.store)


def _of_a_package(record: Record) -> Record:
    """Return a record of a method with a label, on weights from a file, both with names of a user."""
    content = record.request.model_dump(mode="json")
    content["backbone"]["weights"] = f"file:{FILE}"
    request = TrialRequest.model_validate(content)
    labels = Labels(methods={"bitfit": LABEL})
    return record.model_copy(update={"request": request, "id": request.id, "labels": labels})


def _add_logits(store: ResultStore, record: Record) -> None:
    """Add logits to the predictions beside a record."""
    with np.load(store.record_path(record.request).with_suffix(".npz")) as stored:
        arrays = dict(stored)
    classes = len(CLASSES)
    truth = np.arange(arrays["clips_test"].size) % classes
    logits = answers(truth, truth % (classes - 1), classes)["logits_test"]
    labels = {name: array for name, array in answers(truth, truth, classes).items() if name not in arrays}
    found = {**labels, **arrays, "classes": np.array(CLASSES)}
    store.write(record, {**found, "logits_test": np.repeat(logits, len(arrays["epochs"]), axis=0)})
