"""Papers whose claims are judged: folders of `paper_tables`, of installed packages, and of the user."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.errors import BenchmarkError, closest
from benchmark.plugins import load_installed
from benchmark.report.claims.ledger import Claim, Ledger
from benchmark.report.names import Names
from benchmark.report.paper_scores import PaperScore, ScoreFile
from benchmark.report.results import Results
from benchmark.spec.grammar import unordered
from benchmark.spec.grid import load_grid
from benchmark.spec.recipe import Layer
from benchmark.spec.request import TrialRequest, recipe_mark
from benchmark.spec.yaml import Spec, read_yaml, validate

MAIN = "aat"  # the paper that the suite reproduces: its claims are always judged
NameList = Annotated[list[str], Field(min_length=1)]


class PaperMethod(Spec):
    """The method of the suite that corresponds to a method of a paper."""

    method: str | None = Field(default=None, description="method with its options; null if it has the paper's name")
    by_dataset: dict[str, str] = Field(default={}, description="where it is another one: method by dataset")
    label: str = Field(default="", description="what tables call it; empty for the label of the suite's method")
    differs: str = Field(default="", description="how it differs from the paper's method")


class About(Spec):
    """The content of a paper's `paper.yaml`."""

    label: str = Field(min_length=1, description="short name, for tables")
    title: str
    source: str = Field(description="arXiv:NUMBER, and the official code")
    grid: str | None = Field(
        default=None, description="grid that runs its comparison: a name, or a file in the folder; null for none"
    )
    protocol: str = Field(default="reference", description="protocol whose trials judge its claims")
    backbones: NameList = Field(description="backbones that its claims are about")
    datasets: NameList = Field(description="datasets that its claims are about")
    methods: dict[str, PaperMethod] = Field(min_length=1, description="methods by their name in claims and scores")
    differs: list[str] = Field(
        default=[], description="how the suite's trials differ from the paper's, whatever method"
    )


class Defect(Spec):
    """A defect of a paper or of its official code."""

    title: str = Field(min_length=1)
    source: str = Field(min_length=1, description="where it is")
    status: Literal["switch", "reproduced", "documented"] = Field(
        description="switch: the protocols `reference` and `corrected` differ in it; reproduced: by every protocol; "
        "documented: `here` says what the suite does"
    )
    switch: str | None = Field(default=None, description="names of the protocol switches")
    touches: str | None = Field(default=None, description="which results it changes")
    here: str | None = Field(default=None, description="what the suite does instead")


class DefectFile(Spec):
    """The content of a paper's `defects.yaml`."""

    defects: dict[str, Defect]


@dataclass(frozen=True)
class Paper:
    """A paper with its claims and scores.

    Attributes:
        name: name of its folder.
        folder: its folder.
        about: what its claims are about.
        ledger: its claims.
        scores: its scores.
        score_sources: description of each source of the scores by its key.
    """

    name: str
    folder: Path
    about: About
    ledger: Ledger
    scores: tuple[PaperScore, ...]
    score_sources: dict[str, str]

    @functools.cached_property
    def layers(self) -> list[Layer]:
        """Recipe values of its grid, which replace those of the datasets' own recipes.

        Raises:
            BenchmarkError: there is no such grid.
        """
        return load_grid(self.grid).overrides if self.grid else []

    @property
    def grid(self) -> str | None:
        """Name or path of its grid."""
        grid = self.about.grid
        return str(self.folder / grid) if grid and Path(grid).suffix else grid

    def method(self, name: str, dataset: str) -> str:
        """Return the suite's method, with options, for a method of the paper."""
        entry = self.about.methods.get(name, PaperMethod())
        return entry.by_dataset.get(dataset, entry.method or name)

    def label(self, name: str, names: Names) -> str:
        """Return what people read in place of a paper's name of a method.

        Args:
            name: the paper's name.
            names: labels of the suite.
        """
        return self.about.methods.get(name, PaperMethod()).label or names.method(name)

    def note(self, methods: Iterable[str], names: Names) -> str:
        """Return how methods differ from those of the paper: `LoRA: scale 0.125`.

        Args:
            methods: the paper's names.
            names: labels of the suite.
        """
        differs = {name: self.about.methods[name].differs for name in methods if name in self.about.methods}
        return "; ".join(f"{self.label(name, names)}: {text}" for name, text in differs.items() if text)

    def marks(self, request: TrialRequest, marks: str) -> str:
        """Return why a trial or table cell is not comparable with this paper; empty if it is.

        Args:
            request: the trial, or one of the cell.
            marks: why it is not comparable with the main paper, whose recipes are those of the datasets.
        """
        if not self.layers:
            return marks
        kept = [mark for mark in marks.split("; ") if mark not in {"", recipe_mark(request.recipe_changes)}]
        return "; ".join(filter(None, [*kept, recipe_mark(request.changes_from(self.layers))]))

    def has(self, request: TrialRequest) -> bool:
        """Return whether a trial is one of this paper: its backbone, dataset, method and recipe."""
        dataset = request.dataset.name
        known = request.backbone.name in self.about.backbones and dataset in self.about.datasets
        methods = {unordered(self.method(name, dataset)) for name in self.about.methods}
        return known and unordered(request.method.variant) in methods and not request.changes_from(self.layers)

    def protocol_of(self, results: Results) -> str:
        """Return the protocol that a report judges it by: its own, or that of the first cell if it was not run."""
        protocols = results.rows["protocol"].tolist()
        return protocols[0] if protocols and self.about.protocol not in protocols else self.about.protocol

    def with_scores(self, more: ScoreFile, where: str) -> Paper:
        """Return the paper with more scores, which replace those with the same key.

        Raises:
            BenchmarkError: a score names a source that neither file describes.
        """
        scores = {score.key: score for score in [*self.scores, *more.cells]}
        sources = {**self.score_sources, **more.sources}
        _check_sources(more.cells, sources, where)
        return dataclasses.replace(self, scores=tuple(scores.values()), score_sources=sources)


@dataclass(frozen=True)
class PaperChoice:
    """Which papers are judged.

    Attributes:
        chosen: the papers that were asked for; empty for the default.
        files: more scores from the user's files, with their paths.
    """

    chosen: tuple[Paper, ...] = ()
    files: tuple[tuple[str, ScoreFile], ...] = ()

    def of(self, results: Results) -> list[Paper]:
        """Return the papers: those that were asked for, or the main one and all with trials in the results.

        Raises:
            BenchmarkError: a paper's folder does not follow its form, or two papers or their claims have one name.
        """
        with_scores = {file.paper for _, file in self.files}
        papers = list(self.chosen) or [
            paper
            for paper in map(load_paper, known_papers())
            if paper.name == MAIN or paper.name in with_scores or any(map(paper.has, results.requests.values()))
        ]
        for where, file in self.files:
            papers = [paper.with_scores(file, where) if paper.name == file.paper else paper for paper in papers]
        names = Counter(f"paper '{paper.name}'" for paper in papers)
        names.update(f"claim '{claim.id}'" for paper in papers for claim in paper.ledger.claims)
        if twice := [name for name, number in names.items() if number > 1]:
            folders = ", ".join(str(paper.folder) for paper in papers)
            raise BenchmarkError(f"{twice[0]} is in several folders ({folders}); rename it")
        return papers


DEFAULT_PAPERS = PaperChoice()


@functools.cache
def known_papers() -> dict[str, Path]:
    """Return the folders of the papers that ship with the suite and of installed packages, the main paper first.

    An entry point of the group `aat_benchmark.papers` is the path of a folder. One that cannot be used is reported and
    left out.
    """
    shipped = sorted(path.parent for path in Path(str(files("paper_tables"))).glob("*/paper.yaml"))
    found = {folder.name: folder for folder in sorted(shipped, key=lambda folder: folder.name != MAIN)}

    def accept(name: str, given: Any) -> None:
        if name in found:
            raise ValueError("its name is taken")
        found[name] = read_paper(Path(given)).folder

    load_installed("papers", accept)
    return found


@functools.cache
def load_paper(name: str) -> Paper:
    """Return a known paper.

    Raises:
        BenchmarkError: there is no such paper, or its folder does not follow the form.
    """
    papers = known_papers()
    if name not in papers:
        raise BenchmarkError(f"unknown paper '{name}'{closest(name, papers)}")
    return read_paper(papers[name])


def read_defects(folder: Path) -> dict[str, Defect]:
    """Return the defects of a paper's `defects.yaml`; empty if there is none.

    Raises:
        BenchmarkError: the file does not follow the form.
    """
    path = folder / "defects.yaml"
    return validate(DefectFile, read_yaml(path), str(path)).defects if path.is_file() else {}


def read_paper(folder: Path) -> Paper:
    """Read a paper's folder: `paper.yaml`, `claims.yaml` and, if there is one, `scores.yaml`.

    Raises:
        BenchmarkError: a file does not follow the form, or names an unknown method, dataset, backbone or source.
    """
    about = validate(About, read_yaml(folder / "paper.yaml"), f"{folder / 'paper.yaml'}")
    ledger = validate(Ledger, read_yaml(folder / "claims.yaml"), f"{folder / 'claims.yaml'}")
    place = folder / "scores.yaml"
    scores = validate(ScoreFile, read_yaml(place), str(place)) if place.is_file() else ScoreFile(cells=[])
    for claim in ledger.claims:
        _check_claim(claim, about, f"{folder / 'claims.yaml'}: claim '{claim.id}'")
    _check_sources(ledger.claims, ledger.sources, str(folder / "claims.yaml"))
    if twice := [name for name, number in Counter(claim.id for claim in ledger.claims).items() if number > 1]:
        raise BenchmarkError(f"{folder / 'claims.yaml'}: claim '{twice[0]}' is there twice")
    for score in scores.cells:
        where = f"{place}: score {score.score:g}"
        for kind, name in (("backbone", score.backbone), ("dataset", score.dataset), ("method", score.method)):
            _check_name(kind, name, about, where)
    _check_sources(scores.cells, scores.sources, str(place))
    return Paper(folder.name, folder, about, ledger, tuple(scores.cells), scores.sources)


def _check_claim(claim: Claim, about: About, where: str) -> None:
    if problem := claim.problem():
        raise BenchmarkError(f"{where}: {problem}")
    _check_name("backbone", claim.backbone, about, where)
    for dataset in [*(claim.datasets or []), *([claim.dataset] if claim.dataset else [])]:
        _check_name("dataset", dataset, about, where)
    for method in claim.methods:
        _check_name("method", method, about, where)


def _check_name(kind: str, name: str, about: About, where: str) -> None:
    known: Sequence[str] = list(getattr(about, f"{kind}s"))
    if name not in known:
        raise BenchmarkError(f"{where}: {kind} '{name}' is not in paper.yaml{closest(name, known)}")


def _check_sources(entries: Iterable[Claim | PaperScore], sources: dict[str, str], where: str) -> None:
    for entry in entries:
        name = f"claim '{entry.id}'" if isinstance(entry, Claim) else f"score {entry.score:g} of {entry.method}"
        if not sources.get(entry.source, "").strip():
            raise BenchmarkError(f"{where}: {name}: no source '{entry.source}'{closest(entry.source, sources)}")
