"""Run tests with the oldest or the newest packages that `pyproject.toml` allows.

    python tests/versions.py oldest
    python tests/versions.py newest --python 3.13 -- tests/report -m "not slow"

A fresh virtual environment with all extras is made by uv (`pip install uv`); it needs about 6 GB of disk and is
removed at the end. The default tests are those that start neither Ray nor a browser; one run of the grid `smoke`, with
all loggers, does start Ray. Prints the versions of the direct requirements as Markdown. The exit code is that of the
first step that fails. `docs/reference/versions.md` has the sets that were tested last.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
RESOLUTION = {"oldest": "lowest-direct", "newest": "highest"}
EXTRAS = "test,mlflow,wandb"
TESTS = ("-m", "not ray and not browser and not slow")
LOGS = ("--log", "tensorboard", "--log", "mlflow", "--log", "wandb")
SMOKE = ("run", "--grid", "smoke", "--method", "linear,aat_ms", "--backbone", "ast[size=demo;weights=random:0]", *LOGS)
# prints what pyproject.toml names, with the version that is installed
VERSIONS = """
import re
from importlib.metadata import requires, version
names = {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in requires("aat-benchmark")} - {"aat-benchmark"}
installed = {}
for name in sorted(names, key=str.lower):
    try:
        installed[name] = version(name)
    except ModuleNotFoundError:
        continue
print("| package | version |\\n|---|---|")
print("\\n".join(f"| {name} | {number} |" for name, number in installed.items()))
"""


def main() -> int:
    """Make the environment, run the tests in it, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=RESOLUTION)
    parser.add_argument(
        "--python", default=sys.executable, help="Python of the environment, as 3.13; default: this one"
    )
    parser.epilog = "Arguments after -- are those of pytest."
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, pytest = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    with tempfile.TemporaryDirectory(prefix="aat-versions-") as name:
        folder = Path(name)
        python = folder / "venv" / "bin" / "python"
        environment = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
        environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
        install = ["uv", "pip", "install", "--python", python, "--resolution", RESOLUTION[options.which]]
        steps: list[list[str | Path]] = [
            ["uv", "venv", "--seed", "--python", options.python, folder / "venv"],
            [*install, "-e", f"{REPOSITORY}[{EXTRAS}]"],
            [python, "-c", VERSIONS],
            [python, "-m", "pytest", "-q", *(pytest or TESTS)],
            [python, "-m", "benchmark", *SMOKE, "--results", folder / "out", "--cache", folder / "cache"],
        ]
        for step in steps:
            print("+", *step, flush=True)
            if code := subprocess.run(step, cwd=REPOSITORY, env=environment, check=False).returncode:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
