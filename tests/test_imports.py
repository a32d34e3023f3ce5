"""Imports point one way (CONTRIBUTING.md), and the light commands import nothing heavy."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.planning.expand import expand
from benchmark.spec.options import RunOptions
from benchmark.trial.setting import Setting
from tests.conftest import tiny_grid
from tests.samples import make_cost

REPOSITORY = Path(__file__).parent.parent

# room -> rooms it may import at run time
BELOW_TRIAL = {"models", "data", "methods", "metrics", "records", "spec"}
BELOW_PLANNING = {"trial", *BELOW_TRIAL}
BELOW_SERVICES = {"planning", *BELOW_PLANNING}
SERVICES = {"orchestrator", "search", "report", "submissions", "tools"}
ALLOWED = {
    "spec": set(),
    "metrics": set(),
    "records": {"spec"},
    "models": {"spec"},
    "data": {"spec"},
    "methods": {"spec"},
    "trial": BELOW_TRIAL,
    "planning": BELOW_PLANNING,
    "orchestrator": BELOW_SERVICES,
    "search": {"orchestrator", "report", *BELOW_SERVICES},
    "tools": BELOW_SERVICES,
    "report": {"metrics", "records", "spec", "submissions"},
    "submissions": {"metrics", "records", "spec"},
    "api": {"testing", *SERVICES, *BELOW_SERVICES},
    "cli": {"api", "tools", "spec"},  # tools where there is a function already that needs no use-case around it
    "testing": BELOW_PLANNING,  # the conformance checks, which train small models
    "baselines": {"methods", "models", "spec"},
}
# modules outside the rooms -> rooms they may import at run time
ROOT_MODULES = {
    "__init__": set(),  # imports the API when a function is first used
    "__main__": {"cli"},
    "cgroups": set(),
    "commands": set(),
    "console": set(),
    "errors": set(),
    "files": set(),
    "hub_errors": set(),
    "numerics": set(),
    "mps": set(),
    "nvml": set(),
    "units": set(),
    "places": set(),
    "plugins": set(),
    "progress": set(),
    "resuming": set(),
    "temporary": set(),
}

# What a process that trains must not import, and what takes the time: torch and Ray alone need three seconds.
HEAVY = {
    "timm", "torchvision", "torch._dynamo", "torch._inductor", "torch.onnx", "sympy", "sklearn", "scipy", "pandas",
    "pyarrow", "matplotlib", "seaborn", "statsmodels", "rich", "typer", "requests", "pooch", "peft", "transformers",
    "ray",
}  # fmt: skip


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a file imports, except in type-checking blocks."""
    rooms: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first in {"baselines", "paper_tables"}:
                rooms.add(first)
            elif first == "benchmark" and (room := rest.partition(".")[0]) in ALLOWED:
                rooms.add(room)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return rooms


def rooms() -> list[str]:
    return [room for room in ALLOWED if room == "baselines" or (REPOSITORY / "benchmark" / room).is_dir()]


@pytest.mark.parametrize("room", rooms())
def test_imports_point_one_way(room: str) -> None:
    folder = REPOSITORY / room if room == "baselines" else REPOSITORY / "benchmark" / room
    files = sorted(folder.rglob("*.py"))
    assert files
    wrong = {
        f"{path.relative_to(REPOSITORY)} -> {other}"
        for path in files
        for other in imported_rooms(path) - ALLOWED[room] - {room}
    }
    assert not wrong


@pytest.mark.parametrize("module", ROOT_MODULES)
def test_modules_outside_the_rooms_import_no_room_above_them(module: str) -> None:
    assert imported_rooms(REPOSITORY / "benchmark" / f"{module}.py") <= ROOT_MODULES[module]


def test_every_room_has_a_rule() -> None:
    folders = {path.name for path in (REPOSITORY / "benchmark").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(ALLOWED)
    assert {path.stem for path in (REPOSITORY / "benchmark").glob("*.py")} == set(ROOT_MODULES)


def test_commands_share_code_through_options_and_printing_only() -> None:
    shared = {"options", "printing", "logs"}
    folder = REPOSITORY / "benchmark" / "cli"
    commands = {path.stem for path in folder.glob("*.py")} - shared - {"main"}
    for path in folder.glob("*.py"):
        if path.stem == "main":
            continue
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        names = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
        used = {name.split(".")[2] for name in names if name.startswith("benchmark.cli.")}
        assert not used & commands - ({"run"} if path.stem == "search" else set()), path.name  # its exit codes


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["list", "methods"], ["list", "datasets"], ["show", "method", "aat_ms"]],
)
def test_light_commands_import_neither_torch_nor_ray(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom benchmark.cli.main import app\n"
        f"sys.argv = ['benchmark', *{arguments!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "loaded = {'torch', 'ray', 'timm', 'matplotlib'} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_reporting_imports_no_torch() -> None:
    code = (
        "import sys, benchmark.report.write, benchmark.report.figures, benchmark.records.frame\n"
        "import benchmark.submissions.standing\n"
        "assert 'torch' not in sys.modules and 'ray' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_worker_imports_no_library_that_training_does_not_need(data_root: Path, tmp_path: Path) -> None:
    [request] = expand(tiny_grid(methods=["aat_ms+prompt"]), data_root, tmp_path).requests
    setting = Setting(tmp_path, RunOptions(data_root, tmp_path / "cache"), cost=make_cost())
    (tmp_path / "task").write_bytes(pickle.dumps((request, setting)))
    code = (
        "import pickle, sys\nfrom pathlib import Path\n"
        "import benchmark.orchestrator.trainable\nfrom benchmark.trial.run import attempt_trial\n"
        f"request, setting = pickle.loads(Path({str(tmp_path / 'task')!r}).read_bytes())\n"
        "outcome = attempt_trial(request, setting, print)\nassert outcome.status == 'completed', outcome\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
