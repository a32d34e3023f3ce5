"""Which claims of papers hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.papers import choose_papers
from benchmark.api.profile import profile_shapes
from benchmark.console import Block, as_text, stderr_console

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.records.store import ResultStore
    from benchmark.report.claims.ledger import Judged
    from benchmark.report.claims.summary import Summary
    from benchmark.report.papers import Paper

COUNTED = ("counted", "count", "share", "identity")  # kinds of claims that need no trial


@dataclass(frozen=True)
class ClaimsResult:
    """Every claim of some papers and its verdict. `print` shows the judged ones as a matrix, and the counts.

    Attributes:
        judged: the claims with the paper's value, the measured value, its interval and the verdict.
        papers: the papers.
        protocols: name of the protocol whose trials judge, by name of the paper.
        summaries: number of claims and checks by verdict, or why none is judged, by name of the paper.
    """

    judged: list[Judged]
    papers: list[Paper]
    protocols: dict[str, str]
    summaries: dict[str, Summary]

    def unexpected(self, *, strict: bool = False) -> list[Judged]:
        """Return the claims whose verdict is not the expected one.

        Args:
            strict: also return those that are expected to differ, and do.
        """
        return [claim for claim in self.judged if not claim.as_expected or (strict and claim.verdict == "differs")]

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the claims as plain data, for JSON or `pandas.DataFrame`."""
        return [{**dataclasses.asdict(claim), "as_expected": claim.as_expected} for claim in self.judged]

    def blocks(self, *, every: bool = False) -> Iterator[Block]:
        """Yield each paper's claims that are judged, as a matrix, and their number by verdict.

        Args:
            every: yield all claims, each with its value and reason.
        """
        from benchmark.api.claim_matrix import claim_blocks
        from benchmark.api.trial_matrix import known_names

        for paper in self.papers:
            label = paper.about.label
            judged = [claim for claim in self.judged if claim.publication == paper.name]
            yield from claim_blocks(judged, known_names(), label, every=every)
            yield from (f"{label}, not as in the paper: {text}" for text in paper.about.differs)
            unjudged = sum(claim.verdict == "not run" for claim in judged)
            hint = "" if every or not unjudged else "; --all shows the rest"
            yield f"{label}, protocol {self.protocols[paper.name]}: {self.summaries[paper.name]}{hint}"

    def __str__(self) -> str:
        return as_text(self.blocks())


@checked
def claims(
    results: str | Path,
    *,
    protocol: str | None = None,
    structural: bool = False,
    paper: str | Path | Iterable[str | Path] = (),
    console: Console | None = None,
) -> ClaimsResult:
    """Compare every claim of papers with the results. Trials that are not comparable never judge.

    Args:
        results: results folder.
        protocol: whose trials judge, such as `reference` or `corrected`; None for the protocol of each paper.
        structural: first count parameters, operations and memory, which needs neither data nor weights nor a GPU.
        paper: papers: names, or folders of own papers; also files with more of a paper's scores, in the form of
            `paper_tables/aat/scores.yaml`. Empty for AAT and every paper whose trials are in the results.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: not a results folder, an unknown protocol or paper, or a mistake in a file of `paper`.

    Example:
        >>> print(benchmark.claims("OUT", structural=True))
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.claims.judge import judge
    from benchmark.report.claims.summary import summarise
    from benchmark.report.write import read_results
    from benchmark.spec.protocol import load_protocol

    if protocol is not None:
        load_protocol(protocol)
    choice = choose_papers(paper)
    store = ResultStore(Path(results))
    found = read_results(store)
    papers = choice.of(found)
    protocols = {one.name: protocol or one.about.protocol for one in papers}
    if structural:
        for one in papers:
            _count(store, one, protocols[one.name], console or stderr_console())
        found = read_results(store)
    judged = judge(found, papers, protocol)
    summaries = {one.name: summarise(judged, one, found) for one in papers}
    return ClaimsResult(judged, papers, protocols, summaries)


def _count(store: ResultStore, paper: Paper, protocol: str, console: Console) -> None:
    """Count the steps of a paper's trials that its claims are about and that have no profile yet."""
    from benchmark.planning.expand import expand
    from benchmark.records.environment import checkpointing
    from benchmark.spec.grid import load_grid, narrow
    from benchmark.trial.profile import How

    wanted = {
        (claim.backbone, dataset, paper.method(method, dataset))
        for claim in paper.ledger.claims
        if claim.kind in COUNTED
        for dataset in ([claim.dataset] if claim.dataset else paper.about.datasets)
        for method in claim.methods
    }
    if not wanted or paper.grid is None:
        return
    adapters = {
        paper.method(claim.method, dataset)
        for claim in paper.ledger.claims
        if claim.kind == "identity"
        for dataset in paper.about.datasets
    }
    backbones, datasets, _ = (sorted(set(names)) for names in zip(*wanted, strict=True))
    grid = narrow(load_grid(paper.grid), backbones=backbones, datasets=datasets, seeds=["0"], protocol=protocol)
    requests = [
        request
        for request in expand(grid, Path("none"), Path("none")).requests
        if (request.backbone.name, request.dataset.name, request.method.variant) in wanted
    ]
    profiles = [profile for profile in store.profiles() if not checkpointing(profile.environment)]
    known = {profile.request.step_key for profile in profiles if profile.request.method.variant not in adapters}
    # a profile of `plan --calibrate` has no identity error, which the claims about adapters need
    known |= {profile.request.step_key for profile in profiles if profile.identity_error is not None}
    how = How("cpu", threads=1, steps=0, seconds=0, identity=tuple(sorted(adapters)))
    profile_shapes([request for request in requests if request.step_key not in known], store, console, how)
