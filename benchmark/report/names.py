"""What people read in place of the names of requests: AAT-MS, ESC-50, `corrected (SSAST pooled by class token)`.

Tables, figures and pages show these; CSV and JSON have the names of the requests.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.console import printable
from benchmark.errors import BenchmarkError
from benchmark.records.schema import Labels
from benchmark.spec.backbone import load_backbone
from benchmark.spec.grammar import parse_refs, split_composition
from benchmark.spec.protocol import phrase

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Names:
    """Labels by name; what has no label keeps its name.

    Attributes:
        methods: labels of methods.
        datasets: labels of datasets.
        backbones: labels of backbones.
    """

    methods: Mapping[str, str]
    datasets: Mapping[str, str]
    backbones: Mapping[str, str]

    @classmethod
    def of(cls, known: Labels, recorded: Iterable[Labels]) -> Names:
        """Return the labels that ship with the suite and those that records carry.

        Args:
            known: labels of the suite.
            recorded: labels of records; they do not replace known ones.
        """
        every = [*recorded, known]
        return cls(*(_unique([getattr(labels, kind) for labels in every]) for kind in cls.__dataclass_fields__))

    def method(self, variant: str) -> str:
        """Return `AAT-MS (bottleneck=64) + Prompt tuning` for `aat_ms[bottleneck=64]+prompt`."""
        return " + ".join(_labelled(part, self.methods) for part in split_composition(variant))

    def dataset(self, name: str) -> str:
        """Return `ESC-50 (shots=4)` for `esc50[shots=4]`; a name with options can have a label of its own, too."""
        bare, shots = split_shots(name)
        label = self.datasets.get(bare) or _labelled(bare, self.datasets)
        return label if shots is None else f"{label} (shots={shots})"

    def backbone(self, variant: str) -> str:
        """Return `AST (demo size, random weights)` for `ast[size=demo;weights=random:0]`."""
        try:
            [[ref]] = parse_refs(variant)
        except (BenchmarkError, ValueError):  # such as `no backbone`
            return variant
        label = self.backbones.get(ref.name) or _declared_backbone(ref.name) or ref.name
        options = ", ".join(_backbone_option(key, str(value)) for key, value in ref.options)
        return printable(f"{label} ({options})" if options else label)

    def task(self, backbone: object, dataset: object) -> str:
        """Return the labels of a backbone and a dataset: `AST, ESC-50`."""
        return f"{self.backbone(str(backbone))}, {self.dataset(str(dataset))}"

    def protocol(self, name: str) -> str:
        """Return `reference (prompts inserted)` for `reference+prompts=insert`."""
        base, *switches = name.split("+")
        phrases = ", ".join(phrase(*switch.partition("=")[::2]) for switch in switches)
        return f"{base} ({phrases})" if phrases else base

    def named(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows with labels in their columns protocol, backbone, dataset, method and other."""
        of_column = {
            "protocol": self.protocol,
            "backbone": self.backbone,
            "dataset": self.dataset,
            "method": self.method,
            "other": self.method,
        }
        return rows.assign(**{column: rows[column].map(label) for column, label in of_column.items() if column in rows})


def _unique(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Join labels, in which control characters are shown; names that share a label show their name beside it.

    Args:
        found: labels by name; later ones replace earlier ones.
    """
    labels: dict[str, str] = {}
    for each in found:
        labels |= {name: printable(label) for name, label in each.items()}
    uses = Counter(labels.values())
    return {name: label if uses[label] == 1 else f"{label} ({name})" for name, label in labels.items()}


def split_shots(name: str) -> tuple[str, int | None]:
    """Return the dataset of a task, and the training clips per class of few-shot training: `esc50[shots=4]`."""
    found = re.fullmatch(r"(.*)\[shots=(\d+)\]", name)
    return (found[1], int(found[2])) if found else (name, None)


def _labelled(text: str, labels: Mapping[str, str]) -> str:
    """Return `LABEL (options)` for `name[options]`."""
    name, bracket, options = text.partition("[")
    label = labels.get(name, name)
    return f"{label} ({options.removesuffix(']').replace(';', ', ')})" if bracket else label


def _backbone_option(key: str, value: str) -> str:
    match key, value.partition(":"):
        case "size", _:
            return f"{value} size"
        case "weights", ("random", _, seed):
            return "random weights" if seed == "0" else f"random weights, seed {seed}"
        case "weights", ("file" | "hf", _, name):
            return f"weights of {name}"
    return f"{key}={value}"


@functools.cache
def _declared_backbone(name: str) -> str | None:
    try:
        return load_backbone(name).label
    except BenchmarkError:  # of a package that is not installed here
        return None
