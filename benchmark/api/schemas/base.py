"""Models of output, also made from dataclasses: fields and docstrings, so that both say the same."""

from __future__ import annotations

import dataclasses
import inspect
import re
from types import GenericAlias
from typing import Any, Union, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

STRICT = ConfigDict(extra="forbid")
ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


class Output(BaseModel):
    """Base class: what is not described is not printed."""

    model_config = STRICT


def model_of(kind: Any, *, leave_out: tuple[str, ...] = (), **more: Any) -> Any:
    """Return the model of a dataclass, with the descriptions of its docstring.

    Args:
        kind: the dataclass.
        leave_out: fields that are not printed.
        more: more fields, as for `pydantic.create_model`.
    """
    hints, text = get_type_hints(kind), inspect.cleandoc(kind.__doc__ or "")
    described = {name: " ".join(words.split()) for name, words in ATTRIBUTE.findall(text.partition("Attributes:")[2])}
    fields: dict[str, Any] = {
        field.name: (hints[field.name], Field(description=described.get(field.name)))
        for field in dataclasses.fields(kind)
        if field.name not in leave_out
    }
    return create_model(kind.__name__, __base__=Output, __doc__=text.partition("\n")[0], **(fields | more))


def list_of(item: Any) -> type[BaseModel]:
    """Return the model of a list of models."""
    model: Any = RootModel
    made: type[BaseModel] = model[GenericAlias(list, (item,))]
    return made


def mapping_of(item: Any) -> type[BaseModel]:
    """Return the model of models by name."""
    model: Any = RootModel
    made: type[BaseModel] = model[GenericAlias(dict, (str, item))]
    return made


def either(*models: Any) -> type[BaseModel]:
    """Return the model of an output that follows one of several models."""
    model: Any = RootModel
    made: type[BaseModel] = model[Union[models]]  # noqa: UP007 - of models that are known at run time
    return made
