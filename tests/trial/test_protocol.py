"""Every protocol switch changes what it says it changes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmark.data.frontend import LOG_FLOOR
from benchmark.data.registry import get_dataset
from benchmark.data.synthetic import Sound, texture
from benchmark.planning.expand import expand
from benchmark.records.frame import to_frame
from benchmark.spec.protocol import LATER, SWITCHES, Protocol, load_protocol
from benchmark.spec.request import TrialRequest
from benchmark.trial.build import build_model
from benchmark.trial.data import TrialData, prepare
from benchmark.trial.metrics import evaluate
from benchmark.trial.schedule import Schedule
from benchmark.trial.selection import choose
from benchmark.trial.train_step import Trainer
from tests.conftest import AST, SSAST, TINY_RECIPE, tiny_grid
from tests.samples import make_record, make_results

Make = Callable[..., TrialRequest]
SHOWN = {  # switch -> the test below that shows its two values differ
    "prompts": "test_prompts",
    "ssast_pooling": "test_ssast_pooling",
    "openmic_test": "test_openmic_test",
    "openmic_labels": "test_openmic_labels",
    "us8k_epoch_folds": "test_us8k_epoch_folds",
    "eval_logits": "test_eval_logits",
    "eval_precision": "test_eval_precision",
    "eval_tf32": "test_eval_tf32",
    "selection": "test_selection",
    "warmup": "test_warmup",
    "padding": "test_padding",
    "norm_stats": "test_norm_stats",
    "count_unused_heads": "test_count_unused_heads",
}


def test_every_switch_is_shown_here() -> None:
    assert set(SHOWN) == set(SWITCHES)
    assert set(SHOWN.values()) <= set(globals())


def test_reference_and_corrected_differ_where_they_should() -> None:
    reference, corrected = load_protocol("reference"), load_protocol("corrected")
    equal = {name for name in SWITCHES if getattr(reference, name) == getattr(corrected, name)}
    # the checkpoints were trained with the first two; `corrected` evaluates in float32 where a recipe trains so
    assert equal == {"padding", "norm_stats", "eval_tf32"}


def test_switches_that_were_added_later_change_no_id_at_their_defaults(make_request: Make) -> None:
    """Records and requests of earlier versions lack them."""
    request = make_request(backbones=[SSAST], protocol="reference")
    content = request.model_dump(mode="json")
    assert not set(LATER) & set(content["protocol"])
    assert TrialRequest.model_validate(content) == request
    assert request.protocol.switches == {name: getattr(request.protocol, name) for name in SWITCHES}
    for switch in LATER:
        plain, changed = both(make_request, switch, backbones=[SSAST])
        assert plain.id != changed.id
        assert TrialRequest.model_validate_json(changed.model_dump_json()).id == changed.id
        assert plain.step_key != changed.step_key  # time and memory of the evaluation
        assert len({each.step_key for each in both(make_request, switch, backbones=[AST])}) == 1


def both(make: Make, switch: str, **changes: object) -> list[TrialRequest]:
    values = Protocol.model_fields[switch].annotation.__args__  # type: ignore[union-attr]
    return [make(switches={switch: value}, **changes) for value in values]


def logits(request: TrialRequest) -> torch.Tensor:
    model = build_model(request, classes=3).model
    torch.manual_seed(0)
    return model.eval()(torch.randn(2, 64, 128))


def test_prompts(make_request: Make) -> None:
    overwrite, insert = both(make_request, "prompts", methods=["prompt"])
    assert not torch.equal(logits(overwrite), logits(insert))
    overwrite, insert = both(make_request, "prompts", methods=["linear"])
    assert torch.equal(logits(overwrite), logits(insert))


def test_ssast_pooling(make_request: Make) -> None:
    cls, patches = both(make_request, "ssast_pooling", backbones=[SSAST])
    assert not torch.equal(logits(cls), logits(patches))
    cls, patches = both(make_request, "ssast_pooling", backbones=[AST])  # AST was trained through its class tokens
    assert torch.equal(logits(cls), logits(patches))


def openmic(root: Path) -> Path:
    """Four clips: labels with relevance on both sides of one half."""
    folder = root / "openmic-2018"
    (folder / "partitions").mkdir(parents=True)
    rows = [
        ("000001_1", "piano", 0.9), ("000001_1", "voice", 0.1), ("000002_1", "voice", 0.6),
        ("000003_1", "piano", 0.5), ("000003_1", "drums", 0.49), ("000004_1", "drums", 1.0),
    ]  # fmt: skip
    with (folder / "openmic-2018-aggregated-labels.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sample_key", "instrument", "relevance", "num_responses"])
        writer.writerows((*row, 3) for row in rows)
    (folder / "partitions" / "split01_train.csv").write_text("000001_1\n000002_1\n")
    (folder / "partitions" / "split01_test.csv").write_text("000003_1\n000004_1\n")
    for key in ("000001_1", "000002_1", "000003_1", "000004_1"):
        make = partial(texture, int(key[5]), 0, 1, 16_000)
        Sound(f"audio/000/{key}.ogg", make, 16_000, "VORBIS").write(folder)
    return root


def openmic_inputs(root: Path, **switches: str) -> TrialData:
    values = {"epochs": 1, "frames": 64, "time_mask": 12, "stride": [16, 16], "mixup": 0, "noise": False}
    grid = tiny_grid(datasets=["openmic"], switches=switches, overrides=[{"source": "test", "values": values}])
    [request] = expand(grid, root, root).requests
    return prepare(request, get_dataset("openmic").manifest(root), None)


def test_openmic_test(tmp_path: Path) -> None:
    root = openmic(tmp_path)
    wrong = openmic_inputs(root, openmic_test="train_list")
    right = openmic_inputs(root, openmic_test="test_list")
    assert [clip.path for clip in wrong.splits["test"].clips] == [clip.path for clip in wrong.splits["train"].clips]
    assert not {clip.path for clip in right.splits["test"].clips} & {clip.path for clip in right.splits["train"].clips}


def test_openmic_labels(tmp_path: Path) -> None:
    root = openmic(tmp_path)
    piano, voice = 12, 19
    _, [target], [observed] = openmic_inputs(root, openmic_labels="annotated").splits["train"][[0], None]
    assert target.nonzero().flatten().tolist() == [piano, voice]  # relevance 0.1 counts as present
    assert observed.all()
    _, [target], [observed] = openmic_inputs(root, openmic_labels="relevance_masked").splits["train"][[0], None]
    assert target.nonzero().flatten().tolist() == [piano]
    assert observed.nonzero().flatten().tolist() == [piano, voice]


def test_us8k_epoch_folds(make_request: Make) -> None:
    info = get_dataset("urbansound8k").info
    chosen = []
    for request in both(make_request, "us8k_epoch_folds"):
        records = []
        for fold in info.folds:
            # nine folds like epoch 2 a little better, the tenth likes epoch 1 a lot better
            scores = [0.9, 0.91] if fold < 10 else [1.0, 0.5]
            record = make_record(request.model_copy(update={"fold": fold}), scores)
            selection = choose(request, info, record.curves, diverged=False)
            records.append(record.model_copy(update={"selection": selection}))
        chosen.append(set(to_frame(records)["epoch"]))
    assert chosen == [{2}, {1}]


def test_eval_logits() -> None:
    scores, targets = torch.tensor([[8.5], [10.5], [9.0]]), torch.tensor([[0.0], [1.0], [0.0]])
    ties, exact = (evaluate(scores, targets, torch.ones(3, 1), rule)["map"] for rule in ("fp16_sigmoid", "float32"))
    assert (ties, exact) == (pytest.approx(1 / 3), 1.0)


def predicted(request: TrialRequest) -> tuple[torch.Tensor, list[torch.dtype], str]:
    """Return logits of an evaluation, the types that the last block and the head compute, and the precision's name."""
    model, types = build_model(request, 3).model, []
    for layer in (model.blocks[-1].mlp.fc2, model.mlp_head[1]):
        layer.register_forward_hook(lambda _, __, output: types.append(output.dtype))
    trainer = Trainer(model, request, torch.device("cpu"))
    features = torch.randn(2, 64, 128, generator=torch.Generator().manual_seed(0))
    return trainer.predict([(features, torch.ones(2, 3), torch.ones(2, 3))])[0], types, trainer.evaluation.name


def test_eval_precision(make_request: Make) -> None:
    """In bfloat16, as a CPU has no float16 autocast."""
    overrides = [{"source": "test", "values": {**TINY_RECIPE, "precision": "bf16"}}]
    official, corrected = (
        predicted(each) for each in both(make_request, "eval_precision", backbones=[SSAST], overrides=overrides)
    )
    assert official[1:] == ([torch.float32, torch.float32], "float32")
    assert corrected[1:] == ([torch.bfloat16, torch.float32], "bfloat16 autocast")
    assert 0 < float((official[0] - corrected[0]).abs().max()) < 0.05
    supervised = [
        predicted(each) for each in both(make_request, "eval_precision", backbones=[AST], overrides=overrides)
    ]
    assert torch.equal(supervised[0][0], supervised[1][0])  # the switch is about float16, which the official code has
    assert supervised[0][1:] == ([torch.bfloat16, torch.float32], "bfloat16 autocast")
    plain = [predicted(each) for each in both(make_request, "eval_precision", backbones=[SSAST])]
    assert torch.equal(plain[0][0], plain[1][0])
    assert plain[1][1:] == ([torch.float32, torch.float32], "float32")


def test_eval_tf32(make_request: Make) -> None:
    """In the evaluation alone: training and the rest of the process keep their setting."""
    setting, seen = torch.backends.cuda.matmul, []
    for request in both(make_request, "eval_tf32", backbones=[SSAST]):
        trainer = Trainer(build_model(request, 3).model, request, torch.device("cpu"))
        for before in (False, True):
            setting.allow_tf32 = before
            trainer.model.mlp_head.register_forward_hook(lambda *_: seen.append(setting.allow_tf32))
            trainer.predict([(torch.zeros(1, 64, 128), torch.ones(1, 3), torch.ones(1, 3))])
            assert setting.allow_tf32 is before
            trainer.model.mlp_head._forward_hooks.clear()
    setting.allow_tf32 = False
    assert seen == [False, False, True, True]


def test_selection(make_request: Make) -> None:
    info = get_dataset("esc50").info
    curves = make_record(make_request(), [0.1, 0.9, 0.5]).curves
    best, last = (choose(request, info, curves, diverged=False) for request in both(make_request, "selection"))
    assert (best.scope, best.epoch) == ("folds", None)
    assert (last.scope, last.epoch) == ("trial", 3)
    listed = get_dataset("speech_commands_v1").info  # a validation list decides under both
    validation = [
        point.model_copy(update={"splits": {**point.splits, "validation": point.splits["test"]}}) for point in curves
    ]
    for request in both(make_request, "selection"):
        assert choose(request, listed, validation, diverged=False).epoch == 2


def test_warmup(make_request: Make) -> None:
    recipe = make_request().recipe.model_copy(update={"warmup_steps": 1000})
    rates = []
    for request in both(make_request, "warmup"):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
        schedule = Schedule(optimizer, recipe, request.protocol.warmup)
        for _ in range(60):
            schedule.before_step()
            rates.append(schedule.applied)
    stepwise, linear = rates[:60], rates[60:]
    assert stepwise[0] == stepwise[49] == 0
    assert stepwise[50] == stepwise[59] > 0
    assert all(rate > 0 for rate in linear)


def test_padding(make_request: Make, data_root: Path) -> None:
    manifest = get_dataset("esc50").manifest(data_root)
    fills = [
        prepare(request, manifest, None).splits["test"].front_end.fill for request in both(make_request, "padding")
    ]
    assert fills == [0.0, LOG_FLOOR]


def test_norm_stats(make_request: Make, data_root: Path) -> None:
    manifest = get_dataset("esc50").manifest(data_root)
    means = [
        prepare(request, manifest, None).splits["test"].front_end.mean for request in both(make_request, "norm_stats")
    ]
    assert means[0] == -6.6268077
    assert means[1] != means[0]


def test_count_unused_heads(make_request: Make, tmp_path: Path) -> None:
    from benchmark.report.render import wide
    from benchmark.report.tables.parameters import parameters_text

    texts = []
    for request in both(make_request, "count_unused_heads", methods=["full"]):
        cells = make_results(tmp_path / str(len(texts)), [make_record(request, [0.5])]).cells
        texts.append(wide(cells, parameters_text)["esc50"][0])
    assert texts[0] != texts[1]
