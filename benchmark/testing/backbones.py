"""Check a backbone against the contract: models with random weights, no data, on the CPU, a minute or two.

`python -m benchmark check backbone` runs these checks. A package that brings a backbone runs the same ones::

    from benchmark.testing import BackboneConformance

    class TestMine(BackboneConformance):
        backbone = "mine"  # as on the command line: a name, ./mine.py, package.module:Mine, ./mine.yaml

        @staticmethod
        def reference(model, features):  # optional: other code that computes the same, in float64
            ...
            return logits

pytest then collects one test per check; see `BACKBONE_CHECKS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from benchmark.data.registry import datasets
from benchmark.methods.registry import methods, resolve_methods
from benchmark.models.abstract import abstract_tensors
from benchmark.models.attach import Site
from benchmark.models.build import bare_model, build_backbone, model_config
from benchmark.models.class_checkpoint import pretraining_config
from benchmark.models.outside import resolve_backbones
from benchmark.models.transformer import AudioTransformer
from benchmark.progress import Progress, no_progress
from benchmark.spec.backbone import BackboneChoice, load_backbone
from benchmark.spec.grammar import canonical
from benchmark.spec.protocol import load_protocol
from benchmark.spec.recipe import Recipe, resolve_recipe
from benchmark.testing.findings import Fault, Finding, outcome, outcomes
from benchmark.testing.methods import run_check
from benchmark.testing.slots import slot_fault

Reference = Callable[[AudioTransformer, torch.Tensor], torch.Tensor]
CLASSES = 3
FRAMES = 96
TOLERANCE = 1e-9  # in float64
PROMPTS = 4
PROMPT_MODES: tuple[Literal["overwrite", "insert"], ...] = ("overwrite", "insert")
PARALLEL: tuple[Site, ...] = ("attn_parallel", "mlp_parallel")
AFTER: tuple[Site, ...] = ("attn_out", "mlp_out")
METHOD_CHECKS = ("frozen", "gradients", "identity", "save_load")  # that every method must pass on a backbone


@dataclass(frozen=True)
class CheckedBackbone:
    """A backbone with random weights of a small size.

    Attributes:
        choice: the backbone.
        reference: other code that computes the same logits; None if there is none.
        progress: called with description, done and total while methods are checked.
    """

    choice: BackboneChoice
    reference: Reference | None = None
    progress: Progress = no_progress

    @classmethod
    def named(cls, text: str, reference: Reference | None = None, progress: Progress = no_progress) -> CheckedBackbone:
        """Return the backbone that a text names; size and weights are those of the checks.

        Args:
            text: as on the command line.
            reference: as of the class.
            progress: as of the class.

        Raises:
            BenchmarkError: there is no such backbone.
        """
        named = f"{text.removesuffix(']')};" if text.endswith("]") else f"{text}["
        [choice] = resolve_backbones(f"{named}weights=random:0]", "check")
        small = {} if choice.width or choice.name.endswith("-demo") else {"size": "tiny"}
        return cls(choice.model_copy(update=small), reference, progress)

    def recipe(self, dataset: str) -> Recipe:
        """Return the recipe that this backbone has on a dataset."""
        return resolve_recipe(
            dataset, backbone=self.choice.family, method="linear", tuning="peft", of_backbone=self.choice.own_recipe,
            overrides=[],
        ).recipe  # fmt: skip

    def model(self, frames: int | None = None, dataset: str = "esc50") -> AudioTransformer:
        """Return the model for a dataset in evaluation mode; `frames` replaces the recipe's length."""
        recipe = self.recipe(dataset)
        if frames is not None:
            recipe = recipe.model_copy(update={"frames": frames, "time_mask": 0})
        config = model_config(self.choice, recipe, load_protocol("corrected"), CLASSES)
        return build_backbone(config, self.choice, checkpoint=None, weights_seed=0).eval()

    def precise(self) -> AudioTransformer:
        """Return a small model in float64 whose biases and LayerNorms are random, too."""
        model = self.model(FRAMES).double()
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
        return model


def conform_backbone(
    text: str, reference: Reference | None = None, progress: Progress = no_progress
) -> Iterator[Finding]:
    """Run every check of a backbone and yield its outcome as soon as it is known.

    Args:
        text: as on the command line.
        reference: other code that computes the same logits from a model and (B, frames, mels) features.
        progress: called with description, done and total while methods are checked.

    Raises:
        BenchmarkError: there is no such backbone.
    """
    torch.set_num_threads(1)
    yield from outcomes(BACKBONE_CHECKS, CheckedBackbone.named(text, reference, progress))


def run_backbone_check(name: str, backbone: CheckedBackbone) -> str | None:
    """Run one check and return what is wrong, in one line; None if the backbone passes."""
    return outcome(BACKBONE_CHECKS[name], backbone).fault


def builds(backbone: CheckedBackbone) -> None:
    """The model can be built, and its tokens are those that are stated."""
    model, choice = backbone.model(FRAMES), backbone.choice
    config, stated = model.config, choice.stated_architecture
    tokens = model.embed(model.patches(_features(model)))
    expected = (1, stated.class_tokens + math.prod(config.grid), model.width)
    if tokens.shape != expected:
        raise Fault(
            f"the first block gets tokens of shape {tuple(tokens.shape)} instead of {expected}: {stated.class_tokens} "
            f"class tokens and {config.grid[0]}x{config.grid[1]} patches are stated"
        )
    if len(model.blocks) != choice.shape.depth:
        raise Fault(f"has {len(model.blocks)} blocks instead of {choice.shape.depth}")


def order(backbone: CheckedBackbone) -> None:
    """Patch tokens have the stated order, and the same weights give the same tokens at another length."""
    model = backbone.model(FRAMES)
    config = model.config
    features = _features(model)
    rows, columns = config.token_grid
    changed = features.clone()
    # the last frames and the first mel bands: only patches of the last column in time and the first in frequency
    changed[:, -1, 0] += 1.0
    difference = (model.patches(changed) - model.patches(features)).abs().amax(dim=(0, 2))
    found = difference.nonzero().flatten().tolist()
    place = columns - 1 if config.tokens == "frequency" else (rows - 1) * columns
    if found != [place]:
        raise Fault(
            f"a change in the last frame and the lowest mel band changes patch token {found} instead of {place}: "
            f"tokens that begin with all of the first {'mel bands' if config.tokens == 'frequency' else 'frames'} "
            "are stated"
        )


def shapes(backbone: CheckedBackbone) -> None:
    """Logits of the right shape, all finite, at every dataset's length."""
    seen = set()
    for dataset in datasets():
        recipe = backbone.recipe(dataset)
        if (recipe.frames, recipe.stride) in seen:
            continue
        seen.add((recipe.frames, recipe.stride))
        where = f"at {recipe.frames} frames ({dataset})"
        model = backbone.model(dataset=dataset)
        with torch.inference_mode():
            logits = model(_features(model))
        if logits.shape != (1, CLASSES):
            raise Fault(f"{where}: logits have shape {tuple(logits.shape)} instead of (1, {CLASSES})")
        if not logits.isfinite().all():
            raise Fault(f"{where}: logits are not finite: look for NaN or Inf", is_final=True)


def slots(backbone: CheckedBackbone) -> None:
    """Every block has its slots, which are linear and are what their names say."""
    if fault := slot_fault(backbone.precise()):
        raise Fault(fault)


def sites(backbone: CheckedBackbone) -> None:
    """Modules at the sites of every block act, and zeros in parallel change nothing."""
    model = backbone.model(FRAMES)
    features = _features(model)
    with torch.inference_mode():
        before = model(features)
        for layer in model.layers:
            for site in PARALLEL:
                model.insert(site, layer, f"zero_{site}", _Scale(0.0))
        if not torch.equal(before, model(features)):
            raise Fault("modules that output zeros, in parallel with attention and MLP, change the logits")
        for site in AFTER:
            twice = backbone.model(FRAMES)
            twice.insert(site, twice.layers[-1], f"half_{site}", _Scale(0.5))
            if torch.equal(before, twice(features)):
                raise Fault(f"a module at the site {site} of the last block does not change the logits")


def prompts(backbone: CheckedBackbone) -> None:
    """Prompts replace no class token and are never pooled; all patch tokens that are left are pooled as before.

    Gradients of the head's input, with blocks that change nothing, say which tokens are pooled.
    """
    plain = backbone.model(FRAMES)
    prefix, length = plain.config.prefix, plain.config.prefix + math.prod(plain.config.grid)
    pooled = _pooled(plain, length)
    for mode in PROMPT_MODES:
        model = backbone.model(FRAMES)
        model.add_prompts(PROMPTS, prompts=mode)
        replaced = set(range(prefix, prefix + PROMPTS)) if mode == "overwrite" else set()
        found = _pooled(model, length)
        if any(parameter.grad is not None and parameter.grad.any() for parameter in _prompts(model)):
            raise Fault(f"prompts={mode}: the head's input depends on prompts, which must not be pooled")
        if missing := sorted(pooled - replaced - found):
            raise Fault(f"prompts={mode}: token {missing[0]} is pooled without prompts, but not with {PROMPTS} prompts")


def _pooled(model: AudioTransformer, length: int) -> set[int]:
    """Return the places of the tokens, of `length`, that the head's input depends on if blocks change nothing."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randn(1, length, model.width, generator=random, requires_grad=True)
    model.call_block = lambda _, __, unchanged: unchanged
    pooled = model.pool(model.run_blocks(tokens))
    total = (pooled @ torch.randn(pooled.shape[1], generator=random)).sum()
    torch.autograd.backward([total])
    assert tokens.grad is not None
    return set(tokens.grad[0].abs().sum(dim=1).nonzero().flatten().tolist())


def _prompts(model: AudioTransformer) -> tuple[nn.Parameter, ...]:
    return model.prompt_embeddings, model.deep_prompt_embeddings


def parameters(backbone: CheckedBackbone) -> None:
    """The model has the stated number of parameters."""
    stated = load_backbone(backbone.choice.name).parameters
    for size, expected in stated.items():
        choice = backbone.choice.model_copy(update={"size": size, "width": None, "depth": None, "heads": None})
        with abstract_tensors():
            model = bare_model(choice, pretraining_config(choice))
        found = sum(parameter.numel() for parameter in model.v.parameters())
        if found != expected:
            raise Fault(f"size {size} has {found:,} parameters without the head, but {expected:,} are stated")


def agrees(backbone: CheckedBackbone) -> None:
    """Logits agree with those of a reference in float64, if one is given."""
    if backbone.reference is None:
        return
    model = backbone.precise()
    features = _features(model, clips=2).double()
    with torch.no_grad():
        difference = float((model(features) - backbone.reference(model, features)).abs().max())
    if not difference <= TOLERANCE:
        raise Fault(f"logits differ by {difference:.2g} from the reference's, more than {TOLERANCE:g}")


def state_dict(backbone: CheckedBackbone) -> None:
    """Saved weights come back, also for another length of the input."""
    model, again = backbone.model(FRAMES), backbone.model(FRAMES)
    tensors = {name: tensor.clone() for name, tensor in model.backbone_tensors().items()}
    with torch.no_grad():
        for parameter in again.v.parameters():
            parameter.zero_()
    again.load_backbone(tensors)
    again.mlp_head.load_state_dict(model.mlp_head.state_dict())
    features = _features(model)
    with torch.inference_mode():
        logits = model(features)
        if not torch.equal(logits, model(features)):
            raise Fault("a second call with the same input gives other logits")
        if not torch.equal(logits, again(features)):
            raise Fault("a model with loaded weights gives other logits: it has state outside of its tensors")
    longer = backbone.model(2 * FRAMES)
    longer.load_backbone(longer.fit_grid(tensors, model.config.grid))


def every_method(backbone: CheckedBackbone) -> None:
    """Every method of the suite passes on the backbone."""
    text = canonical(backbone.choice.name, {"size": backbone.choice.size, "weights": backbone.choice.weights})
    names = [name for name, kind in methods().items() if kind.external is None]
    for number, name in enumerate(names):
        backbone.progress("checking the suite's methods on it", number, len(names))
        [method] = resolve_methods(name, "check")
        for check in METHOD_CHECKS:
            if fault := run_check(check, method, (text,)):
                raise Fault(f"method {name}, {check}: {fault}")


def _features(model: AudioTransformer, clips: int = 1) -> torch.Tensor:
    """Return (clips, frames, mels) random features."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(clips, model.config.frames, model.config.mels, generator=random)


class _Scale(nn.Module):
    """Multiply by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input times the factor."""
        return x * self.factor


BACKBONE_CHECKS: dict[str, Callable[[CheckedBackbone], None]] = {
    check.__name__: check
    for check in (builds, order, shapes, slots, sites, prompts, parameters, agrees, state_dict, every_method)
}


class BackboneConformance:
    """The checks as pytest tests: derive a class whose name begins with `Test`, and set `backbone`.

    Example::

        class TestMine(BackboneConformance):
            backbone = "./mine.py"

    Attributes:
        backbone: as on the command line; its weights are random in the checks.
        reference: a static method (model, (B, frames, mels) float64 features) -> (B, classes) logits, by other code;
            None compares nothing.
    """

    backbone: ClassVar[str]
    reference: ClassVar[Reference | None] = None

    def _passes(self, check: str) -> None:
        fault = run_backbone_check(check, CheckedBackbone.named(self.backbone, type(self).reference))
        assert fault is None, f"{self.backbone}: {check}: {fault}"


def _as_test(name: str) -> Callable[[BackboneConformance], None]:
    def test(self: BackboneConformance) -> None:
        self._passes(name)

    test.__doc__ = BACKBONE_CHECKS[name].__doc__
    return test


for _name in BACKBONE_CHECKS:
    setattr(BackboneConformance, f"test_{_name}", _as_test(_name))
