"""Every shell command of README and documentation is run, or read by the real parser with every name in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import yaml

import benchmark
from benchmark.data.registry import get_dataset
from benchmark.methods.registry import REGISTRY
from benchmark.spec.backbone import forget_backbone, load_backbone, validate_entry
from benchmark.spec.request import TrialRequest
from tests import snippets
from tests.conftest import AST, REPOSITORY, call_command_line, run_trials_here, without_figures
from tests.data.public_trees import hear_folds, sound, write_hear, write_xares_ravdess
from tests.samples import make_record, make_results
from tests.snippets import RULES, TEXTS, Snippet, blocks, commands, inline, parse, require_valid

SHELL = {name: [each for block in blocks(text, "sh") for each in commands(block)] for name, text in TEXTS.items()}
SPANS = sorted({span.text for text in TEXTS.values() for span in inline(text)})
FILES = {"gated.py": "class GatedAST(", "mine.py": "class Mine("}  # what the Python of a text is written to
RESULTS = {"OUT": ["full", "aat_ms"], "OUT2": ["full"], "results/runs/peft-demo": ["linear", "lora"]}  # methods
SOME_ID = "1b72baf7ed8d"  # of a trial, in the texts
NOT_PERFECT = {3}  # exit code of `claims` and `data verify` if something is not as expected


@dataclass(frozen=True)
class Sandbox:
    """A folder with what the commands of the texts name.

    Attributes:
        folder: the current folder of the commands.
        environment: environment variables.
        thorough: also run what is slow.
    """

    folder: Path
    environment: dict[str, str]
    thorough: bool

    def exercise(self, snippet: Snippet) -> None:
        """Do what the table says with a command."""
        rule = snippet.rule
        if rule.how == "within":
            self.exercise(snippet.inner())
        elif rule.how == "shell":
            self._shell(snippet.text)
        elif check := CHECKS.get(rule.how):
            check(snippet.words)
        if rule.how in {"run", "parse"}:
            self._parse(snippet.words)
        if rule.how == "run" and (self.thorough or not rule.slow):
            self._run([*snippet.words, *rule.more])

    def _parse(self, words: list[str]) -> None:
        with mock.patch.dict(os.environ, self.environment), contextlib.chdir(self.folder):
            require_valid(parse(words)[1])

    def _run(self, words: list[str]) -> None:
        words = [self._id_of_a_trial() if word == SOME_ID else word for word in words]
        with mock.patch("benchmark.orchestrator.run.run_trials", run_trials_here), without_figures(*words):
            done = call_command_line(self.folder, self.environment, *words)
        assert done.returncode in {0, *NOT_PERFECT}, f"{words}: {done.stdout}{done.stderr}"

    def _id_of_a_trial(self) -> str:
        """Return the id of a trial that kept its weights."""
        return next((self.folder / "OUT" / "trials").rglob("*.safetensors")).stem.rpartition("-")[2]

    def _shell(self, text: str) -> None:
        checked = text.replace("sbatch ", "bash -n ")  # reads a script without running it
        subprocess.run(["sh", "-ec", checked], cwd=self.folder, check=True)


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "packages": snippets.require_packages,
    "image": snippets.require_image,
    "ray": snippets.require_ray,
    "script": snippets.require_script,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, own recordings and archives, by the names that the texts use."""
    folder = tmp_path_factory.mktemp("snippets")
    root, archive = folder / "DIR", folder / "archive"
    made = get_dataset("esc50").synthesize(root, classes=3, clips_per_class=4, seed=0, seconds=0.7)
    shutil.make_archive(str(folder / "ESC-50-master"), "zip", root, made.name)
    for number, place in itertools.product(range(5), ("DIR/birds/robin", "DIR/birds/wren", "recordings")):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / f"{number}.wav").write_bytes(sound(len(place), number))
    shutil.copytree(folder / "recordings", folder / "new-recordings")
    write_xares_ravdess(root / "env" / "ravdess")
    write_hear(archive / "beijing_opera-v1.0-hear2021-full", hear_folds(), vocabulary=["bark", "meow"])
    with tarfile.open(folder / "ARCHIVE.tar.gz", "w:gz") as tar:
        tar.add(archive, ".")
    for name in ("constraints.txt", "tests"):
        (folder / name).symlink_to(REPOSITORY / name)
    return folder


@pytest.fixture
def sandbox(
    template: Path,
    make_request: Callable[..., TrialRequest],
    environment: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Sandbox]:
    """Return a sandbox with some results, for one text."""
    folder = shutil.copytree(template, tmp_path / "sandbox", symlinks=True)
    REGISTRY.forget("mine")  # of another test of this process
    text = TEXTS[request.node.callspec.params["name"]]
    for name, part in FILES.items():
        if f"./{name}" in text and "new method" not in text:  # written in this text, or known from README
            known = [block for of in (text, TEXTS["README.md"]) for block in blocks(of, "python") if part in block]
            (folder / name).write_text(known[0])
    for results, methods in RESULTS.items():
        requests = [
            make_request(methods=[method], backbones=[backbone])
            for method, backbone in itertools.product(methods, (AST, "ast-demo"))
        ]
        make_results(folder / results, [make_record(each, [0.25, 0.5]) for each in requests])
    yield Sandbox(folder, environment, thorough=request.node.get_closest_marker("slow") is not None)
    forget_backbone("gated")
    REGISTRY.forget("mine")


@pytest.mark.parametrize("name", [name for name, found in SHELL.items() if found])
def test_the_commands_of_a_text_work_in_order(sandbox: Sandbox, name: str) -> None:
    for snippet in SHELL[name]:
        sandbox.exercise(snippet)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, found in SHELL.items() if any(each.rule.slow for each in found)])
def test_slow_commands_of_a_text_work_too(sandbox: Sandbox, name: str) -> None:
    test_the_commands_of_a_text_work_in_order(sandbox, name)


@pytest.mark.parametrize("text", SPANS)
def test_the_command_within_a_sentence_is_one(text: str) -> None:
    require_valid(parse(Snippet(text, ours=True).words, excerpt=True)[1])


def test_a_command_that_no_rule_knows_is_an_error() -> None:
    for words, ours in ((["make", "all"], False), (["unheard-of", "--all"], True), (["ls"], True)):
        with pytest.raises(LookupError, match="no rule of tests/snippets"):
            _ = snippets.snippet([*(snippets.OURS if ours else ()), *words]).rule


def test_wrong_names_and_options_in_commands_are_found() -> None:
    for text in (
        "run --grid papr", "run --grid paper --method aat_xl", "run --grid paper --set recipe.epoch=2",
        "run --grid paper --set protocol.prompts=swap", "search --dataset esc5 --backbone ast --budget 1",
        "checkpoint fetch asst", "plan --grid paper --wide", "run --grid paper --rerun all", "run", "show method",
    ):  # fmt: skip
        with pytest.raises(Exception, match=r".") as caught:
            require_valid(parse(text.split())[1])
        assert not isinstance(caught.value, AssertionError)


def test_every_rule_is_used_and_says_why_it_does_not_run_a_command() -> None:
    rules = [each.rule for found in SHELL.values() for each in found]
    assert [rule.pattern for rule in RULES if rule not in rules] == []
    assert all(rule.why for rule in RULES if rule.how not in {"run", "shell"})


def test_shell_commands_are_in_shell_blocks() -> None:
    for name, text in TEXTS.items():
        languages = {language for _, language, _ in snippets.FENCE.findall(text)}
        assert languages <= {"sh", "python", "yaml", "text", ""}, name
        assert not any("python -m benchmark " in block for block in blocks(text, "text", "")), name


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if blocks(text, "yaml")])
def test_a_part_of_a_backbones_file_is_accepted(name: str) -> None:
    declared = load_backbone("ast").model_dump(exclude_unset=True)
    for block in blocks(TEXTS[name], "yaml"):
        validate_entry({**declared, **yaml.safe_load(block)}, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "benchmark.run(" in text])
def test_the_python_calls_of_a_text_run(sandbox: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox.folder)
    monkeypatch.setattr("benchmark.orchestrator.run.run_trials", run_trials_here)
    for key, value in sandbox.environment.items():
        monkeypatch.setenv(key, value)
    [block] = [block for block in blocks(TEXTS[name], "python") if "benchmark.run(" in block]
    found: dict[str, object] = {}
    exec(block, found)
    assert len(benchmark.load_results("OUT")) == len(found["frame"]) > 4  # type: ignore[arg-type]
