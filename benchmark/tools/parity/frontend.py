"""Compare the front end with the reference's, and with its seeded data pipeline."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from benchmark.data.audio import remove_mean
from benchmark.data.augmentation import MAX_GAIN, MAX_ROLL, MIXUP_BETA, spans
from benchmark.data.frontend import (
    LOG_FLOOR,
    NOISE_LEVELS,
    Augmentation,
    FrontEnd,
    Mixture,
    RawBatch,
    filter_bank,
    fit,
)
from benchmark.errors import BenchmarkError
from benchmark.tools.parity.case import Case, Content, Outcome, beyond, gap, unknown_case

TOLERANCE = 1e-4
RATE = 16_000
DEFAULTS = {"mean": -6.6268077, "std": 5.358466, "mixup": 0.0, "noise": False}
PARTS = {"how_to_make_the_waveforms", "fbank", "dataset_pipeline_with_fixed_rng", "facts"}


def frontend_cases(content: Content) -> Iterator[Case]:
    """Yield each case of the `frontend` part."""
    for key in sorted(set(content) - PARTS):
        yield unknown_case("front end", key)
    for case in content.get("fbank", []):
        yield Case("filter bank", f"{case['wav']} {case['samples']} samples", partial(_filter_bank, case))
    for case in content.get("dataset_pipeline_with_fixed_rng", []):
        yield Case("pipeline", case["name"], partial(_pipeline, case))
    if "facts" in content:
        yield Case("front end", "facts", partial(_facts, content["facts"]))


def waveform(seed: int, samples: int) -> torch.Tensor:
    """Return a waveform by the golden rule: two tones in noise, as decoded 16-bit samples minus their mean."""
    r, t = np.random.RandomState(seed), np.arange(samples) / RATE
    x = 0.1 * r.standard_normal(samples) + 0.3 * np.sin(2 * np.pi * 440 * t)
    x = np.clip(x + 0.2 * np.sin(2 * np.pi * 3100 * t + 1) + 0.01, -1, 1)
    pcm = np.round(x * 32767).astype(np.int16)
    return torch.from_numpy(remove_mean((pcm / 32768).astype(np.float32)))


def _filter_bank(case: Content) -> Outcome:
    wave = waveform(case["seed"], case["samples"])
    bank = _padded_bank(wave, case["target_length"])[0]
    error, problems = _summary_gap(bank, case["unnormalised"])
    for key, expected in case.items():
        if match := re.fullmatch(r"normalised_mean(-?[\d.]+)_std([\d.]+)", key):
            front_end = _front_end({"T": case["target_length"], "mean": float(match[1]), "std": float(match[2])})
            normalised, more = _summary_gap(front_end(RawBatch(bank.unsqueeze(0), None, None))[0], expected)
            error, problems = max(error, normalised), problems + more
    return Outcome("filter bank", f"{case['wav']} {case['samples']} samples", None, error, tuple(problems))


def _pipeline(case: Content) -> Outcome:
    """Compute items with the reference's random draws, in its order of calls, in this suite's front end."""
    conf = {**DEFAULTS, **case["conf"]}
    front_end, files = _front_end(conf), list(case["dataset_files"].values())
    seeds = {int(seed) for seed in re.findall(r"seed\((\d+)\)", case["seeds"])}
    if len(seeds) != 1:
        raise BenchmarkError(f"seeds '{case['seeds']}': expected one seed for all generators")
    seed = seeds.pop()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    worst, problems = 0.0, []
    for item in case["items"]:
        features, target = _item(files, item["index"], conf, front_end)
        error, found = _summary_gap(features, item["fbank"])
        label = gap(target, item["label"])
        worst = max(worst, error)
        problems += [f"item {item['index']}: {text}" for text in [*found, *beyond("label", label, 1e-6)]]
    return Outcome("pipeline", case["name"], None, worst, tuple(problems))


def _item(files: list[Content], index: int, conf: Content, front_end: FrontEnd) -> tuple[torch.Tensor, np.ndarray]:
    file = files[index]
    wave, target, mixture = waveform(file["seed"], file["samples"]), np.zeros(len(files)), None
    target[file["label_index"]] = 1.0
    if random.random() < conf["mixup"]:
        other = files[random.randint(0, len(files) - 1)]
        weight = np.random.beta(MIXUP_BETA, MIXUP_BETA)
        mixture = _mixture(wave, waveform(other["seed"], other["samples"]), weight)
        target *= weight
        target[other["label_index"]] += 1 - weight
    freq, time = (
        torch.from_numpy(np.stack(spans(torch.rand(1, 2).numpy(), bound, size), axis=1))
        for bound, size in ((front_end.freq_mask, front_end.mels), (front_end.time_mask, front_end.frames))
    )
    noise, gain, roll = None, 0.0, 0
    if conf["noise"]:
        noise = torch.rand(1, front_end.frames, front_end.mels) * NOISE_LEVELS
        gain, roll = np.random.rand() * MAX_GAIN, np.random.randint(-MAX_ROLL, MAX_ROLL)
        noise = torch.roll(noise, roll, dims=1)  # the reference also rolls the noise
    draws = Augmentation(freq, time, torch.tensor([gain], dtype=torch.float32), torch.tensor([roll]), noise)
    banks = torch.roll(_padded_bank(wave, front_end.frames), roll, dims=1)
    return front_end(RawBatch(banks, mixture, draws))[0], target


def _mixture(first: torch.Tensor, second: torch.Tensor, weight: float) -> Mixture:
    """Return a batch of one mixed clip."""
    other = torch.zeros(1, len(first))
    other[0, : len(second)] = second[: len(first)]
    share = torch.tensor([weight], dtype=torch.float32)
    return Mixture(torch.tensor([0]), first.unsqueeze(0), other, share, torch.tensor([len(first)]))


def _padded_bank(wave: torch.Tensor, frames: int) -> torch.Tensor:
    """Return the (1, frames, 128) filter bank of a waveform, padded with zeros."""
    return fit(filter_bank(wave.unsqueeze(0), 128), frames, 0.0)


def _facts(facts: Content) -> Outcome:
    """Compare numbers of frames, the value of silence, and the value of masked and padded cells."""
    problems = [
        f"{samples} samples give {len(filter_bank(torch.zeros(1, int(samples)), 128)[0])} frames instead of {frames}"
        for samples, frames in facts["frames"].items()
        if filter_bank(torch.zeros(1, int(samples)), 128).shape[1] != frames
    ]
    silence = abs(float(filter_bank(torch.zeros(1, 1000), 128).max()) - facts["fbank_silence_value"])
    floor = abs(LOG_FLOOR - facts["fbank_silence_value"])
    short = RawBatch(_padded_bank(torch.zeros(400), 128), None, None)
    padded = float(_front_end({"T": 128, **DEFAULTS})(short)[0, -1, -1])
    error = max(silence, floor, abs(padded - facts["masked_and_padded_value_expected"]))
    return Outcome("front end", "facts", None, error, (*problems, *beyond("a fact", error, TOLERANCE)))


def _front_end(conf: Content) -> FrontEnd:
    return FrontEnd(
        mels=128,
        frames=conf["T"],
        mean=conf["mean"],
        std=conf["std"],
        freq_mask=conf.get("freqm", 0),
        time_mask=conf.get("timem", 0),
        fill=0.0,
        noise=False,  # its draws are supplied
    )


def _summary_gap(bank: torch.Tensor, expected: Content) -> tuple[float, list[str]]:
    """Return the largest error over the cells and means that the file has of a filter bank, and problems."""
    if list(bank.shape) != expected["shape"]:
        return float("inf"), [f"shape {list(bank.shape)} instead of {expected['shape']}"]
    values = bank.double().numpy()
    pairs = [
        (values.ravel()[: len(expected["first"])], expected["first"]),
        (values.ravel()[-len(expected["last"]) :], expected["last"]),
        (values[:8].mean(1), expected["row_means_first8"]),
        (values.mean(0)[::16], expected["col_means_every16"]),
        (np.abs(values).mean(), expected["mean_abs"]),
        (values.mean(), expected["sum"] / values.size),
    ]
    pairs += [(values[tuple(map(int, place.split(",")))], value) for place, value in expected["at"].items()]
    error = max(gap(found, wanted) for found, wanted in pairs)
    zero_rows = int((values == 0).all(1).sum())
    problems = list(beyond("a value", error, TOLERANCE))
    if zero_rows != expected["n_zero_rows"]:
        problems.append(f"{zero_rows} rows of zeros instead of {expected['n_zero_rows']}")
    return error, problems
