"""The patch grid of pre-training is found by evidence, or stated; it is never guessed."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from benchmark.api.checkpoint import convert_checkpoint
from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint import read_checkpoint, save_checkpoint
from benchmark.models.fit import fit
from benchmark.models.weights import locate
from benchmark.planning.notes import pretraining_notes
from benchmark.spec.backbone import BackboneChoice, Shape, Stated, resolve_backbones
from benchmark.spec.request import TrialRequest
from tests.checkpoints import Tensors, hugging_face, official_ast, official_ssast

TINY = Shape(width=192, depth=1, heads=3)
SIZE_TINY = Shape(width=192, depth=12, heads=3)


def saved(tensors: Tensors, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


def hugging_face_folder(folder: Path, grid: tuple[int, int], **settings: Any) -> Path:
    saved(hugging_face(official_ast(TINY, grid)), folder / "model.safetensors")
    written = {"model_type": "audio-spectrogram-transformer", "num_mel_bins": 128, "frequency_stride": 10}
    (folder / "config.json").write_text(json.dumps({**written, "num_attention_heads": 3, **settings}))
    return folder


PUBLISHED = [
    ("audioset_10_10_0.4593.pth", (12, 101), 527),
    ("audioset_10_10_0.4495.pth", (12, 101), 527),
    ("audioset_10_10_0.4483.pth", (12, 101), 527),
    ("audioset_10_10_0.4475.pth", (12, 101), 527),
    ("audioset_12_12_0.4467.pth", (10, 85), 527),
    ("audioset_14_14_0.4431.pth", (9, 73), 527),
    ("audioset_16_16_0.4422.pth", (8, 64), 527),
    ("speechcommands_10_10_0.9812.pth", (12, 12), 35),
]


@pytest.mark.parametrize(("name", "grid", "classes"), PUBLISHED)
@pytest.mark.parametrize("renamed", [False, True])
def test_every_model_that_the_authors_of_ast_publish_is_read(
    tmp_path: Path, name: str, grid: tuple[int, int], classes: int, renamed: bool
) -> None:
    path = saved(official_ast(TINY, grid, classes), tmp_path / ("mine.pth" if renamed else name))
    found = read_checkpoint(path)
    assert (found.grid, found.mels, found.family) == (grid, 128, "ast")


@pytest.mark.parametrize(
    ("folder", "grid"),
    [
        ("ast-finetuned-audioset-12-12-0.447", (10, 85)),
        ("models--MIT--ast-finetuned-audioset-14-14-0.443/snapshots/0123abc", (9, 73)),
        ("ast-finetuned-audioset-16-16-0.442", (8, 64)),
        ("ast-finetuned-speech-commands-v2", (12, 12)),
    ],
)
def test_hugging_face_folders_without_configuration_are_known_by_their_name(
    tmp_path: Path, folder: str, grid: tuple[int, int]
) -> None:
    saved(hugging_face(official_ast(TINY, grid, 2)), tmp_path / folder / "model.safetensors")
    assert read_checkpoint(tmp_path / folder).grid == grid


@pytest.mark.parametrize(
    ("grid", "stated"),
    [
        ((8, 60), {"stride": 16, "mels": 128}),  # 480 = 12 x 40 = 10 x 48
        ((10, 42), {"stride": 12, "mels": 128}),  # 420 = 12 x 35
        ((5, 12), {"stride": 10, "mels": 64}),  # 60 = 12 x 5 = 10 x 6
        ((12, 50), {"stride": 10, "mels": 128}),  # 600 = 10 x 60 = 8 x 75
        ((12, 12), {"stride": 10, "mels": 128}),  # 30 classes: not the published model of Speech Commands
        ((9, 40), {"stride": 14, "mels": 128}),  # 360 = 12 x 30
        ((7, 24), {"stride": 10, "mels": 80}),  # 168 = 12 x 14
        ((3, 36), {"stride": 10, "mels": 40}),  # 108 = 12 x 9
    ],
)
@pytest.mark.parametrize("form", ["official", "hugging face"])
def test_an_ambiguous_grid_is_refused_until_it_is_stated(
    tmp_path: Path, grid: tuple[int, int], stated: dict[str, int], form: str
) -> None:
    tensors = official_ast(TINY, grid, 30)
    path = saved(tensors if form == "official" else hugging_face(tensors), tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match=r"may be a grid of .*ast\[weights=FILE;stride=16;mels=128\]") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert read_checkpoint(path, Stated(**stated)).grid == grid


def test_a_fine_tuned_model_of_speech_commands_needs_no_statement(tmp_path: Path) -> None:
    path = saved(hugging_face(official_ast(TINY, (12, 12), 35)), tmp_path / "mine.bin")
    assert read_checkpoint(path).grid == (12, 12)


def test_a_file_of_this_suite_without_mel_bands_is_compared_with_what_is_stated(tmp_path: Path) -> None:
    found = dataclasses.replace(read_checkpoint(saved(official_ast(TINY), tmp_path / "a.pth")), mels=None)
    save_checkpoint(found, tmp_path / "own.safetensors", half=True)
    assert read_checkpoint(tmp_path / "own.safetensors", Stated(stride=10)).grid == (12, 101)
    with pytest.raises(BenchmarkError, match="has 12 rows of patches, but stride=16 is stated"):
        read_checkpoint(tmp_path / "own.safetensors", Stated(stride=16))


@pytest.mark.parametrize(
    ("grid", "stated"),
    [
        ((12, 299), {"stride": 10, "mels": 128}),  # 30 s
        ((3, 9), {"stride": 10, "mels": 40}),  # 27 = 9 x 3: keyword models have 40 bands and 1 s
        ((3, 27), {"stride": 10, "mels": 40}),  # 81 = 9 x 9
        ((3, 7), {"stride": 10, "mels": 40}),  # 21 = 7 x 3
        ((2, 49), {"stride": 10, "mels": 32}),  # 98 = 7 x 14
        ((31, 40), {"stride": 8, "mels": 256}),
    ],
)
def test_the_only_usual_grid_is_no_evidence(tmp_path: Path, grid: tuple[int, int], stated: dict[str, int]) -> None:
    path = saved(official_ast(TINY, grid), tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match=r"positions (may be a grid of|fit no usual) .*ast\[weights=FILE;stride"):
        read_checkpoint(path)
    assert read_checkpoint(path, Stated(**stated)).grid == grid


@pytest.mark.parametrize("name", ["audioset_10_10_0.4593.pth", "finetuned_from_audioset_10_10_0.4593_stride16.pth"])
def test_the_name_of_a_published_model_of_another_size_is_no_evidence(tmp_path: Path, name: str) -> None:
    path = saved(official_ast(TINY, (8, 60)), tmp_path / name)
    with pytest.raises(BenchmarkError, match="480 positions may be a grid of"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "folder", ["exp-from-audioset-10-10-0.4593", "from-ast-finetuned-speech-commands-v2", "speech-commands-10-10-0.9"]
)
@pytest.mark.parametrize("grid", [(8, 60), (9, 16)])
def test_words_of_a_published_name_in_another_name_are_no_evidence(
    tmp_path: Path, folder: str, grid: tuple[int, int]
) -> None:
    saved(hugging_face(official_ast(TINY, grid, 2)), tmp_path / folder / "model.safetensors")
    with pytest.raises(BenchmarkError, match="positions may be a grid of"):
        read_checkpoint(tmp_path / folder)


@pytest.mark.parametrize(
    "name",
    ["speechcommands_10_10_0.9812.pth", "speechcommands_10_10_0.9812 (1).pth", "SpeechCommands_10_10_0.9812.PTH"],
)
def test_a_copy_of_the_published_model_of_speech_commands_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert read_checkpoint(saved(official_ast(TINY, (12, 12), 2), tmp_path / name)).grid == (12, 12)


def test_one_stated_value_is_enough_if_it_decides(tmp_path: Path) -> None:
    path = saved(official_ast(TINY, (5, 12)), tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match="may be a grid"):
        read_checkpoint(path, Stated(mels=64))  # 5 x 12 and 4 x 15
    path = saved(official_ast(TINY, (12, 35)), tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match="may be a grid"):
        read_checkpoint(path, Stated(mels=128))
    assert read_checkpoint(saved(official_ast(TINY, (5, 37)), path), Stated(mels=64)).grid == (5, 37)


@pytest.mark.parametrize(
    ("settings", "grid"),
    [
        ({"num_mel_bins": 64, "frequency_stride": 10}, (5, 12)),
        ({"frequency_stride": 16, "time_stride": 16, "max_length": 960}, (8, 60)),
        ({"frequency_stride": 12, "time_stride": 12, "max_length": 512}, (10, 42)),
        ({"frequency_stride": 10, "time_stride": 5, "max_length": 128}, (12, 23)),
    ],
)
def test_the_configuration_decides(tmp_path: Path, settings: dict[str, int], grid: tuple[int, int]) -> None:
    found = read_checkpoint(hugging_face_folder(tmp_path, grid, **settings))
    assert (found.grid, found.mels) == (grid, settings.get("num_mel_bins", 128))


def test_the_input_size_in_the_file_decides(tmp_path: Path) -> None:
    sizes = {"module.p_input_fdim": torch.tensor(64), "module.p_input_tdim": torch.tensor(128)}
    path = saved({**official_ast(TINY, (5, 12)), **sizes}, tmp_path / "mine.pth")
    found = read_checkpoint(path)
    assert (found.layout, found.grid, found.mels) == ("official AST", (5, 12), 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frequency_stride": 16}, "8 rows in frequency"),
        ({"frequency_stride": 10, "time_stride": 10, "max_length": 512}, "config.json describes 12x50: it belongs to"),
        ({"frequency_stride": None}, "says frequency_stride None, expected a whole number"),
        ({"num_mel_bins": "128"}, "says num_mel_bins 128, expected"),
        ({"num_mel_bins": True}, "says num_mel_bins True, expected"),
        ({"layer_norm_eps": "x"}, "says layer_norm_eps x, expected a number above 0"),
        ({"layer_norm_eps": -1}, "says layer_norm_eps -1, expected"),
        ({"hidden_act": "relu"}, "hidden_act relu"),
        ({"model_type": "deit"}, "model_type deit, which is no AST"),
        ({"num_attention_heads": 5}, "5 heads do not divide the width 192"),
    ],
)
def test_a_configuration_of_another_model_is_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        read_checkpoint(hugging_face_folder(tmp_path, (12, 101), **settings))


@pytest.mark.parametrize("settings", [{"learning_rate": 1e-4}, {"num_mel_bins": 128}, {"frequency_stride": 16}])
def test_a_configuration_of_something_else_states_nothing(tmp_path: Path, settings: dict[str, Any]) -> None:
    saved(hugging_face(official_ast(TINY, (8, 60))), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(BenchmarkError, match="480 positions may be a grid of"):
        read_checkpoint(tmp_path)
    assert read_checkpoint(tmp_path, Stated(stride=16, mels=128)).grid == (8, 60)


def test_transformers_defaults_are_those_of_its_own_configurations_only(tmp_path: Path) -> None:
    saved(hugging_face(official_ast(TINY, (12, 40))), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "audio-spectrogram-transformer"}))
    assert read_checkpoint(tmp_path).grid == (12, 40)


@pytest.mark.parametrize("text", ["[1]", "{", "null"])
def test_a_damaged_configuration_is_one_line(tmp_path: Path, text: str) -> None:
    folder = hugging_face_folder(tmp_path, (12, 101))
    (folder / "config.json").write_text(text)
    with pytest.raises(BenchmarkError, match=r"config\.json: ") as caught:
        read_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "stated", "message"),
    [
        ("mine.pth", {"stride": 16, "mels": 128}, "1212 positions are not a grid with 8 rows"),
        ("ssast", {"stride": 10}, "has 8 rows of patches in 128 mel bands, but stride=10 is stated"),
        ("ssast", {"mels": 64}, "has 128 mel bands, but mels=64 is stated"),
        ("folder", {"stride": 16}, "has 12 rows of patches in 128 mel bands, but stride=16 is stated"),
        ("folder", {"heads": 4}, "has 3 attention heads, but heads=4 is stated"),
        ("mine.pth", {"heads": 5}, "5 heads do not divide the width 192"),
    ],
)
def test_a_statement_that_the_file_contradicts_is_refused(
    tmp_path: Path, name: str, stated: dict[str, int], message: str
) -> None:
    if name == "folder":
        path = hugging_face_folder(tmp_path, (12, 101))
    else:
        path = saved(official_ssast(TINY) if name == "ssast" else official_ast(TINY), tmp_path / name)
    with pytest.raises(BenchmarkError, match=message):
        read_checkpoint(path, Stated(**stated))


def test_the_number_of_heads_is_not_guessed(tmp_path: Path) -> None:
    shape = Shape(width=64, depth=1, heads=2)
    path = saved(official_ast(shape), tmp_path / "mine.pth")
    with pytest.raises(
        BenchmarkError, match=r"no published model has width 64, .* state it, as in ast\[weights=FILE;h"
    ):
        read_checkpoint(path)
    assert read_checkpoint(path, Stated(heads=2)).shape == shape
    assert read_checkpoint(hugging_face_folder(tmp_path / "a", (12, 101), num_attention_heads=6)).shape.heads == 6


def fitted(text: str, folder: Path) -> BackboneChoice:
    [choice] = resolve_backbones(text, "test")
    located, path = locate(choice, folder)
    assert path is not None
    return fit(located, path)


def test_what_is_stated_is_part_of_the_request_only_where_it_is_given(tmp_path: Path) -> None:
    path = saved(official_ast(TINY, (8, 60)), tmp_path / "mine.pth")
    stated = fitted(f"ast[weights={path};stride=16;mels=128]", tmp_path)
    assert stated.variant == "ast[depth=1;heads=3;mels=128;stride=16;weights=file:mine.pth;width=192]"
    content = stated.model_dump(mode="json")
    assert (content["stride"], content["mels"], content["depth"]) == (16, 128, 1)
    plain = resolve_backbones("ast", "test")[0].model_dump(mode="json")
    assert set(plain) == {"name", "size", "weights", "sha256", "pretraining", "grid", "pooling"}
    assert BackboneChoice.model_validate(content) == stated


def test_the_variant_of_a_fitted_choice_can_be_written_again(tmp_path: Path) -> None:
    path = saved(official_ast(TINY, (8, 60)), tmp_path / "mine.pth")
    stated = fitted(f"ast[weights={path};stride=16;mels=128]", tmp_path)
    again = fitted(stated.variant.replace("file:mine.pth", str(path)), tmp_path)
    without = {"pretrained": None}  # its `assumed`: the variant states the heads
    assert again.model_copy(update=without) == stated.model_copy(update=without)


@pytest.mark.parametrize(
    ("shape", "grid", "plain", "redundant"),
    [
        (TINY, (12, 101), "", ["stride=10;mels=128", "heads=3", "weights_of=ast", "width=192;depth=1;heads=3"]),
        (SIZE_TINY, (12, 101), "", ["size=tiny;heads=3", "size=tiny", "depth=12;width=192;heads=3"]),
        (TINY, (8, 60), "stride=16;mels=128", ["stride=16;mels=128;heads=3"]),
        (Shape(width=64, depth=4, heads=2), (12, 101), "heads=2", ["heads=2;size=demo", "heads=2;stride=10"]),
    ],
)  # fmt: skip
def test_what_the_file_shows_and_the_user_states_is_no_other_trial(
    tmp_path: Path, shape: Shape, grid: tuple[int, int], plain: str, redundant: list[str]
) -> None:
    path = saved(official_ast(shape, grid), tmp_path / "mine.pth")
    first = fitted(f"ast[weights={path};{plain}]".replace(";]", "]"), tmp_path)
    for options in redundant:
        found = fitted(f"ast[weights={path};{options}]", tmp_path)
        assert found.variant == first.variant
        assert found.model_copy(update={"pretrained": None}) == first.model_copy(update={"pretrained": None})
        assert read_checkpoint(path, found.stated).shape == shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ast[stride=16]", "stride is an option of weights=FILE only"),
        ("ast[width=64]", "width is an option of weights=FILE and weights=random:SEED only"),
        ("ast[weights=random:0;mels=64]", "mels is an option of weights=FILE only"),
        ("ast[weights=f.pth;stride=17]", "stride"),
        ("ast[weights=f.pth;mels=many]", "mels"),
        ("ast[weights=f.pth;weights_of=vit]", "weights_of"),
        ("ast[heads=5;weights=random:0]", "5 heads do not divide 768"),
        ("ast[strides=16]", r"unknown option 'strides' \(did you mean 'stride'\?\)"),
    ],
)
def test_options_of_a_backbone_are_checked(text: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        resolve_backbones(text, "test")


def test_random_weights_of_any_shape(make_request: Any) -> None:
    request = make_request(backbones=["ast[width=96;depth=3;heads=4;weights=random:0]"])
    assert request.backbone.shape == Shape(width=96, depth=3, heads=4)
    assert "96x3, 4 heads backbone" in request.marks


def test_other_mel_bands_and_another_normalisation_are_marked(tmp_path: Path, make_request: Any) -> None:
    folder = hugging_face_folder(tmp_path / "mine", (5, 12), num_mel_bins=64)
    (folder / "preprocessor_config.json").write_text(json.dumps({"mean": -7.5, "std": 2.5}))
    backbone = fitted(f"ast[weights={folder}]", tmp_path)
    base: TrialRequest = make_request()
    request = base.model_copy(update={"backbone": backbone})
    assert request.input_changes == [
        f"weights of 64 mel bands, input of {request.recipe.mels}",
        "the checkpoint's normalisation (-7.5, 2.5) is not used",
    ]
    assert set(request.input_changes) <= set(request.marks)
    without = request.model_copy(update={"backbone": backbone.model_copy(update={"pretrained": None})})
    assert TrialRequest.model_validate(request.model_dump()).id == TrialRequest.model_validate(without.model_dump()).id


@pytest.mark.parametrize("settings", [{"mean": -4.2677393, "std": 4.5689974}, {"do_normalize": False}, {}])
def test_the_normalisation_of_the_published_models_is_no_remark(
    tmp_path: Path, make_request: Any, settings: dict[str, Any]
) -> None:
    folder = hugging_face_folder(tmp_path / "mine", (12, 101))
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    request = make_request().model_copy(update={"backbone": fitted(f"ast[weights={folder}]", tmp_path)})
    assert request.input_changes == []


@pytest.mark.parametrize(("given", "name", "other"), [("ast", "ssast", official_ssast), ("ssast", "ast", official_ast)])
def test_a_checkpoint_of_the_other_family_is_refused_unless_it_is_meant(
    tmp_path: Path, given: str, name: str, other: Any
) -> None:
    path = saved(other(TINY), tmp_path / "mine.pth")
    with pytest.raises(BenchmarkError, match=rf"is of the family {name}: name it {name}\[weights=FILE\], or") as caught:
        fitted(f"{given}[weights={path}]", tmp_path)
    assert f"{given}[weights=FILE;weights_of={name}]" in str(caught.value)
    assert str(path) in str(caught.value)
    meant = fitted(f"{given}[weights={path};weights_of={name}]", tmp_path)
    assert meant.pooling == resolve_backbones(given, "test")[0].pooling
    assert f"weights_of={name}" in meant.variant
    with pytest.raises(BenchmarkError, match=f"but weights_of={given} is stated"):
        fitted(f"{given}[weights={path};weights_of={given}]", tmp_path)


def test_converted_files_know_their_family_and_the_demo_checkpoints_are_known_by_their_digest(tmp_path: Path) -> None:
    save_checkpoint(
        read_checkpoint(saved(official_ssast(TINY), tmp_path / "a.pth")), tmp_path / "b.safetensors", half=True
    )
    found = read_checkpoint(tmp_path / "b.safetensors")
    assert (found.family, found.mels) == ("ssast", 128)
    with pytest.raises(BenchmarkError, match="is of the family ssast"):
        fitted(f"ast[weights={tmp_path / 'b.safetensors'}]", tmp_path)
    _, demo = locate(resolve_backbones("ssast-demo", "test")[0], tmp_path)
    with pytest.raises(BenchmarkError, match="is of the family ssast"):
        fitted(f"ast[weights={demo}]", tmp_path)


def test_a_hugging_face_model_in_ssast_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="is of the family ast"):
        fitted(f"ssast[weights={hugging_face_folder(tmp_path / 'mine', (12, 101))}]", tmp_path)


def test_what_is_assumed_of_a_users_file_is_a_note(tmp_path: Path, make_request: Any) -> None:
    def notes(text: str) -> list[str]:
        request = make_request().model_copy(update={"backbone": fitted(text, tmp_path)})
        return [note.removeprefix(f"{request.backbone.variant}: ") for note in pretraining_notes([request, request])]

    path = saved(official_ast(TINY), tmp_path / "mine.pth")
    grid, heads = notes(f"ast[weights={path}]")
    assert grid.startswith("1212 positions are taken as the grid 12x101 of a published model (128 mel bands, patch")
    assert heads == "3 attention heads are assumed for the width 192, as in the published models"
    assert notes(f"ast[weights={path};heads=3;stride=10;mels=128]") == []
    assert notes(f"ast[weights={hugging_face_folder(tmp_path / 'folder', (12, 101))}]") == []


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    for name, value in (("v.norm.weight", torch.inf), ("mlp_head.1.bias", torch.nan)):
        tensors = official_ast(TINY)
        tensors[f"module.{name}"][3] = value
        path = saved(tensors, tmp_path / f"{name}.pth")
        with pytest.raises(BenchmarkError, match=rf"\.pth: not finite: {re.escape(name)}"):
            fitted(f"ast[weights={path}]", tmp_path)
        with pytest.raises(BenchmarkError, match="not finite"):
            convert_checkpoint(path, tmp_path / "own.safetensors")
        assert not (tmp_path / "own.safetensors").exists()


def test_the_shape_comes_from_the_file_unless_another_one_is_named(tmp_path: Path) -> None:
    path = saved(official_ast(Shape(width=192, depth=12, heads=3)), tmp_path / "mine.pth")
    assert fitted(f"ast[weights={path}]", tmp_path).variant == "ast[size=tiny;weights=file:mine.pth]"
    with pytest.raises(BenchmarkError, match="choose the size that fits"):
        fitted(f"ast[size=small;weights={path}]", tmp_path)
    with pytest.raises(BenchmarkError, match="choose the size that fits"):
        fitted(f"ast[depth=3;weights={path}]", tmp_path)
