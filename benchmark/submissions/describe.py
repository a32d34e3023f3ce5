"""The layout and rules of a store as Markdown: for the store itself and for the documentation."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.spec.yaml import Spec
from benchmark.submissions import arrays, bundle, reading, tree
from benchmark.submissions.checks import CHECKS
from benchmark.submissions.layout import STORE_VERSION, StoreInfo, Submission
from benchmark.units import data_size

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """Return the text of a template.

    Args:
        template: name of its file.
        values: what it shows.
    """
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.get_template(template).render(**values)


def store_rules() -> str:
    """Return the layout and the rules as they are in this release."""
    limits = [
        ("files of a submission", f"{tree.MAX_FILES:,}"),
        ("size of a submission", data_size(bundle.MAX_BYTES)),
        ("size of a JSON file", data_size(reading.MAX_JSON_BYTES)),
        ("levels of a JSON file", str(reading.MAX_DEPTH)),
        ("size of a predictions file", data_size(arrays.MAX_NPZ_BYTES)),
        ("size of its arrays, unpacked", data_size(arrays.MAX_UNPACKED_BYTES)),
        ("arrays of a predictions file", str(arrays.MAX_ARRAYS)),
        ("size of the source of a method", data_size(reading.MAX_SOURCE_BYTES)),
    ]
    return render(
        "STORE.md.j2",
        store_version=STORE_VERSION,
        manifest=_fields(Submission),
        info=_fields(StoreInfo),
        rules=[(check.__name__.replace("_", " "), _text(check)) for check in CHECKS],
        limits=limits,
    )


def _fields(model: type[Spec]) -> list[tuple[str, str]]:
    return [(name, field.description or "") for name, field in model.model_fields.items()]


def _text(check: Any) -> str:
    """Return the docstring of a rule in one line, which is the rule."""
    return " ".join(inspect.cleandoc(check.__doc__ or "").split())
