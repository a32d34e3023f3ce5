"""BibTeX entries of what the suite uses, from `citations.bib`."""

from __future__ import annotations

import functools
import re
from importlib.resources import files

SUITE, PAPER = "aat-benchmark", "aat"
FILE = "citations.bib"


@functools.cache
def entries() -> dict[str, str]:
    """Return every entry by its key, in the order of the file."""
    text = (files("benchmark.spec") / FILE).read_text(encoding="utf-8")
    return {part.partition("{")[2].partition(",")[0]: part.strip() for part in re.split(r"(?m)^(?=@)", text) if part}


def key_of_dataset(name: str) -> str | None:
    """Return the key of a dataset's entry; None for a user's own, and for one that has none."""
    bare = re.sub(r"_v\d+$", "", name)
    return bare if bare in entries() else None


def keys_of_source(source: str) -> list[str]:
    """Return the keys of the papers and code that a source names: `arXiv:NUMBER`, the official code, peft."""
    found = [key for key, entry in entries().items() for number in _numbers(source) if f"{{{number}}}" in entry]
    if source.startswith("AAT@") or "AAT-M" in source:
        found.append(PAPER)
    if "huggingface/peft" in source:
        found.append("peft")
    return list(dict.fromkeys(found))


def unlisted(source: str) -> list[str]:
    """Return the arXiv numbers of a source that have no entry."""
    return [number for number in _numbers(source) if not any(f"{{{number}}}" in entry for entry in entries().values())]


def _numbers(source: str) -> list[str]:
    return re.findall(r"arXiv:(\d{4}\.\d{4,5})", source)
