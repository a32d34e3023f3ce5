"""Names of users in the files of a report: shown as they are, never read as markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from benchmark.report.escape import STRONG, latex, markdown
from benchmark.report.figures import to_svg
from benchmark.report.figures.classes import confusion
from benchmark.report.figures.costs import pareto
from benchmark.report.figures.scores import scatter
from benchmark.report.page.assets import SCRIPTS
from benchmark.report.page.build import to_html
from benchmark.report.render import Table, to_latex, to_markdown
from benchmark.report.results import Results
from benchmark.report.write import build_tables
from tests.report.hostile import CLASSES, FILE, SHOWN, hostile_results


class Elements(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self.cells.append("")  # what follows belongs to no cell

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data

    def check(self) -> None:
        """Check that no element loads or runs anything by itself."""
        for tag, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
            assert tag not in {"iframe", "object", "embed", "base"}
            assert "src" not in attributes or str(attributes["src"]).startswith("data:")


def rendered_markdown(table: Table) -> Elements:
    return Elements(MarkdownIt("commonmark").enable("table").render(to_markdown(table.text, table.caption)))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return hostile_results(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def tables(results: Results) -> dict[str, Table]:
    return {table.name: table for table in build_tables(results)}


def test_tables_keep_their_columns_in_markdown(tables: dict[str, Table]) -> None:
    for table in tables.values():
        rendered = rendered_markdown(table)
        rendered.check()
        tags = [tag for tag, _ in rendered.tags]
        assert "img" not in tags
        assert tags.count("td") == tags.count("th") * len(table.text)
    main = tables["results"]
    assert SHOWN in rendered_markdown(main).cells
    assert not re.search(r"(?<!\\)\$", to_markdown(main.text, main.caption))  # of a formula
    assert any("</script> →" in cell for cell in rendered_markdown(tables["confusion"]).cells)


def test_tables_keep_their_columns_in_latex(tables: dict[str, Table]) -> None:
    for table in tables.values():
        text = to_latex(table.text, table.caption)
        bare = re.sub(r"\\[\\&%$#_{}]", "", text)
        assert bare.count("{") == bare.count("}")
        assert not set("<>|`^~") & set(bare)
        assert not re.search(r"\$(?!\\(pm|dagger|rightarrow|leq|geq)\$)[^$]*\$", bare)
        assert r"\input" not in text
        rows = text.split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
        ends = [line for line in rows.splitlines() if line.endswith(r"\\")]
        assert len({re.sub(r"\\&", "", line).count("&") for line in ends}) == 1
        assert not [line for line in ends if re.match(r"\s*[\[*]", line)]
    assert r"{[}red{]} \textless{}img" in to_latex(tables["results"].text, tables["results"].caption)


def test_the_page_has_names_as_text(results: Results, tables: dict[str, Table]) -> None:
    content = to_html(results, list(tables.values()), [])
    page = Elements(content)
    page.check()
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 2 + len(SCRIPTS)  # the theme and the data
    assert SHOWN in page.cells
    assert not [tag for tag, attributes in page.tags if "style" in attributes]  # the policy forbids it
    [data] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', content, re.DOTALL)
    charts = json.loads(data)["charts"]
    assert charts["classes"][0]["names"] == list(CLASSES)
    assert SHOWN in [method["name"] for method in charts["methods"]]


@pytest.mark.parametrize("draw", [scatter, pareto, confusion])
def test_figures_have_names_as_text(results: Results, draw: Callable[[Results, str], Any]) -> None:
    figure = draw(results, "Title $x_1$")
    tree = ElementTree.fromstring(to_svg(figure))
    assert not [element for element in tree.iter() if element.tag.endswith(("script", "foreignObject"))]
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
    texts = [text.get_text().replace(r"\$", "$") for text in figure.findobj(lambda part: hasattr(part, "get_text"))]
    assert any("$x_1$" in text for text in texts)


def test_data_has_the_names_themselves(tables: dict[str, Table], tmp_path: Path) -> None:
    tables["confusion"].data.to_csv(tmp_path / "confusion.csv", index=False)
    assert set(pd.read_csv(tmp_path / "confusion.csv")["true"]) == set(CLASSES)
    assert any(FILE in text for text in tables["results"].data["marks"])


@pytest.mark.parametrize(
    ("text", "in_markdown", "in_latex"),
    [
        ("aat_ms _x_", r"aat_ms \_x\_", r"aat\_ms \_x\_"),
        ("<b> & | a\\b", r"&lt;b&gt; &amp; \| a\\b", r"\textless{}b\textgreater{} \& \textbar{} a\textbackslash{}b"),
        ("two\nlines\x1b[31m", r"two lines\\x1b\[31m", r"two lines\textbackslash{}x1b{[}31m"),
        ("left\u202eright\x85", r"left\\u202eright", r"left\textbackslash{}u202eright"),
        ("a\udcffb", r"a\\udcffb", r"a\textbackslash{}udcffb"),
        (f"{STRONG[0]}9_{STRONG[1]} {STRONG[0]}", r"**9\_** ", r"\textbf{9\_} "),
        ("* `a`", r"\* \`a\`", r"{*} \textasciigrave{}a\textasciigrave{}"),
        ("50 ± 2 --x", "50 ± 2 --x", r"50 $\pm$ 2 -{}-x"),
    ],
)
def test_escapes(text: str, in_markdown: str, in_latex: str) -> None:
    assert markdown(text) == in_markdown
    assert latex(text) == in_latex


def test_notes_of_the_suite_may_hold_code() -> None:
    note = "see `report --paper FILE`, 2 +- 1, `<b>`"
    assert markdown(note, code=True) == r"see `report --paper FILE`, 2 +- 1, \`&lt;b&gt;\`"
    assert latex(note, code=True).startswith(r"see \texttt{report -{}-paper FILE}, 2 $\pm$ 1, \textasciigrave{}")
