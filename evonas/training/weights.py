"""Weights as bytes: saved, and copied where names and shapes agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evonas.support.streams import number

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evonas.graph import Graph
    from evonas.morphisms import Heritage


def inherit(network: nn.Module, weights: bytes | None) -> tuple[int, int]:
    """Copy what agrees in name and shape; how many tensors did, and how many the network has."""
    own = network.state_dict()
    if weights is None:
        return 0, len(own)
    from safetensors.torch import load

    found = load(weights)
    copied = {name: found[name] for name in own if name in found and found[name].shape == own[name].shape}
    network.load_state_dict(copied, strict=False)
    return len(copied), len(own)


def grow(
    network: nn.Module,
    weights: bytes | None,
    heritage: Heritage,
    make: Callable[[Graph], nn.Module],
    batch: Tensor,
    seed: int,
) -> tuple[int, int]:
    """Give a network what comes by changes from a parent's weights; how many tensors do, and how many it has."""
    import torch
    from safetensors.torch import load

    from evonas.morphisms.weights import inherited

    assert weights is not None, "a heritage has somebody who leaves it"
    generator = torch.Generator().manual_seed(number(seed, "noise"))
    found, copied = inherited(heritage, load(weights), make, batch.cpu(), generator)
    own = network.state_dict()
    network.load_state_dict({name: found[name] for name in own})
    return copied, len(own)


def saved(network: nn.Module) -> bytes:
    """Weights and statistics, as safetensors."""
    from safetensors.torch import save

    return save({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()})
