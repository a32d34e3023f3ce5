"""What people read in place of the names of requests."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmark.records.schema import Labels
from benchmark.report.layout import load_layout
from benchmark.report.names import Names

HUB = "hf:o/a@main[split=train;label=x]"
NAMES = Names.of(
    load_layout().labels,
    [
        Labels(
            methods={"mine": "LoRA", "lora": "LoRA"},
            datasets={"folder:birds": "birds", HUB: "o/a"},
            backbones={"own": "Own"},
        ),
        Labels(methods={"aat_ms": "not this one"}),
    ],
)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("aat_ms", "AAT-MS"),  # what ships with the suite comes before what a record says
        ("aat_ms[bottleneck=64;init=zero]+prompt", "AAT-MS (bottleneck=64, init=zero) + Prompt tuning"),
        ("mine", "LoRA (mine)"),
        ("unknown[a=[1, 2]]", "unknown (a=[1, 2])"),
    ],
)
def test_methods(name: str, label: str) -> None:
    assert NAMES.method(name) == label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ast", "AST"),
        ("ssast[size=demo;weights=random:0]", "SSAST (demo size, random weights)"),
        ("ast[weights=random:3]", "AST (random weights, seed 3)"),
        ("own[stride=16]", "Own (stride=16)"),
        ("of a package", "of a package"),
        ("broken[", "broken["),
    ],
)
def test_backbones(name: str, label: str) -> None:
    assert NAMES.backbone(name) == label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("esc50", "ESC-50"),
        ("esc50[shots=4]", "ESC-50 (shots=4)"),
        (HUB, "o/a"),
        (f"{HUB}[shots=4]", "o/a (shots=4)"),
        ("hf:other[split=train][shots=4]", "hf:other (split=train) (shots=4)"),
    ],
)
def test_datasets(name: str, label: str) -> None:
    assert NAMES.dataset(name) == label


def test_protocols_say_their_switches_in_words() -> None:
    assert NAMES.protocol("corrected+ssast_pooling=cls") == "corrected (SSAST pooled by class token)"
    assert NAMES.protocol("mine+prompts=insert+gone=1") == "mine (prompts inserted, gone=1)"


def test_every_switch_has_words_for_its_values() -> None:
    from typing import get_args

    from benchmark.spec.protocol import SWITCHES, Protocol, phrase

    values = {name: get_args(Protocol.model_fields[name].annotation) for name in SWITCHES}
    assert [name for name in SWITCHES for value in values[name] if phrase(name, value) == f"{name}={value}"] == []


def test_rows_keep_what_has_no_label() -> None:
    rows = pd.DataFrame([{"dataset": "folder:birds", "method": "full", "score": 0.5}])
    assert NAMES.named(rows).to_dict("records") == [{"dataset": "birds", "method": "Full fine-tuning", "score": 0.5}]


def test_labels_of_the_layout_are_those_that_methods_and_datasets_register() -> None:
    from benchmark.data.registry import datasets
    from benchmark.methods.registry import methods

    labels = load_layout().labels
    assert labels.methods == {name: methods()[name].label for name in labels.methods}
    assert labels.datasets == {name: datasets()[name].info.label for name in labels.datasets}
