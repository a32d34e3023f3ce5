"""BibTeX of what was used."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import benchmark
from benchmark.data.registry import datasets
from benchmark.errors import BenchmarkError
from benchmark.methods.registry import find_method, methods
from benchmark.spec.backbone import load_backbone
from benchmark.spec.citations import entries, key_of_dataset, keys_of_source, unlisted
from benchmark.spec.request import TrialRequest
from tests.conftest import AST, Cli
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]


def test_everything_that_comes_with_the_suite_has_an_entry() -> None:
    assert all(key_of_dataset(name) for name in datasets())
    own = [name for name in methods() if find_method(name).external is None]  # other tests add methods
    sources = {name: find_method(name).source for name in own}
    sources |= {name: load_backbone(name).source for name in ("ast", "ssast", "audiomae")}
    assert not [name for name, source in sources.items() if not keys_of_source(source) or unlisted(source)]


def test_the_entries_are_bibtex() -> None:
    for key, entry in entries().items():
        assert re.fullmatch(rf"@\w+{{{re.escape(key)},\n(  \w+ = {{.+}},?\n)+}}", entry), entry
        assert entry.count("{") == entry.count("}")
        assert {"title", "author", "year"} <= set(re.findall(r"^  (\w+) =", entry, flags=re.MULTILINE))


def test_a_folder_is_cited_by_what_it_uses(make_request: Make, tmp_path: Path, cli: Cli) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\nfrom benchmark.methods import Method, register\n"
        "@register('mine_cite', label='Mine', source='arXiv:9901.00001')\n@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(Method):\n    'Nothing.'\n    def adapt(self, model):\n        return []\n"
    )
    requests = [make_request(methods=[method], backbones=[AST]) for method in ("lora+bitfit", "full", str(mine))]
    make_results(tmp_path / "out", [make_record(request, [0.5]) for request in requests])
    shown = cli("cite", "--results", tmp_path / "out").stdout
    keys = re.findall(r"^@\w+{([^,]+),", shown, flags=re.MULTILINE)
    assert keys == ["aat-benchmark", "aat", "ast", "esc50", "lora", "bitfit"]
    assert f"Version {benchmark.__version__}" in shown
    assert "% no entry is known for method mine_cite: arXiv:9901.00001" in shown
    assert benchmark.cite(tmp_path / "out") == shown.rstrip("\n")
    with pytest.raises(BenchmarkError, match="no results here"):
        benchmark.cite(tmp_path / "nowhere")
