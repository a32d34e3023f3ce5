"""Work on many files with all cores."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[str, int, int], None]  # what is done, how many of how many

WORTH_PROCESSES = 256  # items: fewer are done before processes have started
_work: Callable[[Any], Any] | None = None  # of a worker process


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    *,
    processes: bool = False,
) -> Iterator[Result]:
    """Results in the order of the items, computed ahead by a few, so that results never pile up in memory.

    Args:
        function: what to do; for processes it can be pickled, and is so once for each.
        items: what to do it with.
        workers: at once; all cores by default.
        processes: use processes where there are many items. Decoding does not run in several threads at once.

    Raises:
        Exception: the first one that `function` raises; what was not started by then is dropped.
    """
    workers = workers or usable_cores()
    pool: Executor
    work: Callable[[Item], Result]
    if processes and workers > 1 and len(items) >= WORTH_PROCESSES:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        pool, work = ProcessPoolExecutor(workers, context, _start, (function, os.getpid())), _do
    else:
        pool, work = ThreadPoolExecutor(workers), function
    waiting: deque[Future[Result]] = deque()
    with pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _start(function: Callable[[Any], Any], parent: int) -> None:
    """In a worker process: take the work, and end with the parent, however that ends."""
    global _work  # noqa: PLW0603
    _work = function
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # every core has an item of its own already

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do(item: Any) -> Any:
    assert _work is not None
    return _work(item)
