"""Processes for data workers: forked from a clean server process, so that start is quick and no thread is copied.

The standard start methods do not fit. `fork` copies a process that has threads, and their locks may be held for ever.
`spawn` and `forkserver` run the caller's script again, and `spawn` imports torch once per worker.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context, forkserver, popen_forkserver, reduction, spawn, util
from pathlib import Path
from typing import Any
from unittest import mock

from benchmark.data.parallel import ONE_THREAD
from benchmark.temporary import is_too_long, socket_folder

PRELOADED = ["benchmark.data.workers"]  # imported once by the server; workers share its memory
SOCKET = "pymp-00000000/listener-00000000"  # of `multiprocessing` in the folder of temporary files
MAIN = ("init_main_from_name", "init_main_from_path")  # orders to run the caller's main module


class _Popen(popen_forkserver.Popen):
    """Start a worker through our own server, without the caller's main module."""

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        """Do what the base class does, with another server and without `MAIN`."""
        preparation: dict[str, Any] = spawn.get_preparation_data(process_obj._name)
        content = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump({key: value for key, value in preparation.items() if key not in MAIN}, content)
            reduction.dump(process_obj, content)
        finally:
            context.set_spawning_popen(None)
        start_server()
        self.sentinel, writer = _server.connect_to_new_process(self._fds)
        parent = os.dup(writer)  # closes when this process ends; the worker waits for that
        self.finalizer = util.Finalize(self, _close, (parent, self.sentinel))
        with open(writer, "wb", closefd=True) as file:  # noqa: PTH123 - a file descriptor
            file.write(content.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class _Process(context.ForkServerProcess):
    """A process that ends with the process that asked for it."""

    def run(self) -> None:
        _end_with_parent()
        super().run()

    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802 - the base class's name
        return _Popen(process_obj)


class WorkerContext(context.ForkServerContext):
    """A context of `multiprocessing` whose processes come from our server."""

    Process = _Process

    def __init__(self) -> None:
        super().__init__()
        _shorten_sockets()  # a process takes over where sockets are when it is made


# The process-wide server of `multiprocessing` belongs to the caller, who may preload other modules.
_server = forkserver.ForkServer()
_server.set_forkserver_preload(PRELOADED)
_starting = threading.Lock()


def start_server() -> None:
    """Start the server if it does not run. It imports torch in the background; the first worker waits for that."""
    with _starting, _environment():
        _shorten_sockets()
        _server.ensure_running()


def _shorten_sockets() -> None:
    """Let `multiprocessing` use a folder with a short path where that of temporary files is too long for sockets."""
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    usual = Path(config["tempdir"]).parent if "tempdir" in config else Path(tempfile.gettempdir())
    if is_too_long(usual / SOCKET):
        short = socket_folder(usual, SOCKET, room=0)
        short.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.pop("tempdir", None)
        with mock.patch.object(tempfile, "tempdir", str(short)):
            util.get_temp_dir()  # made here, and removed when this process ends


@contextmanager
def _environment() -> Iterator[None]:
    """Let a process that starts inside find our modules, and start no threads for arithmetic."""
    search = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    values = {**ONE_THREAD, "PYTHONPATH": search}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """End this process as soon as the process that asked for it ends, even if that is killed.

    torch watches a worker's parent, which is the server here; and the server lives as long as its workers.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
