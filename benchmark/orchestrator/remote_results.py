"""Trials on machines that do not see the results folder: their files travel through a keeper.

A worker finds out by a file that the driver puts into the results folder. Where it does not see it, the trial works in
a folder of its own machine; every epoch checkpoint goes to the keeper, an actor beside the driver, so that the trial
can go on elsewhere when the machine is lost; record, failed tries and log go there at the end, and the driver writes
them.
"""

from __future__ import annotations

import contextlib
import hashlib
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

Files = dict[str, bytes]


class Keeper:
    """An actor that holds files of trials by name, on the disk of the driver's machine, while the run lasts."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"{NAMESPACE}-"))
        self._stop = False

    def put(self, name: str, files: Files) -> None:
        """Keep files in place of those that have the name."""
        self.drop(name)
        for file, content in files.items():
            write_atomic(self._folder / name / file, content)

    def get(self, name: str) -> Files:
        """The files of that name; none where there are none."""
        return {path.name: path.read_bytes() for path in sorted((self._folder / name).glob("*"))}

    def drop(self, name: str) -> None:
        """Forget them."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def stop(self) -> None:
        """The user asked to stop."""
        self._stop = True

    def stopping(self) -> bool:
        """Whether the user asked to stop."""
        return self._stop

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True)
class Address:
    """How a worker tells whether it sees the results folder, and where its files go if not."""

    sign: Path
    keeper: str


class Gather(Callback):
    """Tune's callback on the driver: brings the results of such trials into the results folder.

    Args:
        store: the results folder.
        stopping: whether the user asked to stop.
        keeper: the actor's handle.
    """

    def __init__(self, store: ResultStore, stopping: Callable[[], bool], keeper: Any) -> None:
        self.store = store
        self.stopping = stopping
        self.keeper = keeper
        self._told = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks."""
        return {**self.__dict__, "keeper": None, "stopping": None}

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's hook: pass the wish to stop on."""
        if self.stopping() and not self._told:
            self._told = True
            self.keeper.stop.remote()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune's hook: the function returned."""
        self._fetch(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune's hook: given up."""
        self._fetch(trial.trial_id)

    def _fetch(self, trial_id: str) -> None:
        import ray

        files: Any = {}
        with contextlib.suppress(RayActorError):  # lost with its machine: the trial stays missing
            files = ray.get(self.keeper.get.remote(f"result-{trial_id}"))
        for name, content in files.items():
            if name.startswith("attempt-"):
                self.store.write_attempt(Attempt.model_validate_json(content))
        if log := files.get("log"):
            write_atomic(self.store.log_path(trial_id), log)
        if record := files.get("record.json"):
            self.store.put(record, files["record.npz"], files.get("record.safetensors"))
            self.keeper.drop.remote(f"checkpoint-{trial_id}")
        self.keeper.drop.remote(f"result-{trial_id}")


@contextmanager
def keeping(results: Path, sign: Path) -> Iterator[tuple[Address, Any]]:
    """Start a keeper beside the driver for a results folder, and put up the sign; yields its address and handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    address = Address(sign, keeper_name(results))
    write_atomic(sign, address.keeper.encode())
    beside = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor: Any = ray.remote(Keeper)
    keeper = actor.options(
        num_cpus=0, name=address.keeper, scheduling_strategy=beside, get_if_exists=True, max_restarts=-1
    ).remote()
    try:
        yield address, keeper
    finally:
        with contextlib.suppress(Exception):
            ray.get(keeper.close.remote(), timeout=10)
            ray.kill(keeper)


class Away:
    """A trial's folder on a machine that does not see the results folder.

    Args:
        request: the trial.
        address: of the keeper.
    """

    def __init__(self, request: TrialRequest, address: Address) -> None:
        import ray

        self.request = request
        self.keeper = ray.get_actor(address.keeper, namespace=NAMESPACE)
        self.store = ResultStore(Path(tempfile.gettempdir()) / address.keeper)
        self.stop = self.store.folder / f".stop-{request.id}"
        self._checkpoints = self.store.folder / "checkpoints" / request.id
        self._tries = set(self.store.attempts(request.id))

    @classmethod
    def of(cls, request: TrialRequest, address: Address | None) -> Away | None:
        """None where the results folder is seen."""
        if address is None:
            return None
        with contextlib.suppress(OSError):
            if address.sign.read_bytes() == address.keeper.encode():
                return None
        return cls(request, address)

    def fetch(self) -> None:
        """The checkpoint that the trial left on another machine."""
        import ray

        files: Any = ray.get(self.keeper.get.remote(f"checkpoint-{self.request.id}"))
        for name, content in files.items():
            write_atomic(self._checkpoints / name, content)

    def after_epoch(self) -> None:
        """Keep the checkpoint, and hear whether the user asked to stop."""
        import ray

        files = {path.name: path.read_bytes() for path in self._checkpoints.glob("last.ckpt")}
        if files:
            ray.get(self.keeper.put.remote(f"checkpoint-{self.request.id}", files))
        if ray.get(self.keeper.stopping.remote()):
            self.stop.touch()

    def send(self) -> None:
        """Give record, new failed tries and log to the keeper, and remove them here."""
        import ray

        self.after_epoch()
        record, log = self.store.record_path(self.request), self.store.log_path(self.request.id)
        result = {f"record{suffix}": record.with_suffix(suffix) for suffix in (".json", *BESIDE)}
        found = {**result, "log": log}
        tries = [path for path in self.store.attempts(self.request.id) if path not in self._tries]
        found |= {f"attempt-{number}": path for number, path in enumerate(tries)}
        files = {name: path.read_bytes() for name, path in found.items() if path.is_file()}
        if "record.json" not in files:
            files = {name: content for name, content in files.items() if name not in result}
        ray.get(self.keeper.put.remote(f"result-{self.request.id}", files))
        for path in [*result.values(), *tries, self.stop]:  # the log stays, for whoever looks there
            path.unlink(missing_ok=True)
        shutil.rmtree(self._checkpoints, ignore_errors=True)


def keeper_name(results: Path) -> str:
    """Name of the keeper of a results folder, and of the folder that its trials have on other machines."""
    return f"{NAMESPACE}-{hashlib.sha256(f'{socket.gethostname()}:{results}'.encode()).hexdigest()[:12]}"
