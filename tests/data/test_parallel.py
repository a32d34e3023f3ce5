"""Work on many items: in order, a few ahead, in threads or processes, from any script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import cast

import psutil
import pytest

from benchmark.data.parallel import in_order

# no `if __name__ == "__main__"`: worker processes must not run the script again
UNGUARDED = """
import os, sys
from benchmark.data.parallel import in_order

with open(sys.argv[1], "a") as log:
    log.write("started\\n")

def square(number):
    return number * number, os.getpid()

results = list(in_order(square, range(1200), workers=2, processes=True))
assert [result for result, _ in results] == [number * number for number in range(1200)]
workers = {process for _, process in results}
assert workers and os.getpid() not in workers, workers
print("done")
"""

ENDLESS = """
import os, time
from benchmark.data.parallel import in_order

def wait(number):
    time.sleep(0.01)
    return os.getpid()

for process in in_order(wait, range(100_000), workers=2, processes=True):
    print(process, flush=True)
"""


def run_script(tmp_path: Path, source: str, *arguments: object) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(source)
    return subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_script_without_a_main_guard_can_use_processes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    out, errors = run_script(tmp_path, UNGUARDED, log).communicate(timeout=120)
    assert out == "done\n", errors
    assert errors == ""
    assert log.read_text() == "started\n"


@pytest.mark.slow
def test_killing_the_parent_leaves_no_worker(tmp_path: Path) -> None:
    parent = run_script(tmp_path, ENDLESS)
    assert parent.stdout is not None
    workers = {int(parent.stdout.readline()) for _ in range(50)}
    family = psutil.Process(parent.pid).children(recursive=True)
    assert workers <= {process.pid for process in family}
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def _fail_at_seven(folder: Path, number: int) -> int:
    (folder / str(number)).touch()
    if number == 7:
        raise ValueError("seven")
    if number > 7:
        time.sleep(0.05)
    return number


@pytest.mark.parametrize("processes", [False, True])
def test_the_first_error_is_raised_and_the_rest_is_dropped(tmp_path: Path, processes: bool) -> None:
    results = in_order(partial(_fail_at_seven, tmp_path), range(1000), workers=2, processes=processes)
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)
    assert len(list(tmp_path.iterdir())) < 30


@pytest.mark.parametrize("processes", [False, True])
def test_results_are_computed_only_a_few_ahead(tmp_path: Path, processes: bool) -> None:
    """A slow reader of the results does not make them pile up in memory."""
    results = in_order(partial(_touch, tmp_path), range(1000), workers=2, processes=processes)
    assert next(results) == 0
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) <= 12
    results.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) <= 12


def _touch(folder: Path, number: int) -> int:
    (folder / str(number)).touch()
    return number


def _torch_threads(_: int) -> int:
    import torch

    return torch.get_num_threads()


@pytest.mark.slow
def test_worker_processes_use_one_torch_thread() -> None:
    import torch

    before = torch.get_num_threads()
    assert set(in_order(_torch_threads, range(1200), workers=2, processes=True)) == {1}
    assert torch.get_num_threads() == before


def _name(number: int) -> tuple[int, str]:
    return os.getpid(), threading.current_thread().name


def test_few_items_are_done_by_threads_of_this_process() -> None:
    found = list(in_order(_name, range(20), workers=2, processes=True))
    assert {process for process, _ in found} == {os.getpid()}
    assert threading.current_thread().name not in {thread for _, thread in found}


class Counted:
    """A function that counts how often it is pickled."""

    pickled = 0

    def __call__(self, number: int) -> int:
        return number

    def __getstate__(self) -> dict[str, object]:
        Counted.pickled += 1
        return {}


def test_the_function_is_sent_once_per_worker_and_not_once_per_item() -> None:
    Counted.pickled = 0
    assert list(in_order(Counted(), range(1200), workers=2, processes=True)) == list(range(1200))
    assert 1 <= Counted.pickled <= 2


def test_results_may_be_dropped_in_a_thread_of_the_pool() -> None:
    """As the garbage collector does after an error, in whatever thread it runs."""
    errors, dropped, first_came = list[Exception](), threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            first_came.wait(10)
            try:
                results.close()
            except RuntimeError as error:
                errors.append(error)
            dropped.set()
        return number

    results = cast("Generator[int]", in_order(work, range(100), workers=1))
    assert next(results) == 0
    first_came.set()
    assert dropped.wait(10)
    assert errors == []
