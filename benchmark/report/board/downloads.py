"""Tables of the board for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.report.board.rankings import Ranking
from benchmark.report.board.read import Board

KEYS = ("protocol", "backbone", "dataset", "method")


@dataclass(frozen=True)
class Download:
    """A table.

    Attributes:
        name: name of its files, without ending.
        title: what a row is.
        data: the rows.
    """

    name: str
    title: str
    data: pd.DataFrame

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield path and content of its files."""
        yield f"data/{self.name}.csv", self.data.to_csv(index=False)
        rows = json.loads(self.data.to_json(orient="records"))  # null where a value is unknown
        yield f"data/{self.name}.json", json.dumps(rows, indent=1, ensure_ascii=False)


def downloads_of(board: Board, rankings: Sequence[Ranking]) -> list[Download]:
    """Return the tables.

    Args:
        board: the board.
        rankings: its rankings.
    """
    manifests = [one.model_dump(mode="json", exclude={"files"}) for one in board.submissions]
    return [
        Download("rankings", "a row per table cell: score, interval, standing, costs", _ranking_rows(rankings)),
        Download("standings", "a row per table cell and submitter", board.standings),
        Download("records", "a row per record of any submitter", board.trials),
        Download("submissions", "a row per submission", pd.DataFrame(manifests)),
    ]


def _ranking_rows(rankings: Sequence[Ranking]) -> pd.DataFrame:
    rows = []
    for entry in (entry for ranking in rankings for entry in ranking.entries):
        values = dataclasses.asdict(entry)
        names = dict(zip(KEYS, values.pop("names"), strict=True))
        labels = values.pop("labels")
        others = values.pop("others")
        values |= {
            "label": labels[3],
            "releases": " ".join(entry.releases),
            "marks": "; ".join(entry.marks),
            "reproduced_by": " ".join(entry.reproduced_by),
            "disputed_by": " ".join(entry.disputed_by),
            "submitters": 1 + len(others),
        }
        rows.append({"cell": values.pop("cell"), "section": values.pop("section"), **names, **values})
    return pd.DataFrame(rows)
