"""Options of peft's tuners, hints for names, and what tuners draw and freeze."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.data.frontend import FrontEnd
from benchmark.errors import BenchmarkError
from benchmark.methods import huggingface
from benchmark.methods.registry import build_method, resolve_methods
from benchmark.models.transformer import AudioTransformer
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.trial.adapter_file import pack, rebuild, unpack
from benchmark.trial.build import build_model, load_trained, trained_tensors
from benchmark.trial.cost import count_cost
from benchmark.trial.run import Setting, attempt_trial
from tests.freezing import FREEZING, proof
from tests.samples import make_record

pytestmark = [
    pytest.mark.skipif(not huggingface.installed(), reason="peft is not installed"),
    pytest.mark.filterwarnings("ignore"),
]
Make = Callable[..., TrialRequest]
BLOCKS = 4  # of the size demo


def built(make_request: Make, text: str) -> AudioTransformer:
    return build_model(make_request(methods=[text]), 3).model


def adapted(model: AudioTransformer) -> set[str]:
    """Return the layers that have an adapter."""
    return {name.split(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A." in name}


def layers(*paths: str, blocks: range = range(BLOCKS)) -> set[str]:
    return {f"v.blocks.{block}.{path}" for block in blocks for path in paths}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", layers("attn.qkv", "attn.proj")),
        ("target_modules=[attn.qkv]", layers("attn.qkv")),
        ("target_modules=[qkv, fc1]", layers("attn.qkv", "mlp.fc1")),
        ("target_modules=all-linear", layers("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")),
        ('target_modules=".*mlp.fc[12]"', layers("mlp.fc1", "mlp.fc2")),
        ("target_modules=v.patch_embed.proj", {"v.patch_embed.proj"}),
        ("layers_to_transform=1", layers("attn.qkv", "attn.proj", blocks=range(1, 2))),
        ("layers_to_transform=[0, 1];layers=mlp", layers("mlp.fc1", "mlp.fc2", blocks=range(2))),
        ("exclude_modules=[attn.proj]", layers("attn.qkv")),
    ],
)
def test_layers_are_chosen_as_peft_chooses_them(make_request: Make, options: str, expected: set[str]) -> None:
    assert adapted(built(make_request, f"peft/lora[{options}]")) == expected


def test_ranks_and_starts_are_taken_as_peft_takes_them(make_request: Make) -> None:
    model = built(make_request, "peft/lora[rank_pattern={attn.qkv: 2};init_lora_weights=pissa]")
    block = model.v.blocks[0]
    assert block.attn.qkv.lora_A["default"].weight.shape[0] == 2
    assert block.attn.proj.lora_A["default"].weight.shape[0] == 8
    bare = built(make_request, "linear")
    assert not torch.equal(block.attn.proj.base_layer.weight, bare.v.blocks[0].attn.proj.weight)
    clip = torch.randn(2, 64, 128)
    bare, model = bare.eval(), model.eval()
    torch.testing.assert_close(model.encode(model.patches(clip)), bare.encode(bare.patches(clip)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "peft/lora[init_lora_weights=pissa]",
        "peft/lora[init_lora_weights=false]",
        "peft/lora[target_modules=[attn.qkv, mlp.fc1]]",
        'peft/lora[target_modules=".*fc[12]"]',
        "peft/lora[alpha_pattern={attn.qkv: 2};rank_pattern={attn.proj: 4}]",
        "peft/lora[layers_to_transform=[0, 1]]",
        "peft/fourierft[random_loc_seed=null]",
        "peft/ia3[feedforward_modules=[mlp.fc2];target_modules=[attn.qkv, mlp.fc2]]",
    ],
)
def test_options_survive_text_and_json(text: str) -> None:
    [method] = resolve_methods(text, "test")
    choice = method.choice()
    assert type(choice).model_validate_json(choice.model_dump_json()) == choice
    assert build_method(choice).parts == method.parts
    assert resolve_methods(choice.variant, "test")[0].choice() == choice


def test_options_that_nobody_sets_are_no_part_of_a_request() -> None:
    """The ids of requests that were written before these options existed stay."""
    [method] = resolve_methods("peft/lora", "test")
    assert set(method.choice().parts[0].options) == {
        *("layers", "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "use_rslora", "init_lora_weights"),
        *("megatron_core", "use_dora", "use_qalora", "qalora_group_size", "lora_bias", "ensure_weight_tying"),
    }
    assert "target_modules" in resolve_methods("peft/lora[target_modules=x]", "test")[0].choice().parts[0].options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("r=0", "`r` should be a positive integer"),
        ("target_modules=nothing", "Target modules nothing not found"),
        (
            "target_modules=[attn.qkv, nothing]",
            "target_modules: no layer is called 'nothing'; those of a block are",
        ),
        ("rank_pattern={nothing: 2}", "rank_pattern: no layer is called 'nothing'"),
        ("exclude_modules=[nothing]", "exclude_modules: no layer is called 'nothing'"),
        ("layers_to_transform=[0, 12]", "layers_to_transform: no block 12; blocks are 0 to 3"),
        ("target_modules=[attn.qkv];layers=mlp", "layers and target_modules exclude each other"),
        ("layers=attention;target_modules=[mlp.fc1]", "layers and target_modules exclude each other"),
        ("init_lora_weights=eva", "init_lora_weights=eva needs data"),
        ("init_lora_weights=nonsense", "Unknown initialization"),
    ],
)
def test_an_option_that_does_not_fit_is_one_line(make_request: Make, options: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message) as caught:
        built(make_request, f"peft/lora[{options}]")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("peft/dora", r"use peft/lora\[use_dora=true\]"),
        ("peft/pissa", r"use peft/lora\[init_lora_weights=pissa\]"),
        ("peft/LoRA", "did you mean 'peft/lora'"),
        ("peft/VeRA", "did you mean 'peft/vera'"),
        ("peft/lorra", "did you mean 'peft/lora'"),
        ("peft/prompt_tuning", "use vpt_shallow"),
        ("peft/prefix-tuning", "use prefix"),
        ("peft/AdaLora", "needs the number of training steps"),
        ("peft/xyzzy", r"it has peft/adamss, "),
    ],
)
def test_names_get_a_hint(name: str, hint: str) -> None:
    with pytest.raises(BenchmarkError, match=hint):
        resolve_methods(name, "test")


IN_ANOTHER_PROCESS = """
import json, sys, warnings
warnings.filterwarnings("ignore")
from benchmark.spec.request import TrialRequest
from tests.freezing import proof
print(json.dumps([proof(TrialRequest.model_validate(content)) for content in json.loads(sys.stdin.read())]))
"""


@pytest.mark.slow
def test_what_tuners_draw_comes_back_in_another_process(make_request: Make) -> None:
    requests = [make_request(methods=[text]) for text in FREEZING]
    here = [proof(request) for request in requests]
    content = json.dumps([request.model_dump(mode="json") for request in requests])
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS], input=content, capture_output=True, text=True, check=False,
        timeout=300, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert dict(zip(FREEZING, json.loads(done.stdout), strict=True)) == dict(zip(FREEZING, here, strict=True))


def disturb(model: AudioTransformer) -> None:
    """Change every parameter that trains, every buffer, and what the method froze."""
    with torch.no_grad():
        for tensor in trained_tensors(model).values():
            if tensor.is_floating_point():
                tensor.add_(0.01 * torch.rand_like(tensor))


@pytest.mark.parametrize("text", FREEZING)
def test_kept_tensors_give_the_same_logits_even_if_the_draws_differ(make_request: Make, text: str) -> None:
    model, twin = (built(make_request, text) for _ in range(2))
    disturb(model)
    load_trained(twin, trained_tensors(model))
    clip = torch.randn(1, 64, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(model.eval()(clip), twin.eval()(clip))


def test_files_of_earlier_versions_have_only_what_the_state_dict_has(make_request: Make) -> None:
    model = built(make_request, "peft/boft")
    saved = {name: value for name, value in trained_tensors(model).items() if name in model.state_dict()}
    assert set(saved) < set(trained_tensors(model))
    load_trained(built(make_request, "peft/boft"), saved)
    del saved["mlp_head.1.bias"]
    with pytest.raises(ValueError, match=r"mlp_head\.1\.bias"):
        load_trained(model, saved)


def test_the_backbone_is_not_kept(make_request: Make) -> None:
    for text in ("linear", "aat_ms", "peft/lora", "peft/vera", "peft/lora[bias=all]"):
        kept = trained_tensors(built(make_request, text))
        assert not [name for name in kept if name.endswith(("base_layer.weight", "patch_embed.proj.weight"))], text


def test_places_that_differ_from_those_of_training_are_refused(
    make_request: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FourierFT's places are neither parameters nor buffers: only their digest can show that they differ."""
    request = make_request(methods=["peft/fourierft"])
    model = build_model(request, 3).model
    path = tmp_path / "a.safetensors"
    record = make_record(request, [0.5])
    front_end = FrontEnd(128, 64, 0.0, 1.0, 0, 0, 0.0, noise=False)
    path.write_bytes(pack(model, request, record.curves[-1], record.selection, ("a", "b", "c"), front_end))
    kept, tensors = unpack(path)
    assert rebuild(kept, tensors, None, path) is not None
    monkeypatch.setattr(torch, "randperm", lambda size, **_: torch.arange(size))
    with pytest.raises(BenchmarkError, match="freezes at its start does not come back as it was"):
        rebuild(kept, tensors, None, path)


SHARING = ["peft/vera", "peft/pvera", "peft/randlora", "peft/tinylora", "peft/unilora", "peft/lily"]


@pytest.mark.parametrize("text", SHARING)
def test_the_cost_of_tuners_whose_layers_share_tensors_is_counted(make_request: Make, text: str) -> None:
    bare, shared = (count_cost(make_request(methods=[method]), 10) for method in ("linear", text))
    assert shared.forward_flops > bare.forward_flops
    assert shared.optimizer_bytes == 2 * shared.stored_bytes > bare.optimizer_bytes


@pytest.mark.parametrize("text", ["peft/vera", "peft/fourierft", "peft/loha", "peft/waveft"])
def test_a_trial_ends_with_its_record_whether_or_not_its_cost_can_be_counted(
    make_request: Make, data_root: Path, tmp_path: Path, text: str
) -> None:
    setting = Setting(tmp_path, RunOptions(data_root, tmp_path / "cache", keep_weights=True))
    outcome = attempt_trial(make_request(methods=[text]), setting, lambda _: None)
    assert (outcome.status, outcome.error) == ("completed", None)
    [record] = ResultStore(tmp_path).records()
    assert (record.cost is None) == (text != "peft/vera")
