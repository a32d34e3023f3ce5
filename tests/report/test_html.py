"""The page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.report.layout import load_layout
from benchmark.report.page.build import AS_CHARTS
from benchmark.report.write import build_report
from tests.report.browser import CONTRAST, TOO_WIDE
from tests.report.hostile import CLASSES, SHOWN, hostile_results

pytestmark = pytest.mark.browser
CHART = "name => echarts.getInstanceByDom(document.querySelector(`[data-chart=${name}]`))"
SERIES = f"name => ({CHART})(name).getOption().series.filter(one => one.type === 'scatter').length"
AXIS = f"name => ({CHART})(name).getOption().xAxis[0].type"
PLACE = f"""([name, kind, number]) => {{
  const chart = ({CHART})(name), box = chart.getDom().getBoundingClientRect(), every = chart.getOption().series;
  const index = every.indexOf(every.filter(one => one.type === kind)[number]), [entry] = every[index].data.slice(-1);
  const [x, y] = chart.convertToPixel({{ seriesIndex: index }}, entry.value ?? entry);
  return [box.x + x, box.y + y];
}}"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = hostile_results(tmp_path_factory.mktemp("results"))
    build_report(results.store, html=True)
    return results.store.folder / "report" / "report.html"


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    """The page; its console must be empty, it must not load anything, and no name in it may run."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, complaints = context.new_page(), []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}") or dialog.dismiss())
    opened.on("request", lambda request: complaints.append(request.url) if "file:" not in request.url[:5]
              and not request.url.startswith("data:") else None)  # fmt: skip
    opened.goto(page_file.as_uri())
    yield opened
    context.close()
    assert complaints == []


def column(page: Any, number: int) -> list[str]:
    first = page.locator("#results table").first
    return first.locator(f"tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_it_opens_on_what_was_run_and_the_tally_of_claims(page: Any) -> None:
    overview = page.locator("#overview").inner_text()
    assert "24 of 25 trials are finished." in overview
    assert "ESC-50" in overview
    assert SHOWN in overview
    tally = page.locator(".tally li").all_inner_texts()
    assert [text.split(" ", 2)[2] for text in tally] == ["underpowered", "not run", "not comparable"]
    assert page.locator("#results h3").all_inner_texts()[0] == "AST"
    assert column(page, 1) == ["Full fine-tuning", "Linear probing", "AAT-M", "AAT-MS"]
    assert page.locator("#results table").first.locator("th").all_inner_texts() == ["method", "ESC-50"]


def test_sorting_and_filtering(page: Any) -> None:
    assert column(page, 2) == ["4/5", "80.0", "94.9", "96.0"]
    head = page.locator("#results table").first.locator("th").nth(1)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 2) == ["4/5", "80.0", "94.9", "96.0"]
    head.get_by_role("button").click()
    assert column(page, 2) == ["96.0", "94.9", "80.0", "4/5"]
    page.locator("#results input").fill("aat")
    assert column(page, 1) == ["AAT-MS", "AAT-M"]


def test_a_number_opens_its_provenance_by_keyboard_too(page: Any) -> None:
    number = page.locator("#results button", has_text="96.0")
    number.focus()
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    assert panel.is_visible()
    text = panel.inner_text()
    assert "aat_ms" in text
    assert text.count("trials/ast/esc50/aat_ms/f") == 5
    assert "learning rate" in text or "lr" in text
    page.keyboard.press("Escape")
    assert not panel.is_visible()
    page.locator("#results button", has_text="4/5").click()
    assert "fold 1 seed 0" in panel.inner_text()
    panel.get_by_role("button", name="Close").click()
    assert not panel.is_visible()


def test_the_panel_has_the_results_by_class_with_names_as_text(page: Any) -> None:
    page.locator("#results button", has_text="96.0").click()
    panel = page.locator("#panel")
    assert "macro-F1" in panel.inner_text()
    assert panel.locator("th").all_inner_texts() == ["class", "clips", "recall", "precision", "f1", "auc"]
    assert panel.locator("td:first-child").all_inner_texts() == list(CLASSES)
    assert panel.locator("td:nth-child(3)").all_inner_texts() == ["100.0", "100.0", "100.0", "100.0", "0.0"]
    page.keyboard.press("Escape")
    page.locator("#results button", has_text="94.9").click()
    assert panel.locator("table").count() == 0


def test_a_sign_of_the_matrix_says_why(page: Any) -> None:
    row = page.locator("#claims tr", has_text="On AST, AAT-MS beats head tuning").first
    sign = row.get_by_role("button", name="underpowered")
    assert sign.inner_text().startswith("?")
    sign.click()
    text = page.locator("#panel").inner_text()
    assert "one seed compares trained models" in text
    assert "16" in text  # points
    page.keyboard.press("Escape")
    assert page.locator("#claims details table").first.is_hidden()
    page.locator("#claims summary").first.click()
    assert page.locator("#claims details table").first.is_visible()


def test_points_and_curves_open_their_provenance_and_the_legend_filters(page: Any) -> None:
    page.locator("#costs").scroll_into_view_if_needed()
    page.locator("[data-choice=costs-dataset]").select_option(label="ESC-50")
    assert page.evaluate(SERIES, "parameters") == 3
    page.mouse.move(*page.evaluate(PLACE, ["parameters", "scatter", 2]))
    page.locator(".hover", has_text="AAT-MS").first.wait_for()
    page.mouse.click(*page.evaluate(PLACE, ["parameters", "scatter", 2]))
    assert page.locator("#panel-title").inner_text() == "AAT-MS, ESC-50, AST, protocol reference"
    page.keyboard.press("Escape")
    assert page.evaluate(AXIS, "parameters") == "log"
    page.locator("#log").uncheck()
    assert page.evaluate(AXIS, "parameters") == "value"
    legend = page.locator("#costs .legend").get_by_role("button", name="AAT-MS", exact=True)
    legend.press("Space")
    assert legend.get_attribute("aria-pressed") == "false"
    assert page.evaluate(SERIES, "parameters") == 2
    page.locator("#curves").scroll_into_view_if_needed()
    page.mouse.click(*page.evaluate(PLACE, ["curves", "line", 0]))
    assert "ESC-50" in page.locator("#panel-title").inner_text()


def test_names_of_classes_are_text_in_the_charts(page: Any) -> None:
    page.locator("#by-class").scroll_into_view_if_needed()
    drawn = page.locator("[data-chart=matrix] text").all_text_contents()
    assert {name if len(name) <= 18 else f"{name[:17]}…" for name in CLASSES} <= set(drawn)
    page.mouse.move(*page.evaluate(PLACE, ["matrix", "heatmap", 0]))
    page.locator(".hover", has_text="% of the class").wait_for()
    assert page.locator(".hover img").count() == 0


def test_it_reads_well_on_screens_phones_and_paper(page: Any, browser: Any, page_file: Path) -> None:
    assert page.evaluate(CONTRAST) >= 4.5
    assert page.evaluate(TOO_WIDE) == []
    shown = {figure.name for figure in load_layout().figures} - AS_CHARTS - {"shots"}  # there are no few-shot trials
    assert page.locator("#figures img").count() == len(shown)
    assert page.evaluate("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    phone = browser.new_context(viewport={"width": 375, "height": 800}, color_scheme="dark").new_page()
    phone.goto(page_file.as_uri())
    assert phone.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert phone.evaluate("() => parseFloat(getComputedStyle(document.querySelector('td')).fontSize)") >= 12
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert phone.evaluate(background) == "rgb(21, 23, 26)"
    assert phone.evaluate(CONTRAST) >= 4.5
    phone.locator("#theme").click()
    assert phone.locator("#theme").inner_text() == "Theme: light"
    assert phone.evaluate(background) == "rgb(255, 255, 255)"
    phone.context.close()


def test_the_policy_stops_scripts_and_styles_that_are_not_of_the_page(browser: Any, page_file: Path) -> None:
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(page_file.as_uri())
    ran = opened.evaluate("""() => {
      const added = "<img src=x onerror='window.ran = 1'><p style='color: red' id=styled>x</p>";
      document.body.insertAdjacentHTML("beforeend", added);
      document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = 2" }));
      return [window.ran ?? null, getComputedStyle(document.getElementById("styled")).color];
    }""")
    assert ran == [None, opened.evaluate("() => getComputedStyle(document.body).color")]
    opened.wait_for_timeout(50)
    assert opened.evaluate("() => window.ran ?? null") is None
    context.close()


def test_nothing_points_outside_the_file(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    for sign in ("<script src", '<link rel="stylesheet"', "@import", "url(http", "unsafe-"):
        assert sign not in text
