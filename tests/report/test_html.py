"""The page in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.records.schema import Record
from benchmark.records.store import ResultStore
from benchmark.report.layout import load_layout
from benchmark.report.write import build_report
from tests.report.test_by_class import NAMES, answers
from tests.report.test_claims import paper_records
from tests.samples import make_results

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/\\d+/g).slice(0, 3).map(Number).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; } return 'rgb(255, 255, 255)'; };
  return Math.min(...[...document.querySelectorAll('p, td, th, button, a, h1, h2, figcaption, label')]
    .filter(e => e.textContent.trim() && e.offsetParent).map(e => {
      const a = light(getComputedStyle(e).color), b = light(behind(e));
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); }));
}"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    shares = {"full": 0.95, "linear": 0.8, "aat_m": 0.949, "aat_ms": 0.96}
    records, parts = paper_records(shares, backbones=["ast"], seeds=["0"])
    results = make_results(folder, records[1:], [record.request for record in records], parts)
    for record in records:
        if record.request.method.name == "aat_ms":
            add_logits(results.store, record)
    build_report(results.store, html=True)
    return folder / "report" / "report.html"


def add_logits(store: ResultStore, record: Record) -> None:
    """Add logits of four classes to the predictions beside a record; every clip of the last class is wrong."""
    with np.load(store.record_path(record.request).with_suffix(".npz")) as stored:
        arrays = dict(stored)
    truth = np.arange(arrays["clips_test"].size) % 4
    logits = answers(truth, truth % 3)["logits_test"]
    labels = {name: array for name, array in answers(truth, truth).items() if name not in arrays}
    store.write(record, {**labels, **arrays, "logits_test": np.repeat(logits, len(arrays["epochs"]), axis=0)})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    """The page; its console must be empty and it must not load anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, complaints = context.new_page(), []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.append(request.url) if "file:" not in request.url[:5]
              and not request.url.startswith("data:") else None)  # fmt: skip
    opened.goto(page_file.as_uri())
    yield opened
    context.close()
    assert complaints == []


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"#results-table tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_sorting_and_filtering(page: Any) -> None:
    assert column(page, 2) == ["4/5", "80.0", "94.9", "96.0"]
    head = page.locator("#results-table th").nth(1)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 2) == ["4/5", "80.0", "94.9", "96.0"]
    head.get_by_role("button").click()
    assert column(page, 2) == ["96.0", "94.9", "80.0", "4/5"]
    page.locator("#results input").fill("aat")
    assert column(page, 1) == ["AAT-MS", "AAT-M"]
    page.locator("#claims input").fill("not run")
    verdicts = page.locator("#claims-table tbody tr:visible td:nth-child(2)").all_inner_texts()
    assert set(verdicts) == {"not run"}


def test_a_number_opens_its_provenance_by_keyboard_too(page: Any) -> None:
    number = page.locator("#results-table button", has_text="96.0")
    number.focus()
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    assert panel.is_visible()
    text = panel.inner_text()
    assert "aat_ms" in text
    assert text.count("trials/ast/esc50/aat_ms/") == 5
    page.keyboard.press("Escape")
    assert not panel.is_visible()
    page.locator("#results-table button", has_text="4/5").click()
    assert "fold 1 seed 0" in panel.inner_text()
    panel.get_by_role("button", name="Close").click()
    assert not panel.is_visible()


def test_the_panel_has_the_results_by_class_with_names_as_text(page: Any) -> None:
    page.locator("#results-table button", has_text="96.0").click()
    panel = page.locator("#panel")
    assert "macro-F1" in panel.inner_text()
    assert panel.locator("th").all_inner_texts() == ["class", "clips", "recall", "precision", "f1", "auc"]
    assert panel.locator("td:first-child").all_inner_texts() == list(NAMES)
    assert panel.locator("td:nth-child(3)").all_inner_texts() == ["100.0", "100.0", "100.0", "0.0"]
    page.keyboard.press("Escape")
    page.locator("#results-table button", has_text="94.9").click()
    assert panel.locator("table").count() == 0


def test_it_reads_well(page: Any, browser: Any, page_file: Path) -> None:
    assert page.evaluate(CONTRAST) >= 4.5
    drawn = {figure.name for figure in load_layout().figures} - {"shots"}  # there are no few-shot trials
    assert page.locator("figure img").count() == len(drawn)
    assert page.evaluate("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    phone = browser.new_context(viewport={"width": 375, "height": 800}).new_page()
    phone.goto(page_file.as_uri())
    assert phone.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert phone.evaluate("() => parseFloat(getComputedStyle(document.querySelector('td')).fontSize)") >= 12
    phone.context.close()


def test_nothing_points_outside_the_file(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    for sign in ("<script src", '<link rel="stylesheet"', "@import", "url(http"):
        assert sign not in text
