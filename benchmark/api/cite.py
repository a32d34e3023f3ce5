"""BibTeX of what a results folder uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.api.arguments import checked


@dataclass(frozen=True)
class Citations:
    """What a results folder uses.

    Attributes:
        entries: BibTeX entries by their keys.
        unknown: what has no known entry.
    """

    entries: dict[str, str]
    unknown: list[str]

    def __str__(self) -> str:
        return "\n\n".join([*self.entries.values(), *(f"% no entry is known for {name}" for name in self.unknown)])


@checked
def cite(results: str | Path) -> str:
    """Return BibTeX of the suite, the paper, and every dataset, backbone, method and other paper in a results folder.

    Another paper is in it if it has trials of that paper's grid.

    What has no known entry is named in a comment.

    Args:
        results: results folder.

    Raises:
        BenchmarkError: not a results folder.

    Example:
        >>> print(benchmark.cite("OUT"))
    """
    return str(citations(results))


def citations(results: str | Path) -> Citations:
    """Return the entries that `cite` joins to a text.

    Args:
        results: results folder.

    Raises:
        BenchmarkError: not a results folder.
    """
    import benchmark
    from benchmark.errors import BenchmarkError
    from benchmark.methods.registry import find_method
    from benchmark.records.store import ResultStore
    from benchmark.report.papers import DEFAULT_PAPERS
    from benchmark.report.write import read_results
    from benchmark.spec.backbone import DEMO, load_backbone
    from benchmark.spec.citations import PAPER, SUITE, entries, key_of_dataset, keys_of_source, unlisted

    keys, unknown = {SUITE: None, PAPER: None}, dict[str, None]()
    found_results = read_results(ResultStore(Path(results)))
    requests = found_results.requests.values()
    for name in dict.fromkeys(request.dataset.name for request in requests):
        key = key_of_dataset(name)
        (keys if key else unknown)[key or f"dataset {name}"] = None
    sources: dict[str, str] = {}
    for name in dict.fromkeys(request.backbone.name for request in requests):
        try:
            sources[f"backbone {name}"] = load_backbone(name.removesuffix(DEMO)).source
        except BenchmarkError:  # its file or package is not here any more
            sources[f"backbone {name}"] = ""
    for part in (part for request in requests for part in request.method.parts):
        try:
            sources[f"method {part.name}"] = find_method(part.name).source
        except BenchmarkError:  # its file or package is not here any more
            sources[f"method {part.name}"] = ""
    sources |= {f"paper {paper.name}": paper.about.source for paper in DEFAULT_PAPERS.of(found_results)}
    for name, source in sources.items():
        found = keys_of_source(source)
        keys |= dict.fromkeys(found)
        if not found or unlisted(source):
            unknown[f"{name}: {source or 'its source is not known here'}"] = None
    found_entries = {
        key: entry.replace("VERSION", benchmark.__version__) for key, entry in entries().items() if key in keys
    }
    return Citations(found_entries, list(unknown))
