"""Build wheel and sdist, check them, and run the grid `smoke` from the wheel alone.

    python tests/wheel.py

Needs uv (`pip install uv`) and about 6 GB of disk. The packages are built in a copy of the tracked files. The wheel is
installed into a fresh virtual environment, with `constraints.txt`, and used from an empty folder: version, lists,
`check` of a new method, a run of the grid `smoke` and its report. The wheel from the sdist must hold the same files.
The exit code is not 0 after the first step that fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SMOKE = ("run", "--grid", "smoke", "--method", "linear,aat_ms", "--results", "out", "--cache", "cache")
# what a user does first, from the wheel
USE = (
    ("--version",),
    ("list", "methods"),
    ("show", "recipe", "esc50", "--backbone", "ast", "--method", "aat_ms"),
    ("new", "method", "mine"),
    ("check", "./mine.py"),
    SMOKE,
    ("report", "--results", "out", "--html"),
)
WHERE = (
    "import sys, benchmark, baselines, paper_tables; assert 'site-packages' in benchmark.__file__, benchmark.__file__"
)


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Run a command; return what it printed.

    Raises:
        CalledProcessError: it failed.
    """
    print("+", *command, flush=True)
    environment = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(
        command, cwd=folder, env={**environment, **variables}, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    done.check_returncode()
    return done.stdout


def copy_tracked(folder: Path) -> None:
    """Copy the tracked files, so that nothing else can slip into the packages."""
    names = run("git", "ls-files", folder=REPOSITORY).splitlines()
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())


def names_in(wheel: Path) -> set[str]:
    """Return the names of the files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def main() -> int:
    """Build, check, install and use the packages."""
    with tempfile.TemporaryDirectory(prefix="aat-wheel-") as name:
        base = Path(name)
        source, built, again, empty = (base / part for part in ("source", "dist", "again", "empty"))
        copy_tracked(source)
        empty.mkdir()
        run("uv", "build", "--quiet", "--sdist", "--wheel", "--out-dir", built, source, folder=base)
        [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB; {sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB")
        run("uv", "build", "--quiet", "--wheel", "--out-dir", again, sdist, folder=base)
        if difference := names_in(wheel) ^ names_in(next(again.glob("*.whl"))):
            raise SystemExit(f"the wheel from the sdist differs: {sorted(difference)}")
        run("uv", "tool", "run", "twine", "check", "--strict", wheel, sdist, folder=base)
        python = base / "venv" / "bin" / "python"
        run("uv", "venv", "--quiet", "--python", sys.executable, base / "venv", folder=base)
        run(
            "uv", "pip", "install", "--quiet", "--python", python, wheel, "-c", source / "constraints.txt", folder=base
        )  # fmt: skip
        run(python, "-c", WHERE, folder=empty)
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        for arguments in USE:
            run(python, "-m", "benchmark", *arguments, folder=empty, PATH=path)
        run(python.parent / "aat-benchmark", "status", "--results", "out", folder=empty)
    return 0


if __name__ == "__main__":
    sys.exit(main())
