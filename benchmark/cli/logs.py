"""Log messages of the command line."""

from __future__ import annotations

import logging
import os
import sys

from benchmark.console import printable
from benchmark.errors import BenchmarkError, closest

VARIABLE = "AAT_BENCHMARK_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class StderrHandler(logging.Handler):
    """Writes log messages to what is `sys.stderr` at that moment: a live display replaces it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        try:
            print(printable(self.format(record), keep_lines=True), file=sys.stderr)
        except Exception:  # as every handler of `logging`: a message that cannot be written stops nothing
            self.handleError(record)


def configure_logging(verbosity: int) -> None:
    """Show log messages of this suite on stderr.

    Args:
        verbosity: 0 for what AAT_BENCHMARK_LOG says, or else warnings; 1 for info; 2 and more for debug.

    Raises:
        BenchmarkError: AAT_BENCHMARK_LOG is not a level.
    """
    name = os.environ.get(VARIABLE) or "warning"
    if name.lower() not in LEVELS:
        raise BenchmarkError(f"{VARIABLE}={name}: unknown level{closest(name, LEVELS)}")
    level = LEVELS[name.lower()]
    if verbosity:
        level = logging.INFO if verbosity == 1 else logging.DEBUG
    handler = StderrHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    logger = logging.getLogger("benchmark")
    logger.setLevel(level)
    logger.addHandler(handler)
    logger.propagate = False  # another library may give the root logger a handler, which would repeat the messages
