"""`search`: methods, combinations and hyper-parameters by validation data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.cli.run import INTERRUPTED, SOME_FAILED
from benchmark.errors import BenchmarkError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from benchmark.search.history import Configuration, Ledger
    from benchmark.search.space import Limits, Space

PROTOCOL_GRID = "paper"  # whose folds, seeds and protocol the winner is run under
WIDEST = 1000  # columns of the table, which is not folded: names are long
UNITS = {"": 1, "k": 10**3, "M": 10**6}


def search(
    dataset: Annotated[str, typer.Option("--dataset", help="The dataset.")],
    backbone: Annotated[str, typer.Option("--backbone", help="The backbone, e.g. 'ast[weights=FILE]'.")],
    budget: Annotated[int, typer.Option("--budget", help="Configurations to try; those that are too large are free.")],
    max_params: Annotated[
        str | None,
        typer.Option("--max-params", help="Most trainable parameters, head included: 300k, 1.5M, 40000."),
    ] = None,
    max_memory: Annotated[
        float | None, typer.Option("--max-memory", help="Most GB that a training step may take, by count.")
    ] = None,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            help="Only this method; 'aat_m[bottleneck=8,16]+prompt' gives values to choose from.",
            show_default="all parameter-efficient ones and every two of them",
        ),
    ] = [],
    fold: Annotated[int | None, typer.Option("--fold", help="Test fold, which is not read.", show_default="1")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws, and of the trainings.")] = 0,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Most epochs of a configuration.", show_default="the recipe's")
    ] = None,
    data_root: options.DataRoot = options.DATA_ROOT,
    checkpoints: options.Checkpoints = None,
    results: Annotated[
        Path | None,
        typer.Option("--results", help="Results folder.", show_default="results/runs/search-DATASET-BACKBONE"),
    ] = None,
    settings: options.Settings = [],
    protocol: options.ProtocolName = None,
    cache: options.CacheFolder = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores to use in all.", show_default="all")] = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
) -> None:
    """Search methods, combinations, hyper-parameters and learning rates by validation data; test clips are not read.

    Ends with what nothing beats in score, parameters and memory at once, and with the command that runs the winner
    under the full protocol. The same command continues an interrupted search, and with a larger budget a finished one.

    Example: python -m benchmark search --dataset esc50 --backbone ast-demo --budget 20 --max-params 300k

    Exit code: 0 the budget is spent, 2 wrong input, 3 no configuration could be trained, 130 interrupted.
    """
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise BenchmarkError("search needs Optuna: pip install -e '.[search]'")
    if budget < 1:
        raise BenchmarkError(f"--budget {budget}: expected at least 1 configuration")
    from rich.console import Console

    from benchmark.orchestrator.cache_warmup import prepare_audio
    from benchmark.search.history import Ledger, spent, winner
    from benchmark.search.run import alone, run_search
    from benchmark.search.space import Limits, candidates, default_methods, make_space, settings_of
    from benchmark.spec.grammar import path_name
    from benchmark.spec.options import RunOptions

    limits = Limits(_number(max_params), _bytes(max_memory))
    known = {each.name: each for each in candidates(method or default_methods())}
    chosen = options.select(
        PROTOCOL_GRID, data_root, checkpoints,
        results or Path("results") / "runs" / path_name(f"search-{dataset}-{backbone}", ""),
        ["+".join(each.places) for each in known.values()], [dataset], [backbone],
        [] if fold is None else [str(fold)], [str(seed)],
        [*settings, *([] if epochs is None else [f"recipe.epochs={epochs}"])], protocol, cache,
    )  # fmt: skip
    expansion, console = chosen.expand(), Console(highlight=False, soft_wrap=True)
    if expansion.missing_inputs:
        raise MissingInputError(expansion.missing_inputs[0])
    space = make_space(chosen.grid, expansion, known)
    manifest = space.held.manifest
    number = len([clip for clip in manifest.clips if clip.split == "validation"])
    typer.echo(
        f"search of {len(space.candidates)} methods and combinations; validation: {space.held.rule} ({number} of "
        f"{len(manifest.clips)} clips); test clips are not read"
    )
    ledger, interrupted = Ledger(chosen.store.folder, {**settings_of(space, limits), "seed": seed}), False
    with alone(chosen.store.folder):
        ledger.load()
        if spent(ledger.configurations) < budget:
            prepare_audio([space.first], {manifest.info.name: manifest}, chosen.cache, console)
            how = RunOptions(
                chosen.data_root, chosen.cache, expansion.checkpoints, None, cpus, cpus_per_trial, gpus_per_trial
            )
            interrupted = run_search(space, limits, ledger, budget, seed, how, console)
        if not interrupted and not spent(ledger.configurations):
            raise BenchmarkError(_nothing_fits(ledger, limits))
        best = winner(ledger.configurations)
        if best is not None:
            _show(space, ledger, console)
    counts = f"{spent(ledger.configurations)} of {budget} configurations; all of them in {ledger.path}"
    typer.echo(f"{'interrupted: ' if interrupted else ''}{counts}")
    if best is not None:
        if space.source.info.folds:
            typer.echo(
                f"of the winner's scores under the full protocol, that of fold {space.first.fold} is of clips that the "
                "search did not see; it trained on the other folds, and chose by one of them"
            )
        where = {"--data-root": data_root, "--checkpoints": checkpoints, "--protocol": protocol}
        typer.echo(f"the winner under the full protocol:\n{_rerun(best, dataset, backbone, settings, where)}")
    raise typer.Exit(INTERRUPTED if interrupted else SOME_FAILED if best is None else 0)


def _rerun(
    best: Configuration, dataset: str, backbone: str, settings: list[str], where: Mapping[str, Path | str | None]
) -> str:
    """The command that runs a configuration under the full protocol."""
    from shlex import join

    words = ["python", "-m", "benchmark", "run", "--grid", PROTOCOL_GRID, "--dataset", dataset]
    words += ["--backbone", backbone, "--method", best.method]
    words += [word for option, value in where.items() if value for word in (option, str(value))]
    own = [text for text in settings if text.partition("=")[0].strip() != "recipe.lr"]
    return join([*words, *(word for text in [f"recipe.lr={best.lr:g}", *own] for word in ("--set", text))])


def _number(text: str | None) -> int | None:
    """`300k` as 300000."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(k|M|)", text)
    if not match or not float(match[1]):
        raise BenchmarkError(f"--max-params {text}: expected a number such as 300k, 1.5M or 40000")
    return round(float(match[1]) * UNITS[match[2]])


def _bytes(gigabytes: float | None) -> int | None:
    if gigabytes is not None and not 0 < gigabytes < 1e6:
        raise BenchmarkError(f"--max-memory {gigabytes:g}: expected a number of GB above 0")
    return None if gigabytes is None else round(gigabytes * 1e9)


def _nothing_fits(ledger: Ledger, limits: Limits) -> str:
    """Why nothing was trained, with what came nearest."""
    key = "trainable" if limits.trainable is not None else "peak_bytes"
    sizes = [(getattr(each, key), each) for each in ledger.configurations if getattr(each, key) is not None]
    _, nearest = min(sizes, key=lambda pair: pair[0], default=(0, ledger.configurations[-1]))
    number = len(ledger.configurations)
    return f"none of {number} configurations fits; the nearest, {nearest.method}: {nearest.error}"


def _show(space: Space, ledger: Ledger, console: Console) -> None:
    """Print the front, and write the figure."""
    import pandas as pd
    from rich.markup import escape
    from rich.table import Table

    from benchmark.report.figures.search import pareto_search
    from benchmark.report.figures.style import measure, save
    from benchmark.search.history import front

    info, request = space.held.manifest.info, space.first
    shown = measure(info.metric)
    title = f"Search: {info.name}, {request.backbone.variant}, on validation data"
    table = Table(title=escape(title), title_justify="left", padding=(0, 1, 0, 0), show_edge=False)
    for name in ("method", "lr", shown, "epochs", "params (M)", "step (GB)"):
        table.add_column(name, no_wrap=True)
    for each in front(ledger.configurations):
        table.add_row(*map(escape, _row(each)))
    wide = console.options.update(width=WIDEST)
    console.print(table, "", width=console.measure(table, options=wide).maximum, crop=False)
    console.print(f"Not comparable with the paper: {'; '.join(space.marks)}.", markup=False, soft_wrap=True)
    rows = pd.DataFrame(
        [
            {**each.model_dump(), "name": each.draw["method"], "score": each.score}
            for each in ledger.configurations
            if each.trained
        ]
    )
    figure = pareto_search(rows, title, shown, space.marks)
    for path in save(figure, ledger.path.parent, "pareto-search")[:1]:
        console.print(f"figure: {path} (.pdf, .svg)", markup=False, soft_wrap=True)


def _row(each: Configuration) -> list[str]:
    pruned = " (pruned)" if each.state == "pruned" else ""
    sizes = [f"{(each.trainable or 0) / 1e6:.3f}", f"{(each.peak_bytes or 0) / 1e9:.3f}"]
    return [each.method, f"{each.lr:g}", f"{100 * (each.score or 0):.1f}", f"{len(each.scores)}{pruned}", *sizes]
