"""Which of the paper's claims hold."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.profile import profile_shapes
from benchmark.console import stderr_console

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.records.store import ResultStore
    from benchmark.report.claims.ledger import Judged

COUNTED_GRID = "paper"
ADAPTERS = ("aat_m", "aat_ms")
COUNTED_METHODS = ("full", "linear", "partial", "prompt", *ADAPTERS)
MAX_REASON = 90  # characters of a reason in a printed line; `as_dicts` has all


@dataclass(frozen=True)
class ClaimsResult:
    """Every claim of the paper and its verdict. `print` shows a line per claim and the counts.

    Attributes:
        protocol: name of the protocol whose trials judge.
        judged: the claims with the paper's value, the measured value, its interval and the verdict.
    """

    protocol: str
    judged: list[Judged]

    def unexpected(self, *, strict: bool = False) -> list[Judged]:
        """Return the claims whose verdict is not the expected one.

        Args:
            strict: also return those that are expected to differ, and do.
        """
        return [claim for claim in self.judged if not claim.as_expected or (strict and claim.verdict == "differs")]

    def summary(self) -> str:
        """Return the number of claims by verdict: `12 reproduced, 2 differs, 80 not run`."""
        from benchmark.report.claims.ledger import VERDICTS

        counts = Counter(claim.verdict for claim in self.judged)
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the claims as plain data, for JSON or `pandas.DataFrame`."""
        return [{**dataclasses.asdict(claim), "as_expected": claim.as_expected} for claim in self.judged]

    def __str__(self) -> str:
        return "\n".join([*map(_line, self.judged), f"protocol {self.protocol}: {self.summary()}"])


@checked
def claims(
    results: str | Path,
    *,
    protocol: str = "reference",
    structural: bool = False,
    paper: str | Path | None = None,
    console: Console | None = None,
) -> ClaimsResult:
    """Compare every claim of the paper with the results. Trials that are not comparable never judge.

    Args:
        results: results folder.
        protocol: whose trials judge: `reference` or `corrected`.
        structural: first count parameters, operations and memory, which needs neither data nor weights nor a GPU.
        paper: more numbers of the paper, in the form of `paper_tables/scores.yaml`.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Raises:
        BenchmarkError: not a results folder, an unknown protocol, or a mistake in `paper`.

    Example:
        >>> print(benchmark.claims("OUT", structural=True))
    """
    from benchmark.records.store import ResultStore
    from benchmark.report.claims.judge import judge
    from benchmark.report.write import read_results
    from benchmark.spec.protocol import load_protocol

    load_protocol(protocol)
    store = ResultStore(Path(results))
    if structural:
        _count(store, protocol, console or stderr_console())
    return ClaimsResult(protocol, judge(read_results(store), protocol, None if paper is None else Path(paper)))


def _count(store: ResultStore, protocol: str, console: Console) -> None:
    """Count the steps of the paper's trials that have no profile yet."""
    from benchmark.planning.expand import expand
    from benchmark.records.environment import checkpointing
    from benchmark.spec.grid import load_grid, narrow
    from benchmark.trial.profile import How

    grid = narrow(load_grid(COUNTED_GRID), backbones=["ast"], methods=COUNTED_METHODS, seeds=["0"], protocol=protocol)
    expansion = expand(grid, Path("none"), Path("none"))
    profiles = [profile for profile in store.profiles() if not checkpointing(profile.environment)]
    known = {profile.request.step_key for profile in profiles if profile.request.method.variant not in ADAPTERS}
    # a profile of `plan --calibrate` has no identity error, which the claims about adapters need
    known |= {profile.request.step_key for profile in profiles if profile.identity_error is not None}
    how = How("cpu", threads=1, steps=0, seconds=0, identity=ADAPTERS)
    profile_shapes([request for request in expansion.requests if request.step_key not in known], store, console, how)


def _line(claim: Judged) -> str:
    """Return verdict, statement, values and reason."""
    from benchmark.report.claims.ledger import measured_text

    measured = measured_text(claim)
    paper = f" (paper: {claim.paper})" if claim.paper else ""
    reason = claim.why if len(claim.why) <= MAX_REASON else f"{claim.why[:MAX_REASON]}..."
    return f"{claim.verdict:15}{claim.statement}{paper}{f': {measured}' if measured else ''}; {reason}"
