"""Create a store: a folder to make a git repository of."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.files import write_atomic
from benchmark.submissions.describe import render, store_rules
from benchmark.submissions.layout import KEPT, STORE_FILE, SUBMISSIONS, Store, StoreInfo

# templates -> files of a store
PLACES = {
    "README.md.j2": "README.md",
    "gitignore.j2": ".gitignore",
    "check.yml.j2": ".github/workflows/check.yml",
}
HOLDS = {
    "synthetic": "runs on **synthetic audio**, and nothing else: rehearsals, which say nothing of a dataset",
    "partial": "runs on some clips or folds of a dataset, marked as such",
    "random": "runs of backbones with random weights, marked as such",
}


def create_store(folder: Path, info: StoreInfo, release: str) -> Store:
    """Write an empty store.

    Args:
        folder: where; it may exist if it is empty but for `.git`.
        info: what the store says of itself.
        release: release of the suite that its checks use.

    Raises:
        BenchmarkError: there is something already.
    """
    if folder.exists() and (not folder.is_dir() or any(path.name != ".git" for path in folder.iterdir())):
        raise BenchmarkError(f"{folder}: is not empty; name a new folder")
    usual = [] if "synthetic" in info.accepts else ["complete runs on real audio with trained backbones"]
    holds = "\n".join(f"- {line}" for line in [*usual, *(HOLDS[kind] for kind in info.accepts)])
    for name, place in PLACES.items():
        text = render(name, **info.model_dump(), holds=holds, release=release)
        write_atomic(folder / place, text.encode())
    write_atomic(folder / "STORE.md", store_rules().encode())
    write_atomic(folder / SUBMISSIONS / KEPT, b"")
    write_atomic(folder / STORE_FILE, (info.model_dump_json(indent=1) + "\n").encode())
    return Store(folder)
