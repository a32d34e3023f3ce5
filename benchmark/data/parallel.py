"""Run a function on many items with all cores."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from benchmark import cgroups

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_PROCESSES = 1000  # with fewer items, threads finish before processes have started, which takes some seconds
AHEAD = 4  # items per worker that are computed before their result is used
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
logger = logging.getLogger(__name__)
_function: Callable[[Any], Any] | None = None  # set in worker processes only


def usable_cores() -> int:
    """Return the number of whole cores that this process may use: those of the machine or of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(cores, cgroups.core_limit() or cores)))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads inside the context; the caller's own setting comes back after it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None = None,
    *,
    processes: bool = False,
    enough: int | None = None,
) -> Iterator[Result]:
    """Yield the function's results in the order of the items.

    Only a few results are computed ahead of the caller, so they never fill the memory. Worker processes do not import
    the caller's main module: scripts need no `if __name__ == "__main__"`, and notebooks work.

    Args:
        function: what to call with each item. For processes it must be picklable; it is sent once to each of them.
        items: arguments of the calls.
        workers: number of threads or processes; None for all cores.
        processes: use processes if there are many items. Decoding audio does not run in several threads at once.
        enough: number of items for which processes are worth their start; None is right for clips to decode.

    Raises:
        Exception: the first one that `function` raises. Items that were not started by then are dropped.
    """
    workers = workers or usable_cores()
    pool: Executor
    call: Callable[[Item], Result]
    if processes and workers > 1 and len(items) >= (enough or WORTH_PROCESSES):
        pool, call, kind = _process_pool(function, workers), _call, "processes"
    else:
        pool, call, kind = ThreadPoolExecutor(workers), function, "threads"
    logger.debug("%d items in %d %s", len(items), workers, kind)
    running: deque[Future[Result]] = deque()
    # joblib.Parallel would be shorter, but it does not wait for the caller: its results pile up in memory
    caller = threading.get_ident()
    try:
        for item in items:
            running.append(pool.submit(call, item))
            if len(running) > AHEAD * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
        # the garbage collector may drop this generator in a thread of the pool, which cannot wait for itself
        pool.shutdown(wait=threading.get_ident() == caller)


def _process_pool(function: Callable[[Any], Any], workers: int) -> Executor:
    """Create processes that hold the function and use one thread each.

    The standard library's pool is of no use here: a forked process may hang if the parent has threads, and a spawned
    one runs the caller's script again.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    pool: Executor = ProcessPoolExecutor(workers, initializer=_start, initargs=(function, os.getpid()), env=ONE_THREAD)
    return pool


def _start(function: Callable[[Any], Any], parent: int) -> None:
    """Keep the function in this worker process, which ends when its parent ends."""
    global _function  # noqa: PLW0603
    _function = function
    end_with(parent)


def end_with(parent: int) -> None:
    """End this process when its parent ends, even if the parent is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _call(item: Any) -> Any:
    assert _function is not None
    return _function(item)
