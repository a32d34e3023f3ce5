"""Files around the code: packages, citation, changelog, container, and what GitHub reads."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml

import benchmark
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = ("benchmark", "baselines", "paper_tables")
DEMO = "benchmark/models/demo"
# nothing reads them
DOCUMENTATION = {
    *(f"{DEMO}/{name}" for name in ("README.md", "ast-demo.json", "ssast-demo.json")),
    "benchmark/report/page/vendor/README.md",
}
GITHUB = REPOSITORY / ".github"
FORMS = ("backbone", "bug", "dataset", "method", "result")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def in_context(name: str) -> bool:
    """Return whether .dockerignore lets a file at the top level, or a folder, into the build."""
    patterns = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    included = True
    for pattern in patterns:
        if fnmatch.fnmatch(name, pattern.removeprefix("!")):
            included = pattern.startswith("!")
    return included


def test_every_data_file_of_the_packages_is_in_the_wheel() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    files = [path for name in PACKAGES for path in (REPOSITORY / name).rglob("*") if path.is_file()]
    data = [path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts]
    assert len(data) > 30
    left_out = {path for path in data if not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)}
    assert {path.relative_to(REPOSITORY).as_posix() for path in left_out} == DOCUMENTATION


def test_type_checkers_may_read_the_packages() -> None:
    assert all((REPOSITORY / name / "py.typed").is_file() for name in ("benchmark", "baselines"))


def test_the_citation_follows_the_format_and_names_authors() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["project"]["version"] == benchmark.__version__
    assert citation["authors"] == [{"name": "The AAT benchmark contributors"}]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert all({"family-names", "given-names"} <= set(author) for author in reference["authors"])
    assert PROJECT["project"]["authors"] == citation["authors"]


def test_the_changelog_has_the_unreleased_changes_first_and_dated_releases() -> None:
    titles = re.findall(r"^## (.*)$", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert titles[0] == "Unreleased" or titles[0].startswith(benchmark.__version__)
    for title in titles[titles[0] == "Unreleased" :]:
        match = re.fullmatch(r"\d+\.\d+\.\d+ \((\d{4}-\d\d-\d\d)\)", title)
        assert match, f"expected VERSION (YEAR-MONTH-DAY), not '{title}'"
        assert date.fromisoformat(match[1])


def test_every_requirement_has_a_lower_bound_and_is_pinned_for_the_tests() -> None:
    """`tests/versions.py` tests the bounds."""
    project = PROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines if ">=" in line]
    bounds = [re.match(r"([\w.-]+)(?:\[\w+\])?>=[\d.]+", line) for line in [*project["dependencies"], *extras]]
    assert all(bounds)
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.partition("==")[0].lower() for line in lines}
    needed = {bound[1].lower() for bound in bounds if bound}
    assert needed - pinned == {"mlflow-skinny", "wandb"}  # the tests do not need them


def test_the_container_copies_what_exists_and_what_the_build_needs() -> None:
    copied = set[str]()
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            copied.update(rest.split()[:-1])
    assert all((REPOSITORY / name).exists() and in_context(name) for name in copied)
    project = PROJECT["project"]
    assert {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"], *PACKAGES} == copied
    assert not any(in_context(name) for name in ("results", "tests", ".git", "data"))


def test_the_container_has_its_stages_arguments_user_and_entry_point() -> None:
    found = instructions()
    stages = [rest for word, rest in found if word == "FROM"]
    assert len(stages) == 2
    assert [stage.partition(" AS ")[2] for stage in stages] == ["build", ""]
    arguments = dict(rest.partition("=")[::2] for word, rest in found if word == "ARG")
    assert arguments["DEVICE"] == "cuda"
    text = " ".join(rest for word, rest in found if word != "ARG")
    assert all(re.search(rf"\$\{{?{name}\b", text) for name in arguments)  # each is used
    [extras] = re.findall(r"\[(.*)\]", arguments["EXTRAS"])
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert ("USER", "1000") in found
    assert [rest for word, rest in found if word == "ENTRYPOINT"] == ['["python", "-m", "benchmark"]']
    if shutil.which("hadolint"):
        done = subprocess.run(["hadolint", "Dockerfile"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def fields(form: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the fields of an issue form that ask for something."""
    yield from (field for field in form["body"] if field["type"] != "markdown")


@pytest.mark.parametrize("name", FORMS)
def test_issue_forms_are_valid(name: str) -> None:
    """https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests"""
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "body", "labels", "title"}
    ids = [field["id"] for field in fields(form)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[\w-]+", identifier) for identifier in ids)
    for field in fields(form):
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert isinstance(field["attributes"]["label"], str)
        assert isinstance(field["attributes"].get("description", ""), str)  # text with a colon needs quotation marks
        if field["type"] in {"dropdown", "checkboxes"}:
            assert field["attributes"]["options"]
    assert any(field.get("validations", {}).get("required") for field in fields(form))


def test_there_are_no_other_forms() -> None:
    assert {path.stem for path in (GITHUB / "ISSUE_TEMPLATE").iterdir()} == {*FORMS, "config"}
    assert yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "config.yml").read_text()) == {"blank_issues_enabled": True}


def test_commands_in_issue_forms_exist() -> None:
    from typer.main import get_command

    from benchmark.cli.main import app

    text = "".join((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text() for name in FORMS)
    used = set(re.findall(r"python -m benchmark ([a-z]+)", text))
    assert used
    assert used <= set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_workflow_runs_the_script_of_every_other_machine() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())
    assert {"push", "pull_request"} <= set(workflow[True])  # YAML reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    [job] = workflow["jobs"].values()
    assert job["runs-on"]
    steps = job["steps"]
    assert steps[-1]["run"] == ".ci/run"
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    [python] = [step["with"]["python-version"] for step in steps if step.get("uses", "").startswith("actions/setup")]
    assert PROJECT["project"]["requires-python"].startswith(f">={python}.")  # the oldest
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o100
