"""How a backbone is fine-tuned: the contract, the registry and composition. Methods live in `baselines/`."""

from benchmark.methods.contract import Method, ParamGroup
from benchmark.methods.registry import register

__all__ = ["Method", "ParamGroup", "register"]
