"""A base of torch's dispatch modes."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class PlainMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that torch does not protect from its compiler.

    The protection imports the compiler, which takes seconds, and then a quarter of the mode's time.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
