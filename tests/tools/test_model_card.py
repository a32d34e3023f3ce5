"""Texts of users in the model card."""

from __future__ import annotations

import pytest

from benchmark.tools.export.model_card import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
        ("$x_1$", r"\$x\_1\$"),
        ("a|b", r"a\|b"),
        ("[red]", r"\[red\]"),
        ("two\n# lines", r"two \# lines"),
        ("&lt; C:\\temp", r"\&lt; C:\\temp"),
        ("sea waves 2", "sea waves 2"),
    ],
)
def test_names_of_classes_are_shown_as_they_are(text: str, shown: str) -> None:
    assert plain(text) == shown
