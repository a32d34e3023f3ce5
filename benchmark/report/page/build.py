"""Collect what the page shows and render it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from benchmark.report.claims.judge import judge
from benchmark.report.claims.summary import summarise
from benchmark.report.figures import NamedFigure, to_svg
from benchmark.report.page import claims, overview, tables
from benchmark.report.page.assets import load_assets, read
from benchmark.report.page.charts import chart_data
from benchmark.report.page.provenance import provenance
from benchmark.report.papers import DEFAULT_PAPERS, PaperChoice
from benchmark.report.render import Table
from benchmark.report.results import Results

TEMPLATE = "page.html.j2"
AS_CHARTS = frozenset({"scatter", "curves", "pareto", "confusion"})  # figures that the page has as interactive charts


def to_html(
    results: Results, report: Sequence[Table], figures: Iterable[NamedFigure], choice: PaperChoice = DEFAULT_PAPERS
) -> str:
    """Return the page; it needs no network.

    Args:
        results: the results folder.
        report: tables in the order of the page; the first is the main one.
        figures: figures in the order of the page.
        choice: papers whose claims are shown.
    """
    papers = choice.of(results)
    protocols = {paper.name: paper.protocol_of(results) for paper in papers}
    judged = [claim for paper in papers for claim in judge(results, [paper], protocols[paper.name])]
    summaries = {paper.name: summarise(judged, paper, results) for paper in papers}
    main, *others = report
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    done, expected = overview.share_done(results)
    charts = chart_data(results)
    return environment.from_string(read(TEMPLATE)).render(
        assets=load_assets(),
        name=results.store.folder.name,
        warnings=results.marks,
        done=done,
        expected=expected,
        completeness=overview.completeness(results),
        facts=overview.facts(results),
        tallies=overview.tallies(papers, summaries),
        best=overview.best(results),
        main=tables.section(main, results, by_backbone=True),
        tables=[tables.section(table, results) for table in others],
        matrices=claims.matrices(results, papers, judged, protocols, summaries),
        has={name: bool(charts[name]) for name in ("points", "curves", "classes")},
        figures=[_figure(figure) for figure in figures if figure.name not in AS_CHARTS],
        protocol_grids=[tables.switches(results), tables.environments(results)],
        data=embedded({**provenance(results), "claims": claims.details(judged), "charts": charts}),
    )


def _figure(figure: NamedFigure) -> dict[str, str]:
    data = base64.b64encode(to_svg(figure.figure)).decode()
    return {"name": figure.name, "title": figure.title, "data": data}


def embedded(content: Any) -> Markup:
    """Return JSON for a script element, which `</script>` or `<!--` inside a text would end or change."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
