"""`data list|prepare|verify|stats|describe|synthesize|speed`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.printing import print_json, say_line, stderr_console, stdout_console
from benchmark.commands import command
from benchmark.console import Sheet, show
from benchmark.units import plural

if TYPE_CHECKING:
    from benchmark.api.data import DatasetState

app = typer.Typer(help="Get, check, measure and generate datasets.", no_args_is_help=True)
Name = Annotated[
    str,
    typer.Argument(metavar="DATASET", help="A dataset (`data list`); folder:NAME, hear:TASK, xares:TASK or hf:REPO."),
]
FAULTY = 3  # exit code
MAX_BAR = 30  # characters of the longest bar of a histogram


@app.command("list")
def list_(data_root: options.DataRoot = options.DATA_ROOT, json: options.Json = False) -> None:
    """Print every dataset, your own folders, and what is under the data root; no audio is read.

    Example: python -m benchmark data list --data-root DIR
    """
    from benchmark.api.data import list_datasets

    states = list_datasets(data_root)
    if json:
        print_json({name: dataclasses.asdict(state) for name, state in states.items()})
        return
    rows = [
        [name, state.label, state.state, f"{state.clips:,} of {state.official or '?'}", _place(state)]
        for name, state in states.items()
    ]
    show(stdout_console(), [Sheet("", ["dataset", "label", "state", "clips", "where"], rows)])
    if any(state.state == "missing" for state in states.values()):
        say_line(f"get one: {command('data', 'prepare', 'DATASET', '--data-root', data_root)}")


def _place(state: DatasetState) -> str:
    """Return the folder, or what is wrong with it; nothing for a missing dataset."""
    return "" if state.state == "missing" else state.where


@app.command()
def prepare(
    name: Name,
    data_root: options.DataRoot = options.DATA_ROOT,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="An archive that you have, or the address of a mirror; of xares:TASK also a folder of tars."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of your own table clips.csv, as path=filename,label=category; they are kept."),
    ] = None,
    label_separator: Annotated[
        str | None,
        typer.Option(help="Character between several labels of a clip in your own table.", show_default="|"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that finds the recording, speaker or site of your own clips in their paths, as "
            "'REC_([0-9]+)_': clips of one group are in one fold; it is kept."
        ),
    ] = None,
    cache: options.CacheFolder = None,
    json: options.Json = False,
) -> None:
    """Download and unpack a dataset, or say what to do by hand. Without a declared recipe, measure its values.

    An interrupted download is continued. The dataset's folder appears only when it is complete.

    hear:TASK, xares:TASK and hf:REPO are public collections; folder:NAME is your own audio.

    Example: python -m benchmark data prepare esc50 --data-root DIR
    """
    from benchmark.api.prepare import PreparedDataset, prepare_data

    prepared = prepare_data(
        name,
        data_root,
        source=source,
        columns=columns,
        label_separator=label_separator,
        group=group,
        cache=cache,
        console=stderr_console(),
    )
    if json:
        print_json(dataclasses.asdict(prepared))
        return
    if isinstance(prepared, PreparedDataset):
        for note in prepared.notes:
            say_line(note)
        say_line(
            f"{prepared.folder}: {prepared.clips} of {prepared.official} clips; check them with "
            f"`{command('data', 'verify', name, '--data-root', data_root)}`"
        )
        return
    say_line(f"{prepared.path}:")
    for line in prepared.path.read_text().splitlines():
        say_line(line)
    for remark in prepared.remarks:
        say_line(remark)
    folds = ",".join(map(str, prepared.folds[:2]))
    chosen = ["--fold", folds] if folds else []
    skip = ["--on-bad-audio", "skip"] if prepared.needs_skip else []
    more = [*skip, "--keep-weights"]
    run = command("run", "--grid", "quick", "--dataset", name, *chosen, "--data-root", data_root, *more)
    say_line(f"run it with `{run}`")


@app.command()
def verify(name: Name, data_root: options.DataRoot = options.DATA_ROOT, json: options.Json = False) -> None:
    """Read and decode every file, compare counts and digests with the publisher's, and say what this copy is.

    Example: python -m benchmark data verify esc50 --data-root DIR

    Exit code: 0 no problems (official, re-encoded, partial or synthetic), 2 wrong layout, 3 bad files or wrong counts.
    """
    from benchmark.api.data import verify_data
    from benchmark.tools.data.verify import MEANING

    found = verify_data(name, data_root, console=stderr_console())
    if json:
        print_json(dataclasses.asdict(found))
    else:
        say_line(f"{found.folder}: {found.verdict} ({MEANING[found.verdict]})")
        say_line(f"clips      {found.clips} of {found.official_clips}; {plural(found.files, 'file')} read")
        say_line(f"digest     {found.digest}")
        for kind, counts in found.counts.items():
            say_line(f"{kind:11}{_counts(counts)}")
        for group in found.unused:
            say_line(f"unused     {group}")
        for line in found.remarks:
            say_line(f"remark     {line}")
        for line in found.problems:
            say_line(f"problem    {line}")
        say_line(f"{plural(len(found.bad_files), 'bad file')}, {plural(len(found.problems), 'problem')}")
    raise typer.Exit(FAULTY if found.problems else 0)


@app.command()
def stats(
    name: Name,
    data_root: options.DataRoot = options.DATA_ROOT,
    fold: options.Folds = [],
    cache: options.CacheFolder = None,
    json: options.Json = False,
) -> None:
    """Measure mean and standard deviation of the training clips' filter banks, and print those of the recipe too.

    Example: python -m benchmark data stats esc50 --data-root DIR --fold 1
    """
    from benchmark.api.data import data_statistics

    found = data_statistics(name, data_root, folds=fold, cache=cache, console=stderr_console())
    if json:
        print_json(found)
        return
    say_line(f"{name} ({found['kind']}), first {found['frames']} frames of the training clips, log mel")
    say_line(f"recipe    mean {found['recipe']['mean']:9.4f}  std {found['recipe']['std']:8.4f}")
    for number, row in found["training clips of fold"].items():
        label = f"fold {number}" if number != "0" else "measured"
        say_line(f"{label:9} mean {row['mean']:9.4f}  std {row['std']:8.4f}  {row['clips']} clips")
    for line in found["left out"]:
        say_line(f"left out  {line}")


@app.command()
def describe(name: Name, data_root: options.DataRoot = options.DATA_ROOT, json: options.Json = False) -> None:
    """Print a dataset's info; for the copy under the data root, clips by class and split, lengths and formats.

    Example: python -m benchmark data describe openmic --data-root DIR
    """
    from benchmark.api.data import describe_data

    found = describe_data(name, data_root, console=stderr_console())
    if json:
        print_json(found)
        return
    here = found.pop("here")
    for key in ("label", "description", "metric", "licence", "homepage", "citation", "by_hand"):
        say_line(f"{key.replace('_', ' '):12}{found[key]}")
    for note in found["notes"]:
        say_line(f"{'note':12}{note}")
    if isinstance(here, str):
        say_line("")
        say_line(here)
        return
    say_line("")
    say_line(f"{here['folder']}: {here['kind']}, {here['clips']} clips, {here['hours']} hours")
    for note in here["notes"]:
        say_line(f"note        {note}")
    for key, value in here.items():
        if isinstance(value, Mapping):
            say_line("")
            say_line(key)
            for line in _bars(value):
                say_line(line)


@app.command()
def synthesize(
    name: Name,
    clips_per_class: Annotated[
        int, typer.Option("--clips-per-class", min=1, max=100, help="Clips of each class in every fold or split.")
    ],
    data_root: options.DataRoot = options.DATA_ROOT,
    classes: Annotated[
        int | None, typer.Option(min=2, help="Number of classes, the first ones.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the audio.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Length of a clip.", show_default="the dataset's")
    ] = None,
    json: options.Json = False,
) -> None:
    """Write generated audio in a dataset's official layout and formats; results on it are marked as synthetic.

    `pretraining` is audio for the command `pretrain`, which shares no class with the datasets.

    Example: python -m benchmark data synthesize gtzan --data-root DIR --clips-per-class 2
    """
    from benchmark.api.data import synthesize_data

    made = synthesize_data(
        name, clips_per_class, data_root, classes=classes, seed=seed, seconds=seconds, console=stderr_console()
    )
    if json:
        print_json(dataclasses.asdict(made))
    else:
        say_line(f"{made.folder}: {made.clips} synthetic clips")


@app.command()
def speed(
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each code.")] = 15,
    json: options.Json = False,
) -> None:
    """Measure clips per second of the data path on one CPU thread, in turn with the official code's data path.

    The official path decodes a file (16 kHz, as it was prepared), computes a filter bank and augments, clip by clip.
    Ours reads the audio cache: mixed clips need a new filter bank, unmixed clips do not.

    Example: python -m benchmark data speed
    """
    from benchmark.tools.data.speed import measure

    if not json:
        say_line("clips/s, one thread      reference          ours        ratio")
        say_line("                       clean   mixed   clean   mixed   clean mixed")
    rows = []
    for row in measure(rounds):
        rows.append({**dataclasses.asdict(row), "gain_mixed": row.gain_mixed, "gain_unmixed": row.gain_unmixed})
        if not json:
            say_line(
                f"{row.seconds:2} s {row.recipe:18}{row.reference:7.0f} {row.reference_mixed:7.0f} {row.unmixed:7.0f} "
                f"{row.mixed:7.0f}  {row.gain_unmixed:6.1f} {row.gain_mixed:5.2f}"
            )
    if json:
        print_json(rows)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _bars(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines of a histogram in text."""
    width, most = max(map(len, counts), default=0), max([1, *counts.values()])
    for name, number in counts.items():
        yield f"  {name:{width}} {number:7} {'#' * round(MAX_BAR * number / most)}".rstrip()
