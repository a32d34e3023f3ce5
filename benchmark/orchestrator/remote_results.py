"""Bring results of machines that do not see the results folder into it.

The driver writes a marker file into the results folder. A worker that cannot read it uses a folder of its own machine.
After every epoch it sends the resume state to a relay, an actor on the driver's machine, so that another machine can
continue the trial. At its end it sends record, new failed attempts and log, and the driver writes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError
from ray.tune import Callback

from benchmark.files import write_atomic
from benchmark.orchestrator.ray_session import NAMESPACE
from benchmark.records.schema import Attempt
from benchmark.records.store import BESIDE, ResultStore
from benchmark.spec.request import TrialRequest
from benchmark.trial.resume import LAST, ResumeFiles

Files = dict[str, bytes]

logger = logging.getLogger(__name__)


class FileRelay:
    """An actor that stores files of trials on the disk of the driver's machine while the run lasts."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"{NAMESPACE}-"))
        self._stop = False

    def put(self, name: str, files: Files) -> None:
        """Store files under a name, in place of those stored before."""
        self.drop(name)
        for file, content in files.items():
            write_atomic(self._folder / name / file, content)

    def get(self, name: str) -> Files:
        """Return the files under a name; empty if there are none."""
        return {path.name: path.read_bytes() for path in sorted((self._folder / name).glob("*"))}

    def drop(self, name: str) -> None:
        """Delete the files under a name."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def stop(self) -> None:
        """Remember that the user asked to stop."""
        self._stop = True

    def stopping(self) -> bool:
        """Return True when the user asked to stop."""
        return self._stop

    def close(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True)
class RelayAddress:
    """How a worker finds out whether it sees the results folder, and where its files go if not.

    Attributes:
        marker: file that the driver writes into the results folder; it contains the actor's name.
        actor: name of the relay's actor.
    """

    marker: Path
    actor: str


def _resume_name(trial_id: str) -> str:
    return f"resume-{trial_id}"


def _result_name(trial_id: str) -> str:
    return f"result-{trial_id}"


class CollectResults(Callback):
    """Tune's callback on the driver that writes results from the relay into the results folder.

    Args:
        store: the results folder.
        stopping: returns True when the user asked to stop.
        relay: handle of the actor.
    """

    def __init__(self, store: ResultStore, stopping: Callable[[], bool], relay: Any) -> None:
        self.store = store
        self.stopping = stopping
        self.relay = relay
        self._stop_sent = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot be pickled: Tune pickles its callbacks."""
        return {**self.__dict__, "relay": None, "stopping": None}

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Pass the wish to stop on to the workers (called by Tune)."""
        if self.stopping() and not self._stop_sent:
            self._stop_sent = True
            self.relay.stop.remote()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Collect the results of a trial that ended (called by Tune)."""
        self._collect(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Collect the results of a trial that failed too often (called by Tune)."""
        self._collect(trial.trial_id)

    def _collect(self, trial_id: str) -> None:
        import ray

        try:
            files: Any = ray.get(self.relay.get.remote(_result_name(trial_id)))
        except RayActorError:
            logger.warning("%s: the relay of results was lost; the trial has no record", trial_id)
            return
        write_results(self.store, trial_id, files)
        if "record.json" in files:
            self.relay.drop.remote(_resume_name(trial_id))
        self.relay.drop.remote(_result_name(trial_id))


def write_results(store: ResultStore, trial_id: str, files: Files) -> None:
    """Write what a worker sent into a results folder.

    Args:
        store: the results folder.
        trial_id: id of the trial.
        files: contents by name, see `RemoteWorkspace.send_results`.
    """
    for name, content in files.items():
        if name.startswith("attempt-"):
            store.write_attempt(Attempt.model_validate_json(content))
    if log := files.get("log"):
        write_atomic(store.log_path(trial_id), log)
    if record := files.get("record.json"):
        store.put(record, files["record.npz"], files.get("record.safetensors"))
    logger.debug("%s: collected %s", trial_id, ", ".join(files) or "nothing")


@contextmanager
def file_relay(results: Path, marker: Path) -> Iterator[tuple[RelayAddress, Any]]:
    """Start a relay on the driver's machine and write the marker; yield the relay's address and handle.

    Args:
        results: the results folder.
        marker: a file in it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    address = RelayAddress(marker, relay_name(results))
    write_atomic(marker, address.actor.encode())
    on_this_machine = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor: Any = ray.remote(FileRelay)
    relay = actor.options(
        num_cpus=0, name=address.actor, scheduling_strategy=on_this_machine, get_if_exists=True, max_restarts=-1
    ).remote()
    try:
        yield address, relay
    finally:
        with contextlib.suppress(Exception):  # Ray may be gone already
            ray.get(relay.close.remote(), timeout=10)
            ray.kill(relay)


class RemoteWorkspace:
    """Folder of a trial on a machine that does not see the results folder.

    Args:
        request: the trial.
        address: address of the relay.
    """

    def __init__(self, request: TrialRequest, address: RelayAddress) -> None:
        import ray

        self.request = request
        self.relay = ray.get_actor(address.actor, namespace=NAMESPACE)
        self.store = ResultStore(Path(tempfile.gettempdir()) / address.actor)
        self.stop = self.store.folder / f".stop-{request.id}"
        self._resume = ResumeFiles.of(self.store.folder, request.id)
        self._old_attempts = set(self.store.attempts(request.id))

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
        import ray

        files: Any = ray.get(self.relay.get.remote(_resume_name(self.request.id)))
        for name, content in files.items():
            write_atomic(self._resume.folder / name, content)

    def after_epoch(self) -> None:
        """Send the resume state, and ask whether the user wants to stop."""
        import ray

        if self._resume.last.is_file():
            files = {LAST: self._resume.last.read_bytes()}
            ray.get(self.relay.put.remote(_resume_name(self.request.id), files))
        if ray.get(self.relay.stopping.remote()):
            self.stop.touch()

    def send_results(self) -> None:
        """Send record, new failed attempts and log to the relay, and delete them here."""
        import ray

        self.after_epoch()
        record, log = self.store.record_path(self.request), self.store.log_path(self.request.id)
        result = {f"record{suffix}": record.with_suffix(suffix) for suffix in (".json", *BESIDE)}
        attempts = [path for path in self.store.attempts(self.request.id) if path not in self._old_attempts]
        paths = {**result, "log": log, **{f"attempt-{number}": path for number, path in enumerate(attempts)}}
        files = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
        if "record.json" not in files:  # predictions without a record are of no use
            files = {name: content for name, content in files.items() if not name.startswith("record.")}
        ray.get(self.relay.put.remote(_result_name(self.request.id), files))
        for path in [*result.values(), *attempts, self.stop]:  # the log stays for people who look on this machine
            path.unlink(missing_ok=True)
        self._resume.remove()


def relay_name(results: Path) -> str:
    """Return the name of a results folder's relay, and of the folder that its trials have on other machines."""
    return f"{NAMESPACE}-{hashlib.sha256(f'{socket.gethostname()}:{results}'.encode()).hexdigest()[:12]}"
