"""Measure the time of a report, or of a board, over many records.

    python tests/many.py --records 10000
    python tests/many.py --records 10000 --seeds 3 --board

Writes records of the paper's grid with made-up scores into a temporary folder and builds tables and figures twice; with
`--board`, the board of a store in which several submitters share them, and some repeat those of others. `--seeds`
limits the seeds of a table cell: further records have other learning rates. Prints seconds, peak memory and, for a
report, whether both are equal as JSON; the exit code is 1 when they are not.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
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


SUBMITTERS = 8
REPEATED = 10  # one in this many records is also submitted by the next submitter


def fill(store: ResultStore, count: int, seeds: int | None = None) -> None:
    """Write `count` records with made-up scores.

    Args:
        store: the results folder.
        count: number of records.
        seeds: seeds of a table cell; None for as many as it takes.
    """
    rng, done, names = np.random.default_rng(0), [], np.array([f"{number}.wav" for number in range(CLIPS)])
    for request in _requests(count, seeds or -(-count // TRIALS_A_SEED)):
        record = made_up_record(request, rng)
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


def _requests(count: int, seeds: int) -> Iterator[TrialRequest]:
    """Yield the trials of the paper's grid with these seeds, then with other learning rates."""
    grid = narrow(load_grid("paper"), seeds=[str(seed) for seed in range(seeds)])
    requests = expand(grid, Path("no-data"), Path("no-checkpoints")).requests
    for number in range(count):
        content = requests[number % len(requests)].model_dump(mode="json")
        content["dataset"]["manifest"], content["backbone"]["sha256"] = "0" * 64, "1" * 64
        content["recipe"]["lr"] *= 1 + number // len(requests) / 10
        yield TrialRequest.model_validate(content)


def as_store(results: ResultStore, folder: Path) -> Path:
    """Return a results store with the records of a results folder: table cells by submitter, some of them repeated."""
    from tests.report.board.stores import new_store, put

    new_store(folder, "many records")
    every = [(record, results.record_path(record.request).with_suffix(".npz")) for record in results.records()]
    cells = {cell: number for number, cell in enumerate(dict.fromkeys(record.request.cell for record, _ in every))}
    for number in range(SUBMITTERS):
        mine = [
            (record, path)
            for record, path in every
            if cells[record.request.cell] % SUBMITTERS == number
            or (cells[record.request.cell] + 1) % (SUBMITTERS * REPEATED) == number
        ]
        put(folder, f"submitter-{number}", mine, day=1 + number, release=f"0.{1 + number // 4}.0")
    shutil.rmtree(results.folder)
    return folder


def made_up_record(request: TrialRequest, rng: np.random.Generator) -> Record:
    """Return a record with made-up scores."""
    level = SHARES.get(request.method.name, 0.85)
    scores = np.clip(level + 0.02 * rng.normal(size=request.recipe.epochs), 0, 1)
    record = make_record(request, [float(score) for score in scores])
    folds = 5 if request.dataset.name == "esc50" else 10 if request.dataset.name == "urbansound8k" else 1
    return record.model_copy(update={"data": record.data.model_copy(update={"official_folds": folds})})


def measure_board(store: Path, *, profile: bool) -> dict[str, Any]:
    """Build the board of a store and return seconds, processor seconds, memory and numbers of pages and results."""
    import cProfile

    from benchmark.report.board.build import build_board
    from benchmark.submissions.layout import Store

    began, used, profiler = time.perf_counter(), time.process_time(), cProfile.Profile()
    if profile:
        profiler.enable()
    built = build_board(Store(store), store.parent / "site")
    profiler.disable()
    seconds = {"wall": time.perf_counter() - began, "processor": time.process_time() - used}
    if profile:
        profiler.print_stats("cumulative")
    return {
        **built.as_dict(),
        "seconds": {key: round(value, 1) for key, value in seconds.items()},
        "peak memory in GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, help="seeds of a table cell; by default as many as it takes")
    parser.add_argument("--board", action="store_true", help="measure a board")
    parser.add_argument("--profile", action="store_true", help="with --board: print the functions that take the time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = ResultStore(Path(name) / "out")
        fill(store, given.records, given.seeds)
        if given.board:
            print(json.dumps(measure_board(as_store(store, Path(name) / "store"), profile=given.profile), indent=1))
            return 0
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
