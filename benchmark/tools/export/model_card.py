"""The model card of an exported trial, `README.md`: data, licence, scores, marks, use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmark.tools.export.card import Card

SHOWN = 50  # classes that are listed


def model_card(card: Card) -> str:
    """Return the model card in Markdown, with the fields in front that the Hugging Face hub reads."""
    return "\n".join([*_fields(card), "", *_text(card), ""])


def _fields(card: Card) -> Iterator[str]:
    yield "---"
    if card.hugging_face:
        yield "library_name: transformers"
    yield "pipeline_tag: audio-classification"
    yield "license: other"
    yield "tags: [audio-classification, audio-spectrogram-transformer, aat-benchmark]"
    yield "---"


def _text(card: Card) -> Iterator[str]:
    request, data, end = card.request, card.data, card.front_end
    yield f"# {plain(card.title)}"
    yield ""
    yield (
        f"Backbone {plain(request.backbone.variant)}, method {plain(request.method.variant)}, dataset "
        f"{plain(data.name)}, fine-tuned by the AAT benchmark as trial {card.trial}."
    )
    if card.marks:
        yield ""
        yield f"**Not comparable with the paper: {plain('; '.join(card.marks))}.**"
    yield ""
    yield "## Scores"
    yield ""
    score = "not finite" if card.score is None else f"{100 * card.score:.2f} %"
    yield f"- {card.metric} {score} on the {card.split} split, fold {request.fold}, seed {request.seed}: of one model"
    yield f"- weights after epoch {card.epoch} of {request.recipe.epochs}{f'; {card.note}' if card.note else ''}"
    yield f"- protocol {plain(request.protocol.name)}; the whole request is in `adapter.json`"
    yield ""
    yield "## Data and licence"
    yield ""
    home = f", <{data.homepage}>" if data.homepage else ""
    yield f"- trained on {plain(data.label)}{home}: {_counts(data.used)}; kind of copy: {data.kind}"
    yield f"- licence of the audio: {plain(data.licence)}. It may restrict how the model may be used."
    yield f"- backbone: {plain(card.backbone.variant)}, {_origin(card)}; its licence holds for this model, too"
    yield ""
    yield "## Input and output"
    yield ""
    yield (
        f"- input: {end.sample_rate} Hz, channels averaged; {end.mel_bands} log-mel bands, {end.frames} frames of "
        f"10 ms; mean {end.mean:g}, std {end.std:g}; every number is in `adapter.json` under `front_end`"
    )
    yield f"- longer recordings: {end.longer}. ONNX models and transformers use the first frames of what they get."
    labels = f"each class with a score of at least {card.threshold:g}" if card.several_labels else "the highest score"
    yield f"- scores: {card.scores} of the logits; labels: {labels}"
    shown = ", ".join(plain(name) for name in card.classes[:SHOWN])
    yield f"- {len(card.classes)} classes: {shown}{', ...' if len(card.classes) > SHOWN else ''}"
    yield ""
    yield "## Use"
    yield ""
    yield "```python"
    yield from _use(card)
    yield "```"


def _use(card: Card) -> Iterator[str]:
    if card.hugging_face:
        yield "import soundfile"
        yield "from transformers import pipeline"
        yield ""
        yield 'samples, rate = soundfile.read("sound.wav", dtype="float32", always_2d=True)'
        yield 'classify = pipeline("audio-classification", model=".")'
        yield 'print(classify({"raw": samples.mean(1), "sampling_rate": rate}))'
    else:
        yield "import benchmark"
        yield ""
        yield 'print(benchmark.load_export(".").predict("sound.wav"))'


def _origin(card: Card) -> str:
    if card.backbone.weights.startswith("random:"):
        return "not pre-trained (random weights)"
    where = f" from <{card.backbone.urls[0]}>" if card.backbone.urls else ""
    return f"weights {plain(card.backbone.weights)}{where}, sha256 {card.backbone.sha256}"


def _counts(used: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name} clips" for name, count in used.items())


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line: names of classes are the user's."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>#|~$!&])", r"\\\1", one_line)
