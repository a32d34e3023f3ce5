"""AdamW without the import of torch's compiler."""

from __future__ import annotations

import inspect

import torch


class AdamW(torch.optim.AdamW):
    """torch's AdamW, whose methods do not import `torch._dynamo`.

    torch decorates these methods so that a compiler would not trace them. The decorators import the compiler at the
    first call, which takes a fresh worker over a second. Nothing here compiles an optimizer, so its methods are used
    without their decorators. What they compute is torch's.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
