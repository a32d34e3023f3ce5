"""Child processes that measure training steps: they receive and answer pickled objects, on stdin and stdout."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmark.data.parallel import end_with


def start_child(module: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a module of this suite as a process.

    `multiprocessing` would import the caller's `__main__` again, which fails in scripts without a `__main__` guard.

    Args:
        module: its full name.
        variables: environment variables to add.
    """
    # the child finds the modules that this process finds; an empty entry is the current folder
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths, **(variables or {})},
        process_group=0,  # Ctrl-C reaches the caller alone, which ends the child
    )


@contextmanager
def answering() -> Iterator[Callable[[object], None]]:
    """In a child: yield a function that sends an answer. What a method prints goes to stderr, not between answers.

    The child ends when its parent ends, even if the parent is killed.
    """
    end_with(os.getppid())
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(content: object) -> None:
        try:
            pickle.dump(content, stream)
            stream.flush()
        except BrokenPipeError:  # the parent has ended
            os._exit(1)

    with stream:
        yield answer
