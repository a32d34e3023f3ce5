"""Say what a copy of a dataset has and lacks, in lines for people."""

from __future__ import annotations

from benchmark.data.dataset import Dataset
from benchmark.data.manifest import Manifest
from benchmark.units import plural


def copy_notes(dataset: Dataset, manifest: Manifest) -> list[str]:
    """Return one line per finding: what was read in another way, absent files, files that are not used.

    Files that the dataset's own rules leave out are not among them.

    Args:
        dataset: for its rules.
        manifest: the copy.
    """
    notes = dataset.remarks(manifest)
    if manifest.absent:
        number = plural(len(manifest.absent), "listed clip")
        notes.append(f"{number} without a file, such as {manifest.absent[0].path}")
    return [*notes, *(str(unused) for unused in dataset.unused(manifest) if not unused.intended)]
