"""Methods whose changes fit into the layers of a plain backbone, and those whose changes do not."""

from __future__ import annotations

import pytest
import torch

from benchmark.methods import huggingface
from benchmark.methods.registry import resolve_methods
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.spec.backbone import SHAPES
from benchmark.tools.export.merging import merged

CONFIG = ModelConfig(SHAPES["demo"], 32, 64, (16, 16), 5, qkv_bias=False)
with_peft = pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed")
FIT = [
    "full", "linear", "bitfit", "layernorm", "lora[targets=qkvoud;rank=3]", "ssf", "lora+ssf", "ssf+lora",
    *(
        pytest.param(text, marks=[with_peft, pytest.mark.filterwarnings("ignore")])
        for text in (
            "peft/lora", "peft/lora[use_dora=true]", "peft/ia3", "peft/ln_tuning", "peft/loha", "lora+peft/lora"
        )
    ),
]  # fmt: skip
UNFIT = {
    "aat_m": "modules of the class Adapter cannot be merged into a layer",
    "conformer": "modules of the class .* cannot be merged",
    "lora+houlsby": "modules of the class Adapter cannot be merged",
    "vpt_shallow[tokens=2]": "it has prompt tokens",
    "prefix": "it has learnable keys and values",
}


def trained(text: str) -> AudioTransformer:
    """Return a model with a method whose parameters are drawn at random."""
    torch.manual_seed(0)
    model = AudioTransformer(CONFIG)
    [method] = resolve_methods(text, "test")
    names = set(method.adapt(model))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in names:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("text", FIT)
def test_a_merged_model_computes_the_same_without_inserted_modules(text: str) -> None:
    model, features = trained(text), torch.randn(2, 64, 32)
    with torch.inference_mode():
        expected = model(features)
        plain = merged(model)
        assert (plain(features) - expected).abs().max() < 1e-5
        assert torch.equal(model(features), expected)  # it stays as it was
    bare = {name.replace("bias", "weight") for name, _ in AudioTransformer(CONFIG).named_parameters()}
    assert {name.replace("bias", "weight") for name, _ in plain.named_parameters()} == bare


@pytest.mark.parametrize("text", UNFIT)
def test_what_cannot_be_merged_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=UNFIT[text]):
        merged(trained(text))


@with_peft
@pytest.mark.filterwarnings("ignore")
def test_a_tuner_that_cannot_be_merged_is_named() -> None:
    with pytest.raises(ValueError, match="its tuner of peft cannot be merged into a layer"):
        merged(trained("peft/lily"))
