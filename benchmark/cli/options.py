"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

# headings of groups of options in the help
CHOICE, FOLDERS, MACHINE, OUTPUT = "What to run", "Folders", "Machine", "Output"


def _names(kind: str) -> Callable[[str], list[str]]:
    """Return a function that completes names of a kind in a shell."""

    def complete(incomplete: str) -> list[str]:
        from benchmark.api.completion import completions

        return completions(kind, incomplete)

    return complete


GridName = Annotated[
    str,
    typer.Option(
        "--grid",
        help="A declared grid (see `list grids`) or a YAML file.",
        rich_help_panel=CHOICE,
        autocompletion=_names("grids"),
    ),
]
DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root",
        envvar="AAT_BENCHMARK_DATA",
        help="Folder that holds the official dataset folders.",
        rich_help_panel=FOLDERS,
    ),
]
GridResults = Annotated[
    Path | None,
    typer.Option("--results", help="Results folder.", show_default="results/runs/GRID", rich_help_panel=FOLDERS),
]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Results folder.", rich_help_panel=FOLDERS)]
# \\[ because help texts are Rich markup, which would hide what is in brackets
Methods = Annotated[
    list[str],
    typer.Option(
        "--method",
        help="Only this method, e.g. 'aat_ms\\[bottleneck=64]'.",
        rich_help_panel=CHOICE,
        autocompletion=_names("methods"),
    ),
]
Datasets = Annotated[
    list[str],
    typer.Option("--dataset", help="Only this dataset.", rich_help_panel=CHOICE, autocompletion=_names("datasets")),
]
Backbones = Annotated[
    list[str],
    typer.Option(
        "--backbone",
        help="Only this backbone, e.g. 'ast\\[size=demo]' or ./FILE.py:CLASS.",
        rich_help_panel=CHOICE,
        autocompletion=_names("backbones"),
    ),
]
Folds = Annotated[
    list[str], typer.Option("--fold", help="Only this fold; lists as 1,2 or repeated.", rich_help_panel=CHOICE)
]
Seeds = Annotated[
    list[str], typer.Option("--seed", help="These seeds; lists as 0,1,2 or repeated.", rich_help_panel=CHOICE)
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set", help="recipe.KEY=VALUE or protocol.SWITCH=VALUE, e.g. recipe.epochs=2.", rich_help_panel=CHOICE
    ),
]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="Another protocol than the grid's.",
        rich_help_panel=CHOICE,
        autocompletion=_names("protocols"),
    ),
]
Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        envvar="AAT_BENCHMARK_CHECKPOINTS",
        help="Folder of pre-trained checkpoints.",
        show_default="aat-benchmark in the user's cache folder",
        rich_help_panel=FOLDERS,
    ),
]
CacheFolder = Annotated[
    str | None,
    typer.Option(
        "--cache",
        envvar="AAT_BENCHMARK_CACHE",
        help="Folder of the audio cache, or `none` to decode every time.",
        show_default="aat-benchmark/audio-cache in the user's cache folder",
        rich_help_panel=FOLDERS,
    ),
]
LimitClips = Annotated[
    int | None,
    typer.Option(
        "--limit-clips",
        min=1,
        help="Use at most this many clips of each split; results are marked.",
        rich_help_panel=CHOICE,
    ),
]
Shots = Annotated[
    list[str],
    typer.Option(
        "--shots",
        help="Few-shot: training clips per class; lists as 1,2,4.",
        show_default="all training clips",
        rich_help_panel=CHOICE,
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        "--draws",
        min=1,
        help="Draws of these clips, the same for all methods.",
        show_default="5",
        rich_help_panel=CHOICE,
    ),
]
Candidates = Annotated[
    int | None,
    typer.Option(
        "--candidates",
        min=2,
        help="Settings per method and dataset that a grid such as `tuned` chooses from.",
        show_default="the grid's",
        rich_help_panel=CHOICE,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard", help="I/N: the I-th of N parts of the trials.", show_default="all trials", rich_help_panel=CHOICE
    ),
]
BadAudio = Annotated[
    Literal["stop", "skip"] | None,
    typer.Option(
        "--on-bad-audio",
        help="A file that is empty, cut off or not audio: stop, or skip it and record that.",
        show_default="stop",
        rich_help_panel=CHOICE,
    ),
]
Cpus = Annotated[
    int | None, typer.Option(min=1, help="CPU cores to use in all.", show_default="all", rich_help_panel=MACHINE)
]
CpusPerTrial = Annotated[
    int | None, typer.Option("--cpus-per-trial", min=1, help="CPU cores of one trial.", rich_help_panel=MACHINE)
]
GpusPerTrial = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        min=0,
        max=1,
        help="GPUs of one trial, at most 1; trials with fractions share a GPU.",
        show_default="chosen by memory and by measurements of profile --sharing",
        rich_help_panel=MACHINE,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile training: on a GPU faster after a start of some seconds; results differ by rounding.",
        rich_help_panel=MACHINE,
    ),
]
Checkpointing = Annotated[
    bool,
    typer.Option(
        "--checkpointing",
        help="Activation checkpointing: compute activations again in the backward pass. Less memory, more operations, "
        "the same results.",
        rich_help_panel=MACHINE,
    ),
]
TestCurves = Annotated[
    bool,
    typer.Option(
        "--test-curves",
        help="Evaluate the test clips after every epoch, also where this epoch cannot be the reported one.",
        rich_help_panel=OUTPUT,
    ),
]
Device = Annotated[
    str | None, typer.Option(help="`cpu` or `cuda`.", show_default="cuda if there is a GPU", rich_help_panel=MACHINE)
]
Papers = Annotated[
    list[str] | None,
    typer.Option(
        "--paper",
        help="Papers: names (`list papers`) or folders; or files with more of a paper's scores (format: "
        "paper_tables/aat/scores.yaml). Comma list or repeated.",
        show_default="AAT and papers with trials in the results",
        rich_help_panel=CHOICE,
        autocompletion=_names("papers"),
    ),
]
Trials = Annotated[
    bool, typer.Option("--trials", help="List every trial with its id, in place of the matrix.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
OutsideMethods = Annotated[
    list[str],
    typer.Option("--method", help="File of a method from outside the suite, as it was given to `run`."),
]
OutsideBackbones = Annotated[
    list[str],
    typer.Option("--backbone", help="File of a backbone from outside the suite, as it was given to `run`."),
]

DATA_ROOT = Path("data")

# options whose name is not that of the argument of the API call
NAMES = {
    "methods": "--method", "datasets": "--dataset", "backbones": "--backbone", "folds": "--fold", "seeds": "--seed",
    "settings": "--set", "loggers": "--log", "accepts": "--accept", "sources": "--source",
}  # fmt: skip


def name_of(argument: str) -> str:
    """Return the option that sets an argument of an API call."""
    return NAMES.get(argument, f"--{argument.replace('_', '-')}")
