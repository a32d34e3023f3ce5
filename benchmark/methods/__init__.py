"""Fine-tuning methods: their contract, registry and composition. The suite's methods are in `baselines/`."""

from benchmark.methods.contract import SHARES, Method, ParamGroup
from benchmark.methods.registry import register

__all__ = ["SHARES", "Method", "ParamGroup", "register"]
