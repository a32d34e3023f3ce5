"""Check a method against the contract: small models with random weights, no data, on the CPU, half a minute.

`python -m benchmark check` runs these checks. A package that brings a method runs the same ones in its tests::

    from benchmark.testing import MethodConformance

    class TestMine(MethodConformance):
        method = "mine"  # as on the command line: a name, ./mine.py, package.module:Mine, "mine[rank=4]"

pytest then collects one test per check: `test_shapes`, `test_frozen`, `test_gradients` and so on; see `CHECKS`.
"""

from __future__ import annotations

import copy
import functools
import io
import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn

from benchmark.data.loader import Batch
from benchmark.data.registry import datasets
from benchmark.methods.contract import Composed
from benchmark.methods.registry import build_method, resolve_methods
from benchmark.models.outside import resolve_backbones
from benchmark.models.unregistered import Unregistered, unregistered
from benchmark.spec.protocol import load_protocol
from benchmark.spec.recipe import Layer, resolve_recipe
from benchmark.spec.request import DatasetChoice, MethodChoice, TrialRequest
from benchmark.testing.findings import Fault, Finding, Notes, outcome, outcomes
from benchmark.testing.trained import trained_notes
from benchmark.trial.batch_split import split_changes_results
from benchmark.trial.build import build_model, count_parameters, load_trained
from benchmark.trial.loss import loss_of
from benchmark.trial.train_step import Trainer

BACKBONES = ("ast[size=tiny;weights=random:0]", "ssast[size=tiny;weights=random:0]")
CLIPS = 8
STEPS = 3  # a parameter that feeds a zero-initialized layer gets its first gradient in the second step
FIT_STEPS = 40
QUICK = {
    "frames": 64, "stride": (16, 16), "freq_mask": 0, "time_mask": 0, "mixup": 0, "noise": False, "batch_size": CLIPS,
    "loss": "cross_entropy", "warmup_steps": 0, "lr": 3e-3, "epochs": 1, "precision": "float32",
}  # fmt: skip
CPU = torch.device("cpu")
Check = Callable[..., Notes]  # of a method, and of backbones other than `BACKBONES`
OTHER_SEED = 1  # than that of `_request`
MOVED_BY_THEIR_PACKAGE = ("peft",)  # packages whose modules move the tensors of their plain attributes themselves
LARGEST = 10  # sizes of the model: what a method may add to be checked
TOLERANCE = 1e-5  # on logits
SPLIT_TOLERANCE = 1e-3  # on gradients, relative to the largest; rounding differs by 1e-6


def conform(method: Composed) -> Iterator[Finding]:
    """Run every check and yield its outcome as soon as it is known. A method that does not build ends the checks.

    Sets torch to one thread in this process: models this small are no faster with more, and slower on shared cores.
    """
    torch.set_num_threads(1)
    yield from outcomes(CHECKS, method)


def run_check(name: str, method: Composed, backbones: Sequence[str] = BACKBONES) -> str | None:
    """Run one check and return what is wrong, in one line; None if the method passes.

    Args:
        name: of the check.
        method: what is checked.
        backbones: the backbones that it adapts.
    """
    return outcome(functools.partial(CHECKS[name], backbones=backbones), method).fault


def _request(choice: MethodChoice, backbone: str, dataset: str = "esc50", *, quick: bool = True) -> TrialRequest:
    [chosen] = resolve_backbones(backbone, "check")
    layers = [Layer(source="check", values=QUICK)] if quick else []
    recipe = resolve_recipe(
        dataset, backbone=chosen.family, method=choice.name, tuning=choice.tuning, of_backbone=chosen.own_recipe,
        overrides=layers,
    ).recipe  # fmt: skip
    return TrialRequest(
        backbone=chosen, dataset=DatasetChoice(name=dataset, manifest=None), method=choice, fold=0, seed=0,
        recipe=recipe, protocol=load_protocol("corrected"),
    )  # fmt: skip


def _trainer(choice: MethodChoice, backbone: str, seed: int = 0) -> Trainer:
    request = _request(choice, backbone).model_copy(update={"seed": seed})
    built = build_model(request, CLIPS)
    return Trainer(built.model, request, CPU, built.groups)


def _batch() -> Batch:
    """Return `CLIPS` random clips of (64 frames, 128 mels), each of another class."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(CLIPS, 64, 128, generator=random), torch.eye(CLIPS), torch.ones(CLIPS, CLIPS)


def _train(trainer: Trainer, steps: int = STEPS) -> list[float]:
    """Return the loss of each step.

    Raises:
        Fault: a loss is not finite; comparisons of such models would blame something else.
    """
    torch.manual_seed(0)
    losses = []
    for step in range(steps):
        losses.append(trainer.train([_batch()]))
        if not math.isfinite(losses[-1]):
            raise Fault(f"the loss of training step {step + 1} is {losses[-1]}: look for NaN or Inf", is_final=True)
    return losses


def _logits(trainer: Trainer) -> torch.Tensor:
    return trainer.predict([_batch()])[0]


def builds(method: Composed, backbones: Sequence[str] = BACKBONES) -> Notes:
    """The method adapts a model, which then trains for a step; it is not much larger than the model."""
    notes: Notes = None
    for backbone in backbones:
        request = _request(method.choice(), backbone)
        counts = count_parameters(request, CLIPS)
        if counts.method > LARGEST * (counts.total - counts.method):
            raise Fault(
                f"adds {counts.method:,} parameters to a model of {counts.total - counts.method:,}; "
                f"only methods of at most {LARGEST} times the model's size are checked"
            )
        built = build_model(request, CLIPS)
        _train(Trainer(built.model, request, CPU, built.groups), 1)
        notes = notes or trained_notes(built, request.backbone.variant)
    return notes


def registered(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Modules and tensors are registered, so that they train, are saved and move to the GPU."""
    for backbone in backbones:
        model = build_model(_request(method.choice(), backbone), CLIPS).model
        for found in unregistered(model):
            owner = model.get_submodule(found.path)
            is_moved = type(owner).__module__.partition(".")[0] in MOVED_BY_THEIR_PACKAGE
            if not (is_moved and isinstance(found.value, torch.Tensor)):
                raise Fault(_advice(found, owner), is_final=True)


def _advice(found: Unregistered, owner: nn.Module) -> str:
    """Return in one line what is not registered, and what to write instead."""
    content, value = vars(owner)[found.attribute], found.value
    trains = isinstance(value, nn.Parameter) or (isinstance(value, torch.Tensor) and value.requires_grad)
    many = "Dict" if isinstance(content, Mapping) else "List"
    if isinstance(value, nn.Module):
        what, use = f"modules ({type(value).__name__})", f"use nn.Module{many}"
    elif trains:
        what, use = "parameters", f"use nn.Parameter{many}"
    else:
        what, use = "tensors", "use self.register_buffer for each"
    where = f"{found.path} ({type(owner).__name__})" if found.path else type(owner).__name__
    if content is value:
        use = "assign an nn.Parameter" if trains else "use self.register_buffer"
        return f"{where}: self.{found.attribute} is a {type(value).__name__} that torch does not register: {use}"
    kind = type(content).__name__
    return f"{where}: self.{found.attribute} is a {kind} with {what}, which torch does not register: {use}"


def shapes(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Logits of the right shape, all finite, at every dataset's length."""
    for backbone in backbones:
        seen = set()
        for dataset in datasets():
            request = _request(method.choice(), backbone, dataset, quick=False)
            frames = request.recipe.frames
            if (frames, request.recipe.stride) in seen:
                continue
            seen.add((frames, request.recipe.stride))
            model = build_model(request, 3).model.eval()
            with torch.inference_mode():
                logits = model(torch.randn(1, frames, request.recipe.mels))
            where = f"{request.backbone.name} at {frames} frames ({dataset})"
            if logits.shape != (1, 3):
                raise Fault(f"{where}: logits have shape {tuple(logits.shape)} instead of (1, 3)")
            if not logits.isfinite().all():
                raise Fault(f"{where}: logits are not finite: look for NaN or Inf", is_final=True)


def frozen(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Only the declared parameters train; all others stay bit-identical."""
    for backbone in backbones:
        trainer = _trainer(method.choice(), backbone)
        before = copy.deepcopy(trainer.model.state_dict())
        trainable = {name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
        parameters = {name for name, _ in trainer.model.named_parameters()}
        _train(trainer)
        after = trainer.model.state_dict()
        for name in sorted(parameters - trainable):
            if not torch.equal(before[name], after[name]):
                raise Fault(f"{name} changed in training, though adapt() does not name it")
        still_trainable = {name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad}
        if changed := sorted(still_trainable ^ trainable):
            raise Fault(f"{changed[0]}: requires_grad changed in training")


def gradients(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Every trainable parameter gets a gradient within three steps."""
    for backbone in backbones:
        trainer = _trainer(method.choice(), backbone)
        missing = {name: tensor for name, tensor in trainer.model.named_parameters() if tensor.requires_grad}
        for _ in range(STEPS):
            _train(trainer, 1)
            for name in [name for name, tensor in missing.items() if tensor.grad is not None and tensor.grad.any()]:
                del missing[name]
        if missing:
            raise Fault(f"{min(missing)} is trainable but never gets a gradient ({len(missing)} such parameters)")


def instances(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Two models with the method are independent of each other."""
    first, second = (_trainer(method.choice(), backbones[0]) for _ in range(2))
    shared = {tensor.data_ptr() for tensor in first.model.state_dict().values() if tensor.numel()}
    for name, tensor in second.model.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in shared:
            raise Fault(f"two models share the tensor {name}")
    before = _logits(second)
    _train(first)
    if not torch.equal(before, _logits(second)):
        raise Fault("training one model changes the output of another model")


def identity(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """The adapted model starts with the backbone's logits, if the method declares `identity_at_start`."""
    if not all(part.identity_at_start for part in method.parts):
        return
    [bare] = resolve_methods("linear", "check")
    for backbone in backbones:
        plain, adapted = (_logits(_trainer(compared.choice(), backbone)) for compared in (bare, method))
        difference = float((plain - adapted).abs().max())
        if not difference <= TOLERANCE:
            raise Fault(f"identity_at_start is True, but logits differ by {difference:.2g} from the bare backbone's")


def configuration(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Hyper-parameters survive pickling, JSON and the command line's text."""
    choice = method.choice()
    for part in method.parts:
        if pickle.loads(pickle.dumps(part)) != part:
            raise Fault(f"{part.name}: pickling changes it")
    copied = MethodChoice.model_validate_json(choice.model_dump_json())
    for part, rebuilt in zip(method.parts, build_method(copied).parts, strict=True):
        if part != rebuilt:
            raise Fault(f"{part.name}: {rebuilt.options()} came back from JSON instead of {part.options()}")
    [parsed] = resolve_methods(choice.variant, "check")
    if parsed.choice() != choice:
        raise Fault(f"the text '{choice.variant}' is parsed as {parsed.choice().variant}")


def save_load(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """Trained parameters, saved and loaded into a fresh model, give equal logits."""
    for backbone in backbones:
        trainer = _trainer(method.choice(), backbone)
        _train(trainer)
        file = io.BytesIO()
        torch.save(trainer.state()["model"], file)
        saved = torch.load(io.BytesIO(file.getvalue()))
        fresh = _trainer(method.choice(), backbone, OTHER_SEED)  # with other values in all that is not saved
        try:
            load_trained(fresh.model, saved)
        except ValueError:  # a method may draw what it adapts
            fresh = _trainer(method.choice(), backbone)
            try:
                load_trained(fresh.model, saved)
            except ValueError as error:
                raise Fault(f"a model of the same method does not match the saved one: {error}") from None
        if not torch.equal(_logits(trainer), _logits(fresh)):
            raise Fault("a loaded model gives other logits: state outside parameters and buffers is lost")


def repeats(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """The same seed gives the same losses."""
    first, second = (_train(_trainer(method.choice(), backbones[0])) for _ in range(2))
    if first != second:
        raise Fault(f"losses {_joined(first)}, then {_joined(second)}: draw only from torch's global generator")


def overfits(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """The method can overfit eight clips of eight classes."""
    trainer = _trainer(method.choice(), backbones[0])
    losses = _train(trainer, FIT_STEPS)
    correct = int((_logits(trainer).argmax(1) == torch.arange(CLIPS)).sum())
    if correct < CLIPS:
        raise Fault(
            f"{correct} of {CLIPS} clips correct after {FIT_STEPS} steps, loss {losses[0]:.3g} to {losses[-1]:.3g}"
        )


def splits(method: Composed, backbones: Sequence[str] = BACKBONES) -> None:
    """A batch split in two gives the same gradients, unless the model has BatchNorm, draws, or declares otherwise."""
    request = _request(method.choice(), backbones[0])
    if split_changes_results(request):
        return
    whole, halves = (_gradients(_trainer(method.choice(), backbones[0]).model.train(), parts) for parts in (1, 2))
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    for name, gradient in whole.items():
        if not float((gradient - halves[name]).abs().max()) <= SPLIT_TOLERANCE * largest:
            raise Fault(
                f"the gradient of {name} depends on how a batch is split, so that one trial id would stand for several "
                "results: set mixes_clips = True in the class"
            )


def _gradients(model: torch.nn.Module, parts: int) -> dict[str, torch.Tensor]:
    """Return the gradients of the mean loss of `_batch`, computed in several parts."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in trainable.values():  # a module that starts at zero would hide what comes before it
            parameter.add_(0.02 * torch.randn_like(parameter))
    for features, targets, observed in zip(*(tensor.chunk(parts) for tensor in _batch()), strict=True):
        torch.autograd.backward(loss_of(model(features), targets, observed, "cross_entropy") / parts)
    return {name: parameter.grad for name, parameter in trainable.items() if parameter.grad is not None}


def _joined(losses: list[float]) -> str:
    return ", ".join(f"{loss:.6g}" for loss in losses)


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        builds,
        registered,
        shapes,
        frozen,
        gradients,
        instances,
        identity,
        configuration,
        save_load,
        repeats,
        splits,
        overfits,
    )
}


class MethodConformance:
    """The checks as pytest tests: derive a class whose name begins with `Test`, and set `method`.

    Example::

        class TestMine(MethodConformance):
            method = "./mine.py"

    Attributes:
        method: as on the command line; of a sweep every method is tested, of a composition the whole.
    """

    method: ClassVar[str]

    def _passes(self, check: str) -> None:
        for method in resolve_methods(self.method, type(self).__name__):
            fault = run_check(check, method)
            assert fault is None, f"{self.method}: {check}: {fault}"


def _as_test(name: str) -> Callable[[MethodConformance], None]:
    def test(self: MethodConformance) -> None:
        self._passes(name)

    test.__doc__ = CHECKS[name].__doc__
    return test


for _name in CHECKS:
    setattr(MethodConformance, f"test_{_name}", _as_test(_name))
