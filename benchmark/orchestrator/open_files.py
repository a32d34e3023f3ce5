"""How many files a process may have open: Ray's daemons hold connections to every worker."""

from __future__ import annotations

import logging
import resource

from benchmark.errors import BenchmarkError

OPEN_FILES, PER_CORE = 56, 4  # of Ray 2.60: measured are 45 without workers, and 3.5 for each
WANTED = 4096

logger = logging.getLogger(__name__)


def allow_open_files(cores: int) -> None:
    """Raise the limit of open files, for this process and those that it starts, as far as the system allows.

    Args:
        cores: cores that Ray may use, each with a worker.

    Raises:
        BenchmarkError: the limit is too low for this number of workers; Ray's daemons would die.
    """
    needed = OPEN_FILES + PER_CORE * cores
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= max(needed, WANTED):
        return
    most = max(needed, WANTED) if hard == resource.RLIM_INFINITY else min(max(needed, WANTED), hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        logger.info("limit of open files: %d instead of %d", most, soft)
    if most < needed:
        fewer = (most - OPEN_FILES) // PER_CORE
        advice = f", or use fewer cores (--cpus {fewer})" if fewer > 0 else ""
        raise BenchmarkError(
            f"a process may open {most} files, but Ray needs about {needed} with {cores} cores: raise the limit "
            f"(ulimit -n {WANTED}){advice}"
        )
