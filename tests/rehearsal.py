"""Rehearse the paper's grid from data to verdicts, without the data: every command, at full scale, with short audio.

    python tests/rehearsal.py --folder DIR                      # all 912 trials
    python tests/rehearsal.py --folder DIR -- --shard 1/24      # about 38 of them, over all datasets and methods

Writes the six datasets in their official layouts with the official number of clips (noise of 0.1 s), and checkpoints
of full size in the official formats (random weights). Then runs the commands of docs/how-to/paper-checklist.md on
them. The run is stopped once by Ctrl-C and once by SIGKILL, and continued. At last made-up records of all 912 trials
are judged and reported. Prints time, processor time, memory and disk of every step; the exit code is 1 when a command
ends with another code than expected, or a finished trial is lost or run again.

Trials train one epoch on two clips of each split, with inputs of 128 frames: at the recipes' own length, GTZAN alone
takes a CPU more than an hour. Options after `--` go to `run`. DIR needs 5 GB; data and checkpoints in it are kept for
another call.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmark.cli.claims import UNEXPECTED
from benchmark.cli.run import INTERRUPTED
from benchmark.data.dataset import SYNTHETIC_MARKER
from benchmark.data.datasets.urbansound8k import FORMATS
from benchmark.records.store import ResultStore
from benchmark.spec.backbone import SHAPES, Shape, load_backbone
from benchmark.units import data_size, duration
from tests.chaos import leftovers
from tests.checkpoints import Tensors, official_ast, official_ssast
from tests.data import official_trees
from tests.data.official_audio import Format, fill_with_audio
from tests.paper_records import write_paper_records

TRIALS = 912
LOOK_SECONDS = 1.0
# what makes a trial short: two clips of each split, one epoch, and one second of each clip
SHORT = [
    "--limit-clips",
    "2",
    *("--set", "recipe.epochs=1"),
    *("--set", "recipe.frames=128", "--set", "recipe.time_mask=24"),
]
PARTS = ("inputs", "run", "judge")

# by dataset: the function that writes its layout, and the formats of its files
TREES: dict[str, tuple[Callable[..., None], Sequence[Format]]] = {
    "esc50": (official_trees.write_esc50, [(44_100, "PCM_16", 1)]),
    "urbansound8k": (official_trees.write_urbansound8k, FORMATS),
    "speech_commands_v1": (functools.partial(official_trees.write_speech_commands, version=1), [(16_000, "PCM_16", 1)]),
    "speech_commands_v2": (functools.partial(official_trees.write_speech_commands, version=2), [(16_000, "PCM_16", 1)]),
    "gtzan": (official_trees.write_gtzan, [(22_050, "PCM_16", 1)]),
    "openmic": (official_trees.write_openmic, [(44_100, "VORBIS", 1)]),
}
CHECKPOINTS: dict[str, Callable[[Shape], Tensors]] = {"ast": official_ast, "ssast": official_ssast}


@dataclass
class Step:
    """What one step took.

    Attributes:
        name: command, or what was written.
        seconds: wall-clock time.
        busy: seconds of processors, of the process and its children.
        memory: most memory of the process and its children at one time, in bytes; shared pages count once.
        disk: bytes that it added.
    """

    name: str
    seconds: float = 0.0
    busy: float = 0.0
    memory: int = 0
    disk: int = 0

    def __str__(self) -> str:
        cells = (self.name, duration(self.seconds), duration(self.busy), data_size(self.memory), data_size(self.disk))
        return f"| {' | '.join(cells)} |"


@dataclass
class Rehearsal:
    """The folder of a rehearsal, and the steps that were done.

    Attributes:
        folder: holds data, checkpoints, and what the commands write.
        selection: options of `run` that choose trials.
        steps: done so far.
        faults: what was not as expected.
        finished: when each record was written, in nanoseconds by path.
    """

    folder: Path
    selection: Sequence[str]
    steps: list[Step] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    finished: dict[Path, int] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Return the folder of what the commands write."""
        return self.folder / "work"

    @property
    def out(self) -> Path:
        """Return the results folder."""
        return self.work / "out"

    @contextmanager
    def step(self, name: str, place: Path) -> Iterator[None]:
        """Measure a step, and print its row of the table.

        Args:
            name: command, or what is written.
            place: folder that it writes to.
        """
        step, before, began = Step(name), _bytes_below(place), time.monotonic()
        with _watched(psutil.Process(), step):
            yield
        step.seconds = time.monotonic() - began
        step.disk = _bytes_below(place) - before
        self.steps.append(step)
        print(step, flush=True)

    def command(self, *words: str, code: int = 0, until: Callable[[], bool] | None = None, sent: int = 0) -> None:
        """Run a command of the suite as a step; what it prints goes to the folder of logs.

        Args:
            words: the command and its options.
            code: expected exit code.
            until: asked while the command runs; when it returns True, the signal is sent.
            sent: the signal.
        """
        log = self.folder / "logs" / f"{len(self.steps):02d}-{words[0]}.txt"
        env = {**os.environ, "AAT_BENCHMARK_CACHE": str(self.work / "cache")}
        shown = re.sub(rf" --\S+ {re.escape(str(self.folder))}\S*", "", " ".join(words))
        how = f" ({signal.Signals(sent).name})" if sent else ""
        program = [sys.executable, "-m", "benchmark"]
        with self.step(f"{shown}{how}", self.work), log.open("wb") as handle:
            process = subprocess.Popen([*program, *words], stdout=handle, stderr=handle, env=env)
            while process.poll() is None:
                if until and until():
                    process.send_signal(sent)
                    until = None
                time.sleep(LOOK_SECONDS)
        if process.returncode != code:
            self.faults.append(f"{shown}{how}: exit code {process.returncode} instead of {code}, see {log}")

    def look(self) -> int:
        """Return the number of records; records that are gone or were written again are faults."""
        there = {path: path.stat().st_mtime_ns for path in (self.out / "trials").rglob("*.json")}
        self.faults += [
            f"lost or run again: {path.name}" for path, at in self.finished.items() if there.get(path) != at
        ]
        self.finished |= there
        return len(there)

    def has_more(self, records: int) -> Callable[[], bool]:
        """Return a function that says whether so many records were added since now."""
        trials, before = self.out / "trials", len(self.finished)
        return lambda: len(list(trials.rglob("*.json"))) >= before + records


def _bytes_below(folder: Path) -> int:
    """Return the disk that the files of a folder take."""
    found = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=False)
    return int(found.stdout.split()[0])


@contextmanager
def _watched(process: psutil.Process, step: Step) -> Iterator[None]:
    """Keep the memory and the processor time that the children of a process take; its own if it has none."""
    done, busy = Event(), dict[psutil.Process, float]()
    before = sum(process.cpu_times()[:2])

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            memory = 0
            for running in process.children(recursive=True) or [process]:
                with contextlib.suppress(psutil.Error, OSError):
                    memory += running.memory_full_info().pss
                    busy[running] = sum(running.cpu_times()[:2]) - (before if running == process else 0.0)
            step.memory = max(step.memory, memory)

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        step.busy = sum(busy.values())


def write_data(rehearsal: Rehearsal, root: Path, seconds: float) -> None:
    """Write the six trees, marked as synthetic; those that are there stay."""
    for name, (write, formats) in TREES.items():
        marker = root / f".{name}.complete"
        if marker.exists():
            continue
        with rehearsal.step(f"writing {name}", root):
            before = set(root.iterdir())
            write(root, fill=fill_with_audio(formats, seconds))
            [place] = set(root.iterdir()) - before
            (place / SYNTHETIC_MARKER).write_text("{}")
            marker.touch()


def write_checkpoints(rehearsal: Rehearsal, folder: Path) -> None:
    """Write official checkpoints of the paper's size with random weights; those that are there stay."""
    for name, tensors in CHECKPOINTS.items():
        path = folder / load_backbone(name).checkpoints["base"].file
        if not path.exists():
            with rehearsal.step(f"writing {path.name}", folder):
                torch.save(tensors(SHAPES["base"]), path)


def rehearse(rehearsal: Rehearsal, interrupt_after: int) -> None:
    """Run every command from data to a report, with one run that is stopped, killed and continued.

    Args:
        rehearsal: where, and with which trials.
        interrupt_after: number of trials between the start of a run and its end by a signal.
    """
    data = ["--data-root", str(rehearsal.folder / "data")]
    inputs = [*data, "--checkpoints", str(rehearsal.folder / "checkpoints")]
    grid = ["--grid", "paper", *inputs, "--results", str(rehearsal.out)]
    rehearsal.command("data", "list", *data)
    rehearsal.command("plan", *grid)
    run = ["run", *grid, *SHORT, *rehearsal.selection]
    for sent, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGKILL, -signal.SIGKILL)):
        rehearsal.command(*run, code=code, until=rehearsal.has_more(interrupt_after), sent=sent)
        before = rehearsal.look()
    rehearsal.command("status", "--results", str(rehearsal.out))
    rehearsal.command(*run)
    done, last = rehearsal.look(), rehearsal.steps[-1]
    if done > before:
        rate = last.seconds / (done - before)
        print(f"{done - before} trials in {duration(last.seconds)}; at this rate {TRIALS} in {duration(rate * TRIALS)}")
    rehearsal.command(*run)  # nothing is left to do
    if rehearsal.look() != done:
        rehearsal.faults.append("trials ran that were finished")
    rehearsal.faults += [f"left behind: {name}" for name in leftovers(rehearsal.out)]
    judge(rehearsal, rehearsal.out)


def judge(rehearsal: Rehearsal, results: Path, code: int = 0) -> None:
    """Run the commands that read a results folder.

    Args:
        rehearsal: where.
        results: the results folder.
        code: expected exit code of `claims`.
    """
    rehearsal.command("status", "--results", str(results))
    rehearsal.command("claims", "--structural", "--results", str(results), code=code)
    rehearsal.command("report", "--html", "--results", str(results))


def judge_all(rehearsal: Rehearsal) -> None:
    """Read a results folder with made-up records of all trials, which contradict some claims."""
    place = rehearsal.work / "made-up"
    with rehearsal.step(f"writing {TRIALS} made-up records", place.parent):
        write_paper_records(ResultStore(place))
    judge(rehearsal, place, UNEXPECTED)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where everything is written")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of the audio files")
    parser.add_argument("--interrupt-after", type=int, default=8, help="trials between the start and an interruption")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to rehearse")
    parser.add_argument("selection", nargs="*", help="options of `run`, after --")
    given = parser.parse_args()
    folder = given.folder.absolute()
    shutil.rmtree(folder / "work", ignore_errors=True)
    for name in ("data", "checkpoints", "logs", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rehearsal = Rehearsal(folder, given.selection)
    print("| step | time | processor time | memory | disk |\n|---|---|---|---|---|", flush=True)
    if "inputs" in given.parts:
        write_data(rehearsal, folder / "data", given.seconds)
        write_checkpoints(rehearsal, folder / "checkpoints")
    if "run" in given.parts:
        rehearse(rehearsal, given.interrupt_after)
    if "judge" in given.parts:
        judge_all(rehearsal)
    for fault in rehearsal.faults:
        print(f"fault: {fault}")
    return int(bool(rehearsal.faults))


if __name__ == "__main__":
    sys.exit(main())
