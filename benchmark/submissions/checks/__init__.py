"""The rules of a submission: one function per rule, each of which yields a failure per fault."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.errors import first_line
from benchmark.submissions.bundle import Failure
from benchmark.submissions.checks import cells, files, identity, origin, others, ranges, scores
from benchmark.submissions.checks.context import Check, Context

CHECKS: tuple[Check, ...] = (
    files.listed,
    files.names,
    files.complete,
    files.licence,
    identity.ids,
    identity.versions,
    identity.environment,
    cells.kinds,
    cells.folds_and_seeds,
    cells.choices,
    origin.data,
    origin.dataset_facts,
    origin.checkpoint,
    origin.sources,
    ranges.curves,
    ranges.times,
    ranges.parameters,
    scores.recomputed,
    others.duplicates,
    others.copies,
    others.same_data,
)


def run_checks(context: Context) -> Iterator[Failure]:
    """Yield every fault of a submission. If a part cannot be read, only that is said: the rest would be guesses."""
    if context.bundle.failures:
        yield from context.bundle.failures
        return
    for check in CHECKS:
        try:
            yield from check(context)
        except Exception as error:  # whatever a hostile record makes a check do: it is refused, not passed
            yield Failure("", f"rule {check.__module__.rpartition('.')[2]}.{check.__name__} fails: {first_line(error)}")
