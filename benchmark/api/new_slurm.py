"""A Slurm batch script that runs a grid as a job array."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from benchmark.api import folders
from benchmark.api.arguments import checked
from benchmark.errors import ArgumentError, BenchmarkError
from benchmark.units import parse_duration

MAX_SHARDS = 10_000
MAX_SIGNAL_SECONDS = 65_535  # of --signal
RESTARTS, RESTARTS_AFTER_DEATH = 50, 3
NAME = r"[\w.,:@+-]+"
GPUS = r"(?:[\w.-]+:)?[0-9]{1,3}"
MEMORY = r"[0-9]+[KMGT]?"
# days-hours:minutes:seconds, of which Slurm also reads parts
SLURM_TIME = re.compile(
    r"(?:(?P<d>\d+)-(?P<dh>\d+)(?::(?P<dm>\d+)(?::(?P<ds>\d+))?)?)|(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+)"
)


@dataclass(frozen=True)
class BatchScript:
    """A script for sbatch.

    Attributes:
        path: the script.
        results: results folder of its runs.
    """

    path: Path
    results: Path


@checked
def new_slurm(
    grid: str | Path,
    *,
    shards: int,
    time: str,
    results: str | Path | None = None,
    data_root: str | Path | None = None,
    options: Iterable[str] = (),
    partition: str | None = None,
    account: str | None = None,
    gpus: str = "1",
    cpus: int = 8,
    memory: str | None = None,
    stop_before: str = "10min",
    python: str | None = None,
    path: str | Path | None = None,
) -> BatchScript:
    """Write an sbatch script that runs a grid as a job array: one part of the trials per task.

    Before the time limit, running trials finish their epoch and save their state. A task whose part is not finished is
    queued again, at most `RESTARTS` times. Also creates the folder of the job's logs, which Slurm does not.

    Args:
        grid: name of a declared grid, or path of a YAML file.
        shards: number of tasks.
        time: time limit of a task, as `12h` or in Slurm's forms, such as `1-00:00:00`.
        results: results folder, which all machines see; default `results/runs/GRID`.
        data_root: folder of the official dataset folders; default AAT_BENCHMARK_DATA or `data`.
        options: more options of `run`, as on the command line.
        partition: partition of the cluster; None for its default.
        account: account that pays; None for the user's default.
        gpus: GPUs of a task, as `1` or `a100:1`; `0` for none.
        cpus: CPU cores of a task.
        memory: memory of a task in Slurm's form, such as `64G`; None for the cluster's default.
        stop_before: time before the limit at which running trials are asked to stop, as `10min`. An epoch of the
            longest trial must fit.
        python: command that starts Python; None for the Python that runs now.
        path: the script to write; default `aat-GRID.sbatch`.

    Returns:
        The script and the results folder.

    Raises:
        BenchmarkError: an unknown grid, a value that Slurm would not understand, or the file exists already.

    Example:
        >>> new_slurm("paper", shards=8, time="12h", results="OUT", partition="gpu")
    """
    from jinja2 import Environment, StrictUndefined

    from benchmark.files import write_atomic
    from benchmark.spec.grid import load_grid

    name = load_grid(str(grid)).name
    label = re.sub(r"[^\w.-]", "-", name)
    limit, margin = seconds_of(time), parse_duration(stop_before, "stop_before")
    if margin >= min(limit, MAX_SIGNAL_SECONDS):
        raise ArgumentError("stop_before", f"must be shorter than 18h and than the time limit of {time}", stop_before)
    if not 1 <= shards <= MAX_SHARDS:
        raise ArgumentError("shards", f"expected a number from 1 to {MAX_SHARDS:,}", shards)
    for argument, value, form in (
        ("partition", partition, NAME), ("account", account, NAME), ("gpus", gpus, GPUS), ("memory", memory, MEMORY),
    ):  # fmt: skip
        if value is not None and not re.fullmatch(form, value):
            raise ArgumentError(argument, f"not a value that Slurm reads ({form})", repr(value))
    script = Path(path) if path else Path(f"aat-{label}.sbatch")
    if script.exists():
        raise BenchmarkError(f"{script} is there already")
    if not script.parent.is_dir():
        raise BenchmarkError(f"{script.parent}: no such folder")
    quoted(script)
    out = folders.results_folder(results, name)
    logs = out.absolute() / "logs" / "slurm"
    settings = {
        "job-name": f"aat-{label}",
        "array": f"1-{shards}",
        "time": slurm_time(limit),
        "partition": partition,
        "account": account,
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": cpus,
        "mem": memory,
        "gres": f"gpu:{gpus}" if not re.fullmatch(r"(.*:)?0+", gpus) else None,
        "requeue": "",
        "signal": f"B:USR1@{margin:.0f}",
        "open-mode": "append",  # a task that is queued again adds to its log
        "chdir": quoted(Path.cwd()),
        "output": quoted(f"{str(logs).replace('%', '%%')}/%A_%a.txt"),
    }
    arguments = ["--grid", grid, "--results", out, "--data-root", folders.data_root(data_root), *options]
    text = files("benchmark.api").joinpath("slurm.sh.j2").read_text()
    template = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True).from_string(text)
    content = template.render(
        settings={key: value for key, value in settings.items() if value is not None},
        grid=name,
        python=_words(python) if python else shlex.quote(sys.executable),
        arguments=shlex.join(map(str, arguments)),
        shards=shards,
        restarts=RESTARTS,
        restarts_after_death=RESTARTS_AFTER_DEATH,
        path=shlex.quote(str(script)),
    )
    logs.mkdir(parents=True, exist_ok=True)
    write_atomic(script, content.encode())
    return BatchScript(script, out)


def seconds_of(time: str) -> float:
    """Return a time limit in seconds.

    Args:
        time: with a unit, as `12h`, or in Slurm's forms `MINUTES:SECONDS`, `HOURS:MINUTES:SECONDS` and
            `DAYS-HOURS[:MINUTES[:SECONDS]]`.

    Raises:
        BenchmarkError: not such a text.
    """
    match = SLURM_TIME.fullmatch(time)
    if not match:
        return parse_duration(time, "time")
    parts = {key: int(value) for key, value in match.groupdict(default="0").items()}
    days, hours = parts["d"], parts["h"] + parts["dh"]
    minutes, seconds = parts["m"] + parts["dm"], parts["s"] + parts["ds"]
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _words(command: str) -> str:
    """Return a command as words of a shell, each quoted where it must be."""
    try:
        return shlex.join(shlex.split(command))
    except ValueError as error:
        raise ArgumentError("python", str(error), repr(command)) from None


def slurm_time(seconds: float) -> str:
    """Return seconds as `DAYS-HOURS:MINUTES:SECONDS`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours // 24}-{hours % 24:02d}:{minute:02d}:{second:02d}"


def quoted(path: str | Path) -> str:
    """Return a path for an `#SBATCH` line.

    Raises:
        BenchmarkError: the path has characters that such a line cannot hold.
    """
    text = str(path)
    if re.search(r'["\n\\]', text):
        raise BenchmarkError(f"{text!r}: Slurm cannot read a path with quotation marks, backslashes or line breaks")
    return f'"{text}"' if re.search(r"[\s'#]", text) else text
