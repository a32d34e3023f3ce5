"""`submit` and `check-submission`: results stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line
from benchmark.units import plural

REFUSED = 1  # exit code

Source = Annotated[
    list[Path],
    typer.Option("--source", help="File of a method from outside the suite, as it was when the trials ran."),
]


def submit(
    results: Annotated[Path, typer.Argument(metavar="OUT", help="Results folder; it is only read.")],
    store: Annotated[Path, typer.Option("--store", help="Results store: a clone of its repository.")],
    submitter: Annotated[str, typer.Option("--submitter", help="Who submits: your account's name in lower case.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the submission.", show_default="date and digest")
    ] = None,
    contact: Annotated[str, typer.Option("--contact", help="Where questions can be sent; it is published.")] = "",
    note: Annotated[str, typer.Option("--note", help="What readers have to know of the records.")] = "",
    method: Annotated[list[str], typer.Option("--method", help="Only this method, as tables name it.")] = [],
    dataset: Annotated[list[str], typer.Option("--dataset", help="Only this dataset.")] = [],
    backbone: Annotated[list[str], typer.Option("--backbone", help="Only this backbone, as tables name it.")] = [],
    source: Source = [],
    source_licence: Annotated[
        str | None, typer.Option("--source-licence", help="Licence of these files: MIT, Apache-2.0, ...")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.")] = False,
    json: options.Json = False,
) -> None:
    """Add the records of a results folder to a store, if they keep every rule of it; else nothing is added.

    Predictions are made as small as their score allows. The new folder is then committed to the store's repository.

    Example: python -m benchmark submit OUT --store STORE --submitter ada

    Example: python -m benchmark submit OUT --store STORE --submitter ada --source ./mine.py --source-licence MIT

    Exit code: 0 added, 1 refused.
    """
    from benchmark.api.submit import submit as add

    added = add(
        results,
        store=store,
        submitter=submitter,
        name=name,
        contact=contact,
        note=note,
        methods=method,
        datasets=dataset,
        backbones=backbone,
        sources=source,
        source_licence=source_licence,
        dry_run=dry_run,
    )
    if json:
        print_json(added.summary())
        raise typer.Exit(REFUSED if added.failures else 0)
    for failure in added.failures:
        say_line(f"refused: {failure}")
    records = plural(len(added.bundle.all_records), "record")
    if added.failures:
        say_line(f"{plural(len(added.failures), 'fault')} in {records}; nothing was added to {store}")
        raise typer.Exit(REFUSED)
    for mark, count in added.marks.items():
        say_line(f"marked: {mark} ({plural(count, 'record')})")
    if added.folder is None:
        say_line(f"{records}: no fault; left out of {store} (--dry-run)")
    else:
        say_line(f"{records} added: {added.folder}")
        say_line("commit this folder and open a pull request")


def check_submission(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A store, or one submission.")],
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Store that a submission is compared with.", show_default="the one that it is in"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only what is new in a store since this commit; nothing else may change."),
    ] = None,
    submitter: Annotated[
        str | None,
        typer.Option("--submitter", help="With --since: who made the changes; only their folder may change."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Check submissions against every rule; nothing that is submitted is run.

    Example: python -m benchmark check-submission STORE

    Example: python -m benchmark check-submission STORE --since origin/main --submitter ada

    Exit code: 0 no fault, 1 some faults.
    """
    import dataclasses

    from benchmark.api.submit import check_submission as check

    found = check(folder, store=store, since=since, submitter=submitter)
    if json:
        print_json(dataclasses.asdict(found))
        raise typer.Exit(REFUSED if found.failures else 0)
    for failure in found.failures:
        say_line(f"fault: {failure}")
    for mark, count in found.marks.items():
        say_line(f"marked: {mark} ({plural(count, 'record')})")
    checked = f"{plural(len(found.submissions), 'submission')} with {plural(found.records, 'record')}"
    say_line(f"{checked}: {plural(len(found.failures), 'fault') if found.failures else 'no fault'}")
    raise typer.Exit(REFUSED if found.failures else 0)
