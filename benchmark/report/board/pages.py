"""The pages of the board: path, template, title, description, and what the template shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from benchmark.report.board.content import Content
from benchmark.report.board.entries import Entry, method_page
from benchmark.report.board.history import history_of
from benchmark.report.board.improvement import improvements
from benchmark.report.board.rankings import Ranking
from benchmark.report.board.read import Section
from benchmark.report.board.records import cell_pages
from benchmark.report.escape import one_line
from benchmark.report.page.build import embedded
from benchmark.report.page.charts import score_data
from benchmark.units import plural

NEWEST = 10  # submissions on the first page
LONGEST_DESCRIPTION = 300  # characters


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        path: its path in the site.
        template: name of its template.
        title: its heading, and with the name of the store its title.
        description: what search engines show.
        content: variables of its template.
        tab: the entry of the menu that it belongs to.
        has_charts: whether it needs the chart library.
    """

    path: str
    template: str
    title: str
    description: str
    content: Mapping[str, Any] = field(default_factory=dict)
    tab: str = ""
    has_charts: bool = False

    @property
    def root(self) -> str:
        """Path from the page to the root of the site."""
        return "../" * self.path.count("/")

    @property
    def short_description(self) -> str:
        """The description in one line, cut to `LONGEST_DESCRIPTION` characters."""
        text = one_line(self.description)
        return text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 1]}…"


def pages_of(content: Content) -> Iterator[Page]:
    """Yield all pages.

    Args:
        content: what they show.
    """
    yield _index(content)
    yield from _rankings(content)
    yield from _methods(content)
    yield from _costs(content)
    yield _improvement(content)
    yield from _claims(content)
    yield _history(content)
    yield from _submissions(content)
    yield _downloads(content)
    yield from _cells(content)


def _index(content: Content) -> Page:
    board, entries = content.board, content.entries
    standings = {
        name: sum(entry.standing == name for entry in entries) for name in ("reproduced", "disputed", "incomplete")
    }
    facts = {
        "records": f"{len(board.trials):,}",
        "submitters": f"{len(board.submitters):,}",
        "submissions": f"{len(board.submissions):,}",
        "results": f"{len(entries):,}",
        **{name: f"{number:,}" for name, number in standings.items() if number},
        "methods": f"{len({entry.family for entry in entries}):,}",
        "releases": ", ".join(dict.fromkeys(one.release for one in reversed(board.submissions))),
        "records under": board.store.info.licence,
    }
    description = (
        f"Fine-tuning methods for audio Transformers compared: {plural(len(board.trials), 'record')} of "
        f"{plural(len(board.submitters), 'submitter')}, with intervals, and every number opens its records."
    )
    return Page(
        "index.html", "index.html.j2", board.store.info.name, description,
        {"facts": facts, "grids": list(_grids(content)), "newest": board.submissions[:NEWEST]}, "rankings",
    )  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """The rankings of one section and protocol.

    Attributes:
        section: the section.
        protocol: label of the protocol.
        backbones: labels of the columns.
        rows: label of the dataset, and its ranking on each backbone.
    """

    section: Section
    protocol: str
    backbones: list[str]
    rows: list[tuple[str, list[Ranking | None]]]

    @property
    def rankings(self) -> list[Ranking]:
        """All rankings of the grid."""
        return [ranking for _, row in self.rows for ranking in row if ranking is not None]


def _grids(content: Content) -> Iterator[Grid]:
    keys = dict.fromkeys((ranking.section.name, ranking.labels[0]) for ranking in content.rankings)
    for name, protocol in keys:
        found = [one for one in content.rankings if (one.section.name, one.labels[0]) == (name, protocol)]
        by_place = {one.labels[1:]: one for one in found}
        backbones = list(dict.fromkeys(one.labels[1] for one in found))
        datasets = list(dict.fromkeys(one.labels[2] for one in found))
        rows = [(dataset, [by_place.get((backbone, dataset)) for backbone in backbones]) for dataset in datasets]
        yield Grid(found[0].section, protocol, backbones, rows)


def _rankings(content: Content) -> Iterator[Page]:
    by_page: dict[str, list[Ranking]] = {}
    for ranking in content.rankings:
        by_page.setdefault(ranking.page, []).append(ranking)
    for path, rankings in by_page.items():
        _, backbone, dataset = rankings[0].labels
        best = next((ranking.best for ranking in rankings if ranking.best), None)
        first = f" Best: {best.labels[3]}, {100 * (best.score or 0):.1f} %." if best else ""
        number = plural(sum(len(ranking.entries) for ranking in rankings), "result")
        description = (
            f"Fine-tuning methods for {backbone} ranked on {dataset}: scores with 95 % intervals, parameters, time, "
            f"memory, and who reproduced them. {number}.{first}"
        )
        yield Page(
            path, "ranking.html.j2", f"{dataset} with {backbone}", description, {"rankings": rankings}, "rankings"
        )


def _methods(content: Content) -> Iterator[Page]:
    families: dict[str, list[Entry]] = {}
    for entry in content.entries:
        families.setdefault(entry.family, []).append(entry)
    names = content.sections[0].results.names if content.sections else None
    labels = {family: names.method(family) if names else family for family in families}
    rows = [
        (labels[family], method_page(family), entries)
        for family, entries in sorted(families.items(), key=lambda item: labels[item[0]].lower())
    ]
    yield Page(
        "methods/index.html", "methods.html.j2", "Methods",
        f"{plural(len(rows), 'method')} of fine-tuning audio Transformers: where each one stands.",
        {"methods": rows}, "methods",
    )  # fmt: skip
    titles = {section.name: section.title for section in content.sections}
    for family, entries in families.items():
        parts = family.split("+")
        known = [(part, content.methods[part]) for part in parts if part in content.methods]
        sources = [
            (submission, part, submission.methods[part])
            for submission in content.board.submissions
            for part in parts
            if part in submission.methods
        ]
        keys = {(entry.submitter, other.submitter) for entry in entries for other in entry.others}
        submitters = sorted({entry.submitter for entry in entries} | {name for pair in keys for name in pair})
        summary = " ".join(info.summary for _, info in known)
        yield Page(
            method_page(family), "method.html.j2", labels[family],
            f"{labels[family]} for fine-tuning audio Transformers: {plural(len(entries), 'result')}. {summary}",
            {"entries": entries, "known": known, "unknown": [part for part in parts if part not in content.methods],
             "sources": sources, "submitters": submitters, "titles": titles, "family": family}, "methods",
        )  # fmt: skip


def _costs(content: Content) -> Iterator[Page]:
    for section in content.sections:
        rankings = [ranking for ranking in content.rankings if ranking.section is section]
        methods = {entry.cell: entry.method_page for ranking in rankings for entry in ranking.entries}
        yield Page(
            f"costs/{section.name}.html", "costs.html.j2", f"Score against cost: {section.title}",
            "The best fine-tuning method for trainable parameters, memory and time: Pareto fronts "
            "for each dataset and backbone.",
            {"section": section, "fronts": [(ranking, front_of(ranking.entries)) for ranking in rankings],
             "data": embedded({"charts": score_data(section.results), "methods": methods})}, "costs", has_charts=True,
        )  # fmt: skip


def front_of(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that no other one equals with fewer trainable parameters, by number of parameters."""
    front: list[Entry] = []
    known = [entry for entry in entries if entry.score is not None and entry.trainable is not None]
    for entry in sorted(known, key=lambda one: (one.trainable or 0, -(one.score or 0.0))):
        if not front or (entry.score or 0.0) > (front[-1].score or 0.0):
            front.append(entry)
    return front


def _improvement(content: Content) -> Page:
    found = [table for section in content.sections for table in improvements(section)]
    return Page(
        "improvement.html", "improvement.html.j2", "Probability of improvement",
        "The probability that a run of one fine-tuning method is better than one of another, over all datasets.",
        {"tables": found}, "improvement",
    )  # fmt: skip


def _claims(content: Content) -> Iterator[Page]:
    section = content.sections[0] if content.sections else None
    judged = section is not None and section.is_complete
    yield Page(
        "claims/index.html", "papers.html.j2", "Claims of papers",
        "Which claims of papers on fine-tuning audio Transformers were reproduced, and by whom.",
        {"papers": content.papers, "is_judged": judged, "section": section}, "claims",
    )  # fmt: skip
    pages = {entry.cell: entry for entry in content.entries}
    for paper in content.papers:
        yield Page(
            paper.page, "claims.html.j2", f"Claims of {paper.paper.about.label}",
            f"Claims of {paper.paper.about.title}: which were reproduced, and by whom.",
            {"paper": paper, "is_judged": judged, "section": section, "entries": pages}, "claims",
        )  # fmt: skip


def _history(content: Content) -> Page:
    return Page(
        "history.html", "history.html.j2", "History by release",
        "How the best results of fine-tuning methods for audio Transformers changed with each release of the suite.",
        {"history": history_of(content.board, content.rankings)}, "history",
    )  # fmt: skip


def _submissions(content: Content) -> Iterator[Page]:
    board, entries = content.board, {entry.cell: entry for entry in content.entries}
    keys = zip(board.trials["submitter"], board.trials["submission"], board.trials["cell"], strict=True)
    cells = Counter(keys)  # number of records of a submission and cell
    counts: Counter[str] = Counter()
    for (submitter, submission, _), number in cells.items():
        counts[f"{submitter}/{submission}"] += number
    yield Page(
        "submissions/index.html", "submissions.html.j2", "Submissions",
        f"{plural(len(board.submissions), 'submission')} of {plural(len(board.submitters), 'submitter')}.",
        {"counts": counts}, "submissions",
    )  # fmt: skip
    standings: dict[str, list[dict[Any, Any]]] = {}
    for row in board.standings.to_dict("records"):
        standings.setdefault(row["submitter"], []).append(row)
    for one in board.submissions:
        rows = [row for row in standings.get(one.submitter, []) if cells[one.submitter, one.name, row["cell"]]]
        title = f"{one.submitter}/{one.name}"
        yield Page(
            f"{one.path}.html", "submission.html.j2", title,
            f"Submission {one.name} of {one.submitter}: {plural(counts[title], 'record')}.",
            {"submission": one, "cells": [(entries[row["cell"]], row) for row in rows], "records": counts[title]},
            "submissions",
        )  # fmt: skip


def _downloads(content: Content) -> Page:
    return Page(
        "downloads.html", "downloads.html.j2", "Downloads",
        "All results as CSV and JSON.", {"downloads": content.downloads}, "downloads",
    )  # fmt: skip


def _cells(content: Content) -> Iterator[Page]:
    entries = {entry.cell: entry for entry in content.entries}
    for entry, found in cell_pages(content.board, entries):
        protocol, backbone, dataset, method = entry.labels
        yield Page(
            entry.page, "cell.html.j2", f"{method} on {dataset}, {backbone}",
            f"Records of {method} on {dataset} with {backbone}, protocol {protocol}: folds, seeds, scores, settings.",
            {"entry": entry, **found}, "rankings",
        )  # fmt: skip


def structured(content: Content, address: str | None) -> Markup:
    """Return what search engines for data sets read (schema.org), as JSON for a script element."""
    info = content.board.store.info
    found: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "name": info.name,
        "description": "Results of fine-tuning methods for audio Transformers",
        "license": info.licence,
        "measurementTechnique": "AAT benchmark",
    }
    if address:
        found["url"] = address
        found["distribution"] = [
            {"@type": "DataDownload", "encodingFormat": kind, "contentUrl": f"{address}data/{one.name}.{ending}"}
            for one in content.downloads
            for ending, kind in (("csv", "text/csv"), ("json", "application/json"))
        ]
    return embedded(json.loads(json.dumps(found)))
