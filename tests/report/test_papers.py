"""Folders of papers: their form, their sources, and trials that judge them."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmark import plugins
from benchmark.api.papers import check_names, choose_papers
from benchmark.errors import BenchmarkError
from benchmark.planning.expand import expand
from benchmark.report import papers
from benchmark.report.claims.judge import judge
from benchmark.report.claims.ledger import Judged
from benchmark.report.explain import explain
from benchmark.report.page.build import to_html
from benchmark.report.papers import DEFAULT_PAPERS, PaperChoice, known_papers, load_paper, read_defects
from benchmark.report.results import Results
from benchmark.report.tables.paper import paper_rows
from benchmark.report.write import build_tables
from benchmark.spec.grid import load_grid, narrow
from benchmark.spec.request import TrialRequest
from tests.conftest import Cli
from tests.report.test_claims import CLIPS, judge_aat, paper_records
from tests.samples import make_record, make_results

NUMBERS = ("millions", "percent", "paper")  # fields of a claim that hold a number of the paper
ABOUT = {
    "label": "Mine", "title": "My paper", "source": "arXiv:2106.10199", "backbones": ["ast"], "datasets": ["esc50"],
    "methods": {"full": {}, "mine": {"method": "lora[rank=4]", "label": "My method", "differs": "no bias"}},
}  # fmt: skip
LEDGER = {
    "sources": {"T": "table 1"},
    "claims": [
        {"id": "mine-linear", "kind": "order", "source": "T", "statement": "Mine beats full fine-tuning",
         "left": "mine", "relation": "above", "right": "full"},
        {"id": "mine-scores", "kind": "score", "source": "T", "statement": "The scores"},
    ],
}  # fmt: skip
SCORES = {
    "sources": {"T": "table 1"},
    "cells": [{"source": "T", "backbone": "ast", "dataset": "esc50", "method": "mine", "score": 90.0}],
}


def write_paper(folder: Path, about: object = ABOUT, ledger: object = LEDGER, scores: object = SCORES) -> Path:
    folder.mkdir()
    for name, content in (("paper", about), ("claims", ledger), ("scores", scores)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def petl_results(folder: Path, shares: dict[str, float], settings: tuple[str, ...] = ()) -> Results:
    """Return complete results of the grid `petl-ast` on ESC-50; `shares` is the share of correct clips by method."""
    grid = narrow(load_grid("petl-ast"), datasets=["esc50"], methods=list(shares), seeds=["0,1"], settings=settings)
    records, parts = [], {}
    for request in expand(grid, Path("none"), Path("none")).requests:
        content = request.model_dump(mode="json")
        content["dataset"]["manifest"], content["backbone"]["sha256"] = "0" * 64, "1" * 64
        whole = TrialRequest.model_validate(content)
        share = shares[whole.method.name]
        record = make_record(whole, [share] * 2)
        parts[record.id] = (np.arange(CLIPS) < share * CLIPS).astype(np.float32)
        records.append(record)
    return make_results(folder, records, parts=parts)


def by_id(results: Results, *names: str) -> dict[str, Judged]:
    return {claim.id: claim for claim in judge(results, map(load_paper, names))}


def test_every_number_of_every_paper_has_a_source() -> None:
    assert list(known_papers()) == ["aat", "petl_ast"]
    for paper in map(load_paper, known_papers()):
        check_names(paper)
        for claim in paper.ledger.claims:
            assert len(paper.ledger.sources[claim.source]) > 10
        assert [claim for claim in paper.ledger.claims if any(getattr(claim, key) is not None for key in NUMBERS)]
        assert paper.scores
        assert all(len(paper.score_sources[score.source]) > 10 for score in paper.scores)
    ids = [claim.id for name in known_papers() for claim in load_paper(name).ledger.claims]
    assert len(set(ids)) == len(ids)
    assert {name: len(load_paper(name).scores) for name in known_papers()} == {"aat": 14, "petl_ast": 33}


def test_the_sources_of_the_second_paper_name_what_was_read() -> None:
    paper = load_paper("petl_ast")
    sources = {*paper.ledger.sources.values(), *paper.score_sources.values()}
    assert all("arXiv:2312.03694v4" in source for source in sources)
    assert all(re.search(r"@[0-9a-f]{7}", source) for source in sources if "section" in source or "table" in source)


def test_the_grid_of_a_paper_runs_what_its_claims_need() -> None:
    for paper in map(load_paper, known_papers()):
        assert paper.grid
        requests = expand(load_grid(paper.grid), Path("none"), Path("none")).requests
        run = {(request.backbone.name, request.dataset.name, request.method.variant) for request in requests}
        assert {request.protocol.name for request in requests} == {paper.about.protocol}
        of_paper = {(one.dataset.name, one.method.variant) for one in requests if paper.has(one)}
        scored = {(one.backbone, one.dataset, paper.method(one.method, one.dataset)) for one in paper.scores}
        assert scored <= run
        assert {(dataset, method) for _, dataset, method in scored} <= of_paper
        needed = {
            (claim.backbone, dataset, paper.method(method, dataset))
            for claim in paper.ledger.claims
            for dataset in claim.datasets or ([claim.dataset] if claim.dataset else paper.about.datasets)
            for method in claim.methods
        }
        assert needed <= run


def test_a_second_paper_is_judged_by_its_own_recipe(tmp_path: Path) -> None:
    results = petl_results(tmp_path, {"full": 0.95, "linear": 0.80, "lora": 0.97, "conformer": 0.90})
    assert [paper.name for paper in DEFAULT_PAPERS.of(results)] == ["aat", "petl_ast"]
    found = by_id(results, "aat", "petl_ast")
    assert found["petl-full-linear-esc50"].verdict == "reproduced"
    assert found["petl-full-linear-urbansound8k"].verdict == "not run"
    worse = found["petl-conformer-lora-esc50"]
    assert (worse.verdict, worse.publication) == ("differs", "petl_ast")
    assert worse.needs == (
        ("ast", "esc50", "conformer[bottleneck=8;kernel=7]"),
        ("ast", "esc50", "lora[alpha=0.75;rank=6]"),
    )
    assert "LoRA: scale 0.125" in worse.note
    score = found["petl-score-ast-esc50-full-test"]
    assert (score.verdict, score.measured, score.paper) == ("not comparable", pytest.approx(95.0), "87.48")
    assert "positional embeddings" in score.why
    assert score.statement.startswith("Full fine-tuning on ESC-50 (AST): 87.48 % on test, ")
    missing = found["petl-score-ast-urbansound8k-dpt-test"]
    assert missing.statement.startswith("Deep prompt tuning on UrbanSound8K (AST): ")
    assert missing.why == "Deep prompt tuning on UrbanSound8K (AST) was not run"
    # the same trials do not speak for the first paper, whose protocol and recipes are others
    assert found["score-ast-esc50-full-test"].verdict == "not run"
    of_aat = {claim.id: claim for claim in judge(results, [load_paper("aat")], "corrected")}
    assert of_aat["score-ast-esc50-full-test"].verdict == "not comparable"
    assert "recipe changed" in of_aat["score-ast-esc50-full-test"].why
    cells = results.cells.set_index("method")
    assert explain(results, results.cells.iloc[0])["comparable_with"] == ["petl_ast"]
    assert "recipe changed" in cells.loc["full", "marks"]


def test_a_changed_recipe_does_not_judge_a_second_paper(tmp_path: Path) -> None:
    results = petl_results(tmp_path, {"full": 0.95, "linear": 0.80}, ("recipe.epochs=2",))
    assert [paper.name for paper in DEFAULT_PAPERS.of(results)] == ["aat"]
    found = by_id(results, "petl_ast")["petl-full-linear-esc50"]
    assert (found.verdict, "recipe changed (epochs=2)" in found.why) == ("not comparable", True)


def test_claims_of_the_first_paper_stay_as_they_are(tmp_path: Path) -> None:
    records, parts = paper_records({"full": 0.95, "linear": 0.8}, backbones=["ast"], seeds=["0,1"])
    results = make_results(tmp_path, records, parts=parts)
    assert [paper.name for paper in DEFAULT_PAPERS.of(results)] == ["aat"]
    found = judge_aat(results)
    assert {claim.publication for claim in found} == {"aat"}
    assert {claim.note for claim in found} == {""}
    names = {claim.id for claim in found}
    assert {"score-ast-openmic-aat_ms-test", "curve-order-esc50-full-linear", "linear-ast-ssast"} <= names
    assert {"aat-ms-full-ast-average", "flops-aat-m-gtzan", "time-aat-m-esc50", "headline-share"} <= names


def test_the_table_has_the_scores_of_both_papers(tmp_path: Path) -> None:
    results = petl_results(tmp_path, {"full": 0.95})
    rows = paper_rows(results, DEFAULT_PAPERS.of(results))
    full = rows[(rows["method"] == "full") & (rows["dataset"] == "esc50")].set_index("publication")
    assert full["paper"].to_dict() == {"AAT": "95.5", "PETL_AST": "87.48"}
    assert (full.loc["PETL_AST", "difference"], full.loc["PETL_AST", "marks"]) == ("+7.52", "")
    assert "recipe changed" in full.loc["AAT", "marks"]


def test_the_page_shows_which_paper_says_it(tmp_path: Path) -> None:
    results = petl_results(tmp_path, {"full": 0.95, "linear": 0.80})
    page = to_html(results, build_tables(results), [])
    assert "<h2>Claims of AAT and PETL_AST</h2>" in page
    assert '<h3><a href="#claims-petl_ast">PETL_AST</a>: ' in page
    assert "Only trials of the protocol corrected judge its claims. What differs from the paper: positional" in page
    of_aat = choose_papers("aat")
    assert "PETL_AST" not in to_html(results, build_tables(results, of_aat), [], of_aat)


def test_a_paper_with_trials_is_cited(tmp_path: Path, cli: Cli) -> None:
    petl_results(tmp_path / "out", {"linear": 0.80})
    assert "@inproceedings{conformer-adapter," in cli("cite", "--results", tmp_path / "out").stdout


def test_papers_and_their_defects_are_listed(cli: Cli) -> None:
    listed = cli("list", "papers").stdout
    assert [line.split()[0] for line in listed.splitlines()[2:] if line.strip()] == ["aat", "petl_ast"]
    shown = yaml.safe_load(cli("show", "paper", "petl_ast").stdout)["petl_ast"]
    assert (shown["grid"], shown["scores"]) == ("petl-ast", 33)
    assert yaml.safe_load(cli("show", "defect", "P1").stdout)["P1"]["paper"] == "petl_ast"
    assert yaml.safe_load(cli("show", "defect", "D1").stdout)["D1"]["paper"] == "aat"


def test_a_defect_needs_a_source(tmp_path: Path) -> None:
    assert read_defects(tmp_path) == {}
    (tmp_path / "defects.yaml").write_text("defects: {X1: {title: Wrong, status: documented}}")
    with pytest.raises(BenchmarkError, match=r"defects\.yaml: defects\.X1\.source: Field required"):
        read_defects(tmp_path)


def test_a_users_own_paper_is_judged(tmp_path: Path, cli: Cli) -> None:
    folder = write_paper(tmp_path / "mine")
    (tmp_path / "out" / "trials").mkdir(parents=True)
    done = cli("claims", "--results", tmp_path / "out", "--paper", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert '"publication": "mine"' in done.stdout
    assert '"id": "mine-score-ast-esc50-mine-test"' in done.stdout
    text = cli("claims", "--results", tmp_path / "out", "--paper", f"{folder},petl_ast").stdout
    assert "Mine, protocol reference: 2 claims, 2 checks (" in text
    assert "none judged: no trial is finished; --all shows the rest" in text
    assert "was not run" not in text
    every = cli("claims", "--results", tmp_path / "out", "--paper", folder, "--all").stdout
    assert every.count("was not run") == 2
    assert [line.split()[-1] for line in every.splitlines() if line.startswith("My method (AST): score")] == ["."]
    assert "PETL_AST, protocol corrected: " in text
    assert "PETL_AST, not as in the paper: positional embeddings" in text


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("claims", {"left": "loora"}, r"claim 'mine-linear': method 'loora' is not in paper.yaml"),
        ("claims", {"datasets": ["esc55"]}, r"dataset 'esc55' is not in paper.yaml \(did you mean 'esc50'\?\)"),
        ("claims", {"backbone": "bert"}, "backbone 'bert' is not in paper.yaml"),
        ("claims", {"source": "X"}, r"claim 'mine-linear': no source 'X'"),
        ("claims", {"source": None}, r"claims.0.source: Input should be a valid string"),
        ("claims", {"left": ""}, "a claim of the kind 'order' needs left"),
        ("claims", {"kind": "count"}, "a claim of the kind 'count' needs dataset and method and millions"),
        ("claims", {"kind": "counted", "value": "time"}, "unknown value 'time'"),
        ("claims", {"kind": "ordre"}, "claims.0.kind: Input should be"),
        ("claims", {"id": "mine-scores"}, "claim 'mine-scores' is there twice"),
        ("claims", {"lefft": "mine"}, r"unknown key \(did you mean 'left'\?\)"),
        ("scores", {"source": "X"}, "score 90 of mine: no source 'X'"),
        ("scores", {"method": "his"}, "score 90: method 'his' is not in paper.yaml"),
        ("scores", {"score": 900.0}, "cells.0.score: Input should be less than or equal to 100"),
        ("paper", {"datasets": ["esc5O"]}, r"dataset 'esc50' is not in paper.yaml"),
        ("paper", {"methods": {"full": {}, "mine": {"method": "loora"}}}, "unknown method 'loora'"),
        ("paper", {"methods": {"full": {}, "mine": {"method": "lora[rank=8]"}}}, "write 'lora.rank=8.' as 'lora'"),
        ("paper", {"grid": "no-such"}, "unknown grid 'no-such'"),
        ("paper", {"protocol": "no-such"}, "unknown protocol 'no-such'"),
    ],
)
def test_a_mistake_in_a_paper_is_one_line(
    place: str, change: dict[str, object], message: str, tmp_path: Path, cli: Cli
) -> None:
    about, ledger, scores = (yaml.safe_load(yaml.safe_dump(each)) for each in (ABOUT, LEDGER, SCORES))
    {"paper": about, "claims": ledger["claims"][0], "scores": scores["cells"][0]}[place].update(change)
    with pytest.raises(BenchmarkError, match=message) as caught:
        choose_papers(write_paper(tmp_path / "mine", about, ledger, scores))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "mine") in str(caught.value) or place == "paper"


def test_an_unknown_paper_or_dataset_is_an_error(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "trials").mkdir()
    done = cli("claims", "--results", tmp_path, "--paper", "petl_st")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown paper 'petl_st' (did you mean 'petl_ast'?)" in done.stderr
    with pytest.raises(BenchmarkError, match=r"nowhere/paper.yaml: cannot be read"):
        choose_papers(tmp_path / "nowhere")
    about = {**ABOUT, "datasets": ["esc55"]}
    ledger = {**LEDGER, "claims": LEDGER["claims"][:1]}  # type: ignore[index]
    with pytest.raises(BenchmarkError, match=r"unknown dataset 'esc55' \(did you mean 'esc50'\?\)"):
        choose_papers(write_paper(tmp_path / "mine", about, ledger, {"cells": []}))


def test_claims_of_one_name_in_two_papers_are_an_error(tmp_path: Path) -> None:
    results = petl_results(tmp_path / "out", {"full": 0.95})
    folders = [write_paper(tmp_path / name) for name in ("mine", "his")]
    with pytest.raises(BenchmarkError, match="claim 'mine-linear' is in several folders"):
        choose_papers(folders).of(results)
    again = write_paper(tmp_path / "aat")
    with pytest.raises(BenchmarkError, match="paper 'aat' is in several folders"):
        choose_papers(["aat", again]).of(results)


def test_scores_from_a_file_of_the_user_are_used(tmp_path: Path, cli: Cli) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "sources: {X: 'table 1'}\ncells:\n"
        "  - {source: X, backbone: ssast, dataset: gtzan, method: full, score: 71.2}\n"
        "  - {source: X, backbone: ast, dataset: esc50, method: full, score: 95.4, epoch: last}\n"
    )
    (tmp_path / "trials").mkdir()
    results = make_results(tmp_path / "out", [])
    [aat] = choose_papers(own).of(results)
    assert len(aat.scores) == 15
    assert aat.score_sources["X"] == "table 1"
    assert {score.score for score in aat.scores if score.key == ("ast", "esc50", "full", "test", "last")} == {95.4}
    own.write_text("paper: petl_ast\n" + own.read_text())
    assert [paper.name for paper in choose_papers(own).of(results)] == ["aat", "petl_ast"]
    with pytest.raises(BenchmarkError, match="scores of a paper that is not among those named"):
        choose_papers([str(own), "aat"])
    for wrong, message in (
        ("cells: [{source: T, backbone: ast}]", "Field required"),
        ("cells: [{source: X, backbone: ast, dataset: esc50, method: full, score: 90}]", "no source 'X'"),
        ("cells: [{source: P, backbone: ast, dataset: esc50, method: fuul, score: 90}]", "unknown method 'fuul'"),
        ("cells: [{source: P, backbone: ast, dataset: esc51, method: full, score: 90}]", "unknown dataset 'esc51'"),
        ("paper: ast\ncells: []", "unknown paper 'ast'"),
    ):
        own.write_text(wrong)
        done = cli("claims", "--results", tmp_path, "--paper", own)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr


def test_claims_are_counted_without_data_or_weights(cli: Cli, tmp_path: Path) -> None:
    claims = [
        {"id": f"mine-{name}", "kind": "count", "source": "T", "statement": "A count", "digits": 2,
         "dataset": "speech_commands_v1", "method": "linear", "millions": 0.02, "counts": counts}
        for name, counts in (("reference", "reference"), ("own", "own"), ("rest", "without_head"))
    ]  # fmt: skip
    about = {**ABOUT, "methods": {"linear": {}}, "grid": "paper", "datasets": ["speech_commands_v1"]}
    folder = write_paper(tmp_path / "mine", about, {"sources": {"T": "table 1"}, "claims": claims}, {"cells": []})
    (tmp_path / "trials").mkdir()
    done = cli("claims", "--results", tmp_path, "--structural", "--paper", folder)
    assert done.returncode == 3, done.stderr
    assert "backbone): 2 reproduced, 1 differs" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("A count")]
    assert [(row[2], row[-1]) for row in rows] == [("+", "(0.02)"), ("+", "(0.02)"), ("-", "(0.02)")]
    assert "1 Speech Commands V1" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines() if "A count (paper: 0.02)" in line] == ["differs"]
    assert "not as expected: A count: differs; claims.yaml expects: reproduced (mine-rest)" in done.stdout


@pytest.fixture
def fresh_papers() -> Iterator[None]:
    caches = (plugins.installed, papers.known_papers, papers.load_paper)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


@pytest.mark.usefixtures("fresh_papers")
def test_an_installed_package_may_bring_a_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_paper(tmp_path / "mine")
    write_paper(tmp_path / "broken", {})
    (tmp_path / "package.py").write_text(
        "from pathlib import Path\nmine = Path(__file__).parent / 'mine'\nbroken = Path(__file__).parent / 'broken'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    points = tuple(
        (name, importlib.metadata.EntryPoint(name, f"package:{name}", "aat_benchmark.papers"))
        for name in ("mine", "broken")
    )
    monkeypatch.setattr(plugins, "installed", lambda kind: points if kind == "papers" else ())
    with pytest.warns(UserWarning, match="broken is left out"):
        assert list(known_papers()) == ["aat", "petl_ast", "mine"]
    assert load_paper("mine").about.label == "Mine"


def test_a_choice_without_papers_is_the_default(tmp_path: Path) -> None:
    assert choose_papers(()) == PaperChoice() == choose_papers("")
    assert [paper.name for paper in choose_papers("petl_ast").of(make_results(tmp_path, []))] == ["petl_ast"]
