"""Entry point: `python -m benchmark COMMAND`."""

from __future__ import annotations

import errno
import io
import shutil
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from benchmark import __version__
from benchmark.cli import (
    board,
    catalogue,
    check,
    checkpoint,
    cite,
    claims,
    clean,
    data,
    doctor,
    explain,
    export,
    floor,
    merge,
    new,
    options,
    params,
    parity,
    plan,
    predict,
    pretrain,
    profile,
    report,
    run,
    search,
    status,
    submit,
)
from benchmark.cli.logs import configure_logging
from benchmark.console import printable
from benchmark.errors import ArgumentError, BenchmarkError, MissingInputsError
from benchmark.files import existing_folder
from benchmark.units import data_size

app = typer.Typer(
    name="python -m benchmark",
    help="Reproducibility benchmark for parameter-efficient fine-tuning of audio Transformers (AAT, ICASSP 2024).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
PROGRAM = "aat-benchmark"  # what shells complete: `python -m benchmark` is no command of its own


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            help="Log to stderr: -v what is done and why, -vv in detail. AAT_BENCHMARK_LOG=info|debug does the same.",
            show_default=False,
        ),
    ] = 0,
) -> None:
    configure_logging(verbose)


app.command("run")(run.run)
app.command("search")(search.search)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("check")(check.check)
app.add_typer(new.app, name="new")
app.command("report")(report.report)
app.command("claims")(claims.claims)
app.command("board")(board.board)
app.command("explain")(explain.explain)
app.command("cite")(cite.cite)
app.command("floor")(floor.floor)
app.command("export")(export.export)
app.command("predict")(predict.predict)
app.command("merge")(merge.merge)
app.command("submit")(submit.submit)
app.command("check-submission")(submit.check_submission)
app.command("clean")(clean.clean)
app.command("doctor")(doctor.doctor)
app.command("profile")(profile.profile)
app.command("pretrain")(pretrain.pretrain)
app.command("params")(params.params)
app.command("parity")(parity.parity)
app.add_typer(data.app, name="data")
app.add_typer(checkpoint.app, name="checkpoint")
app.command("list")(catalogue.list_)
app.command("show")(catalogue.show)


def main() -> None:
    """Run the command line; a mistake of the user is reported in one line on stderr, with exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the plus-minus sign
    warnings.showwarning = lambda message, *_: _print_error(f"warning: {message}")
    # the scripts for shells name the program that they complete
    asks_for_script = {"--install-completion", "--show-completion"} & set(sys.argv[1:])
    try:
        app(prog_name=PROGRAM if asks_for_script else None)
    except MissingInputsError as error:
        for line in error.inputs:
            _print_error(f"missing input: {line}")
        _fail(error.advice)
    except ArgumentError as error:
        _fail(error.text(options.name_of(error.argument)))
    except BenchmarkError as error:
        _fail(str(error))
    except OSError as error:  # a full disk, a folder that cannot be written, a closed pipe
        _fail(f"{error.filename or 'output'}: {error.strerror or error}{_advice(error)}")


def _advice(error: OSError) -> str:
    """Return what to do about a full disk; empty for other errors."""
    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return ""
    free = ""
    if error.filename:
        free = f" ({data_size(shutil.disk_usage(existing_folder(Path(error.filename))).free)} are free)"
    return f"{free}; make room and call the command again"


def _fail(message: str) -> None:
    _print_error(f"error: {message}")
    sys.exit(2)


def _print_error(message: str) -> None:
    """Print a message that may have names of the user: their control characters are shown."""
    print(printable(message, keep_lines=True), file=sys.stderr)
