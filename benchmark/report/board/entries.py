"""The rows of rankings: one per table cell, with its standing and its costs; and the paths of pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST_SLUG = 80  # characters


@dataclass(frozen=True)
class Other:
    """Records of the same cell by another submitter than the shown one.

    Attributes:
        submitter: who submitted them.
        score: mean score, in [0, 1]; None while they are incomplete.
        gap: it minus the shown score; None if one of them is incomplete.
        agrees: whether the gap is within the tolerance; None if they are not compared.
    """

    submitter: str
    score: float | None
    gap: float | None
    agrees: bool | None


@dataclass(frozen=True)
class Entry:
    """A row of a ranking.

    Attributes:
        cell: digest of the cell, which names its page.
        section: name of its section.
        names: protocol, backbone, dataset and method as in requests.
        labels: what people read in place of these.
        family: the method without its hyper-parameters, which names its page.
        rank: place by score, from 1; None unless complete.
        is_best: whether it is the best of its ranking, or not significantly different from it.
        score: mean over folds and seeds, in [0, 1]; None unless complete.
        low: lower end of its 95 % interval; None if it is not known.
        high: upper end of the same interval.
        seed_sd: standard deviation over seeds; None with one seed.
        score_text: what stands in place of a missing score: `4/5`, or how many trials diverged.
        metric: accuracy or map.
        folds: number of folds.
        seeds: number of seeds, in few-shot trials of draws.
        standing: incomplete, self-reported, reproduced or disputed.
        submitter: who submitted the shown records.
        others: records of other submitters.
        trainable: number of trainable parameters.
        share: trainable parameters as a share of all, in [0, 1].
        time_ratio: time per epoch as a share of that of full fine-tuning on the same hardware; None if not known.
        memory_ratio: the same of GPU memory.
        hardware: what was used.
        releases: releases of the suite that made the records.
        marks: reasons why it is not comparable with the paper.
    """

    cell: str
    section: str
    names: tuple[str, str, str, str]
    labels: tuple[str, str, str, str]
    family: str
    rank: int | None
    is_best: bool
    score: float | None
    low: float | None
    high: float | None
    seed_sd: float | None
    score_text: str
    metric: str
    folds: int
    seeds: int
    standing: str
    submitter: str
    others: Sequence[Other]
    trainable: int | None
    share: float | None
    time_ratio: float | None
    memory_ratio: float | None
    hardware: str
    releases: Sequence[str]
    marks: Sequence[str]

    @property
    def page(self) -> str:
        """Path of the page of its records."""
        return f"cells/{self.cell}.html"

    @property
    def method_page(self) -> str:
        """Path of the page of its method."""
        return method_page(self.family)

    @property
    def ranking_page(self) -> str:
        """Path of the page of its ranking."""
        return ranking_page(self.names[1], self.names[2])

    @property
    def kinds(self) -> list[str]:
        """Its marks without what is in brackets."""
        return list(dict.fromkeys(mark.partition(" (")[0] for mark in self.marks))

    @property
    def reproduced_by(self) -> list[str]:
        """Other submitters whose records agree."""
        return [other.submitter for other in self.others if other.agrees]

    @property
    def disputed_by(self) -> list[str]:
        """Other submitters whose records do not agree."""
        return [other.submitter for other in self.others if other.agrees is False]


def shared_kinds(entries: Iterable[Entry]) -> set[str]:
    """Return the kinds of marks that all entries have, see `Entry.kinds`."""
    kinds = [set(entry.kinds) for entry in entries]
    return set.intersection(*kinds) if kinds else set()


def method_page(family: str) -> str:
    """Return the path of the page of a method, named without hyper-parameters."""
    return f"methods/{slug(family)}.html"


def ranking_page(backbone: str, dataset: str) -> str:
    """Return the path of the page of a backbone and dataset."""
    return f"rankings/{slug(backbone)}--{slug(dataset)}.html"


def slug(text: str) -> str:
    """Return a name for a path: letters, digits, `_`, `-`; a digest makes it unique where it differs from the text."""
    safe = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:LONGEST_SLUG]
    return safe if safe and safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".strip("-")
