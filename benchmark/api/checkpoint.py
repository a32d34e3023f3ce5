"""Check, convert and fetch pre-trained checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.api.arguments import checked
from benchmark.api.folders import checkpoint_folder
from benchmark.console import stderr_console
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.spec.backbone import BackboneChoice


@dataclass(frozen=True)
class Fetched:
    """A downloaded checkpoint.

    Attributes:
        backbone: the backbone as it was named.
        path: the file, or the folder of a Hugging Face checkpoint.
        sha256: its digest.
    """

    backbone: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Converted:
    """A checkpoint in this suite's format.

    Attributes:
        path: the file.
        sha256: its digest.
    """

    path: Path
    sha256: str


@checked
def verify_checkpoint(
    what: str | Path,
    checkpoints: str | Path | None = None,
    *,
    stride: int | None = None,
    mels: int | None = None,
    heads: int | None = None,
) -> str:
    """Check hash, tensors and a forward pass of a checkpoint.

    Args:
        what: a declared backbone such as `ssast[size=tiny]`, or a checkpoint file.
        checkpoints: folder of pre-trained checkpoints; None for the default one.
        stride: patch stride of a file's pre-training, if the file does not show it.
        mels: mel bands of a file's pre-training, likewise.
        heads: attention heads, likewise.

    Returns:
        What was found, in one line.

    Raises:
        BenchmarkError: what is wrong.

    Example:
        >>> verify_checkpoint("ast")
    """
    from benchmark.models.fit import fit
    from benchmark.models.weights import locate
    from benchmark.spec.backbone import Stated, load_backbone
    from benchmark.tools.checkpoints import verify

    choices = _declared(str(what))
    if not choices:
        return verify(Path(what), None, Stated(stride=stride, mels=mels, heads=heads))
    if len(choices) > 1:
        raise BenchmarkError(f"{what}: names {len(choices)} backbones; name one")
    [choice] = choices
    located, path = locate(choice, checkpoint_folder(checkpoints))
    assert path is not None
    fit(located, path)
    declared = load_backbone(choice.name).checkpoints[choice.size] if choice.weights == "pretrained" else None
    return verify(path, declared, choice.stated)


@checked
def convert_checkpoint(
    path: str | Path,
    target: str | Path,
    *,
    half: bool = False,
    stride: int | None = None,
    mels: int | None = None,
    heads: int | None = None,
) -> Converted:
    """Write a checkpoint in this suite's format: the backbone as safetensors, its geometry in the metadata.

    Args:
        path: checkpoint file, or a Hugging Face folder.
        target: file to write, `.safetensors`.
        half: store in half precision.
        stride: patch stride of pre-training, if the file does not show it.
        mels: mel bands of pre-training, likewise.
        heads: attention heads, likewise.

    Returns:
        The file that was written, and its digest.

    Raises:
        BenchmarkError: the checkpoint cannot be read or is not finite, or a wrong name of the target.

    Example:
        >>> convert_checkpoint("SSAST-Tiny-Patch-400.pth", "ssast-tiny.safetensors")
    """
    from benchmark.models.checkpoint import read_checkpoint, save_checkpoint
    from benchmark.models.fit import require_finite
    from benchmark.models.weights import digest
    from benchmark.spec.backbone import Stated

    if Path(target).suffix != ".safetensors":
        raise BenchmarkError(f"{target}: the name must end in .safetensors")
    checkpoint = read_checkpoint(Path(path), Stated(stride=stride, mels=mels, heads=heads))
    require_finite(checkpoint, Path(path))
    save_checkpoint(checkpoint, Path(target), half=half)
    return Converted(Path(target), digest(Path(target)))


@checked
def fetch_checkpoints(
    backbones: Iterable[str], checkpoints: str | Path | None = None, *, console: Console | None = None
) -> Iterator[Fetched]:
    """Download declared checkpoints from their published addresses; an interrupted download is continued.

    Args:
        backbones: such as `ast`, `ssast[size=tiny,small]` or `ast[weights=hf:OWNER/NAME]`.
        checkpoints: folder to download to; None for the default one.
        console: where progress is shown; None for stderr, `Console(quiet=True)` for silence.

    Yields:
        Each checkpoint as soon as it is complete.

    Raises:
        BenchmarkError: not a declared backbone, or its checkpoint cannot be downloaded; the message says how to get it.

    Example:
        >>> list(fetch_checkpoints(["ast", "ssast"]))
    """
    from benchmark.models import hub
    from benchmark.models.fit import fit
    from benchmark.models.weights import digest, locate
    from benchmark.spec.backbone import HUB
    from benchmark.tools.checkpoints import fetch_backbone

    for name in backbones:
        choices = _declared(name)
        if not choices:
            raise BenchmarkError(f"{name}: no declared backbone with published weights (see `list backbones`)")
        for choice in choices:
            if choice.weights.startswith(HUB):
                path = hub.fetch(choice.weights, console or stderr_console()).folder
                fit(locate(choice, path)[0], path)
            else:
                path = fetch_backbone(choice, checkpoint_folder(checkpoints), console or stderr_console())
            yield Fetched(name if len(choices) == 1 else choice.variant, path, digest(path))


def _declared(text: str) -> list[BackboneChoice]:
    """Return the backbones that a text names; none if it is the path of a file, or one has no published weights."""
    from benchmark.models.outside import resolve_backbones
    from benchmark.spec.backbone import HUB

    is_file = Path(text).exists() or (Path(text).suffix and not text.endswith("]"))
    if is_file:
        return []
    choices = resolve_backbones(text, "checkpoint")
    is_published = all(choice.weights == "pretrained" or choice.weights.startswith(HUB) for choice in choices)
    return choices if is_published else []
