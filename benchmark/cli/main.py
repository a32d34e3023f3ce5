"""Entry point: `python -m benchmark COMMAND`."""

from __future__ import annotations

import io
import sys
import warnings

import typer

from benchmark import __version__
from benchmark.cli import (
    catalogue,
    check,
    checkpoint,
    claims,
    clean,
    data,
    doctor,
    explain,
    export,
    merge,
    new,
    params,
    parity,
    plan,
    pretrain,
    profile,
    report,
    run,
    search,
    status,
)
from benchmark.errors import BenchmarkError

app = typer.Typer(
    name="python -m benchmark",
    help="Reproducibility benchmark for parameter-efficient fine-tuning of audio Transformers (AAT, ICASSP 2024).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("run")(run.run)
app.command("search")(search.search)
app.command("plan")(plan.plan)
app.command("status")(status.status)
app.command("check")(check.check)
app.add_typer(new.app, name="new")
app.command("report")(report.report)
app.command("claims")(claims.claims)
app.command("explain")(explain.explain)
app.command("export")(export.export)
app.command("merge")(merge.merge)
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
    """Run the command line; a mistake of the user's is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the sign for plus-minus
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        app()
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that cannot be written, a closed pipe
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
