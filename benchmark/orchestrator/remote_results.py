"""Bring results of machines that do not see the results folder into it.

The driver writes a marker file into the results folder. A worker that cannot read it uses a folder of its own machine.
After an epoch it sends a new resume state to a relay, an actor on the driver's machine, so that another machine can
continue the trial. At its end it sends record, new failed attempts and log. The relay writes them into the run's
scratch folder, from which the driver takes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError, RayError
from ray.tune import Callback

from benchmark.errors import BenchmarkError, first_line
from benchmark.files import write_atomic
from benchmark.orchestrator.ray_session import NAMESPACE
from benchmark.orchestrator.relay_files import LOG, RECORD, FileRelay, write_results
from benchmark.records.store import BESIDE, ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.resume import DIGEST_BYTES, ResumeFiles

PATIENCE_SECONDS = 60.0  # for a relay that does not answer
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class ResultNotSentError(Exception):
    """A trial ended on another machine, and its result did not reach the driver's machine."""


@dataclass(frozen=True)
class RelayAddress:
    """How a worker finds out whether it sees the results folder, and where its files go if not.

    Attributes:
        marker: file that the driver writes into the results folder; it contains the actor's name.
        actor: name of the relay's actor, another one for every run.
        folder: name of the folder for trials on other machines, the same for every run with this results folder.
    """

    marker: Path
    actor: str
    folder: str


class CollectResults(Callback):
    """Tune's callback on the driver that writes results from the relay into the results folder.

    Its hooks raise where a result cannot be used or written: see `Guarded`.

    Args:
        store: the results folder.
        relay: the driver's instance of the relay.
    """

    def __init__(self, store: ResultStore, relay: FileRelay) -> None:
        self.store = store
        self.relay = relay

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Collect the results of a trial that ended (called by Tune)."""
        self._collect(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Collect the results of a trial that failed too often (called by Tune)."""
        self._collect(trial.trial_id)

    def _collect(self, trial_id: str) -> None:
        try:
            files = self.relay.result(trial_id)
            write_results(self.store, trial_id, files)
            if RECORD in files:
                ResumeFiles.of(self.store.folder, trial_id).remove()
        finally:
            self.relay.drop_result(trial_id)


@contextmanager
def file_relay(results: Path, scratch: Path, stop: Path) -> Iterator[tuple[RelayAddress, FileRelay]]:
    """Start a relay on the driver's machine and write the marker; yield the address and the driver's instance.

    Args:
        results: the results folder.
        scratch: folder of this run in it, which is deleted after the run.
        stop: file whose presence asks trials to stop.

    Raises:
        BenchmarkError: the relay does not start.
    """
    import ray

    folder = relay_name(results)
    address = RelayAddress(scratch / "here", f"{folder}-{uuid.uuid4().hex}", folder)
    write_atomic(address.marker, address.actor.encode())
    folders = (results, scratch / "inbox", stop)
    relay = _start_relay(address.actor, folders)
    try:
        yield address, FileRelay(*folders)
    finally:
        with contextlib.suppress(Exception):  # Ray may be gone already
            ray.kill(relay)


def _start_relay(name: str, folders: tuple[Path, Path, Path]) -> Any:
    """Return the handle of a relay that is running on the driver's machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Soft affinity puts it on any machine while the scheduler does not know this one yet, as Ray chooses a random
    # machine to ask for an actor without resources. One byte of memory makes it ask this one.
    on_this_machine = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(FileRelay)
    relay = actor.options(num_cpus=0, memory=1, name=name, scheduling_strategy=on_this_machine, max_restarts=-1).remote(
        *folders
    )
    try:
        call_relay(relay.stopping)
    except RayError as error:
        raise BenchmarkError(
            f"Ray: the relay of results does not start ({_line(error)}); start a Ray node with `ray start` "
            "on the machine of this command, as the same user"
        ) from None
    return relay


def call_relay(method: Any, *args: Any) -> Any:
    """Call a method of the relay and return its answer; wait up to a minute while the relay is not available.

    Args:
        method: method of the actor's handle.
        args: its arguments.

    Raises:
        RayActorError: the relay did not come back.
        RayError: the method raised an error.
    """
    import ray

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ray.get(method.remote(*args))
        except RayActorError as error:
            if time.monotonic() >= deadline:
                raise
            logger.info("the relay of results does not answer (%s); asking again", type(error).__name__)
            time.sleep(RETRY_SECONDS)


class RemoteWorkspace:
    """Folder of a trial on a machine that does not see the results folder.

    Args:
        request: the trial.
        address: address of the relay.
    """

    def __init__(self, request: TrialRequest, address: RelayAddress) -> None:
        import ray

        self.request = request
        self.relay: Any = ray.get_actor(address.actor, namespace=NAMESPACE)
        self.store = ResultStore(Path(tempfile.gettempdir()) / address.folder)
        self.stop = self.store.folder / f".stop-{request.id}"
        self.stop.unlink(missing_ok=True)  # of a process that was killed in an earlier run
        self._resume = ResumeFiles.of(self.store.folder, request.id)
        self._sent: bytes | None = None  # digest of the state that the driver's machine has

    @classmethod
    def if_needed(cls, request: TrialRequest, address: RelayAddress | None) -> RemoteWorkspace | None:
        """Return a workspace if this machine does not see the results folder, else None."""
        if address is None:
            return None
        with contextlib.suppress(OSError):
            if address.marker.read_bytes() == address.actor.encode():
                return None
        logger.info("%s: the results folder is not visible here; files go through the relay", request.label)
        return cls(request, address)

    def fetch_resume_state(self) -> None:
        """Fetch the resume state that the trial left on another machine."""
        if content := call_relay(self.relay.resume_state, self.request.id):
            write_atomic(self._resume.last, content)
            self._sent = content[:DIGEST_BYTES]

    def after_epoch(self) -> None:
        """Send a new resume state, and ask whether the user wants to stop. The trial goes on where this fails."""
        try:
            self._send_resume_state()
            if call_relay(self.relay.stopping):
                self.stop.touch()
        except (RayError, OSError) as error:
            logger.warning("%s: the resume state was not sent: %s", self.request.label, _line(error))

    def _send_resume_state(self) -> None:
        """Send the resume state if it is not the one that was sent last."""
        if not self._resume.last.is_file():
            return
        with self._resume.last.open("rb") as state:  # a thread may replace the file meanwhile
            digest = state.read(DIGEST_BYTES)
            if digest != self._sent:
                state.seek(0)
                call_relay(self.relay.put_resume_state, self.request.id, state.read())
                self._sent = digest

    def send_result(self) -> None:
        """Send record, failed attempts and log to the relay, and delete them here.

        Raises:
            ResultNotSentError: they stay here; the next attempt on this machine sends them.
        """
        self.after_epoch()
        record, log = self.store.record_path(self.request), self.store.log_path(self.request.id)
        result = {f"record{suffix}": record.with_suffix(suffix) for suffix in (".json", *BESIDE)}
        # An attempt that was not sent is of a process that died after it wrote it.
        attempts = self.store.attempts(self.request.id)
        paths = {**result, LOG: log, **{f"attempt-{number}": path for number, path in enumerate(attempts)}}
        try:
            files = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
            if RECORD not in files:  # predictions without a record are of no use
                files = {name: content for name, content in files.items() if not name.startswith("record.")}
            call_relay(self.relay.put_result, self.request.id, files)
        except (RayError, OSError) as error:
            raise ResultNotSentError(f"its result did not reach the driver's machine: {_line(error)}") from None
        for path in [*result.values(), *attempts, self.stop]:  # the log stays for people who look on this machine
            path.unlink(missing_ok=True)
        self._resume.remove()


def _line(error: Exception) -> str:
    """Return one line about an error; that of the relay's method is inside one of Ray."""
    return first_line(getattr(error, "cause", None) or error)


def relay_name(results: Path) -> str:
    """Return the name of the folder that a results folder's trials have on other machines."""
    return f"{NAMESPACE}-{hashlib.sha256(f'{socket.gethostname()}:{results}'.encode()).hexdigest()[:12]}"
