"""PyTorch's optimizers without what they load to be compiled."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch
from torch import optim


def uncompiled(kind: type[optim.Optimizer]) -> type[Any]:
    """The class of an optimizer whose methods stand without PyTorch's wrappers, which load torch._dynamo where they are
    first called: as much as PyTorch itself, in every process that trains. The wrappers only tell a compiler what not to
    compile, and evonas compiles nothing. Steps and states are those of `kind`, to the bit."""
    inner = unwrap(kind.step)  # below the wrapper that turns gradients off

    def step(self: optim.Optimizer, closure: Any = None) -> Any:
        with torch.no_grad():
            return inner(self, closure)

    bare = {
        name: unwrap(getattr(kind, name)) for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    }
    return type(kind.__name__, (kind,), {"__module__": __name__, "__doc__": kind.__doc__, "step": step, **bare})


SGD = uncompiled(optim.SGD)
Adam = uncompiled(optim.Adam)
RMSprop = uncompiled(optim.RMSprop)
