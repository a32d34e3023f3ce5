"""How a backbone is fine-tuned: the contract, the registry and composition. Methods live in `baselines/`."""

from benchmark.methods.contract import SHARES, Method, ParamGroup
from benchmark.methods.registry import register

__all__ = ["SHARES", "Method", "ParamGroup", "register"]
