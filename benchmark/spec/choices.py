"""Choices that the command line offers; without imports, so that `--help` stays quick."""

from __future__ import annotations

from typing import Literal

Size = Literal["demo", "mini", "tiny", "small", "base"]
Objective = Literal["supervised", "ssast"]
Optimizer = Literal["adam", "muon"]
