"""Conformance checks of methods and backbones: small models with random weights, no data, on the CPU.

`python -m benchmark check` runs these checks. A package that brings a method or a backbone runs the same ones in its
tests, with `MethodConformance` and `BackboneConformance`.
"""

from __future__ import annotations

from benchmark.testing.backbones import BackboneConformance, conform_backbone, run_backbone_check
from benchmark.testing.findings import Fault, Finding
from benchmark.testing.methods import CHECKS, MethodConformance, conform, run_check

__all__ = [
    "CHECKS", "BackboneConformance", "Fault", "Finding", "MethodConformance", "conform", "conform_backbone",
    "run_backbone_check", "run_check",
]  # fmt: skip
