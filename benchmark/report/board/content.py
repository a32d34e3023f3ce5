"""Everything that the pages show, computed once."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.report.board.claims import PaperClaims, claims_of
from benchmark.report.board.downloads import Download, downloads_of
from benchmark.report.board.entries import Entry, shared_kinds
from benchmark.report.board.rankings import Ranking, rankings_of
from benchmark.report.board.read import Board, Section
from benchmark.report.papers import PaperChoice


@dataclass(frozen=True)
class MethodInfo:
    """What the suite says of a method.

    Attributes:
        label: what people read.
        summary: what it does, in a sentence.
        source: where it was published.
    """

    label: str
    summary: str
    source: str


@dataclass(frozen=True)
class Content:
    """Everything that the pages show.

    Attributes:
        board: the records.
        rankings: the rankings.
        papers: claims by paper.
        downloads: tables for programs.
        methods: what the suite says of its methods, by name.
    """

    board: Board
    rankings: list[Ranking]
    papers: list[PaperClaims]
    downloads: list[Download]
    methods: Mapping[str, MethodInfo]

    @classmethod
    def of(cls, board: Board, choice: PaperChoice, methods: Mapping[str, MethodInfo]) -> Content:
        """Return the content of a board.

        Args:
            board: the records.
            choice: papers whose claims are shown.
            methods: what the suite says of its methods, by name.
        """
        rankings = rankings_of(board)
        return cls(board, rankings, claims_of(board, choice), downloads_of(board, rankings), methods)

    @functools.cached_property
    def entries(self) -> list[Entry]:
        """The rows of all rankings."""
        return [entry for ranking in self.rankings for entry in ranking.entries]

    @property
    def marks(self) -> list[str]:
        """What makes every result of the board not comparable with papers: titles of sections, kinds of marks."""
        if not self.entries or not all(entry.marks for entry in self.entries):
            return []
        titles = [section.title for section in self.sections if not section.is_complete]
        kinds = shared_kinds(self.entries)
        first = [kind for kind in self.entries[0].kinds if kind in kinds and kind.capitalize() not in titles]
        return [*titles, *first]

    @property
    def sections(self) -> list[Section]:
        """Sections with a ranking."""
        return self.board.sections
