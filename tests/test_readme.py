"""What the README says works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


def test_the_method_of_the_readme_runs_verbatim(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    folder = tmp_path / "baselines"
    folder.mkdir()
    for file in (REPOSITORY / "baselines").glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    (folder / "bitfit.py").write_text(code)
    script = (
        "from benchmark.methods.registry import resolve_methods\n"
        "from benchmark.models.transformer import AudioTransformer, ModelConfig\n"
        "from benchmark.spec.backbone import SHAPES\n"
        "model = AudioTransformer(ModelConfig(SHAPES['demo'], 128, 128, (16, 16), 3))\n"
        "for method in resolve_methods('bitfit[norms=true,false]', 'readme'):\n"
        "    names = method.adapt(model)\n"
        "    print(len(names), all(name.endswith('bias') for name in names))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "28 True\n19 True\n"  # 4 x 6 + 4, and without the 9 of LayerNorms, done.stderr


def test_the_commands_of_the_readme_exist() -> None:
    from typer.main import get_command

    from benchmark.cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"python -m benchmark (\w+)", README))
    assert used
    assert used <= known


def test_every_option_of_the_readme_exists() -> None:
    from typer.main import get_command

    from benchmark.cli.main import app

    commands = list(get_command(app).commands.values())  # type: ignore[attr-defined]
    commands += [below for command in commands for below in getattr(command, "commands", {}).values()]
    known = {
        option
        for command in commands
        for parameter in command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    ours = re.sub(r"^.*ray start .*$", "", README, flags=re.MULTILINE)  # options of Ray's own command
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert used <= known, used - known
