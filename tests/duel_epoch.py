"""Whole epochs of the official implementation and of this one, in turns: loader, steps and evaluation.

Both read the same generated WAV files (16 kHz, mono, 5 s, in the layout of ESC-50: 64 training and 16 test clips), with
the same recipe, batch and size of the model, and random weights. The official side runs its `AudiosetDataset`, the
loaders of its `run.py`, and its `train`, which validates after each epoch; ours runs a trial. The first turn of each
side is printed apart: it includes model and data set-up, ours also filling the audio cache. Neither saves weights. CPU
time is that of all processes of a side: on a machine with other work, its ratio is steadier than that of the time. Of
each pair of columns, the first is the official side's.

What differs: augmentation is drawn at random, so losses differ, and only the numbers of training clips and batches are
compared. Our evaluation computes frozen blocks once.
`torchaudio.load` of this version needs another library, so that the official side reads its files by soundfile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from tests.duel_sides import READY, Case, Side, alternate, answers, both_sides, find_official

CLASSES, PRESENT, PER_FOLD = 50, 8, 2  # of ESC-50; those with clips; clips of each in every fold
FOLD, RATE = 1, 16_000
SIZES = {"tiny224": "tiny", "small224": "small", "base224": "base", "base384": "base"}  # official: ours
MANY = 10_000  # epochs: the duel ends both sides earlier

EPOCH_TABLE = """
| method | frames | official s | ours s | ratio | CPU s | CPU s | ratio | first s | first s | clips | batches |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
EPOCH_ROW = (
    "| {method} | {frames} | {official_s:.2f} | {ours_s:.2f} | {time_ratio:.3f} | {official_cpu_s:.2f} | "
    "{ours_cpu_s:.2f} | {cpu_ratio:.3f} | {official_first_s:.2f} | {ours_first_s:.2f} | {clips_seen} | {batches_seen} |"
)


@dataclass(frozen=True)
class EpochCase(Case):
    """Whole epochs; the official side loads with `loaders` processes."""

    loaders: int


class EndOfTurns(Exception):  # noqa: N818
    """No turn is asked for any more."""


class Turns:
    """The epochs of a side: waits for each to be asked for, and answers with its seconds, clips and batches.

    Args:
        answer: where the answers go.
    """

    def __init__(self, answer: TextIO) -> None:
        self._answer = answer
        self._start = self._cpu_start = 0.0
        self.clips = self.batches = 0

    def wait(self) -> None:
        """Wait until an epoch is asked for.

        Raises:
            EndOfTurns: none is.
        """
        if not sys.stdin.readline():
            raise EndOfTurns
        self.clips = self.batches = 0
        self._start, self._cpu_start = time.perf_counter(), _cpu_seconds()

    def end(self) -> None:
        """Answer at the end of an epoch."""
        found = {
            "seconds": time.perf_counter() - self._start,
            "cpu_seconds": _cpu_seconds() - self._cpu_start,
            "clips": self.clips,
            "batches": self.batches,
        }
        print(json.dumps(found), file=self._answer)

    def count(self, batch: Any) -> None:
        """Count a batch of training or evaluation."""
        self.clips += len(batch[0])
        self.batches += 1


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of its processes that ended, such as the loaders of an official epoch."""
    return sum(os.times()[:4])


def write_data(data: Path) -> None:
    """Write the clips in ESC-50's layout, and the lists of them that the official loader reads."""
    import soundfile

    from benchmark.data.audio import decode
    from benchmark.data.registry import get_dataset

    dataset = get_dataset("esc50")
    folder = dataset.synthesize(data, classes=PRESENT, clips_per_class=PER_FOLD, seed=0)  # type: ignore[attr-defined]
    for path in (folder / "audio").glob("*.wav"):
        soundfile.write(path, decode(path), RATE, subtype="PCM_16")
    manifest = dataset.manifest(data)
    for name, positions in manifest.splits(FOLD).items():
        clips = [manifest.clips[position] for position in positions]
        listed = [{"wav": str(folder / clip.path), "labels": f"/m/{clip.labels[0]}"} for clip in clips]
        (data / f"{name}.json").write_text(json.dumps({"data": listed}))
    rows = [f"{index},/m/{index},{index}" for index in range(CLASSES)]
    (data / "labels.csv").write_text("\n".join(["index,mid,display_name", *rows]))


def make_request(case: EpochCase, data: Path) -> Any:
    """Return our trial; its recipe is also that of the official side."""
    from benchmark.planning.expand import expand
    from tests.conftest import tiny_grid

    grid = tiny_grid(
        backbones=[f"ast[size={SIZES[case.size]};weights=random:0]"],
        methods=[case.method],
        folds=[FOLD],
        overrides=[{"source": "duel", "values": {"frames": case.frames, "batch_size": case.clips, "epochs": MANY}}],
    )
    return expand(grid, data, data).requests[0]


def run_official(case: EpochCase, turns: Turns, request: Any, data: Path) -> Callable[[], None]:
    """Return the official training; what it imports is imported."""
    import dataloader  # type: ignore[import-not-found]
    import soundfile
    import torch
    import torchaudio
    import traintest  # type: ignore[import-not-found]
    from models.ast_models import ASTModel  # type: ignore[import-not-found]

    def load(path: str) -> tuple[torch.Tensor, int]:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(wave.T), rate

    torchaudio.load = load
    torch.save = lambda *_: None
    recipe = request.recipe

    class Loader:
        """The loader of `run.py`; training begins an epoch with it."""

        def __init__(self, split: str, clips: int, *, training: bool) -> None:
            masks = (recipe.freq_mask, recipe.time_mask) if training else (0, 0)
            settings = {
                "num_mel_bins": recipe.mels, "target_length": recipe.frames, "freqm": masks[0], "timem": masks[1],
                "mixup": recipe.mixup if training else 0, "dataset": "esc50", "mean": recipe.mean, "std": recipe.std,
                "mode": "train" if training else "evaluation", "noise": recipe.noise and training,
            }  # fmt: skip
            self.dataset = dataloader.AudiosetDataset(
                str(data / f"{split}.json"), label_csv=str(data / "labels.csv"), audio_conf=settings
            )
            self._loader = torch.utils.data.DataLoader(
                self.dataset, batch_size=clips, shuffle=training, num_workers=case.loaders, pin_memory=True
            )
            self._training, self._epochs = training, 0

        def __len__(self) -> int:
            return len(self._loader)

        def __iter__(self) -> Iterator[Any]:
            if self._training and self._epochs:
                turns.end()
                turns.wait()
            self._epochs += 1
            for batch in self._loader:
                if self._training:
                    turns.count(batch)
                yield batch

    def run() -> None:
        model = ASTModel(**case.official_arguments(CLASSES), verbose=False)
        arguments = argparse.Namespace(
            exp_dir=str(data / "official"), lr=recipe.lr, metrics="acc", loss="CE", warmup=False, dataset="esc50",
            n_epochs=MANY, n_print_steps=100, save_model=False, wa=False, lrscheduler_start=recipe.decay_start,
            lrscheduler_step=recipe.decay_step, lrscheduler_decay=recipe.decay_gamma,
        )  # fmt: skip
        (data / "official" / "models").mkdir(parents=True)
        loaders = Loader("train", case.clips, training=True), Loader("test", 2 * case.clips, training=False)
        traintest.train(model, *loaders, arguments)

    return run


def run_ours(case: EpochCase, turns: Turns, request: Any, data: Path) -> Callable[[], None]:
    """Return our trial; what it imports is imported."""
    from benchmark.data.loader import Batches
    from benchmark.data.order import TrainingOrder
    from benchmark.planning.packing import Share
    from benchmark.spec.options import RunOptions
    from benchmark.trial.cost import count_cost
    from benchmark.trial.run import Setting, run_trial

    original = Batches.__iter__

    def counted(batches: Batches) -> Iterator[Any]:
        for batch in original(batches):
            if isinstance(batches.items, TrainingOrder):
                turns.count(batch)
            yield batch

    Batches.__iter__ = counted  # type: ignore[method-assign]

    def report(_: object) -> None:
        turns.end()
        turns.wait()

    gpu = case.device == "cuda"
    setting = Setting(
        data / "ours",
        RunOptions(data, data / "cache", compile=case.compiled),
        device=case.device,
        threads=case.threads,
        workers=Share(case.threads, float(gpu)).workers,
        cost=count_cost(request, CLASSES),  # as a run has it before its trials
    )
    return lambda: run_trial(request, setting, report) and None


def serve_epochs(side: str, case: EpochCase, folder: Path, timm: Path, data: Path) -> None:
    """Train an epoch for every line of stdin and answer with a line."""
    answer = answers()
    if side == "official":
        find_official(folder, timm)
    import torch

    torch.set_num_threads(case.threads)
    turns, request = Turns(answer), make_request(case, data)
    run = (run_official if side == "official" else run_ours)(case, turns, request, data)
    print(READY, file=answer)
    with contextlib.suppress(EndOfTurns):
        turns.wait()
        run()


def compare_epochs(case: EpochCase, options: argparse.Namespace) -> dict[str, Any]:
    """Let both sides train epochs in turns; return medians and ratios of all but the first.

    Raises:
        SystemExit: a side saw other numbers of clips or batches.
    """
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        write_data(data)
        with both_sides(case, options, "--data", temporary) as sides:
            alternate(sides, 1 + options.steps)
    return {**asdict(case), **_compared(*sides)}


def _compared(official: Side, ours: Side) -> dict[str, Any]:
    seen = {(turn["clips"], turn["batches"]) for side in (official, ours) for turn in side.turns}
    if len(seen) > 1:
        raise SystemExit(f"epochs differ in their clips and batches: {sorted(seen)}")
    [(clips, batches)] = seen
    return {
        **_medians(official, ours, "seconds", "s", "time_ratio"),
        **_medians(official, ours, "cpu_seconds", "cpu_s", "cpu_ratio"),
        "official_first_s": official.turns[0]["seconds"],
        "ours_first_s": ours.turns[0]["seconds"],
        "clips_seen": clips,
        "batches_seen": batches,
    }


def _medians(official: Side, ours: Side, of: str, unit: str, ratio: str) -> dict[str, float]:
    """Return both medians over the epochs after the first, and the median ratio of the pairs.

    Args:
        official: the official side.
        ours: our side.
        of: entry of the answers.
        unit: end of the names of the medians.
        ratio: name of the ratio.
    """
    pairs = [(one[of], other[of]) for one, other in zip(official.turns[1:], ours.turns[1:], strict=True)]
    return {
        f"official_{unit}": statistics.median(one for one, _ in pairs),
        f"ours_{unit}": statistics.median(other for _, other in pairs),
        ratio: statistics.median(other / one for one, other in pairs),
    }
