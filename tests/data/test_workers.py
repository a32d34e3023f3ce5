"""Data workers: from a clean server, with small state, ending with their parent, with the errors of the files."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import torch

from benchmark.data import workers
from benchmark.data.audio import BadAudioError
from benchmark.data.audio_store import AudioStore
from benchmark.data.frontend import FrontEnd
from benchmark.data.loader import Clips, Loaded
from benchmark.data.manifest import Clip
from benchmark.data.order import TrainingOrder
from benchmark.data.worker_processes import WorkerContext
from benchmark.data.workers import _opened, _Queue, _Reader, _sendable, _Work
from benchmark.errors import MissingInputsError

ORPHAN = """
import time
from benchmark.data import worker_processes

worker_processes._server.set_forkserver_preload([])  # starts at once
worker = worker_processes.WorkerContext().Process(target=time.sleep, args=(600,))
worker.start()
print(worker.pid, flush=True)
worker.join()
"""


SHORT = """
from multiprocessing import util
from benchmark.data import worker_processes

worker_processes._server.set_forkserver_preload([])
print_folder = "from multiprocessing import util; print(util.get_temp_dir(), flush=True)"
worker = worker_processes.WorkerContext().Process(target=exec, args=(print_folder,))
worker.start()
worker.join()
print(worker.exitcode, util.get_temp_dir())
"""


@pytest.mark.parametrize("used_before", [False, True])
def test_a_long_path_of_temporary_files_is_no_obstacle(tmp_path: Path, used_before: bool) -> None:
    """Sockets of `multiprocessing` would be too long in it, in this process and in the workers."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(long)}
    code = "import multiprocessing.util as u; u.get_temp_dir()\n" * used_before + SHORT
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    in_worker, here = done.stdout.splitlines()
    assert here == f"0 {in_worker}"
    assert len(in_worker) < 70
    assert not Path(in_worker).exists()  # it is removed at the end


def test_batches_pass_where_there_is_no_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with 64 MB of /dev/shm."""
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", np.full(1600, 0.1 * number), 16000)
    every = [Clip.at(tmp_path, f"{number}.wav", (0,), place="test") for number in range(4)]
    clips = Clips(AudioStore(tmp_path, None, 128), every, 1, FrontEnd(128, 64, 0.0, 1.0, 0, 0, 0.0, noise=False))
    reader = _Reader(pickle.dumps(clips.audio))
    work = _Work(every, clips.truth, clips.front_end, ([0, 1], None), banks=True)
    monkeypatch.setattr(workers, "shared_memory", lambda: 10**12)
    shared = reader[work]
    assert workers._size(shared) > 2 * 64 * 128 * 4  # eight such batches need room beside the spare bytes
    monkeypatch.setattr(workers, "shared_memory", lambda: workers.SPARE_BYTES + 7 * workers._size(shared))
    assert isinstance(reader[work], bytes)
    monkeypatch.setattr(workers, "shared_memory", lambda: 64 * 10**6)
    sent = reader[work]
    assert isinstance(shared, Loaded)
    assert isinstance(sent, bytes)
    received = list(_opened([sent, shared]))
    assert all(torch.equal(one.raw.banks, shared.raw.banks) for one in received)
    assert all(torch.equal(one.targets, shared.targets) for one in received)


def test_a_worker_is_forked_from_a_process_with_one_thread_and_runs_no_main_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = types.ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    (tmp_path / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setitem(sys.modules, "__main__", script)
    context = WorkerContext()
    queue = context.Queue()
    process = context.Process(target=_look_around, args=(queue,))
    process.start()
    server, threads, preloaded = queue.get(timeout=120)
    process.join()
    assert process.exitcode == 0
    assert server != os.getpid()
    assert threads == 1
    assert preloaded
    assert not (tmp_path / "ran").exists()


def _look_around(queue: object) -> None:
    parent = os.getppid()
    threads = len(list(Path(f"/proc/{parent}/task").iterdir()))
    parents_modules = Path(f"/proc/{parent}/maps").read_text()
    queue.put((parent, threads, "libtorch" in parents_modules))  # type: ignore[attr-defined]


def test_killing_the_parent_leaves_neither_worker_nor_server() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    family = [worker, *psutil.Process(parent.pid).children(recursive=True)]
    time.sleep(0.5)  # the worker has begun
    assert worker.is_running()
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


def test_a_batch_takes_only_its_own_clips_along(tmp_path: Path) -> None:
    """However long the list of clips is, workers get a batch's part of it, with the same partners."""
    every = [Clip(f"{number}.wav", 1, (number % 10,)) for number in range(10_000)]
    clips = Clips(AudioStore(tmp_path, None, 128), every, 10, FrontEnd(128, 64, 0.0, 1.0, 0, 0, 0.0, noise=False))
    order = TrainingOrder(len(clips), 8, 0.5)
    order.set_epoch(1, 2)
    queue = _Queue()
    queue.items = ((clips, item) for item in order)
    for (positions, draws), work in zip(order, queue, strict=True):
        assert len(pickle.dumps(work)) < 10_000
        assert draws is not None
        local, moved = work.item
        assert moved is not None
        assert [work.clips[place] for place in local] == [every[position] for position in positions]
        assert work.truth[0, local].argmax(1).tolist() == [position % 10 for position in positions]
        mixed = draws.partner >= 0
        assert np.array_equal(mixed, moved.partner >= 0)
        assert [work.clips[place] for place in moved.partner[mixed]] == [every[i] for i in draws.partner[mixed]]


class TwoArguments(Exception):  # noqa: N818
    """Cannot be made from its message, as many exceptions of libraries."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def test_an_error_that_cannot_be_sent_keeps_its_line() -> None:
    assert str(_sendable(TwoArguments("a.wav", "is empty"))) == "TwoArguments: a.wav: is empty"
    for error in (OSError(28, "No space left on device"), KeyError("x"), torch.OutOfMemoryError("CUDA")):
        assert _sendable(error) is error


def test_the_suites_errors_can_be_sent() -> None:
    for error in (MissingInputsError(["a.wav", "b.wav"], "get them"), BadAudioError(Path("a.wav"), "is empty")):
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), str(copied), copied.__dict__) == (type(error), str(error), error.__dict__)
