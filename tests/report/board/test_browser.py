"""The board in a real browser: opened as files, wide and narrow, dark, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.report.board.build import Built
from tests.report.browser import CONTRAST

pytestmark = pytest.mark.browser
WIDTHS = (390, 1280, 1920)
PAGES = (
    "index.html", "rankings/ast-demo--esc50.html", "methods/full.html", "improvement.html", "history.html",
    "claims/aat.html", "submissions/ada/one.html", "costs/synthetic-audio.html", "downloads.html",
)  # fmt: skip
OVERFLOWS = "() => document.documentElement.scrollWidth > innerWidth"
RANKING = "rankings/ast-demo--esc50.html"


@pytest.fixture
def open_page(browser: Any, built: Built) -> Iterator[Any]:
    """A function that opens a page; its console must be empty, and it must load nothing but files of the site."""
    contexts, complaints = [], list[str]()

    def on_request(request: Any) -> None:
        if not request.url.startswith(("data:", built.folder.as_uri())):
            complaints.append(request.url)

    def on_dialog(dialog: Any) -> None:
        complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def start(path: str, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", on_dialog)
        page.on("request", on_request)
        page.goto((built.folder / path).as_uri())
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def cell_page(built: Built) -> str:
    return sorted(path.relative_to(built.folder).as_posix() for path in (built.folder / "cells").iterdir())[0]


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_and_can_be_read(open_page: Any, built: Built, width: int) -> None:
    page = open_page("index.html", width)
    for path in (*PAGES, cell_page(built)):
        page.goto((built.folder / path).as_uri())
        assert not page.evaluate(OVERFLOWS), path
        assert page.evaluate(CONTRAST) >= 4.5, path


def test_dark_mode_follows_the_system_and_the_button(open_page: Any) -> None:
    page = open_page(RANKING, 390, color_scheme="dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(21, 23, 26)"
    assert page.evaluate(CONTRAST) >= 4.5
    page.locator("#theme").click()
    assert page.evaluate(background) == "rgb(255, 255, 255)"


def test_a_number_leads_to_its_record(open_page: Any) -> None:
    page = open_page("index.html")
    page.locator("main table a").first.click()
    page.locator(".ranking a.number").first.click()
    assert page.locator("h1").inner_text().endswith("AST, demo")
    with page.expect_navigation():
        page.locator("table a code").first.click()
    assert '"request"' in page.content()


def test_rankings_can_be_sorted_by_keyboard(open_page: Any) -> None:
    page = open_page(RANKING)
    numbers = page.locator(".ranking tbody td:nth-child(8)")
    head = page.locator(".ranking th", has_text="trained parameters")
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    found = [float(text) for text in numbers.evaluate_all("cells => cells.map(cell => cell.dataset.sort)")]
    assert found == sorted(found)
    assert len(set(found)) > 1


def test_a_point_of_a_chart_opens_its_records(open_page: Any) -> None:
    page = open_page("costs/synthetic-audio.html")
    page.locator("[data-choice=costs-dataset]").select_option(label="ESC-50")
    assert page.locator(".legend button").count() == 4
    place = """() => {
      const chart = echarts.getInstanceByDom(document.querySelector("[data-chart=parameters]"));
      const every = chart.getOption().series, index = every.findIndex(one => one.type === "scatter");
      const [x, y] = chart.convertToPixel({ seriesIndex: index }, every[index].data[0].value);
      const box = chart.getDom().getBoundingClientRect();
      return [box.x + x, box.y + y];
    }"""
    with page.expect_navigation():
        page.mouse.click(*page.evaluate(place))
    assert "/cells/" in page.url


def test_without_scripts_tables_and_links_are_there(open_page: Any) -> None:
    page = open_page(RANKING, java_script_enabled=False)
    assert page.locator(".ranking tbody tr").count() == 4
    assert page.locator(".ranking a.number").count() == 4
    assert not page.locator(".scripted").first.is_visible()
    page.locator("nav a", has_text="Costs").click()
    assert page.locator("table tbody tr").count() == 2
    assert not page.locator("#costs").is_visible()


def test_the_policy_stops_what_is_not_of_the_site(browser: Any, built: Built, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto((built.folder / "index.html").as_uri())
    ran = page.evaluate("""() => {
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = 1'>");
      document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = 2" }));
      return window.ran ?? null;
    }""")
    assert ran is None
    context.close()
