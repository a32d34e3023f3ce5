"""`data list|prepare|verify|stats|describe|synthesize|speed`."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmark.data.dataset import Dataset
    from benchmark.data.parallel import Progress

app = typer.Typer(help="Get, check, measure and generate datasets.", no_args_is_help=True)
Name = Annotated[
    str, typer.Argument(metavar="DATASET", help="A dataset (`data list`), or folder:NAME for your own audio.")
]
FAULTY = 3
BAR = 30


@app.command("list")
def list_(data_root: options.DataRoot = options.DATA_ROOT, json: options.Json = False) -> None:
    """Print every dataset and what stands under the data root; no audio is read.

    Example: python -m benchmark data list --data-root DIR
    """
    from benchmark.data.registry import datasets

    rows = {name: {"label": each.info.label, **_state(each, data_root)} for name, each in datasets().items()}
    if json:
        typer.echo(jsonlib.dumps(rows, indent=1))
        return
    for name, row in rows.items():
        typer.echo(f"{name:20}{row['state']:11}{row['clips']:>7} of {row['official']:<7} {row['where']}")


def _state(dataset: Dataset, data_root: Path) -> dict[str, Any]:
    official = dataset.info.clips
    try:
        manifest = dataset.manifest(data_root)
    except MissingInputError:
        where = f"get it with `data prepare {dataset.info.name}`"
        return {"state": "missing", "clips": 0, "official": official, "where": where}
    except BenchmarkError as error:
        return {"state": "wrong", "clips": 0, "official": official, "where": str(error)}
    return {"state": manifest.kind, "clips": len(manifest.clips), "official": official, "where": str(manifest.folder)}


@app.command()
def prepare(
    name: Name,
    data_root: options.DataRoot = options.DATA_ROOT,
    source: Annotated[
        str | None, typer.Option("--from", help="An archive that you have already, or the address of a mirror.")
    ] = None,
    cache: options.CacheFolder = None,
) -> None:
    """Download a dataset and unpack it, or say what to do by hand; of your own audio, measure what its recipe needs.

    An interrupted download is continued. Nothing is left in the dataset's place unless all of it is there.

    Example: python -m benchmark data prepare esc50 --data-root DIR
    """
    from rich.console import Console

    from benchmark.data.datasets.folder import Folder
    from benchmark.data.registry import get_dataset
    from benchmark.tools.data.measure import write_folder_recipe
    from benchmark.tools.data.prepare import prepare as get

    dataset = get_dataset(name)
    if isinstance(dataset, Folder):
        if source:
            raise BenchmarkError(f"{name}: --from is for published datasets; your own audio lies in its folder already")
        with _progress() as show:
            path, remarks = write_folder_recipe(dataset, data_root, _cache(cache), show)
        typer.echo(f"{path}:\n{path.read_text()}", nl=False)
        for remark in remarks:
            typer.echo(remark)
        folds = ",".join(map(str, dataset.manifest(data_root).info.folds[:2]))
        command = f"run --grid quick --dataset {name}{f' --fold {folds}' if folds else ''} --data-root {data_root}"
        typer.echo(f"run it with `python -m benchmark {command}`")
        return
    place = get(dataset, data_root, source, Console(stderr=True))
    count = f"{len(dataset.manifest(data_root).clips)} of {dataset.info.clips} clips"
    typer.echo(f"{place}: {count}; check them with `python -m benchmark data verify {name} --data-root {data_root}`")


@app.command()
def verify(name: Name, data_root: options.DataRoot = options.DATA_ROOT, json: options.Json = False) -> None:
    """Read and decode every file, compare counts and digests with the publisher's, and say what this copy is.

    Example: python -m benchmark data verify esc50 --data-root DIR

    Exit code: 0 sound (official, re-encoded, partial or synthetic), 2 wrong layout, 3 bad files or wrong counts.
    """
    from benchmark.data.registry import get_dataset
    from benchmark.tools.data.verify import MEANING
    from benchmark.tools.data.verify import verify as check

    with _progress() as show:
        found = check(get_dataset(name), data_root, show)
    if json:
        typer.echo(jsonlib.dumps(dataclasses.asdict(found), indent=1, default=str))
    else:
        typer.echo(f"{found.folder}: {found.verdict} ({MEANING[found.verdict]})")
        typer.echo(f"clips      {found.clips} of {found.official_clips}; {found.files} files read")
        typer.echo(f"digest     {found.digest}")
        for kind, counts in found.counts.items():
            typer.echo(f"{kind:11}{_counts(counts)}")
        for line in found.remarks:
            typer.echo(f"remark     {line}")
        for line in found.problems:
            typer.echo(f"problem    {line}")
        typer.echo(f"{len(found.bad_files)} bad files, {len(found.problems)} problems")
    raise typer.Exit(FAULTY if found.problems else 0)


@app.command()
def stats(
    name: Name,
    data_root: options.DataRoot = options.DATA_ROOT,
    fold: options.Folds = [],
    cache: options.CacheFolder = None,
    json: options.Json = False,
) -> None:
    """Measure mean and standard deviation of the training clips' filter banks, beside those of the recipe.

    Example: python -m benchmark data stats esc50 --data-root DIR --fold 1
    """
    from benchmark.data.registry import get_dataset
    from benchmark.spec.grammar import split_list
    from benchmark.spec.grid import whole_number
    from benchmark.tools.data.measure import level_statistics

    folds = [whole_number(text, "--fold") for text in split_list(fold)]
    dataset = get_dataset(name)
    with _progress() as show:
        found = level_statistics(dataset, dataset.manifest(data_root), _cache(cache), tuple(folds), show)
    if json:
        typer.echo(jsonlib.dumps(found, indent=1))
        return
    typer.echo(f"{name} ({found['kind']}), first {found['frames']} frames of the training clips, log mel")
    typer.echo(f"recipe    mean {found['recipe']['mean']:9.4f}  std {found['recipe']['std']:8.4f}")
    for number, row in found["training clips of fold"].items():
        label = f"fold {number}" if number != "0" else "measured"
        typer.echo(f"{label:9} mean {row['mean']:9.4f}  std {row['std']:8.4f}  {row['clips']} clips")
    for line in found["left out"]:
        typer.echo(f"left out  {line}")


@app.command()
def describe(name: Name, data_root: options.DataRoot = options.DATA_ROOT, json: options.Json = False) -> None:
    """Print a dataset's info, and of the copy under the data root clips by class and split, lengths and formats.

    Example: python -m benchmark data describe openmic --data-root DIR
    """
    from benchmark.data.registry import get_dataset
    from benchmark.tools.data.measure import describe as find

    with _progress() as show:
        found = find(get_dataset(name), data_root, show)
    if json:
        typer.echo(jsonlib.dumps(found, indent=1, default=str))
        return
    here = found.pop("here")
    for key in ("label", "description", "metric", "licence", "homepage", "citation", "by_hand"):
        typer.echo(f"{key.replace('_', ' '):12}{found[key]}")
    for note in found["notes"]:
        typer.echo(f"{'note':12}{note}")
    if isinstance(here, str):
        typer.echo(f"\n{here}")
        return
    typer.echo(f"\n{here['folder']}: {here['kind']}, {here['clips']} clips, {here['hours']} hours")
    for key, value in here.items():
        if isinstance(value, Mapping):
            typer.echo(f"\n{key}")
            for line in _bars(value):
                typer.echo(line)


@app.command()
def synthesize(
    name: Name,
    clips_per_class: Annotated[
        int, typer.Option("--clips-per-class", min=1, max=100, help="Clips of each class in every fold or split.")
    ],
    data_root: options.DataRoot = options.DATA_ROOT,
    classes: Annotated[int | None, typer.Option(min=2, help="The first so many classes.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the audio.")] = 0,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Length of a clip.", show_default="the dataset's")
    ] = None,
) -> None:
    """Write generated audio in a dataset's official layout and formats; everything made of it is marked as synthetic.

    `pretraining` is a corpus for the command `pretrain`, which shares no class with the datasets.

    Example: python -m benchmark data synthesize gtzan --data-root DIR --clips-per-class 2
    """
    from benchmark.data.dataset import Synthesizable
    from benchmark.data.datasets.corpus import CORPUS
    from benchmark.data.registry import get_dataset

    dataset = CORPUS if name == CORPUS.info.name else get_dataset(name)
    if not isinstance(dataset, Synthesizable):
        raise BenchmarkError(f"{name} cannot be synthesized")
    with _progress() as show:
        place = dataset.synthesize(
            data_root, classes=classes, clips_per_class=clips_per_class, seed=seed, seconds=seconds, progress=show
        )
    typer.echo(f"{place}: {len(dataset.manifest(data_root).clips)} synthetic clips")


@app.command()
def speed(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 15,
    json: options.Json = False,
) -> None:
    """Measure clips a second of the data path on one CPU thread, against the official code's way, taking turns.

    The official way decodes a file (16 kHz, as it was prepared), computes a filter bank and augments, clip by clip.
    Ours reads the audio cache: mixed clips need a new filter bank, unmixed ones do not.

    Example: python -m benchmark data speed
    """
    from benchmark.tools.speed import measure

    if not json:
        typer.echo("clips/s, one thread      reference          ours        ratio")
        typer.echo("                       clean   mixed   clean   mixed   clean mixed")
    rows = []
    for row in measure(rounds):
        rows.append({**dataclasses.asdict(row), "gain_mixed": row.gain_mixed, "gain_unmixed": row.gain_unmixed})
        if not json:
            typer.echo(
                f"{row.seconds:2} s {row.recipe:18}{row.reference:7.0f} {row.reference_mixed:7.0f} {row.unmixed:7.0f} "
                f"{row.mixed:7.0f}  {row.gain_unmixed:6.1f} {row.gain_mixed:5.2f}"
            )
    if json:
        typer.echo(jsonlib.dumps(rows, indent=1))


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.console import Console

    from benchmark.console import counting

    with counting(Console(stderr=True)) as show:
        yield show


def _cache(given: str | None) -> Path | None:
    from benchmark.models.weights import default_folder

    return options.cache_folder(given, default_folder())


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _bars(counts: Mapping[str, int]) -> Iterator[str]:
    """A histogram in text."""
    width, most = max(map(len, counts), default=0), max([1, *counts.values()])
    for name, number in counts.items():
        yield f"  {name:{width}} {number:7} {'#' * round(BAR * number / most)}".rstrip()
