"""Compare the speed of the data path with the reference's: both on one CPU thread, in turn."""

from __future__ import annotations

import dataclasses
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torchaudio.compliance import kaldi

from benchmark.data.audio import RATE
from benchmark.data.audio_store import AudioStore
from benchmark.data.augmentation import MAX_GAIN, MAX_ROLL, MIXUP_BETA, draw
from benchmark.data.frontend import FrontEnd
from benchmark.data.loader import Clips
from benchmark.data.manifest import Clip
from benchmark.data.parallel import torch_threads
from benchmark.spec.recipe import Recipe, resolve_recipe

LENGTHS = {1: "speech_commands_v2", 5: "esc50", 10: "openmic", 30: "gtzan"}  # seconds and the recipe of that length
CLASSES = 10


@dataclass(frozen=True)
class Speed:
    """Clips per second at one length of clips, medians over the rounds; ours with a full cache.

    Attributes:
        seconds: length of a clip.
        recipe: dataset whose recipe is used.
        reference: of the reference, unmixed clips.
        reference_mixed: of the reference, mixed clips.
        mixed: of this suite, mixed clips.
        unmixed: of this suite, unmixed clips.
    """

    seconds: int
    recipe: str
    reference: float
    reference_mixed: float
    mixed: float
    unmixed: float

    @property
    def gain_mixed(self) -> float:
        """Return how many times faster than the reference mixed clips are."""
        return self.mixed / self.reference_mixed

    @property
    def gain_unmixed(self) -> float:
        """Return how many times faster than the reference unmixed clips are."""
        return self.unmixed / self.reference


def measure(rounds: int) -> Iterator[Speed]:
    """Time both data paths in turn, on noise with 16 kHz and 16 bits, the format of the reference's files.

    Args:
        rounds: measurements of each path, each with one batch of the recipe's size.
    """
    with torch_threads(1):
        for seconds, name in LENGTHS.items():
            with tempfile.TemporaryDirectory() as folder:
                yield _measure(Path(folder), seconds, name, rounds)


def _measure(folder: Path, seconds: int, dataset: str, rounds: int) -> Speed:
    recipe = resolve_recipe(dataset, backbone="ast", method="aat_ms", tuning="peft", overrides=[]).recipe
    count = recipe.batch_size
    clips = _write(folder, seconds, count)
    audio = AudioStore(folder, folder / "cache", recipe.mels)
    paths = {clip.path for clip in clips}
    audio.fill(audio.lacking(clips, paths), paths, stop=True)
    ours = Clips(audio, clips, CLASSES, _front_end(recipe))
    files = [folder / clip.path for clip in clips]
    positions = list(range(count))

    def batch(*, mixed: bool) -> None:
        draws = draw(np.random.default_rng(0), count, float(mixed))
        ours.front_end(ours[positions, draws].raw)

    tasks: dict[str, Callable[[], object]] = {
        "reference": lambda: [reference_features(files, i, recipe, mixed=False) for i in positions],
        "reference_mixed": lambda: [reference_features(files, i, recipe, mixed=True) for i in positions],
        "mixed": lambda: batch(mixed=True),
        "unmixed": lambda: batch(mixed=False),
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(rounds + 1):
        for name, work in tasks.items():
            start = time.perf_counter()
            work()
            if turn:  # the first turn warms up
                times[name].append(time.perf_counter() - start)
    return Speed(seconds, dataset, **{name: count / statistics.median(taken) for name, taken in times.items()})


def _write(folder: Path, seconds: int, count: int) -> list[Clip]:
    rng = np.random.default_rng(0)
    for number in range(count):
        soundfile.write(folder / f"{number}.wav", rng.normal(0, 0.1, seconds * RATE), RATE, subtype="PCM_16")
    return [Clip.at(folder, f"{number}.wav", (number % CLASSES,), place="speed") for number in range(count)]


def _front_end(recipe: Recipe) -> FrontEnd:
    names = {field.name for field in dataclasses.fields(FrontEnd)} & set(Recipe.model_fields)
    return FrontEnd(fill=0.0, **recipe.model_dump(include=names))


def reference_features(files: list[Path], index: int, recipe: Recipe, *, mixed: bool) -> torch.Tensor:
    """Compute features as the official data loader does, but read the file with soundfile.

    Source: AAT@dc406ad src/dataloader.py.

    Args:
        files: 16 kHz mono.
        index: position of the clip in `files`.
        recipe: settings of the features.
        mixed: whether another clip is mixed in.

    Returns:
        (frames, mels) features.
    """
    wave = _reference_wave(files[index])
    if mixed:
        other = _reference_wave(files[random.randrange(len(files))])
        share = float(np.random.beta(MIXUP_BETA, MIXUP_BETA))
        wave = share * wave + (1 - share) * other
        wave = wave - wave.mean()
    bank = kaldi.fbank(
        wave,
        htk_compat=True,
        sample_frequency=RATE,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=recipe.mels,
        dither=0.0,
        frame_shift=10,
    )
    missing = recipe.frames - len(bank)
    bank = torch.nn.functional.pad(bank, (0, 0, 0, missing)) if missing > 0 else bank[: recipe.frames]
    image = bank.T.unsqueeze(0)
    image = torchaudio.transforms.FrequencyMasking(recipe.freq_mask)(image)
    image = torchaudio.transforms.TimeMasking(recipe.time_mask)(image)
    features: torch.Tensor = (image.squeeze(0).T - recipe.mean) / (recipe.std * 2)
    if recipe.noise:
        features = features + torch.rand(features.shape) * np.random.rand() * MAX_GAIN
        features = torch.roll(features, np.random.randint(-MAX_ROLL, MAX_ROLL), 0)
    return features


def _reference_wave(path: Path) -> torch.Tensor:
    wave = torch.from_numpy(soundfile.read(path, dtype="float32", always_2d=True)[0].T)
    return wave - wave.mean()
