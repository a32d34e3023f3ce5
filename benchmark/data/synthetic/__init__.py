"""Synthetic audio: sounds that differ between classes, with variation between clips. Never real data."""

from __future__ import annotations

from benchmark.data.synthetic.music import genre, instruments
from benchmark.data.synthetic.room import record
from benchmark.data.synthetic.scene import scene
from benchmark.data.synthetic.sound import Sound, Wave, clip_seed, write_table
from benchmark.data.synthetic.speech import word
from benchmark.data.synthetic.spoken import spoken
from benchmark.data.synthetic.texture import event, texture

__all__ = [
    "Sound", "Wave", "clip_seed", "event", "genre", "instruments", "record", "scene", "spoken", "texture", "word",
    "write_table",
]  # fmt: skip
