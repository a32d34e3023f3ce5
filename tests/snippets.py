"""The shell commands of README and documentation, and how the tests exercise each of them: the table `RULES`."""

from __future__ import annotations

import functools
import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from typer.main import get_command

from benchmark.cli.main import app
from tests.conftest import REPOSITORY

OURS = ("python", "-m", "benchmark")
TEXTS = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
}
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:[a-z]+[ ])+[^`\n]*--[^`\n]+|python -m benchmark [^`\n]+)`")

How = Literal["run", "parse", "within", "packages", "image", "ray", "script", "shell", "elsewhere"]
PLACEHOLDERS = {"COMMAND": "status", "DATASET": "esc50", "N": "2"}  # of commands within sentences


@dataclass(frozen=True)
class Rule:
    """How the commands that match a pattern are exercised.

    Attributes:
        pattern: regular expression at the beginning of a command.
        how: `run` it in the sandbox; `parse` its options, and resolve the names and values in them; `within`: exercise
            the command of this suite that it contains; check the `packages` that it installs, or the arguments of an
            `image`; let the parser of `ray` read it; check that a `script` of this repository is there; run it with
            the `shell`; or nothing here, as it is tested `elsewhere`.
        why: why it is not run as it stands; empty if it is.
        more: options for `run` that make it short, or keep it from the network.
        slow: whether it runs with the slow tests only; the others parse it.
    """

    pattern: str
    how: How
    why: str = ""
    more: tuple[str, ...] = ()
    slow: bool = False


TRAINS = "trains for hours, or for minutes"
COUNTS = "counts operations of many large models, for a minute"
NETWORK = "needs a network"
SHORT = (
    "--method", "linear,aat_ms", "--fold", "1", "--set", "recipe.epochs=1", "--set",
    "recipe.frames=64", "--set", "recipe.time_mask=12", "--no-report",
)  # fmt: skip
ONE_SHAPE = ("--method", "linear", "--dataset", "esc50", "--backbone", "ast")

# the first that matches; a command that matches none is an error
RULES = (
    Rule(r"pip install", "packages", NETWORK),
    Rule(r"python -m venv|\. \.venv", "elsewhere", ".ci/run and tests/wheel.py make virtual environments"),
    Rule(r"ruff |mypy|pytest", "elsewhere", ".ci/run checks style and types, and runs these tests"),
    Rule(r"mkdir ", "shell"),
    Rule(r"sbatch ", "shell", "needs Slurm; tests/api/test_new_slurm.py runs such a script with a stand-in"),
    Rule(r"docker build", "image", NETWORK),
    Rule(r"docker run|apptainer run|ray job submit", "within", "needs an image or a cluster"),
    Rule(r"apptainer build", "elsewhere", "needs Apptainer; the image is that of `docker build`"),
    Rule(r"ray start", "ray", "starts a cluster"),
    Rule(r"git |cd STORE", "elsewhere", "changes a repository of the user's"),
    Rule(r"python tests/\w+\.py|python -m tests\.\w+", "script", "takes minutes to hours"),
    Rule(r"run --grid quick", "run", "trains for minutes", more=SHORT),
    Rule(r"run ", "parse", TRAINS),
    Rule(r"search ", "parse", TRAINS),
    Rule(r"pretrain ", "parse", TRAINS),
    Rule(r"plan ", "run", COUNTS, more=ONE_SHAPE, slow=True),
    Rule(r"profile .*--sharing", "parse", TRAINS),
    Rule(r"profile ", "run", COUNTS, more=(*ONE_SHAPE, "--steps", "0"), slow=True),
    Rule(r"claims .*--structural", "parse", COUNTS),
    Rule(r"check backbone", "parse", "takes minutes; tests/test_docs.py runs the checks on this backbone"),
    Rule(r"check ", "run", slow=True),
    Rule(r"parity ", "parse", "takes a minute; tests/tools/test_parity.py runs it"),
    Rule(r"new slurm .*--python", "run", "another script", more=("--out", "apptainer.sbatch")),
    Rule(r"report ", "run", slow=True),
    Rule(r"data prepare esc50", "run", NETWORK, more=("--data-root", "NEW", "--from", "ESC-50-master.zip")),
    Rule(r"data prepare \"?'?hf:", "parse", NETWORK),
    Rule(r"checkpoint fetch", "parse", NETWORK),
    Rule(r"board ", "parse", "needs a store; tests/report/board makes some"),
    Rule(r"submit ", "parse", "takes records of trained models only; tests/submissions submits some"),
    Rule(
        r"(cite|claims|data|explain|export|list|new|predict|show|status) ", "run"
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Snippet:
    """A command of a text.

    Attributes:
        text: the command, without assignments of variables before it; without `python -m benchmark` if it is ours.
        ours: whether it is a command of this suite.
    """

    text: str
    ours: bool

    @property
    def words(self) -> list[str]:
        """The command as words of a shell."""
        return shlex.split(self.text)

    @property
    def rule(self) -> Rule:
        """How it is exercised.

        Raises:
            LookupError: no rule matches.
        """
        for rule in RULES:
            if re.match(rule.pattern, self.text) and (rule.how in {"run", "parse"}) == self.ours:
                return rule
        raise LookupError(f"{self.text}: no rule of tests/snippets.py says how this command is tested")

    def inner(self) -> Snippet:
        """Return the command of this suite that it contains, after the name of an image or after `--`."""
        found = re.search(r"(?: aat-benchmark:\w+| aat\.sif| -- python -m benchmark) (.*)", self.text)
        assert found, f"{self.text}: contains no command of this suite"
        return Snippet(found[1], ours=True)


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks of a text in these languages, in order."""
    return [textwrap.dedent(block) for _, language, block in FENCE.findall(text) if language in languages]


def commands(block: str) -> Iterator[Snippet]:
    """Yield the commands of a shell block."""
    for line in block.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                yield snippet(words)
                words = []


def snippet(words: list[str]) -> Snippet:
    """Return a command from its words."""
    while words and re.match(r"\w+=", words[0]):  # variables of the environment
        words = words[1:]
    ours = tuple(words[: len(OURS)]) == OURS
    return Snippet(shlex.join(words[len(OURS) :] if ours else words), ours)


@functools.cache
def root_command() -> Any:
    """Return the suite's command with its commands; to make it takes a tenth of a second."""
    return get_command(app)


def inline(text: str) -> Iterator[Snippet]:
    """Yield the commands of this suite within sentences; most are excerpts, without every option that is needed."""
    for span in INLINE.findall(FENCE.sub("", text)):
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(span)]
        if "--help" in words:  # tests/cli/test_help.py reads it for every command
            continue
        found = snippet(words)
        if found.ours or words[0] in root_command().commands:
            yield Snippet(found.text, ours=True)


def parse(words: list[str], *, excerpt: bool = False) -> tuple[str, Mapping[str, Any]]:
    """Let the command line's parser read a command; return its full name and the values of its parameters.

    Args:
        words: the command, without `python -m benchmark`.
        excerpt: needed options may be missing.

    Raises:
        Exception: what the parser says.
    """
    command, names, rest = root_command(), list[str](), list(words)
    if rest[0] in {"-v", "-vv"}:
        rest.pop(0)
    while hasattr(command, "commands"):
        names.append(rest.pop(0))
        command = command.commands[names[-1]]
    try:
        return " ".join(names), command.make_context(names[-1], rest).params
    except Exception as error:  # Typer has its own copy of click's classes, or not, as its version is
        lacks = type(error).__name__ == "MissingParameter" or "requires an argument" in str(error)
        if excerpt and lacks:
            return " ".join(names), {}
        raise


def require_valid(values: Mapping[str, Any]) -> None:
    """Resolve names and settings in the values of a command, as the command itself does at its beginning.

    Raises:
        BenchmarkError: one of them is not known.
    """
    from benchmark.api.selection import Selection

    if "grid" in values:
        fields = {"method": "methods", "dataset": "datasets", "backbone": "backbones", "fold": "folds", "seed": "seeds"}
        known = Selection.__dataclass_fields__
        named = {fields.get(name, name): value for name, value in values.items()}
        Selection(**{name: value for name, value in named.items() if name in known}).resolve().expand()
        return
    for name, value in values.items():
        for resolve in filter(None, [RESOLVE.get(name)]):
            for text in value if isinstance(value, list | tuple) else [value] if value else []:
                resolve(str(text))


def _dataset(text: str) -> None:
    from benchmark.data.registry import get_dataset

    get_dataset(text)


def _backbone(text: str) -> None:
    from benchmark.models.outside import resolve_backbones

    assert resolve_backbones(text, "snippet")


def _method(text: str) -> None:
    from benchmark.methods.registry import resolve_methods

    assert resolve_methods(text, "snippet")


def _paper(text: str) -> None:
    from benchmark.report.papers import load_paper

    load_paper(text)


def _setting(text: str) -> None:
    from benchmark.spec.grid import load_grid, narrow

    narrow(load_grid("quick"), settings=[text])


RESOLVE: dict[str, Callable[[str], None]] = {
    "dataset": _dataset, "backbone": _backbone, "backbones": _backbone, "method": _method, "paper": _paper,
    "settings": _setting,
}  # fmt: skip


def require_packages(words: list[str]) -> None:
    """Check `pip install`: the extras that it names are those of this project, and its files exist."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for number, word in enumerate(words):
        if words[number - 1] == "-c":
            assert (REPOSITORY / word).is_file(), word
        if found := re.fullmatch(r"\.\[([\w,]+)\]", word):
            assert set(found[1].split(",")) <= set(project["optional-dependencies"]), word


def require_image(words: list[str]) -> None:
    """Check `docker build`: its arguments are those of the Dockerfile."""
    text = (REPOSITORY / "Dockerfile").read_text()
    given = [words[number + 1].partition("=")[0] for number, word in enumerate(words) if word == "--build-arg"]
    assert set(given) <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))


def require_ray(words: list[str]) -> None:
    """Let Ray's own parser read `ray start`."""
    from ray.scripts.scripts import cli

    cli.commands[words[1]].make_context(words[1], words[2:])


def require_script(words: list[str]) -> None:
    """Check that a script of this repository is there."""
    name = words[2].replace(".", "/") + ".py" if words[1] == "-m" else words[1]
    assert (REPOSITORY / name).is_file(), name
