"""Execute the notebooks of the documentation, and write them again with their text outputs:

python -m tests.notebooks
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))
TIMEOUT = 300  # seconds of one cell


def execute(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook with the outputs of its execution here.

    Args:
        path: the notebook, which stays as it is.
        folder: an empty folder for all files that the notebook writes.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    environment = os.environ | {
        "TMPDIR": str(folder),
        "AAT_BENCHMARK_CACHE": str(folder / "cache"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),  # for `!python`
        "PYTHONPATH": str(TUTORIALS.parent.parent),
    }
    client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}})
    return client.execute(env=environment)


def text_of(cell: NotebookNode) -> str:
    """Return what a cell printed; progress is on stderr and left out."""
    return "".join(output["text"] for output in cell.get("outputs", ()) if output.get("name") == "stdout")


def with_text_only(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook whose outputs are the text that its cells printed, without execution counts and metadata."""
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            text = text_of(cell)
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []
            cell.execution_count = None
    return notebook


if __name__ == "__main__":
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            path.write_text(nbformat.writes(with_text_only(execute(path, Path(folder)))) + "\n")
        print(path)
