"""Pre-training from the command line: checkpoints that the loader takes, whole or after an interruption."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmark.data.parallel import torch_threads
from benchmark.models.checkpoint import read_checkpoint
from benchmark.spec.backbone import SHAPES
from benchmark.spec.pretraining import Pretraining
from benchmark.tools.pretrain.audio import Audio, read_audio
from benchmark.tools.pretrain.objectives import make_task
from benchmark.tools.pretrain.run import make_batches, pretrain, rate
from tests.conftest import Cli, json_of

SMALL = ["--frames", "64", "--batch-size", "16", "--lr", "1e-3"]


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on one core: threads that wait for each other are slow where other tests run at the same time."""
    monkeypatch.setattr("benchmark.data.parallel.usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, 20 clips each, in folders."""
    place = tmp_path_factory.mktemp("audio") / "sounds"
    rng = np.random.default_rng(0)
    for label, pitch in (("high", 2000), ("low", 300)):
        (place / label).mkdir(parents=True)
        for number in range(20):
            time = np.arange(9600) / 16_000
            wave = np.sin(2 * np.pi * pitch * (1 + 0.1 * rng.uniform()) * time) + 0.1 * rng.standard_normal(9600)
            soundfile.write(place / label / f"{number}.wav", 0.3 * wave, 16_000)
    return place


@pytest.mark.parametrize(("objective", "layout"), [("supervised", "official AST"), ("ssast", "official SSAST")])
def test_an_official_size_is_written_in_the_official_format(
    cli: Cli, audio: Path, tmp_path: Path, objective: str, layout: str
) -> None:
    out = tmp_path / "own.pth"
    chosen = ["--objective", objective, "--audio", audio, "--size", "tiny", "--epochs", "1", *SMALL]
    done = cli("pretrain", *chosen, "--out", out, "--cache", tmp_path / "cache", "--json")
    printed = json_of(done, "pretrain")
    found = read_checkpoint(out)
    assert (found.layout, found.shape) == (layout, SHAPES["tiny"])
    assert all(name.startswith("module.") for name in torch.load(out, weights_only=True))
    report = json.loads(out.with_suffix(".json").read_text())
    assert (printed["report"], printed["sha256"]) == (report, report["sha256"])
    assert "epoch 1: " in done.stderr
    assert report["final"]["held_out_loss"] > 0
    assert not list(tmp_path.glob("*.state"))
    name = {"supervised": "ast", "ssast": "ssast"}[objective]
    assert printed["backbone"] == f"{name}[size=tiny;weights={out}]"
    plan = cli("plan", "--grid", "paper", "--dataset", "esc50", "--backbone", printed["backbone"])
    assert "no checkpoint" not in plan.stdout + plan.stderr


def test_labels_can_be_learnt(cli: Cli, audio: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.safetensors"
    chosen = ["--objective", "supervised", "--audio", audio, "--size", "demo", "--stride", "16", "--epochs", "6"]
    with torch_threads(2):
        done = cli("pretrain", *chosen, *SMALL, "--out", out, "--cache", "none")
        assert torch.get_num_threads() == 2  # as before
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(out).layout == "AAT benchmark"
    assert json.loads(out.with_suffix(".json").read_text())["final"]["held_out_accuracy"] == 1.0
    [used] = [line.partition("python -m benchmark ")[2] for line in done.stdout.splitlines() if "use it:" in line]
    words = shlex.split(used)
    assert words[:4] == ["run", "--grid", "quick", "--backbone"]
    assert words[4] == f"ast[size=demo;weights={out}]"
    assert [word.partition("=")[0] for word in words[5:]] == ["--set", "recipe.mean", "--set", "recipe.std"]


def test_steps_leave_out_patches_that_are_all_there_in_evaluation(audio: Path) -> None:
    found = read_audio(audio, "supervised", 64, None, lambda *_: None)
    features, targets = torch.randn(2, 64, 128), torch.eye(2)
    rng, seen = np.random.default_rng(0), list[torch.Tensor]()
    for share, tokens in ((0.5, 2 + 16), (0.01, 2 + 32)):
        run = describe(found, objective="supervised", classes=2, patchout=share)
        task = make_task(run, multi_label=False)
        whole = task.backbone.embed(task.backbone.patches(features))
        task.backbone.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        loss = task.train().measure((features, targets, torch.ones(2, 2)), rng)["loss"]
        assert seen[-1].shape[1] == tokens
        assert all((whole[0] == token).all(1).any() for token in seen[-1][0])  # at their own positions
        assert task.eval().measure((features, targets, torch.ones(2, 2)), rng)["loss"].isfinite()
        assert seen[-1].shape[1] == 2 + 32
    assert loss == task.measure((features, targets, torch.ones(2, 2)), rng)["loss"]


def describe(audio: Audio, **changes: object) -> Pretraining:
    values: dict[str, object] = {
        "objective": "ssast", "size": "demo", "frames": 64, "stride": (16, 16), "epochs": 3, "batch_size": 16,
        "lr": 1e-3, "weight_decay": 0.0, "freq_mask": 0, "time_mask": 0, "seed": 0, "mean": audio.level.mean,
        "std": audio.level.std, "classes": 0, "clips": audio.counts, "audio": audio.manifest.digest,
    }  # fmt: skip
    return Pretraining.model_validate({**values, **changes})


@pytest.mark.parametrize(("objective", "optimizer"), [("ssast", "adam"), ("supervised", "adam"), ("ssast", "muon")])
def test_an_interrupted_run_ends_with_the_weights_of_a_whole_one(
    audio: Path, tmp_path: Path, objective: str, optimizer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="benchmark.tools.pretrain")
    tensors = []
    for place, interrupted in ((tmp_path / "a.safetensors", False), (tmp_path / "b.safetensors", True)):
        found = read_audio(audio, objective, 64, None, lambda *_: None)  # type: ignore[arg-type]
        run = describe(found, objective=objective, optimizer=optimizer, classes=len(found.manifest.info.classes))

        def go(stop_after: int | None, run: Pretraining = run, found: Audio = found, place: Path = place) -> None:
            def after_epoch(values: dict[str, float]) -> None:
                if stop_after is not None and values["epoch"] > stop_after:
                    raise KeyboardInterrupt

            batches = make_batches(run, found, torch.device("cpu"))
            pretrain(
                run, batches, place, multi_label=False, device=torch.device("cpu"), progress=lambda *_: None,
                after_epoch=after_epoch,
            )  # fmt: skip

        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                go(1)
            assert not place.exists()
        go(None)
        tensors.append(read_checkpoint(place).tensors)
    assert caplog.text.count("continuing after epoch 1 of 3") == 1
    one, other = tensors
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_training_can_start_from_a_checkpoint(cli: Cli, audio: Path, tmp_path: Path) -> None:
    """Without steps to speak of, the weights stay those of the start, whose head knows the classes."""
    chosen = ["--audio", audio, "--size", "demo", "--cache", "none", *SMALL[:-2]]
    first, second, third = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "third"))
    tagging = ["--objective", "supervised", "--stride", "16", *chosen]
    done = cli("pretrain", *tagging, "--epochs", "6", "--lr", "1e-3", "--out", first)
    assert done.returncode == 0, done.stderr
    done = cli("pretrain", *tagging, "--epochs", "1", "--lr", "1e-9", "--init", first, "--out", second)
    assert done.returncode == 0, done.stderr
    old, new = (read_checkpoint(path) for path in (first, second))
    assert all(torch.equal(tensor, new.tensors[name]) for name, tensor in old.tensors.items())
    reports = [json.loads(path.with_suffix(".json").read_text()) for path in (first, second)]
    assert reports[1]["pretraining"]["init"] == reports[0]["sha256"]
    assert reports[0]["pretraining"]["init"] is None
    assert reports[1]["final"]["held_out_accuracy"] == 1.0
    done = cli(
        "pretrain", "--objective", "ssast", *chosen, "--epochs", "1", "--lr", "1e-9", "--init", first, "--out", third
    )
    assert done.returncode == 0, done.stderr
    assert torch.equal(
        read_checkpoint(third).tensors["v.patch_embed.proj.weight"], old.tensors["v.patch_embed.proj.weight"]
    )
    done = cli("pretrain", *tagging, "--size", "mini", "--epochs", "1", "--init", first, "--out", tmp_path / "no")
    assert done.returncode != 0
    assert "--init: the checkpoint has width=64" in done.stderr
    assert not (tmp_path / "no").exists()


def test_the_rate_is_warmed_up_and_falls_to_almost_nothing() -> None:
    rates = [rate(step, 200) for step in range(1, 201)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] < 1e-3
    assert sorted(rates[10:], reverse=True) == rates[10:]


def test_mistakes_are_told_in_a_line(cli: Cli, audio: Path, tmp_path: Path) -> None:
    (tmp_path / "there.pth").touch()
    (tmp_path / "empty").mkdir()
    out = ["--out", tmp_path / "new.pth"]
    for arguments, message in (
        (["--objective", "ssast", "--audio", tmp_path / "empty", *out], "0 audio files"),
        (["--objective", "ssast", "--audio", audio, "--patchout", "0.5", *out], "--patchout: ssast hides patches"),
        (["--objective", "ssast", "--audio", tmp_path / "none", *out], "no such folder of audio"),
        (["--objective", "supervised", "--audio", tmp_path / "empty", *out], "has no audio files"),
        (["--objective", "ssast", "--audio", audio, "--out", tmp_path / "there.pth"], "is there already"),
        (["--objective", "ssast", "--audio", audio, "--stride", "10", *out], "must not overlap"),
    ):
        done = cli("pretrain", *arguments)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "there.pth"]
