"""Checkpoints in the wrappings in which people have them; what is no checkpoint is called by its name."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from benchmark.errors import BenchmarkError
from benchmark.methods.registry import methods
from benchmark.models.build import from_checkpoint
from benchmark.models.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from benchmark.models.fit import fit
from benchmark.models.transformer import AudioTransformer, ModelConfig
from benchmark.models.weights import checkpoint_files, digest, locate
from benchmark.spec.backbone import Shape, Stated, resolve_backbones
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import abstract_model, build_model, count_parameters
from tests.checkpoints import Tensors, hugging_face, official_ast, official_ssast

TINY = Shape(width=192, depth=2, heads=3)


def bare(prefix: str = "", tensors: Tensors | None = None) -> Tensors:
    """Return an official AST's tensors with another prefix."""
    found = official_ast(TINY) if tensors is None else tensors
    return {prefix + name.removeprefix("module."): value for name, value in found.items()}


def same(found: Checkpoint, tensors: Tensors | None = None) -> bool:
    expected = bare(tensors=tensors)
    return all(torch.equal(value, expected[name]) for name, value in found.tensors.items())


def compiled(tensors: Tensors) -> Tensors:
    return {name.replace("v.blocks", "v._orig_mod.blocks"): value for name, value in tensors.items()}


WRAPPED: dict[str, Callable[[], object]] = {
    "model": lambda: {"model": bare()},
    "state_dict": lambda: {"state_dict": bare(), "epoch": 3, "best": np.float64(0.4), "args": argparse.Namespace(lr=1)},
    "lightning": lambda: {
        "state_dict": bare("model."), "pytorch-lightning_version": "2.0", "hyper_parameters": {"lr": 1e-3},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}], "loops": {},
    },
    "lightning with a loss": lambda: {"state_dict": {**bare("net."), "criterion.weight": torch.ones(3)}},
    "model.": lambda: bare("model."),
    "module.module.": lambda: bare("module.module."),
    "_orig_mod.": lambda: bare("_orig_mod."),
    "_orig_mod.module.": lambda: bare("_orig_mod.module."),
    "compiled inside": lambda: compiled(bare("module.")),
    "everything": lambda: {"checkpoint": {"model": OrderedDict(bare("module._orig_mod.model.module.backbone."))}},
    "three dictionaries": lambda: {"a": {"b": {"state_dict": bare()}}},
    "fsdp": lambda: bare("_fsdp_wrapped_module."),
    "with an optimizer": lambda: {"model": bare(), "optimizer": {"state": {0: {"exp_avg": torch.zeros(192)}}}},
    "hugging face": lambda: {"model": hugging_face(official_ast(TINY))},
    "hugging face, prefixed": lambda: {f"model.{k}": v for k, v in hugging_face(official_ast(TINY)).items()},
    "parameters": lambda: {name: nn.Parameter(value) for name, value in bare().items()},
    "beside numbers": lambda: {**bare(), "epoch": 3, "best": 0.4, "classes": ["a", "b"]},
    "double precision": lambda: {name: value.double() for name, value in bare().items()},
}  # fmt: skip


@pytest.mark.parametrize("form", WRAPPED)
def test_wrappers_and_prefixes_are_seen_through(tmp_path: Path, form: str) -> None:
    torch.save(WRAPPED[form](), tmp_path / "mine.ckpt")
    found = read_checkpoint(tmp_path / "mine.ckpt")
    assert same(found)
    assert (found.shape, found.grid) == (TINY, (12, 101))
    assert set(found.head) == {f"mlp_head.{layer}.{kind}" for layer in (0, 1) for kind in ("weight", "bias")}


def test_a_wrapped_ssast_keeps_its_input_size(tmp_path: Path) -> None:
    tensors = bare("model.module.", official_ssast(TINY))
    torch.save({"state_dict": tensors}, tmp_path / "mine.pth")
    found = read_checkpoint(tmp_path / "mine.pth")
    assert (found.layout, found.grid) == ("official SSAST", (8, 64))


def test_what_lies_beside_the_model_is_listed_as_not_used(tmp_path: Path) -> None:
    torch.save({"state_dict": {**bare("net."), "criterion.weight": torch.ones(3)}}, tmp_path / "mine.ckpt")
    assert "criterion.weight" in read_checkpoint(tmp_path / "mine.ckpt").dropped


@pytest.mark.parametrize(
    "content",
    [
        lambda: {"model": bare(), "ema": bare()},
        lambda: {**bare("student."), **bare("teacher.")},
        lambda: {"model": bare(), "other": hugging_face(official_ast(TINY))},
    ],
)
def test_several_models_are_refused(tmp_path: Path, content: Callable[[], object]) -> None:
    torch.save(content(), tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match=r"holds 2 models \(.+, .+\); save the one that is meant alone"):
        read_checkpoint(tmp_path / "mine.pth")


HEADS: dict[str, Callable[[str], bool]] = {
    "imagenet heads": lambda name: name.startswith("v.head"),
    "one imagenet head": lambda name: name.startswith("v.head_dist"),
    "tagging head": lambda name: name.startswith("mlp_head."),
    "all heads": lambda name: name.startswith(("v.head", "mlp_head.")),
}


@pytest.mark.parametrize("heads", HEADS)
def test_heads_that_are_not_used_may_be_left_out(tmp_path: Path, heads: str) -> None:
    torch.save({name: v for name, v in bare().items() if not HEADS[heads](name)}, tmp_path / "mine.pth")
    assert same(read_checkpoint(tmp_path / "mine.pth"))


@pytest.mark.parametrize("left_out", ["mask_embed", "cpredlayer.", "gpredlayer.", "v.head"])
def test_an_ssast_without_parts_of_its_pre_training(tmp_path: Path, left_out: str) -> None:
    tensors = {name: v for name, v in bare(tensors=official_ssast(TINY)).items() if not name.startswith(left_out)}
    torch.save(tensors, tmp_path / "mine.pth")
    assert read_checkpoint(tmp_path / "mine.pth").family == "ssast"


def test_an_ssast_with_nothing_but_its_backbone_and_its_input_size(tmp_path: Path) -> None:
    unused = ("mask_embed", "cpredlayer.", "gpredlayer.", "v.head")
    tensors = {name: v for name, v in bare(tensors=official_ssast(TINY)).items() if not name.startswith(unused)}
    torch.save(tensors, tmp_path / "mine.pth")
    assert read_checkpoint(tmp_path / "mine.pth").layout == "official SSAST"


@pytest.mark.parametrize("shape", [Shape(width=192, depth=1, heads=3), Shape(width=384, depth=5, heads=6)])
def test_any_depth(tmp_path: Path, shape: Shape) -> None:
    torch.save(official_ast(shape), tmp_path / "mine.pth")
    assert read_checkpoint(tmp_path / "mine.pth").shape == shape


def test_any_width(tmp_path: Path) -> None:
    shape = Shape(width=80, depth=3, heads=5)
    torch.save(official_ast(shape), tmp_path / "mine.pth")
    assert read_checkpoint(tmp_path / "mine.pth", Stated(heads=5)).shape == shape


@pytest.mark.parametrize("form", ["official", "hugging face"])
def test_query_key_and_value_without_biases(tmp_path: Path, form: str) -> None:
    tensors = official_ast(TINY, qkv_bias=False)
    torch.save(tensors if form == "official" else hugging_face(tensors), tmp_path / "mine.pth")
    found = read_checkpoint(tmp_path / "mine.pth")
    model = from_checkpoint(ModelConfig(TINY, 128, 128, (16, 16), 3), found)
    assert model.v.blocks[0].attn.qkv.bias is None
    assert not any(name.endswith("qkv.bias") for name in model.state_dict())
    save_checkpoint(found, tmp_path / "own.safetensors", half=False)
    assert same(read_checkpoint(tmp_path / "own.safetensors"), tensors)
    biased = {**tensors, **{f"module.v.blocks.{n}.attn.qkv.bias": torch.zeros(3 * 192) for n in range(2)}}
    torch.save(biased, tmp_path / "zero.pth")
    twin = from_checkpoint(ModelConfig(TINY, 128, 128, (16, 16), 3), read_checkpoint(tmp_path / "zero.pth"))
    twin.mlp_head.load_state_dict(model.mlp_head.state_dict())
    clip = torch.randn(1, 128, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.eval()(clip), twin.eval()(clip))


@pytest.mark.parametrize("method", methods())
def test_every_method_adapts_a_model_without_these_biases(
    tmp_path: Path, make_request: Callable[..., TrialRequest], method: str
) -> None:
    torch.save(official_ast(TINY, qkv_bias=False), tmp_path / "mine.pth")
    located, path = locate(resolve_backbones(f"ast[weights={tmp_path / 'mine.pth'}]", "test")[0], tmp_path)
    assert path is not None
    request = make_request(methods=[method]).model_copy(update={"backbone": fit(located, path)})
    model = build_model(request, 3, read_checkpoint(path)).model
    model(torch.randn(1, request.recipe.frames, request.recipe.mels)).sum().backward()


def test_a_plan_counts_the_model_of_the_checkpoint(tmp_path: Path, make_request: Callable[..., TrialRequest]) -> None:
    tensors = bare(tensors=official_ast(TINY, qkv_bias=False))
    torch.save(tensors, tmp_path / "mine.pth")
    single = bare(tensors=official_ssast(TINY, distilled=False))
    torch.save(single, tmp_path / "single.pth")
    for name, family in (("mine.pth", "ast"), ("single.pth", "ssast")):
        located, path = locate(resolve_backbones(f"{family}[weights={tmp_path / name}]", "test")[0], tmp_path)
        assert path is not None
        request = make_request(methods=["full"]).model_copy(update={"backbone": fit(located, path)})
        built = build_model(request, 3, read_checkpoint(path))
        assert count_parameters(request, 3) == built.parameters
        assert set(abstract_model(request, 3).state_dict()) == set(built.model.state_dict())


def test_one_bias_of_many_is_a_damaged_file(tmp_path: Path) -> None:
    tensors = bare()
    del tensors["v.blocks.1.attn.qkv.bias"]
    torch.save(tensors, tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match=r"missing v\.blocks\.1\.attn\.qkv\.bias"):
        read_checkpoint(tmp_path / "mine.pth")


RECENT = {
    "encoder.layer.": "layers.", "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj", "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj", "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2",
}  # fmt: skip


def test_the_names_of_recent_transformers(tmp_path: Path) -> None:
    def recent(name: str) -> str:
        for old, new in RECENT.items():
            name = name.replace(old, new)
        return name

    torch.save({recent(name): v for name, v in hugging_face(official_ast(TINY)).items()}, tmp_path / "mine.pth")
    assert same(read_checkpoint(tmp_path / "mine.pth"))


def shards(folder: Path, suffix: str = ".safetensors") -> Path:
    """Write a sharded Hugging Face folder of three parts."""
    folder.mkdir()
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    tensors = hugging_face(official_ast(TINY))
    places = {}
    for part in range(3):
        own = dict(list(tensors.items())[part::3])
        name = f"{stem}-0000{part + 1}-of-00003{suffix}"
        if suffix == ".safetensors":
            safetensors.torch.save_file(own, folder / name, metadata={"format": "pt"})
        else:
            torch.save(own, folder / name)
        places |= dict.fromkeys(own, name)
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": 3}))
    return folder


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_sharded_folder_is_read_with_its_index(tmp_path: Path, suffix: str) -> None:
    folder = shards(tmp_path / "a", suffix)
    assert same(read_checkpoint(folder))
    [index] = folder.glob("*.index.json")
    assert same(read_checkpoint(index))
    assert digest(folder) == digest(index)
    assert len(checkpoint_files(folder).tensors) == 3
    before = digest(folder)
    (folder / "config.json").write_text(json.dumps({"num_attention_heads": 6}))
    assert digest(folder) != before


@pytest.mark.parametrize("name", ["{outside}", "../b.safetensors", "a/b.safetensors", "..", "."])
def test_an_index_names_files_beside_it_only(tmp_path: Path, name: str) -> None:
    folder = shards(tmp_path / "a")
    outside = tmp_path / "b.safetensors"
    safetensors.torch.save_file(hugging_face(official_ast(TINY)), outside)
    index = json.dumps({"weight_map": {"v": name.format(outside=outside)}})
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(BenchmarkError, match=r"expected the name of a file beside it|parts are missing"):
        read_checkpoint(folder)


def test_a_sharded_folder_that_is_not_whole(tmp_path: Path) -> None:
    folder = shards(tmp_path / "a")
    with pytest.raises(BenchmarkError, match=r"one of 3 parts of a checkpoint; name the folder"):
        read_checkpoint(folder / "model-00001-of-00003.safetensors")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(BenchmarkError, match=r"1 of 3 parts are missing, the first is model-00002-of-00003"):
        read_checkpoint(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(BenchmarkError, match="not an index of a sharded checkpoint"):
        read_checkpoint(folder)


@pytest.mark.parametrize(("name", "as_safetensors"), [("a.pth", True), ("a.safetensors", False), ("a.bin", True)])
def test_the_content_and_not_the_ending_shows_the_kind_of_file(tmp_path: Path, name: str, as_safetensors: bool) -> None:
    (safetensors.torch.save_file if as_safetensors else torch.save)(bare(), tmp_path / name)
    assert same(read_checkpoint(tmp_path / name))


class Whole(nn.Module):
    """A model that somebody pickles as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.net = AudioTransformer(ModelConfig(TINY, 128, 128, (16, 16), 3))


class Trap:
    """An object that touches a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (Path("harm"),)


def torch_bytes(content: object) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    """Return a file with zeros in its middle."""
    middle = len(content) // 2
    return content[:middle] + bytes(4000) + content[middle + 4000 :]


def archive(names: dict[str, bytes]) -> bytes:
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in names.items():
            file.writestr(name, content)
    return buffer.getvalue()


def deflated(names: dict[str, bytes]) -> bytes:
    """Return a zip archive with compressed files, of which the first is damaged."""
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in names.items():
            file.writestr(name, content)
    content = bytearray(buffer.getvalue())
    content[60:80] = b"\xff" * 20
    return bytes(content)


def patched(content: bytes, local: int, central: int, value: int) -> bytes:
    """Return a zip archive with another number of two bytes in the headers of all of its files."""
    changed = bytearray(content)
    for header, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        place = changed.find(header)
        while place >= 0:
            changed[place + offset : place + offset + 2] = value.to_bytes(2, "little")
            place = changed.find(header, place + 1)
    return bytes(changed)


def encrypted(names: dict[str, bytes]) -> bytes:
    return patched(archive(names), 6, 8, 1)


def own_file(**changes: object) -> bytes:
    """Return a file of this suite with changes in its metadata."""
    stored = {"width": 192, "depth": 2, "heads": 3, "distilled": True, "grid": [12, 101], "norm_eps": 1e-6}
    metadata = {"aat_benchmark": json.dumps({**stored, "head_norm_eps": 1e-5, **changes})}
    return safetensors.torch.save({k: v for k, v in bare().items() if ".head" not in k}, metadata=metadata)


def endless() -> bytes:
    content: dict[str, object] = {"epoch": 3}
    content["itself"] = [content]
    content["again"] = content
    return torch_bytes(content)


def nested(depth: int) -> object:
    content: object = {}
    for _ in range(depth):
        content = {"a": content}
    return content


def with_input(value: torch.Tensor) -> bytes:
    return torch_bytes({**bare(tensors=official_ssast(TINY)), "p_input_fdim": value})


def uneven() -> bytes:
    tensors = hugging_face(official_ast(TINY))
    name = next(name for name in tensors if name.endswith("layer.0.attention.attention.key.weight"))
    return torch_bytes({**tensors, name: torch.zeros(192, 100)})


def tarred() -> bytes:
    import io

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.pth"))
    return buffer.getvalue()


def scripted() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


FOREIGN: dict[str, tuple[Callable[[], bytes], str]] = {
    "whole model": (
        lambda: torch_bytes(Whole()),
        r"a whole pickled model \(tests\.models\.test_checkpoint_forms\.Whole\)",
    ),
    "whole model in a dictionary": (
        lambda: torch_bytes({"model": Whole()}),
        r"holds pickled objects \(.*Whole.*\) and no",
    ),
    "a tensor": (lambda: torch_bytes(torch.zeros(3)), "holds no tensors"),
    "a list": (lambda: torch_bytes([torch.zeros(3)]), "holds no tensors"),
    "web page": (lambda: b"<!DOCTYPE html><html>sign in</html>", "a web page, not a checkpoint; the link answered"),
    "indented web page": (lambda: b"\n\n  <html>", "a web page"),
    "xml": (lambda: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "lfs pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 346000000\n", "git lfs pull"
    ),
    "json": (lambda: b'{"error": "not found"}', "JSON text"),
    "empty": (lambda: b"", "empty, not a checkpoint; download it again"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(100), "a compressed archive; unpack it first"),
    "tar": (tarred, "a tar archive; unpack it first"),
    "zip": (lambda: archive({"a.pth": b"1"}), "a zip archive, not a checkpoint; unpack it"),
    "npz": (lambda: archive({"a.npy": b"1"}), "a NumPy archive"),
    "script": (scripted, "a TorchScript program"),
    "half a torch file": (lambda: torch_bytes(bare())[:100_000], r"incomplete, its end is missing \(100000 bytes"),
    "half a safetensors file": (lambda: safetensors.torch.save(bare())[:100_000], "an incomplete safetensors file"),
    "pickle of a trap": (lambda: pickle.dumps({"v": Trap()}), "not a checkpoint|need their program"),
    "torch file with a trap": (lambda: torch_bytes({"v": Trap()}), "holds objects that need their program"),
    "adapter": (
        lambda: torch_bytes({"base_model.model.v.blocks.0.attn.qkv.lora_A.weight": torch.zeros(2, 2)}),
        "the weights of an adapter without its backbone",
    ),
    "text": (lambda: b"hello world, this is no checkpoint", "not a checkpoint"),
    "an image Transformer": (
        lambda: torch_bytes({**bare(), "v.patch_embed.proj.weight": torch.zeros(192, 3, 16, 16)}),
        r"a Transformer for images \(3 input channels\)",
    ),
    "damaged inside": (lambda: flipped(torch_bytes(bare())), "damaged: the checksum of .*data/.* is wrong"),
    "a pickle of nothing": (lambda: b"\x80\x02}q\x00.", "not a checkpoint: neither a file of torch nor of"),
    "a cut pickle": (lambda: b"\x80\x05\x95\x00", "not a checkpoint: neither a file of torch nor of"),
    "arrays": (lambda: torch_bytes({"a": np.zeros(3)}), r"holds pickled objects \(numpy"),
    "nothing": (lambda: torch_bytes({}), "holds no tensors"),
    "no values": (
        lambda: torch_bytes({**bare(), "v.norm.weight": torch.zeros(192, device="meta")}),
        "v.norm.weight holds no plain values",
    ),
    "sparse values": (
        lambda: torch_bytes({**bare(), "v.norm.weight": torch.ones(192).to_sparse()}),
        "v.norm.weight holds no plain values",
    ),
    "no blocks": (
        lambda: torch_bytes({name: value for name, value in bare().items() if ".blocks." not in name}),
        "has no Transformer blocks",
    ),
    "an encrypted zip": (lambda: encrypted({"a.pth": b"1"}), "a zip archive, not a checkpoint"),
    "an encrypted torch file": (lambda: encrypted({"a/data.pkl": b"1"}), "cannot be unpacked: .*password"),
    "an unknown compression": (
        lambda: patched(archive({"a/data.pkl": b"1"}), 8, 10, 99), "cannot be unpacked: NotImplementedError"
    ),
    "a damaged deflated file": (
        lambda: deflated({"a/data.pkl": bytes(range(256)) * 50}), "cannot be unpacked|checksum"
    ),
    "endless": (endless, "holds no tensors"),
    "deep": (lambda: torch_bytes(nested(400)), "holds no tensors|damaged"),
    "uneven query, key and value": (uneven, "missing v.blocks.0.attn.qkv.weight"),
    "input of nan": (lambda: with_input(torch.tensor(float("nan"))), "p_input_fdim is nan, expected"),
    "input of inf": (lambda: with_input(torch.tensor(float("inf"))), "p_input_fdim is inf, expected"),
    "input without value": (lambda: with_input(torch.tensor(128, device="meta")), "p_input_fdim is nan, expected"),
    "input below 0": (lambda: with_input(torch.tensor(-128)), "p_input_fdim is -128, expected"),
    "own, grid of text": (lambda: own_file(grid=["a", 1]), r"damaged metadata: grid\.0: "),
    "own, mels of text": (lambda: own_file(mels="x"), "damaged metadata: mels: "),
    "own, endless depth": (lambda: own_file(depth=10**9), "2 Transformer blocks, but its metadata says 1000000000"),
    "own, uneven heads": (lambda: own_file(heads=5), "5 heads do not divide 192"),
    "own, a list": (
        lambda: safetensors.torch.save(bare(), metadata={"aat_benchmark": "[1]"}),
        "damaged metadata",
    ),
    "integers": (
        lambda: torch_bytes({**bare(), "v.norm.weight": torch.zeros(192, dtype=torch.int8)}),
        "v.norm.weight holds int8 instead of floating-point numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["pth", "safetensors", "bin"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_called_by_its_name_and_nothing_is_executed(
    tmp_path: Path, kind: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = FOREIGN[kind]
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content())
    with pytest.raises(BenchmarkError, match=message) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "weights_only" not in text
    assert "add_safe_globals" not in text
    assert not (tmp_path / "harm").exists()


def test_an_archive_is_compared_with_its_checksums_again_when_it_changed(tmp_path: Path) -> None:
    file, content = tmp_path / "model.pth", torch_bytes(bare())
    file.write_bytes(content)
    assert same(read_checkpoint(file))
    file.write_bytes(flipped(content))  # of equal size
    os.utime(file, ns=(1, 1))
    with pytest.raises(BenchmarkError, match="the checksum of"):
        read_checkpoint(file)


def test_a_good_archive_is_compared_once_however_many_trials_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(torch_bytes(bare()))
    first = read_checkpoint(file)
    monkeypatch.delattr(zipfile.ZipFile, "testzip")
    again = read_checkpoint(file)
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in first.tensors.items())


def test_weights_that_change_in_memory_stay_as_they_are_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(torch_bytes(bare()))
    before = file.read_bytes()
    for tensor in read_checkpoint(file).tensors.values():
        tensor.zero_()
    assert file.read_bytes() == before
    assert same(read_checkpoint(file))


def test_a_compressed_archive_is_read_too(tmp_path: Path) -> None:
    plain, file = tmp_path / "plain.pth", tmp_path / "model.pth"
    plain.write_bytes(torch_bytes(bare()))
    with zipfile.ZipFile(plain) as stored, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in stored.infolist():
            packed.writestr(part.filename, stored.read(part))
    assert same(read_checkpoint(file))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "an adapter without its backbone"),
        (["adapter.safetensors", "adapter.json"], "an adapter without its backbone"),
        (["snapshots/0123/model.safetensors"], r"name one of the folders in .*snapshots"),
        (["README.md"], "contains neither model.safetensors nor pytorch_model.bin"),
    ],
)
def test_folders_without_a_model_say_what_they_hold(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    with pytest.raises(BenchmarkError, match=message):
        read_checkpoint(tmp_path)


def test_an_old_torch_file_with_foreign_objects_is_refused_without_torchs_advice(tmp_path: Path) -> None:
    content = {"state_dict": bare(), "args": argparse.Namespace(lr=1)}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(BenchmarkError, match=r"need their program \(argparse\.Namespace\), .*torch\.save") as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert "weights_only" not in str(caught.value)
    torch.save(bare(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert same(read_checkpoint(tmp_path / "a.pth"))
