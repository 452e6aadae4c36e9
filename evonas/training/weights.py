"""Weights as bytes: saved, and copied where names and shapes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


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


def saved(network: nn.Module) -> bytes:
    """Weights and statistics, as safetensors."""
    from safetensors.torch import save

    return save({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()})
