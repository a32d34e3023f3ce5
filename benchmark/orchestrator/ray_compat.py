"""Every use of Ray's private interfaces, each with the Ray version it was seen with and the reason.

When Ray is upgraded, check this file first. Nothing outside it may import a module of Ray whose name has an underscore.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ray.tune.experiment import Experiment, Trial
from ray.tune.logger import TBXLoggerCallback

MAX_QUEUE = 10_000  # values that wait to be written for TensorBoard
RAYLET = "raylet"
AGENT_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
PORTS = range(20_000, 32_768)  # above the ports of Ray's workers, below those that Linux gives to connections
START_SECONDS = 180  # for the daemons of a Ray that is started on a busy machine

logger = logging.getLogger(__name__)


def make_tune_trial(experiment: Experiment, trial_id: str, name: str, config: dict[str, Any]) -> Trial:
    """Make a Tune trial with our own id and name. Ray 2.60.

    Tune's public search algorithms cannot set ids. `grid_search` over a list of configurations takes 1.3 times as long
    and loses the order.

    Args:
        experiment: what Tune passes to `SearchAlgorithm.add_configurations`.
        trial_id: id of the trial.
        name: readable name.
        config: what the trainable receives.
    """
    from ray.tune.experiment.config_parser import _create_trial_from_spec, _make_parser

    spec = {**experiment.spec, "config": config}
    trial: Trial = _create_trial_from_spec(spec, _make_parser(), trial_id=trial_id, experiment_tag=trial_id)
    trial.custom_trial_name = name
    return trial


def treat_task_errors_as_dead_actors() -> None:
    """Make Tune repeat a trial whose task failed with any error of Ray. Ray 2.60.

    Tune handles two kinds of errors. Any other, such as the kill of a worker by a cluster's memory monitor, ends the
    whole experiment.
    """
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import RayActorError, RayError, RayTaskError

    original = RayActorManager._actor_task_failed
    if getattr(original, "handles_all_errors", False):
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, (RayActorError, RayTaskError)):
            logger.warning("Ray: %s: the trial is attempted again", type(exception).__name__)
            exception = RayActorError(error_msg=str(exception))
        original(self, tracked_actor_task=tracked_actor_task, exception=exception)

    failed.handles_all_errors = True  # type: ignore[attr-defined]
    RayActorManager._actor_task_failed = failed  # type: ignore[method-assign]


def recover_trials_of_lost_actors() -> None:
    """Make Tune start a trial again whose reused actor is lost before it begins. Ray 2.60.

    `RayActorManager._actor_task_failed` reports one error object twice: as an error of the actor and of its task. A
    trial that waits for the first answer of a reused actor then has two failures. The second one finds the trial
    pending, and ends it for good. Besides, Tune goes on to believe that the actor is being reset for the trial, and
    would never give it another one.
    """
    from ray.tune.execution.tune_controller import TuneController

    original = TuneController._process_trial_failure
    if getattr(original, "recovers_trials", False):
        return

    def process(self: Any, trial: Trial, exception: Any) -> None:
        counted: set[str] = exception.__dict__.setdefault("counted_for_trials", set())
        if trial.trial_id in counted:
            logger.debug("Ray: %s of %s is counted already", type(exception).__name__, trial.trial_id)
            return
        counted.add(trial.trial_id)
        self._resetting_trials.discard(trial)
        original(self, trial, exception)

    process.recovers_trials = True  # type: ignore[attr-defined]
    TuneController._process_trial_failure = process  # type: ignore[method-assign]


def write_daemon_output_to(log: Path) -> None:
    """Write what Ray's daemons and workers print into a file instead of the terminal. Ray 2.60.

    Ray prints it by a module function, which has no option for another place.
    """
    from ray._private import worker

    log.parent.mkdir(parents=True, exist_ok=True)

    def to_file(data: dict[str, Any], *_: Any, **__: Any) -> None:
        with log.open("a") as handle:
            handle.writelines(f"{time.strftime('%F %T')} {data.get('pid')} {line}\n" for line in data["lines"])

    worker.print_to_stdstream = to_file


@contextmanager
def patient_start() -> Iterator[None]:
    """Let a Ray that is started in this context come up on a busy machine, too. Ray 2.60.

    The raylet waits 15 s for its agents (two Python programs) to say which ports they took, and ends itself then; no
    setting changes that. It does not wait where it finds the ports. The driver waits 30 s for the raylet, in a loop
    around `get_node`, which has no setting either.
    """
    from ray._private import node, services

    nodes: Any = node  # without types
    start_raylet, get_node = nodes.Node.start_raylet, services.get_node
    started: list[Any] = []

    def with_ports(self: Any, *args: Any, **options: Any) -> None:
        ports = dict(zip(AGENT_PORTS, _free_ports(len(AGENT_PORTS)), strict=True))
        self._ray_params.update(**ports)
        for name, port in ports.items():  # as the agents do when they have taken them
            (Path(self._session_dir) / nodes.get_port_filename(self._node_id, name)).write_text(str(port))
        start_raylet(self, *args, **options)
        started.extend(self.all_processes[RAYLET])

    def wait_for_node(*args: Any) -> Any:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                return get_node(*args)  # type: ignore[no-untyped-call]
            except RuntimeError:
                if any(each.process.poll() is not None for each in started):
                    raise ChildProcessError("the raylet ended while it started") from None
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    nodes.Node.start_raylet, services.get_node = with_ports, wait_for_node
    try:
        yield
    finally:
        nodes.Node.start_raylet, services.get_node = start_raylet, get_node


def _free_ports(number: int) -> list[int]:
    """Return ports that nothing listens on. They are all held until the last one is found."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < number:
            port = random.choice(PORTS)
            try:
                stack.enter_context(socket.create_server(("", port)))
            except OSError:
                continue
            found.append(port)
    return found


class TensorBoardFolders(TBXLoggerCallback):
    """Ray's TensorBoard callback with our own folders. Ray 2.60.

    The public callback writes into Tune's trial folders, which are deleted after the run. Its writers are private.
    """

    def open_writer(self, trial: Trial, folder: Path) -> None:
        """Write the curves of a trial into a folder."""
        # A full queue blocks for ever once its thread is dead: it has room for all values of one result.
        self._trial_writer[trial] = self._summary_writer_cls(str(folder), flush_secs=30, max_queue=MAX_QUEUE)
        self._trial_result[trial] = {}

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write the values of a result (called by Tune).

        Raises:
            OSError: the file cannot be written any more; the thread that writes it has ended.
        """
        writer = self._trial_writer.get(trial)
        if writer and not writer.file_writer.event_writer._worker.is_alive():
            raise OSError(f"{writer.logdir}: the curves for TensorBoard cannot be written")
        super().log_trial_result(iteration, trial, result)

    def close_writer(self, trial: Trial) -> None:
        """End the file of a trial, without Ray's table of hyper-parameters: the records hold them."""
        if writer := self._trial_writer.pop(trial, None):
            events = writer.file_writer.event_writer
            try:
                writer.close()
            except OSError:
                events._closed = True  # otherwise it tries again when Python ends, and prints a traceback
                raise
