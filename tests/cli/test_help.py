"""`--help` of every command shows its texts in full."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer

from benchmark.cli.main import app
from tests.conftest import Cli

BRACKETS = re.compile(r"\S*\[[^\]\s]+\]\S*")  # such as NAME[key=value;key=v1,v2]
FRAME = re.compile(r"[\s│]+")


def commands() -> dict[str, list[str]]:
    """Return the help texts of every command, its arguments and options, by the words that call it.

    A bracket is written `\\[` in them, so that rich does not read it as markup.
    """

    def walk(command: typer.core.TyperCommand, words: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
        texts = [command.help or "", *(getattr(parameter, "help", None) or "" for parameter in command.params)]
        yield " ".join(words), [text.replace("\\[", "[") for text in texts]
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, (*words, name))

    return dict(walk(typer.main.get_command(app), ()))


COMMANDS = commands()


@pytest.mark.parametrize("words", COMMANDS)
def test_brackets_are_shown_not_read_as_markup(cli: Cli, words: str) -> None:
    done = cli(*words.split(), "--help")
    assert done.returncode == 0
    shown = FRAME.sub("", done.stdout)
    missing = [part for text in COMMANDS[words] for part in BRACKETS.findall(text) if part not in shown]
    assert missing == []


def test_there_are_brackets_to_show() -> None:
    assert any("aat_ms[bottleneck=64]" in text for text in COMMANDS["run"])
