"""Text of users is printed as it is, and suggested commands can be pasted into a shell."""

from __future__ import annotations

import ast
import io
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmark import console as room
from benchmark.cli.printing import print_report
from benchmark.commands import command
from benchmark.console import Sheet, Styled, as_text, counting, printable, say, say_table, show
from benchmark.orchestrator import progress as progress_room
from benchmark.orchestrator.progress import Progress
from benchmark.report.write import Report
from benchmark.tools.data import prepare as prepare_room
from tests.conftest import Cli

TEXTS = [
    "folder:b:",
    ":smile: x",
    "a [red]b[/red]",
    "[/]",
    "[link=x]",
    "m[bottleneck=8]",
    "\\[x]",
    ":warning-emoji:",
]
HOSTILE = "a[red]\x1b[2J\r\nb\x9b1m\u202ec"
VISIBLE = "a[red]\\x1b[2J\\r\\nb\\x9b1m\\u202ec"
REPOSITORY_CODE = sorted((Path(__file__).parent.parent / "benchmark").rglob("*.py"))


def make_console(*, terminal: bool) -> Console:
    """Return a console as a user may pass it: with markup and emoji."""
    return Console(file=io.StringIO(), force_terminal=terminal, width=400, color_system=None, legacy_windows=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", TEXTS)
def test_lines_and_progress_show_text_as_it_is(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    console = make_console(terminal=False)
    say(console, text)
    assert printed(console) == f"{text}\n"

    monkeypatch.setattr(room, "LINE_EVERY_SECONDS", -1.0)
    for terminal in (False, True):
        console = make_console(terminal=terminal)
        with counting(console) as show:
            show(text, 1, 2)
        assert text in printed(console)


@pytest.mark.parametrize("text", TEXTS)
def test_progress_of_trials_shows_labels_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (False, True):
        console = make_console(terminal=terminal)
        shown = Progress({"id": text}, 0, console, lambda _, __: None)
        shown.tally.running["id"] = (0.0, {})
        monkeypatch.setattr(progress_room, "MAX_ROWS", 5)
        with shown:
            shown.warn("id", "reason")
            shown.warn(None, text)
        assert f"{text}: reason" in printed(console)
        assert printed(console).count(text) >= (3 if terminal else 2)  # in the table of running trials, too


@pytest.mark.parametrize("text", TEXTS)
def test_the_table_of_a_report_shows_names_as_they_are(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    table = pd.DataFrame([{"protocol": text, "backbone": text, "method": text, text: text}])
    print_report(Report([Path(text) / "results.csv"], table, [text], ""), Path(text))
    assert capsys.readouterr().out.count(text) >= 7


@pytest.mark.parametrize("text", TEXTS)
def test_columns_show_names_as_they_are(text: str) -> None:
    console = make_console(terminal=False)
    say_table(console, text, [text, text], [[text, text]])
    assert printed(console).count(text) == 5  # the title too


def test_control_characters_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LINE_EVERY_SECONDS", -1.0)
    console = make_console(terminal=False)
    say(console, HOSTILE)
    show(console, [HOSTILE, Styled(HOSTILE, "red"), Sheet(HOSTILE, [HOSTILE], [[(HOSTILE, Styled(HOSTILE, "red"))]])])
    with counting(console) as progress:
        progress(HOSTILE, 1, 2)
    assert printed(console).count(VISIBLE) == 8
    assert not set("\x1b\r\x9b\u202e") & set(printed(console))
    assert printable(HOSTILE, keep_lines=True) == VISIBLE.replace("\\n", "\n")


def test_a_wide_table_of_a_narrow_console_is_folded_not_cut() -> None:
    columns = ["method", *(f"dataset{number}" for number in range(12))]
    text = as_text([Sheet("", columns, [["aat_ms", *(f"value{number}" for number in range(12))]])], width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert all(character in text for character in "0123456789")


def test_names_of_datasets_are_broken_between_their_parts_only() -> None:
    names = ["ESC-50", "UrbanSound8K", "Speech Commands V1", "Speech Commands V2", "GTZAN", "OpenMIC-2018"]
    console = Console(width=80, file=io.StringIO())
    say_table(console, "", ["method", *names], [["AAT-MS + Prompt tuning", *["87.5†"] * 6]])
    assert isinstance(console.file, io.StringIO)
    header = console.file.getvalue().partition("─")[0].split()
    parts = {"Urban", "Sound8K", "OpenMIC-", "2018", "ESC-50", "GTZAN", "Speech", "Commands", "V1", "V2", "method"}
    assert set(header) == parts


def test_a_note_on_a_download_shows_its_path_as_it_is(tmp_path: Path) -> None:
    from benchmark.data.dataset_info import Archive

    console, path = make_console(terminal=False), tmp_path / "data:b:" / "x[1].zip"
    path.parent.mkdir()
    path.write_bytes(b"x")
    archive = Archive(file=path.name, urls=(), bytes=1, hash="md5:0", certain=False, top="")
    prepare_room._compare_hash(path, archive, console, strict=False)
    assert str(path) in printed(console)


def test_nothing_else_prints_with_rich() -> None:
    """The one place for it is `benchmark.console`: Rich reads markup and emoji in every string that it is given."""
    forbidden = re.compile(
        r"console(\(.*\))?\.print\(|rich\.table|\.from_markup|rich\.markup|\bTextColumn\(|\bPanel\(|\.add_row\(|\.add_column\("
    )
    found = [
        f"{path.name}: {line.strip()}"
        for path in REPOSITORY_CODE
        if path != Path(room.__file__)
        for line in path.read_text(encoding="utf-8").splitlines()
        if forbidden.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("folder", ["/r/res #1", "/r/a b", "/r/[v2] $x", "/r/it's", "/r/結果;x", "~x", "a*?"])
def test_suggested_commands_survive_a_shell(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", "--results", folder]
    assert shlex.split(command(*words)) == ["python", "-m", "benchmark", *words]
    table = pd.DataFrame([{"protocol": "reference", "backbone": "ast", "method": "aat_m[b=1]", "esc50": "1"}])
    print_report(Report([Path("x") / "y"], table, [], "", ("ast", "esc50", "aat_m[b=1]")), Path(folder))
    lines = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines() if "python -m" in line]
    assert len(lines) == 3
    assert all(shlex.split(line)[-2:] == ["--results", folder] for line in lines)


def test_commands_in_messages_can_be_pasted() -> None:
    """With their program and all words quoted: they come from `benchmark.commands.command`."""
    by_hand = re.compile(r"`(data|checkpoint) [a-z]+ ")
    found = []
    for path in REPOSITORY_CODE:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        texts = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings]
        found += [f"{path.name}:{text.lineno}" for text in texts if by_hand.search(str(text.value))]
    assert found == []


def test_commands_in_messages_are_quoted(cli: Cli, tmp_path: Path, data_root: Path) -> None:
    folder = tmp_path / "res #1 [v2]"
    for arguments in (["status"], ["report"], ["explain", "ast", "esc50", "full"]):
        done = cli(*arguments, "--results", folder)
        assert done.returncode == 2
        assert f"--results '{folder}'" in done.stderr
    done = cli("new", "method", "quoted", "--folder", tmp_path)
    assert done.returncode == 0
    (tmp_path / "own methods").mkdir()
    done = cli("new", "method", "quoted", "--folder", tmp_path / "own methods")
    assert f"check '{tmp_path / 'own methods' / 'quoted.py'}'" in done.stdout
