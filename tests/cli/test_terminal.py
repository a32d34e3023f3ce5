"""What commands print: readable at 80 characters, plain in a pipe, safe with any name, and as JSON with a schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from benchmark.api.completion import completions
from benchmark.api.schemas import SCHEMAS
from benchmark.cli.main import app
from benchmark.console import as_text
from benchmark.records.schema import Attempt
from benchmark.records.store import ResultStore
from benchmark.report.best import best_blocks, best_methods
from benchmark.report.write import read_results
from benchmark.spec.request import TrialRequest
from tests.conftest import Cli, call_command_line
from tests.samples import make_record, make_results

HOSTILE = "a[red]b\x1b[2J\n$x|c"
SHOWN = "a[red]b\\x1b[2J\\n$x|c"


def renamed(request: TrialRequest, name: str) -> TrialRequest:
    """Return a request with another name of its method's only part."""
    content = request.model_dump(mode="json")
    content["method"]["parts"][0]["name"] = content["method"]["variant"] = name
    return TrialRequest.model_validate(content)


@pytest.fixture
def results(make_request: Callable[..., TrialRequest], tmp_path: Path) -> Path:
    """Return results with a finished trial of a method that is not here, a missing one, and a failed one.

    Labels and errors are hostile.
    """
    folder = tmp_path / "out"
    mine, missing, failed = (
        renamed(make_request(methods=["linear"]), "mine"),
        make_request(methods=["bitfit"]),
        make_request(methods=["aat_ms"]),
    )
    record = make_record(mine, [0.25, 0.5], labels={"methods": {"mine": HOSTILE}})
    make_results(folder, [record], [mine, missing, failed])
    ResultStore(folder).write_attempt(Attempt.now(failed, "failed", f"ValueError: {HOSTILE}", "", "code"))
    return folder


def printed(cli: Cli, *words: str | Path) -> str:
    done = cli(*words)
    assert done.returncode in {0, 3}, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    return done.stdout


def test_status_shows_a_matrix_failures_and_the_total(cli: Cli, results: Path) -> None:
    lines = printed(cli, "status", "--results", results).splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if re.search(r" \d/\d", line)}
    assert cells == {"mine": ["0/1"], "bitfit": ["0/1"], "aat_ms": ["0/1"]}
    assert [line.strip() for line in lines if re.match(r" +1 ", line)] == ["1 stale", "1 failed"]
    [failure] = [line for line in lines if line.startswith("failed: ")]
    assert f"aat_ms f1 s0: ValueError: {SHOWN}; see {results / 'attempts'}" in failure
    assert lines[-1].startswith("3 trials: 0 done, 1 stale, 1 failed, 1 missing")
    trials = printed(cli, "status", "--results", results, "--trials").splitlines()
    assert [line.split()[0] for line in trials[:3]] == ["stale", "missing", "failed"]


def test_equal_errors_are_one_line(make_request: Callable[..., TrialRequest], tmp_path: Path, cli: Cli) -> None:
    requests = [make_request(seeds=[seed]) for seed in range(12)]
    make_results(tmp_path, [], requests)
    for number, request in enumerate(requests):
        error = "out of memory" if number < 3 else f"error {number}"
        ResultStore(tmp_path).write_attempt(Attempt.now(request, "failed", error, "", "code"))
    lines = [line for line in printed(cli, "status", "--results", tmp_path).splitlines() if line.startswith("failed:")]
    assert lines[0].startswith("failed: 3 trials, such as ")
    assert lines[0].partition(" s0: ")[2].startswith("out of memory; see ")
    assert len(lines) == 9
    assert lines[-1] == "failed: 2 more trials with other errors"


def test_labels_and_errors_of_users_are_shown_as_they_are(cli: Cli, results: Path) -> None:
    assert printed(cli, "explain", "mine", "--results", results).startswith(f"{SHOWN} on ESC-50, AST ")
    best = best_methods(read_results(ResultStore(results)))
    assert [(row.method, row.labels[3], row.difference) for row in best] == [("mine", SHOWN, None)]
    [line] = [line for line in as_text(best_blocks(best)).splitlines() if line.startswith("  ESC-50")]
    assert line == f"  ESC-50: highest {SHOWN}, 50.0 %; no other method is finished (1 seed)."
    missing = cli("status", "--results", results / HOSTILE)
    assert missing.returncode == 2
    assert "\x1b" not in missing.stderr
    assert "a[red]b\\x1b[2J" in missing.stderr


def test_tables_fit_a_narrow_terminal(results: Path, environment: dict[str, str], tmp_path: Path) -> None:
    narrow = {**environment, "COLUMNS": "80"}
    for words in (["list", "methods"], ["list", "datasets"], ["data", "list"], ["status", "--results", results]):
        done = call_command_line(tmp_path, narrow, *words)
        table = [line for line in done.stdout.splitlines() if not re.match("AST|failed|A cell|3 trials|get one", line)]
        assert max(map(len, table)) <= 80
        assert any(line.startswith("────") for line in table)


def json_commands() -> Iterator[str]:
    """Yield the commands that have the option --json."""

    def walk(command: typer.core.TyperCommand, words: tuple[str, ...]) -> Iterator[str]:
        if any("--json" in parameter.opts for parameter in command.params):
            yield " ".join(words)
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, (*words, name))

    return walk(typer.main.get_command(app), ())


def test_every_command_that_prints_json_has_a_schema() -> None:
    assert set(json_commands()) == set(SCHEMAS)
    for name, model in SCHEMAS.items():
        assert model.model_json_schema(), name


@pytest.mark.parametrize(
    "words",
    [
        ["status"], ["claims"], ["explain", "mine"], ["clean", "--dry-run"], ["cite"], ["list", "methods"],
        ["list", "papers"], ["show", "method", "lora"], ["data", "list"],
        ["params", "--grid", "smoke", "--method", "linear", "--dataset", "esc50"],
    ],
)  # fmt: skip
def test_json_follows_its_schema(cli: Cli, results: Path, words: list[str]) -> None:
    more = ["--results", results] if words[0] in {"status", "claims", "explain", "clean", "cite"} else []
    content = json.loads(printed(cli, *words, *more, "--json"))
    assert content
    name = " ".join(words[:2]) if words[0] == "data" else words[0]
    SCHEMAS[name].model_validate_json(json.dumps(content))


def test_a_schema_can_be_shown(cli: Cli) -> None:
    schema = json.loads(printed(cli, "show", "schema", "merge", "--json"))["merge"]
    assert set(schema["required"]) == {"records", "equal", "attempts", "profiles", "gaps"}
    assert schema["properties"]["gaps"]["description"].startswith("one line for each trial with different results")


def test_params_are_a_matrix(cli: Cli) -> None:
    lines = printed(cli, "params", "--grid", "smoke", "--method", "full,linear", "--dataset", "esc50").splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("full "))
    assert re.fullmatch(r"full +\d+ k", lines[place].strip())
    assert lines[place + 1].strip() == "100 %"


def test_equal_numbers_of_classes_are_one_line(cli: Cli) -> None:
    text = printed(cli, "show", "dataset", "esc50")
    assert "class: 40 each (50 entries)" in text
    assert "dog: 40" not in text
    assert '"dog": 40' in printed(cli, "show", "dataset", "esc50", "--json")


def test_methods_are_grouped(cli: Cli) -> None:
    lines = printed(cli, "list", "methods").splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("method ")]
    assert [lines[number + 2].split()[0] for number in heads[:2]] == ["aat_m", "bitfit"]
    [lora] = [line for line in lines if line.startswith("lora ")]
    assert lora.split()[1:5] == ["LoRA", "2021", "0.389", "%"]


def test_names_are_completed() -> None:
    assert completions("datasets", "esc50,gt") == ["esc50,gtzan"]
    assert completions("grids", "smo") == ["smoke"]
    assert "aat_ms" in completions("methods", "aat")
    assert completions("protocols", "ref") == ["reference"]
    environment = {"COMP_WORDS": "aat-benchmark plan --dataset esc50,gt", "COMP_CWORD": "3"}
    code = "import sys; sys.argv = ['aat-benchmark']; from benchmark.cli.main import main; main()"
    shell = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "_AAT_BENCHMARK_COMPLETE": "complete_bash"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shell.stdout.split() == ["esc50,gtzan"], shell.stderr


def test_the_script_for_shells_completes_the_program(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    script = printed(cli, "--show-completion", "bash")
    assert "_AAT_BENCHMARK_COMPLETE=complete_bash" in script
    assert script.rstrip().endswith("aat-benchmark")


def test_options_are_in_groups(cli: Cli) -> None:
    shown = printed(cli, "run", "--help")
    places = [shown.index(f"─ {title} ─") for title in ("What to run", "Folders", "Machine", "Output")]
    assert places == sorted(places)
    assert places[0] < shown.index("--backbone") < places[1] < shown.index("--checkpoints") < places[2]
