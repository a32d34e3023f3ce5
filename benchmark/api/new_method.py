"""A file to start a method from."""

from __future__ import annotations

from pathlib import Path

from benchmark.api.arguments import checked
from benchmark.errors import BenchmarkError

SKELETON = '''"""{title}: describe the method in one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from benchmark.methods import Method, register
from benchmark.models.transformer import AudioTransformer


class Module(nn.Module):
    """The inserted module: here a bottleneck that outputs zero at initialization."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.up = nn.Linear(hidden, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, width) -> (batch, tokens, width)."""
        return self.up(torch.relu(self.down(x)))


@register("{name}", label="{title}", source="arXiv:0000.00000")  # tables and figures show the label
@dataclass(frozen=True, kw_only=True)
class {title}(Method):
    """Say what is trained, and where; `show method` prints this text."""

    # True: before training, the adapted model gives the same logits as the backbone; `check` tests it
    identity_at_start: ClassVar[bool] = True

    # A hyper-parameter: type, bounds, default. Set it with --method "{name}[hidden=8]", sweep it with hidden=8,16.
    hidden: Annotated[int, Field(ge=1)] = 16

    def adapt(self, model: AudioTransformer) -> Iterable[str]:
        """Insert modules, return names of parameters to train. The head always trains; the rest is frozen."""
        for layer in range(len(model.blocks)):
            # Sites: attn_parallel, attn_out, mlp_parallel, mlp_out. At *_parallel, the module gets the sub-layer's
            # input and its output is added; at *_out, it gets the sub-layer's output and replaces it.
            # Elsewhere: model.attach(path, name, module, parallel=...).
            # Tokens: model.add_prompts(n), model.add_prefix(layer, n).
            # To train existing parameters, such as biases, return their names.
            yield from model.insert("mlp_parallel", layer, "{name}", Module(model.width, self.hidden))

    # Optional: skip(request), param_groups(names), recipe_overrides(dataset), search_space(); see
    # benchmark.methods.Method
'''


@checked
def new_method(name: str, folder: str | Path = ".") -> Path:
    """Write the commented skeleton of a method, which passes `check` as it is.

    Args:
        name: name of the method on the command line.
        folder: where NAME.py is written.

    Returns:
        The path of the file.

    Raises:
        BenchmarkError: a name that is not valid or is taken, no such folder, or the file exists already.

    Example:
        >>> new_method("mine")
    """
    from benchmark.files import write_atomic
    from benchmark.methods.registry import check_name, methods

    check_name(name)
    if name in methods():
        raise BenchmarkError(f"there is a method '{name}' already; choose another name")
    path = Path(folder) / f"{name}.py"
    if path.exists():
        raise BenchmarkError(f"{path} is there already")
    if not Path(folder).is_dir():
        raise BenchmarkError(f"{folder}: no such folder")
    title = "".join(word.capitalize() for word in name.split("_") if word)
    write_atomic(path, SKELETON.format(name=name, title=title).encode())
    return path
