"""Faults of YAML files, in a line."""

from __future__ import annotations

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.spec.yaml import LISTED, Spec, validate, yaml_text


class Thing(Spec):
    """Something with two keys."""

    first: int
    second: int = 0


def test_every_fault_is_named() -> None:
    with pytest.raises(BenchmarkError) as caught:
        validate(Thing, {"second": "x", "thrid": 1}, "thing.yaml")
    message = str(caught.value)
    assert message.startswith("thing.yaml: first: Field required; second: Input should be a valid integer")
    assert "thrid: unknown key" in message
    assert message.count(";") == 2


def test_many_faults_are_counted() -> None:
    with pytest.raises(BenchmarkError, match=rf"\(and {2} more\)$"):
        validate(Thing, {"first": 1, **{f"key{number}": 0 for number in range(LISTED + 2)}}, "thing.yaml")


@pytest.mark.parametrize(
    ("text", "written"),
    [("MLP's", "MLP's"), ("the MLP's: all", '"the MLP\'s: all"'), ("one:\n\ntwo", "|-\n  one:\n\n  two")],
)
def test_text_is_written_as_people_do(text: str, written: str) -> None:
    shown = yaml_text({"key": text})
    assert shown == f"key: {written}\n"
    assert yaml.safe_load(shown) == {"key": text}
