"""`new method`: a file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import command

app = typer.Typer(no_args_is_help=True, help="Write files to start from.")


@app.callback()
def _root() -> None:
    pass


@app.command("method")
def method(
    name: Annotated[str, typer.Argument(help="Name of the method on the command line.")],
    folder: Annotated[Path, typer.Option("--folder", help="Folder in which NAME.py is written.")] = Path(),
) -> None:
    """Write the commented skeleton of a method, which passes `check` as it is.

    Example: python -m benchmark new method mine
    """
    from benchmark.api.new_method import new_method

    path = new_method(name, folder)
    where = path if path.is_absolute() else f"./{path}"
    typer.echo(f"{path}\ncheck it:  {command('check', where)}")
    typer.echo(f"run it:    {command('run', '--grid', 'smoke', '--method', f'linear,{where}')}")
