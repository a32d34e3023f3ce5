"""From a trial to labels of sounds: `export`, `predict`, ONNX from the waveform on, a folder for transformers."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.compliance import kaldi

import benchmark
from benchmark.data.audio import decode
from benchmark.data.parallel import torch_threads
from benchmark.data.registry import get_dataset
from benchmark.errors import BenchmarkError
from benchmark.models.checkpoint import read_checkpoint
from benchmark.planning.expand import expand
from benchmark.records.store import ResultStore
from benchmark.spec.options import RunOptions
from benchmark.spec.request import TrialRequest
from benchmark.tools.export import export_trial, hugging_face
from benchmark.trial.run import Setting, attempt_trial
from tests.conftest import REPOSITORY, TINY_RECIPE, Cli, tiny_grid
from tests.samples import make_cost

NEAR = {"atol": 1e-5, "rtol": 0}


def train(folder: Path, data_root: Path, **changes: object) -> TrialRequest:
    """Train a trial with its weights kept, and return its request."""
    request = expand(tiny_grid(**changes), data_root, Path("no-checkpoints")).requests[0]
    setting = Setting(folder, RunOptions(data_root, keep_weights=True), cost=make_cost())
    assert attempt_trial(request, setting, lambda _: None).status == "completed"
    return request


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("predict") / "out"


@pytest.fixture(scope="module")
def trial(results: Path, data_root: Path) -> TrialRequest:
    """Return the request of a trained trial, whose modules can be merged."""
    backbones = ["ast[size=demo;depth=1;weights=random:0]"]  # one block is exported sooner than four
    return train(results, data_root, methods=["lora[targets=qkvoud]"], backbones=backbones)


@pytest.fixture(scope="module")
def model(results: Path, trial: TrialRequest) -> Path:
    """Return the folder of its export."""
    export_trial(ResultStore(results), [trial.id], results.parent / "model", onnx=False)
    return results.parent / "model"


@pytest.fixture
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


def stored(results: Path, request: TrialRequest) -> dict[str, np.ndarray]:
    """Return the logits of the test clips after the last epoch, by path."""
    with np.load(ResultStore(results).record_path(request).with_suffix(".npz")) as predictions:
        return dict(zip(predictions["clips_test"].tolist(), predictions["logits_test"][-1], strict=True))


def test_files_get_the_logits_of_the_trial(
    model: Path, results: Path, trial: TrialRequest, data_root: Path, tmp_path: Path, cli: Cli, one_thread: None
) -> None:
    folder, expected = get_dataset("esc50").manifest(data_root).folder, stored(results, trial)
    for name in expected:
        shutil.copy(folder / name, tmp_path)
    loaded = benchmark.load_export(model)
    for name, logits in expected.items():
        prediction = loaded.predict(tmp_path / Path(name).name)
        np.testing.assert_allclose(prediction.logits, logits, **NEAR)
        assert prediction.labels == (loaded.classes[int(logits.argmax())],)
        assert float(prediction.scores.sum()) == pytest.approx(1, abs=1e-5)
    table, vectors = tmp_path / "labels.csv", tmp_path / "vectors.npz"
    done = cli("predict", model, tmp_path, "--top", 2, "--csv", table, "--embeddings", vectors)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(expected)} files labelled; scores: softmax of the logits" in done.stdout
    rows = list(csv.DictReader(table.open()))
    by_name = {Path(name).name: logits for name, logits in expected.items()}
    assert {Path(row["path"]).name for row in rows} == set(by_name)
    for row in rows:
        logits = by_name[Path(row["path"]).name]
        best, second = np.argsort(-logits)[:2]
        assert [row["labels"], row["class1"], row["class2"]] == [
            loaded.classes[place] for place in (best, best, second)
        ]
        assert float(row["score1"]) == pytest.approx(np.exp(logits[best]) / np.exp(logits).sum(), abs=1e-5)
        assert f"{row['path']}  {row['class1']} {100 * float(row['score1']):.1f} %, {row['class2']} " in done.stdout
    with np.load(vectors) as content, torch.inference_mode():
        assert content["paths"].tolist() == [row["path"] for row in rows]
        logits = loaded.model.head(torch.from_numpy(content["embeddings"])).numpy()
    np.testing.assert_allclose(logits, [by_name[Path(row["path"]).name] for row in rows], **NEAR)


def test_logits_are_averaged_over_windows_as_in_the_trial(
    results: Path, data_root: Path, tmp_path: Path, one_thread: None
) -> None:
    recipe = {"source": "test", "values": {**TINY_RECIPE, "epochs": 1, "windows": "random"}}
    request = train(results, data_root, overrides=[recipe])
    export_trial(ResultStore(results), [request.id], tmp_path / "model", onnx=False)
    loaded, folder = benchmark.load_export(tmp_path / "model"), get_dataset("esc50").manifest(data_root).folder
    for name, logits in stored(results, request).items():
        np.testing.assert_allclose(loaded.predict(folder / name).logits, logits, **NEAR)
    assert "logits are averaged" in json.loads((tmp_path / "model" / "adapter.json").read_text())["front_end"]["longer"]


def test_bad_files_are_named_and_the_others_labelled(model: Path, data_root: Path, tmp_path: Path, cli: Cli) -> None:
    clip = next(get_dataset("esc50").manifest(data_root).folder.rglob("*.wav"))
    good = tmp_path / "good [red] name.wav"
    shutil.copy(clip, good)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("not audio")
    (tmp_path / "notes.txt").write_text("not looked at")
    done = cli("predict", model, tmp_path, "--json")
    assert done.returncode == 3
    assert [row["path"] for row in json.loads(done.stdout)] == [str(good)]
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0] == f"cannot be read: {tmp_path / 'empty.wav'}: is empty"
    assert lines[1].startswith(f"cannot be read: {tmp_path / 'text.mp3'}: cannot be decoded")
    assert str(good) in cli("predict", model, tmp_path).stdout


def test_arrays_are_labelled_like_files(model: Path, tmp_path: Path, one_thread: None) -> None:
    loaded = benchmark.load_export(model)
    stereo = (np.random.default_rng(0).uniform(-0.5, 0.5, (11_025, 2)) * 32767).astype(np.int16)
    soundfile.write(tmp_path / "stereo.wav", stereo, 22_050)
    expected = loaded.predict(str(tmp_path / "stereo.wav"))
    for sound in (stereo, (stereo / 32768).astype(np.float32), torch.from_numpy(stereo)):
        np.testing.assert_array_equal(loaded.predict(sound, 22_050).logits, expected.logits)  # type: ignore[arg-type]
    mono = decode(tmp_path / "stereo.wav")
    np.testing.assert_array_equal(loaded.predict(mono, 16_000).logits, expected.logits)
    assert str(expected).startswith(f"{tmp_path / 'stereo.wav'}: {expected.labels[0]} ")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: loaded.predict(mono), "rate: give the sample rate"),
        (lambda: loaded.predict(stereo.T, 22_050), r"expected \(samples,\) or \(samples, channels\), got \(2, 11025\)"),
        (lambda: loaded.predict(mono > 0, 16_000), "expected floats in .* got bool"),
        (lambda: loaded.predict(mono * np.nan, 16_000), "array: holds samples that are not finite"),
        (lambda: loaded.predict(mono[:0], 16_000), "array: holds no samples"),
        (lambda: loaded.predict(tmp_path / "none.wav"), "none.wav: cannot be read"),
        (lambda: loaded.predict(tmp_path / "stereo.wav", 22_050), "a file states its own sample rate"),
    ]
    for call, message in wrong:
        with pytest.raises(BenchmarkError, match=message):
            call()


def test_the_python_of_the_documentation_runs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPOSITORY / "docs" / "how-to" / "export.md").read_text()
    [code] = re.findall(r"```python\n(model = benchmark\.load_export.*?)```", text, flags=re.DOTALL)
    (tmp_path / "my-model").symlink_to(model)
    soundfile.write(tmp_path / "rain.wav", np.zeros(16_000), 16_000)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"benchmark": benchmark, "features": torch.zeros(2, 64, 128)}
    exec(code, names)
    assert capsys.readouterr().out.startswith("rain.wav: ")
    assert isinstance(names["logits"], torch.Tensor)
    assert names["logits"].shape == (2, 50)


def test_wrong_input_is_one_line(model: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "empty").mkdir()
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros(16_000), 16_000)
    for arguments, message in (
        ((model, tmp_path / "none"), f"{tmp_path / 'none'}: no such file or folder"),
        ((model, tmp_path / "empty"), "no audio files in this folder"),
        ((tmp_path / "none", sound), "none/adapter.safetensors: no such file"),
        ((model, sound, "--csv", tmp_path / "none" / "x.csv"), "expected a file in a folder that exists"),
        ((model, sound, "--embeddings", tmp_path), "expected a file in a folder that exists"),
        ((model, sound, "--threshold", "0.4"), "trained with exactly one label per sound"),
    ):
        done = cli("predict", *arguments)
        assert done.returncode == 2, done.stdout
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_several_labels_have_sigmoid_scores_and_a_threshold(
    results: Path, tmp_path: Path, cli: Cli, one_thread: None
) -> None:
    folder = tmp_path / "data" / "notes"
    folder.mkdir(parents=True)
    table = ["path,label,split"]
    for number, label in enumerate(("high|low", "high", "low", "high|low", "low", "high")):
        wave = 0.1 * np.random.default_rng(number).standard_normal(8000)
        soundfile.write(folder / f"{number}.wav", wave, 16_000)
        table.append(f"{number}.wav,{label},{'train' if number < 3 else 'test'}")
    (folder / "clips.csv").write_text("\n".join(table))
    assert cli("data", "prepare", "folder:notes", "--data-root", folder.parent).returncode == 0
    request = train(results, folder.parent, datasets=["folder:notes"], folds="all")
    done = cli("export", request.id, "--results", results, "--out", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "model" / "adapter.json").read_text())
    assert (card["scores"], card["several_labels"], card["threshold"]) == ("sigmoid", True, 0.5)
    assert card["data"]["licence"] == "your own"
    sounds = [folder / f"{number}.wav" for number in (3, 4, 5)]
    found = benchmark.predict(tmp_path / "model", sounds, threshold=0.0).found
    for prediction, logits in zip(found, stored(results, request).values(), strict=True):
        np.testing.assert_allclose(prediction.scores, 1 / (1 + np.exp(-logits)), **NEAR)
        assert set(prediction.labels) == {"high", "low"}
    done = cli("predict", tmp_path / "model", *sounds, "--threshold", "1")
    assert "3 files labelled; scores: sigmoid of the logits; labels: scores of at least 1" in done.stdout
    assert re.search(r"3\.wav +- +(high|low) ", done.stdout)


def test_the_onnx_model_takes_waveforms(
    results: Path, trial: TrialRequest, model: Path, data_root: Path, tmp_path: Path, cli: Cli
) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    refused = cli("export", trial.id, "--results", results, "--out", tmp_path / "out", "--with-frontend")
    assert refused.stderr == "error: --with-frontend: only the ONNX model can include it; add --onnx\n"
    done = cli("export", trial.id, "--results", results, "--out", tmp_path / "out", "--onnx", "--with-frontend")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "out" / "adapter.json").read_text())
    assert card["onnx"]["input"] == "waveform"
    assert card["onnx"]["front_end_error"] < 1e-4
    assert "onnxruntime" in card["latency"][1]["runtime"]
    assert "with front end" in card["latency"][1]["runtime"]
    session = runtime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    end, loaded = card["front_end"], benchmark.load_export(model)
    sounds = [decode(path) for path in sorted(get_dataset("esc50").manifest(data_root).folder.rglob("*.wav"))[:2]]
    for wave in (*sounds, sounds[0][:5000], sounds[0][:100]):
        logits, features = session.run(["logits", "spectrogram"], {"waveform": wave[np.newaxis]})
        np.testing.assert_allclose(logits[0], loaded.predict(wave, 16_000).logits, atol=1e-4, rtol=0)
        if len(wave) < end["window_samples"]:
            continue
        truth = kaldi.fbank(
            torch.from_numpy(wave).double().unsqueeze(0),
            sample_frequency=end["sample_rate"],
            frame_length=1000 * end["window_samples"] / end["sample_rate"],
            frame_shift=1000 * end["hop_samples"] / end["sample_rate"],
            window_type="hanning",
            preemphasis_coefficient=end["preemphasis"],
            remove_dc_offset=end["remove_dc_offset"],
            dither=end["dither"],
            num_mel_bins=end["mel_bands"],
            low_freq=end["low_hz"],
            high_freq=end["high_hz"],
        )[: end["frames"]]
        raw = features[0] * 2 * end["std"] + end["mean"]
        np.testing.assert_allclose(raw[: len(truth)], truth, atol=1e-4, rtol=0)
        np.testing.assert_allclose(raw[len(truth) :], end["padding"], atol=1e-5)


def test_transformers_reads_the_folder(
    results: Path,
    trial: TrialRequest,
    model: Path,
    data_root: Path,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "out"
    done = cli("export", trial.id, "--results", results, "--out", out, "--format", "hf")
    assert (done.returncode, done.stderr) == (0, "")
    assert "model.safetensors" in done.stdout
    clip = next(get_dataset("esc50").manifest(data_root).folder.rglob("*.wav"))
    wave, loaded = decode(clip), benchmark.load_export(model)
    expected = loaded.predict(clip)
    extractor = transformers.ASTFeatureExtractor.from_pretrained(out)
    network = transformers.ASTForAudioClassification.from_pretrained(out)
    with torch.inference_mode():
        logits = network(**extractor(wave, sampling_rate=16_000, return_tensors="pt")).logits[0]
    np.testing.assert_allclose(logits, expected.logits, atol=1e-4, rtol=0)
    assert network.config.id2label[int(logits.argmax())] == expected.labels[0]
    assert set(read_checkpoint(out).tensors) == set(loaded.model.backbone_tensors()) - {
        name for name in loaded.model.backbone_tensors() if ".lora." in name
    }
    card = (out / "README.md").read_text()
    for part in (
        "# AST with LoRA on ESC-50\n",
        "accuracy",
        "CC BY-NC 3.0",
        "synthetic audio",
        "random weights",
        "library_name: transformers",
    ):
        assert part in card
    [code] = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    shutil.copy(clip, out / "sound.wav")
    monkeypatch.chdir(out)
    exec(code)
    assert expected.labels[0] in capsys.readouterr().out
    done = cli("predict", out, clip)
    assert done.stderr == f"error: {out}: is a folder for transformers; export the trial without --format hf\n"


def test_logits_that_are_no_numbers_are_refused(
    results: Path, trial: TrialRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr(hugging_face, "full_and_padded", lambda _: [np.full(16_000, np.nan, np.float32)])
    with pytest.raises(BenchmarkError, match="transformers differs by nan"):
        export_trial(ResultStore(results), [trial.id], tmp_path / "out", onnx=False, form="hf")
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_not_utf8_keeps_its_bytes_in_the_table(
    model: Path, data_root: Path, tmp_path: Path, cli: Cli
) -> None:
    clip = next(get_dataset("esc50").manifest(data_root).folder.rglob("*.wav"))
    folder, table, vectors = tmp_path / "sounds", tmp_path / "labels.csv", tmp_path / "vectors.npz"
    folder.mkdir()
    name = os.fsdecode(b"r\xff.wav")
    try:
        shutil.copy(clip, folder / name)
    except OSError:
        pytest.skip("this file system has no such names")
    done = cli("predict", model, folder, "--csv", table, "--embeddings", vectors)
    assert done.returncode == 0, done.stderr
    assert b"r\xff.wav," in table.read_bytes().splitlines()[1]
    with np.load(vectors) as content:
        assert content["paths"].tolist() == [str(folder / name)]


def test_what_transformers_has_no_place_for_is_one_line(
    results: Path, trial: TrialRequest, data_root: Path, tmp_path: Path, cli: Cli
) -> None:
    pytest.importorskip("transformers")
    silence = train(results, data_root, protocol="reference", switches={"padding": "silence"})
    adapter = train(results, data_root, methods=["aat_m"])
    for request, reason in (
        (adapter, "aat_m: modules of the class Adapter cannot be merged into a layer"),
        (silence, "linear: short clips are padded with -15.9424 (protocol switch `padding`), not with 0"),
    ):
        done = cli("export", request.id, "--results", results, "--out", tmp_path / "out", "--format", "hf")
        assert done.returncode == 2
        assert done.stderr == (
            f"error: {reason}; the AST of transformers has no place for that: export it without --format hf\n"
        )
    assert not list(tmp_path.iterdir())
