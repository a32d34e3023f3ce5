"""The notebooks of the documentation run as they are, and show what they print."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import NOTEBOOKS, TUTORIALS, execute, text_of

LONGEST = 120  # characters of a line
PREDICTING = {"own-audio": 2}  # last cells whose labels can change with the last digits of a logit


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what the cells print, without numbers: those of another machine can differ in the last digits."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [" ".join(re.sub(r"-?[\d.]+†?", "", text_of(cell)).split()) for cell in code]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(path: Path, tmp_path: Path) -> None:
    done, stored = shown(execute(path, tmp_path)), shown(nbformat.read(path, as_version=4))
    compared = len(stored) - PREDICTING.get(path.stem, 0)
    assert [bool(text) for text in done] == [bool(text) for text in stored]
    assert done[:compared] == stored[:compared], "`python -m tests.notebooks` writes the outputs again"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_stores_short_text_only(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert outputs
    assert {(output.output_type, output.name) for output in outputs} == {("stream", "stdout")}
    assert not any(cell.get("execution_count") or cell.metadata for cell in notebook.cells)
    assert max(len(line) for cell in notebook.cells for line in cell.source.splitlines()) <= LONGEST
    assert not any(word in path.read_text() for word in ("/tmp", "/home", "/root", "\\u001b"))


def test_there_is_a_notebook_of_each_tutorial_with_audio_and_with_a_method() -> None:
    assert [path.name for path in NOTEBOOKS] == ["own-audio.ipynb", "own-method.ipynb"]


def test_the_method_of_the_notebook_is_that_of_the_tutorial() -> None:
    tutorial = (TUTORIALS / "own-method.md").read_text()
    [block] = [text for text in re.findall(r"```python\n(.*?)```", tutorial, flags=re.DOTALL) if "class Mine(" in text]
    cells = [cell.source for cell in nbformat.read(TUTORIALS / "own-method.ipynb", as_version=4).cells]
    assert f"%%writefile mine.py\n{block}".strip() in cells
