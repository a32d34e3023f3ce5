"""Names that the command line offers as choices; nothing is imported, so that `--help` stays quick."""

from __future__ import annotations

from typing import Literal

Size = Literal["demo", "tiny", "small", "base"]
Objective = Literal["supervised", "ssast"]
