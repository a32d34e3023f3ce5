"""Train a backbone on audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import checked
from benchmark.api.device import choose_device
from benchmark.api.folders import cache_folder
from benchmark.console import counting, say, stderr_console
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.spec.choices import Objective, Optimizer, Size
    from benchmark.spec.pretraining import Pretraining
    from benchmark.tools.pretrain.audio import Audio

OFFICIAL_FRAMES = 1024  # of which the official time masks are a share
WEIGHT_DECAY = {"adam": 5e-7, "muon": 0.05}


@dataclass(frozen=True)
class PretrainResult:
    """A pre-trained checkpoint.

    Attributes:
        checkpoint: the file that was written.
        sha256: its digest.
        run: every setting that decided the weights.
        report: losses and scores by epoch and the environment, as in the JSON file beside the checkpoint.
    """

    checkpoint: Path
    sha256: str
    run: Pretraining
    report: dict[str, Any]

    @property
    def backbone(self) -> str:
        """The checkpoint as a backbone of `run`."""
        name = "ast" if self.run.objective == "supervised" else "ssast"
        return f"{name}[size={self.run.size};weights={self.checkpoint}]"

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain data, for JSON."""
        return {
            "checkpoint": str(self.checkpoint),
            "sha256": self.sha256,
            "backbone": self.backbone,
            "settings": self.run.model_dump(mode="json"),
            "report": self.report,
        }


@checked
def pretrain(
    objective: Objective,
    audio: str | Path,
    out: str | Path,
    *,
    size: Size = "base",
    frames: int = 1024,
    stride: int | None = None,
    epochs: int = 10,
    batch_size: int = 24,
    lr: float | None = None,
    optimizer: Optimizer = "adam",
    freq_mask: int | None = None,
    time_mask: int | None = None,
    patchout: float = 0.0,
    seed: int = 0,
    init: str | Path | None = None,
    cache: str | Path | None = None,
    device: str | None = None,
    console: Console | None = None,
    progress_console: Console | None = None,
) -> PretrainResult:
    """Train a Transformer on the user's own audio, and write a checkpoint for `ast[weights=FILE]` or `ssast[...]`.

    The same call continues an interrupted one from its last epoch.

    Args:
        objective: `supervised` (tagging, as AST) or `ssast` (masked-patch classification and reconstruction).
        audio: folder of audio; for `supervised` with `clips.csv` or one folder per class.
        out: checkpoint to write; a report is written beside it as `.json`.
        size: size of the Transformer.
        frames: length of a clip in frames of 10 ms; longer clips are cut.
        stride: stride of the patches, in bands and frames; None for the official one (AST 10, SSAST 16).
        epochs: passes over the audio.
        batch_size: clips per step.
        lr: highest learning rate; None for the official one (AST 1e-5, SSAST 1e-4).
        optimizer: `adam` as AST and SSAST, or `muon` for the matrices of the blocks, with AdamW for the rest.
        freq_mask: SpecAugment, most mel bands; None for the official value.
        time_mask: SpecAugment, most frames; None for the official share of the frames.
        patchout: share of the patches that each step leaves out, which makes it faster; for `supervised`.
        seed: seed of weights, order and masks.
        init: checkpoint that training starts from, of the same size; None for random weights.
        cache: as for `run`.
        device: `cpu` or `cuda`; None for `cuda` if there is a GPU.
        console: where a line per epoch is printed; None for stderr, `Console(quiet=True)` for silence.
        progress_console: where progress within an epoch is shown; None for `console`.

    Raises:
        BenchmarkError: a wrong argument, too little audio, a loss that is not finite, a file that exists already, or a
            checkpoint that cannot be read or has another architecture.

    Example:
        >>> pretrain("ssast", "DIR", "my-ssast.pth", size="tiny").backbone
    """
    import torch

    from benchmark.data.parallel import torch_threads, usable_cores
    from benchmark.models.checkpoint import read_checkpoint
    from benchmark.models.weights import digest
    from benchmark.spec.pretraining import OFFICIAL, Pretraining
    from benchmark.spec.yaml import validate
    from benchmark.tools.pretrain.audio import read_audio
    from benchmark.tools.pretrain.objectives import model_config
    from benchmark.tools.pretrain.run import make_batches
    from benchmark.tools.pretrain.run import pretrain as train

    out, console = Path(out), console or stderr_console()
    start = None if init is None else read_checkpoint(Path(init))
    where = torch.device(choose_device(device))
    if out.exists():
        raise BenchmarkError(f"{out}: is there already; remove it to train again from scratch")
    if out.parent.exists() and not out.parent.is_dir():
        raise BenchmarkError(f"{out.parent}: not a folder")
    official = OFFICIAL[objective]
    strides = (stride, stride) if stride else official.stride
    if objective == "ssast" and strides != official.stride:
        raise BenchmarkError("--stride: the masked patches of ssast must not overlap, their stride is 16")
    if objective == "ssast" and patchout:
        raise BenchmarkError("--patchout: ssast hides patches itself; it is for supervised")
    masked_frames = frames * official.time_mask // OFFICIAL_FRAMES if time_mask is None else time_mask
    with torch_threads(usable_cores()), counting(progress_console or console) as progress:
        found = read_audio(Path(audio), objective, frames, cache_folder(cache), progress)
        for line in found.left_out:
            say(console, f"left out: {line}")
        values = {
            "objective": objective,
            "size": size,
            "frames": frames,
            "stride": strides,
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr or official.lr,
            "freq_mask": official.freq_mask if freq_mask is None else freq_mask,
            "time_mask": min(masked_frames, frames),
            "patchout": patchout,
            "optimizer": optimizer,
            "weight_decay": WEIGHT_DECAY[optimizer],
            "seed": seed,
            "init": None if init is None else digest(Path(init)),
            **_settings_of_audio(found, objective),
        }
        run = validate(Pretraining, values, "pretrain")
        patches = " x ".join(map(str, model_config(run).grid))
        say(
            console,
            f"{objective}, {size}: {run.clips['training']} clips, {run.clips['held out']} held out, "
            f"{patches} patches; mean {run.mean}, std {run.std}",
        )
        report = train(
            run,
            make_batches(run, found, where),
            out,
            multi_label=found.manifest.info.multi_label,
            device=where,
            progress=progress,
            after_epoch=lambda epoch: say(console, _epoch_line(epoch)),
            start=start,
        )
    return PretrainResult(out, report["sha256"], run, report)


def _settings_of_audio(audio: Audio, objective: Objective) -> dict[str, Any]:
    """Return the settings that the audio decides."""
    return {
        "mean": round(audio.level.mean, 4),
        "std": round(audio.level.std, 4),
        "classes": len(audio.manifest.info.classes) if objective == "supervised" else 0,
        "clips": audio.counts,
        "audio": audio.manifest.digest,
    }


def _epoch_line(values: dict[str, float]) -> str:
    number = int(values["epoch"])
    rest = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in values.items() if name != "epoch")
    return f"epoch {number}: {rest}"
