"""Tuners of peft that draw or compute something and freeze it."""

from __future__ import annotations

from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model, trained_tensors
from benchmark.trial.frozen import attribute_digest, tensor_digest

FREEZING = [
    "peft/vera", "peft/vera[save_projection=false]", "peft/pvera", "peft/randlora", "peft/randlora[sparse=true]",
    "peft/fourierft", "peft/waveft", "peft/shira", "peft/unilora", "peft/tinylora", "peft/frod", "peft/vblora",
    "peft/boft", "peft/oft", "peft/osf", "peft/psoft", "peft/adamss", "peft/supertuning",
    "peft/lora[init_lora_weights=pissa]", "peft/lora[init_lora_weights=olora]",
]  # fmt: skip


def proof(request: TrialRequest) -> list[str | None]:
    """Return digests of everything that a trial keeps of its model, and of what only its digest proves."""
    model = build_model(request, 3).model
    return [tensor_digest(trained_tensors(model)), attribute_digest(model)]
