"""Small checkpoints in the official formats, with generated weights."""

from __future__ import annotations

import torch

from benchmark.models.checkpoint_layout import backbone_tensors
from benchmark.spec.backbone import Shape

Tensors = dict[str, torch.Tensor]


def fill(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def imagenet_heads(width: int, *, distilled: bool = True) -> Tensors:
    names = ("head", "head_dist") if distilled else ("head",)
    shapes = {f"v.{name}.weight": (1000, width) for name in names} | {f"v.{name}.bias": (1000,) for name in names}
    return fill(shapes, 1)


def official_ast(
    shape: Shape, grid: tuple[int, int] = (12, 101), classes: int = 527, *, qkv_bias: bool = True
) -> Tensors:
    """Return a DataParallel state dict as the authors of AST publish it."""
    head = {"mlp_head.0.weight": (shape.width,), "mlp_head.0.bias": (shape.width,)}
    head |= {"mlp_head.1.weight": (classes, shape.width), "mlp_head.1.bias": (classes,)}
    backbone = backbone_tensors(shape, True, grid, qkv_bias=qkv_bias)
    tensors = {**fill(backbone), **imagenet_heads(shape.width), **fill(head, 2)}
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def official_ssast(shape: Shape, *, distilled: bool = True) -> Tensors:
    """Return a DataParallel state dict as the authors of SSAST publish it."""
    d = shape.width
    heads = {
        f"{name}.{layer}": size
        for name in ("cpredlayer", "gpredlayer")
        for layer, size in {"0.weight": (d, d), "0.bias": (d,), "2.weight": (256, d), "2.bias": (256,)}.items()
    }
    tensors = {
        "p_input_fdim": torch.tensor(128),
        "p_input_tdim": torch.tensor(1024),
        **fill({"mask_embed": (1, 1, d)}, 3),
        **fill(backbone_tensors(shape, distilled, (8, 64))),
        **imagenet_heads(d, distilled=distilled),
        **fill(heads, 4),
    }
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def hugging_face(tensors: Tensors) -> Tensors:
    """Return an official AST state dict with Hugging Face's names."""
    prefix = "audio_spectrogram_transformer."
    singles = {
        "v.cls_token": "embeddings.cls_token",
        "v.dist_token": "embeddings.distillation_token",
        "v.pos_embed": "embeddings.position_embeddings",
        "v.patch_embed.proj": "embeddings.patch_embeddings.projection",
        "v.norm": "layernorm",
    }
    parts = {
        "attn.proj": "attention.output.dense",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    out: Tensors = {}
    for full, tensor in tensors.items():
        name = full.removeprefix("module.")
        stem, _, kind = name.rpartition(".")
        if name in singles:
            out[prefix + singles[name]] = tensor
        elif stem in singles:
            out[f"{prefix}{singles[stem]}.{kind}"] = tensor
        elif name.startswith("mlp_head."):
            out[f"classifier.{'layernorm' if '.0.' in name else 'dense'}.{kind}"] = tensor
        elif name.startswith("v.blocks."):
            _, _, block, rest = stem.split(".", 3)
            layer = f"{prefix}encoder.layer.{block}."
            if rest == "attn.qkv":
                for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                    out[f"{layer}attention.attention.{part}.{kind}"] = piece.contiguous()
            else:
                out[f"{layer}{parts[rest]}.{kind}"] = tensor
    return out
