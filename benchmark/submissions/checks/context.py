"""What a rule is given."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmark.records.schema import Record
from benchmark.submissions.bundle import Bundle, Failure
from benchmark.submissions.known import Known
from benchmark.submissions.layout import StoreInfo


@dataclass
class Context:
    """One submission and what it is compared with.

    Attributes:
        bundle: the submission.
        store: what the store says of itself.
        known: what the suite knows.
        others: the other submissions of the store.
    """

    bundle: Bundle
    store: StoreInfo
    known: Known
    others: Sequence[Bundle] = field(default=())

    @functools.cached_property
    def other_trials(self) -> dict[str, list[tuple[Bundle, str, Record]]]:
        """Records of other submissions with their path, by id of the trial."""
        found: dict[str, list[tuple[Bundle, str, Record]]] = defaultdict(list)
        for bundle in self.others:
            for path, record in bundle.all_records.items():
                found[record.id].append((bundle, path, record))
        return found


Check = Callable[[Context], Iterable[Failure]]
