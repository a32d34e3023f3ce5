"""`new method`, `new slurm` and `new store`: files to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line
from benchmark.commands import command
from benchmark.errors import BenchmarkError

OF_THE_SCRIPT = {"--grid", "--results", "--data-root", "--shard", "--report", "--no-report"}

app = typer.Typer(no_args_is_help=True, help="Write files to start from.")


@app.callback()
def _root() -> None:
    pass


@app.command("method")
def method(
    name: Annotated[str, typer.Argument(help="Name of the method on the command line.")],
    folder: Annotated[Path, typer.Option("--folder", help="Folder in which NAME.py is written.")] = Path(),
    json: options.Json = False,
) -> None:
    """Write the commented skeleton of a method, which passes `check` as it is.

    Example: python -m benchmark new method mine
    """
    from benchmark.api.new_method import new_method

    path = new_method(name, folder)
    where = path if path.is_absolute() else f"./{path}"
    run = command("run", "--grid", "smoke", "--method", f"linear,{where}")
    _print(path, {"check it": command("check", where), "run it": run}, as_json=json)


@app.command("slurm")
def slurm(
    grid: options.GridName,
    shards: Annotated[int, typer.Option("--shards", min=1, help="Number of tasks; each runs a part of the trials.")],
    time: Annotated[str, typer.Option("--time", help="Time limit of a task: 12h, or as Slurm reads it, 1-00:00:00.")],
    more: Annotated[
        list[str], typer.Argument(metavar="-- OPTIONS", help="More options of `run`, after --.", show_default=False)
    ] = [],
    results: options.GridResults = None,
    data_root: options.DataRoot = options.DATA_ROOT,
    partition: Annotated[
        str | None, typer.Option("--partition", help="Partition of the cluster.", show_default="the cluster's")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Account that pays.", show_default="yours")] = None,
    gpus: Annotated[str, typer.Option("--gpus", help="GPUs of a task: 1, a100:1; 0 for none.")] = "1",
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="CPU cores of a task.")] = 8,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Memory of a task: 64G.", show_default="the cluster's")
    ] = None,
    stop_before: Annotated[
        str, typer.Option("--stop-before", help="Time before the limit at which trials stop after their epoch.")
    ] = "10min",
    python: Annotated[
        str | None,
        typer.Option("--python", help="Command that starts Python.", show_default="the Python of this command"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The script to write.", show_default="aat-GRID.sbatch")
    ] = None,
    json: options.Json = False,
) -> None:
    """Write an sbatch script that runs a grid as a job array of Slurm.

    A task stops gently before its time limit and is queued again while trials are left.

    Example: python -m benchmark new slurm --grid paper --shards 8 --time 12h --results OUT -- --method aat_ms
    """
    from benchmark.api.new_slurm import new_slurm

    _check_run_options(grid, more)
    script = new_slurm(
        grid,
        shards=shards,
        time=time,
        results=results,
        data_root=data_root,
        options=more,
        partition=partition,
        account=account,
        gpus=gpus,
        cpus=cpus,
        memory=memory,
        stop_before=stop_before,
        python=python,
        path=out,
    )
    commands = {
        "submit it": shlex.join(["sbatch", str(script.path)]),
        "watch it": command("status", "--results", script.results),
        "at the end": command("report", "--results", script.results, "--html"),
    }
    _print(script.path, commands, as_json=json)


def _print(path: Path, commands: dict[str, str], *, as_json: bool) -> None:
    """Print the file that was written, and what to call next."""
    if as_json:
        print_json({"path": path, "commands": commands})
        return
    say_line(str(path))
    width = max(map(len, commands)) + 1
    for purpose, text in commands.items():
        say_line(f"{purpose + ':':{width}} {text}")


@app.command("store")
def store(
    folder: Annotated[Path, typer.Argument(help="A new folder, or a clone of an empty repository.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the store.", show_default="that of the folder")
    ] = None,
    accept: Annotated[
        list[str],
        typer.Option(
            "--accept",
            help="Accept records that others do not: of some clips or folds (partial), of random weights (random), or "
            "synthetic audio and nothing else (synthetic). Repeatable.",
        ),
    ] = [],
    licence: Annotated[
        str, typer.Option("--licence", help="Licence of records and predictions, as SPDX writes it.")
    ] = "CC-BY-4.0",
    json: options.Json = False,
) -> None:
    """Create an empty results store: its README, and the check of pull requests.

    Example: python -m benchmark new store my-store
    """
    from benchmark.api.submit import new_store

    made = new_store(folder, name=name, accepts=accept, licence=licence)
    submit = command("submit", "OUT", "--store", folder, "--submitter", "YOUR-ACCOUNT")
    _print(made.folder, {"submit a run": submit, "check it": command("check-submission", folder)}, as_json=json)


def _check_run_options(grid: str, more: list[str]) -> None:
    """Let the parser of `run` check its options now, not in each task of the job.

    Raises:
        BenchmarkError: an option that the script sets itself.
    """
    from typer.main import get_command

    from benchmark.cli.main import app as whole

    if taken := OF_THE_SCRIPT & {option.partition("=")[0] for option in more}:
        raise BenchmarkError(f"{', '.join(sorted(taken))}: set by the script; give it before --, or leave it out")
    commands = get_command(whole).commands  # type: ignore[attr-defined]
    commands["run"].make_context("run", ["--grid", grid, *more])
