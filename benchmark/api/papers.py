"""The papers that a caller names: whose claims are judged, and more of their numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import ArgumentError, BenchmarkError, closest

if TYPE_CHECKING:
    from benchmark.report.paper_scores import ScoreFile
    from benchmark.report.papers import Paper, PaperChoice

PaperNames = str | Path | Iterable[str | Path]


def choose_papers(names: PaperNames) -> PaperChoice:
    """Return the papers that a caller names.

    Args:
        names: one or several of: the name of a paper, the folder of an own paper, a YAML file with more scores of a
            paper. Text may have several, separated by commas.

    Raises:
        BenchmarkError: there is no such paper, or a folder or file does not follow its form, or names a method or
            dataset that the suite does not have.
    """
    from benchmark.report.paper_scores import ScoreFile
    from benchmark.report.papers import PaperChoice, load_paper, read_paper
    from benchmark.spec.yaml import read_yaml, validate

    chosen: list[Paper] = []
    score_files: list[tuple[str, ScoreFile]] = []
    for name in _split(names):
        path = Path(name)
        if path.suffix in {".yaml", ".yml"}:
            file = validate(ScoreFile, read_yaml(path), name)
            load_paper(file.paper)
            _check_scores(file, name)
            score_files.append((name, file))
        elif path.is_dir() or os.sep in name:
            chosen.append(read_paper(path.absolute()))
            check_names(chosen[-1])
        else:
            chosen.append(load_paper(name))
    if chosen and (idle := [name for name, file in score_files if file.paper not in {paper.name for paper in chosen}]):
        raise ArgumentError("paper", "it has scores of a paper that is not among those named", idle[0])
    return PaperChoice(tuple({paper.folder: paper for paper in chosen}.values()), tuple(score_files))


def check_names(paper: Paper) -> None:
    """Check that the suite has the methods, datasets, grid and protocol of a paper.

    Raises:
        BenchmarkError: it lacks one, or a method is not written as in records.
    """
    from benchmark.methods.registry import resolve_methods
    from benchmark.spec.protocol import load_protocol

    where = str(paper.folder / "paper.yaml")
    for dataset in paper.about.datasets:
        _check_dataset(dataset, where)
    for name, entry in paper.about.methods.items():
        for text in {paper.method(name, ""), *entry.by_dataset.values()}:
            variant = resolve_methods(text, f"{where}: method '{name}'")[0].choice().variant
            if variant != text:
                raise BenchmarkError(f"{where}: method '{name}': write '{text}' as '{variant}', as records do")
    load_protocol(paper.about.protocol)
    _ = paper.layers


def _check_scores(file: ScoreFile, where: str) -> None:
    from benchmark.methods.registry import resolve_methods

    for score in file.cells:
        _check_dataset(score.dataset, where)
        resolve_methods(score.method, where)


def _check_dataset(name: str, where: str) -> None:
    from benchmark.data.registry import datasets

    if name not in datasets():
        raise BenchmarkError(f"{where}: unknown dataset '{name}'{closest(name, datasets())}")


def _split(names: PaperNames) -> list[str]:
    given = [names] if isinstance(names, str | os.PathLike) else list(names)
    return [part.strip() for name in given for part in str(name).split(",") if part.strip()]
