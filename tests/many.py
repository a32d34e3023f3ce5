"""Measure the time of a report over many records.

    python tests/many.py --records 10000

Writes records of the paper's grid with made-up scores into a temporary folder and builds tables and figures twice.
Prints seconds, peak memory and whether both tables are equal as JSON; the exit code is 1 when they are not.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmark.planning.expand import expand
from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.report.render import to_latex, to_markdown
from benchmark.report.write import build_report, build_tables, read_results
from benchmark.spec.grid import load_grid, narrow
from benchmark.spec.request import TrialRequest
from tests.samples import make_record

TRIALS_A_SEED = 304
CLIPS = 400
SHARES = {"full": 0.9, "linear": 0.7, "partial": 0.8}


def fill(store: ResultStore, count: int) -> None:
    """Write `count` records with made-up scores."""
    grid = narrow(load_grid("paper"), seeds=[str(seed) for seed in range(-(-count // TRIALS_A_SEED))])
    requests = expand(grid, Path("no-data"), Path("no-checkpoints")).requests[:count]
    rng, done, names = np.random.default_rng(0), [], np.array([f"{number}.wav" for number in range(CLIPS)])
    for request in requests:
        content = request.model_dump(mode="json")
        content["dataset"]["manifest"], content["backbone"]["sha256"] = "0" * 64, "1" * 64
        record = made_up_record(TrialRequest.model_validate(content), rng)
        scores = np.array([point.splits["test"]["accuracy"] for point in record.curves], float)
        parts = (rng.random((len(scores), CLIPS)) < scores[:, None]).astype(np.float32)
        path = store.record_path(record.request)  # faster than the store, which flushes every file to disk
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json())
        np.savez_compressed(
            path.with_suffix(".npz"), epochs=np.arange(1, len(scores) + 1), values_test=parts, clips_test=names,
            groups_test=names,
        )  # fmt: skip
        done.append(record.request)
    store.submit(done)


def made_up_record(request: TrialRequest, rng: np.random.Generator) -> Record:
    """Return a record with made-up scores."""
    level = SHARES.get(request.method.name, 0.85)
    scores = np.clip(level + 0.02 * rng.normal(size=request.recipe.epochs), 0, 1)
    record = make_record(request, [float(score) for score in scores])
    folds = 5 if request.dataset.name == "esc50" else 10 if request.dataset.name == "urbansound8k" else 1
    return record.model_copy(update={"data": record.data.model_copy(update={"official_folds": folds})})


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = ResultStore(Path(name) / "out")
        fill(store, given.records)
        began = time.perf_counter()
        for table in build_tables(read_results(store)):
            to_markdown(table.text, table.caption)
            to_latex(table.text, table.caption)
            table.data.to_csv(index=False)
        seconds: dict[str, Any] = {"tables": round(time.perf_counter() - began, 1)}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        began = time.perf_counter()
        build_report(store, Path(name) / "one")
        seconds["tables and figures"] = round(time.perf_counter() - began, 1)
        build_report(store, Path(name) / "two")
        written = [
            {path.name: path.read_bytes() for path in (Path(name) / part).iterdir() if path.suffix != ".pdf"}
            for part in ("one", "two")
        ]
        equal = written[0] == written[1]
        found = {
            "records": given.records,
            "seconds": seconds,
            "peak memory of the tables in GB": round(memory / 1e9, 2),
            "equal when built again": equal,
        }
        print(json.dumps(found, indent=1))
    return int(not equal)


if __name__ == "__main__":
    sys.exit(main())
