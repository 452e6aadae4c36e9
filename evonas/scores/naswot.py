"""How far apart a network's ReLUs tell the images of a minibatch (Mellor et al. 2021, arXiv:2006.04647, section 3)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from evonas.scores.contract import on_a_copy


@on_a_copy
def naswot(network: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
    """ln |det K|, K_ij = N - hamming(c_i, c_j): c_i says of each of the N ReLU outputs whether image i has it above 0.

    A ReLU counts each time that it is called, and one that a built network has once for several nodes as often as the
    graph has it; other activations do not count. -inf where two images have one code.
    """
    kernel = torch.zeros(len(inputs), len(inputs), dtype=torch.float64, device=inputs.device)

    def agree(times: int, module: nn.Module, given: Any, output: Tensor) -> None:
        code = (output.flatten(1) > 0).float()  # sums of ones are exact in float32 up to 2^24
        kernel.add_(code @ code.T + (1 - code) @ (1 - code).T, alpha=times)  # their kernel K_H

    shared: dict[nn.Module, int] = {}
    for part in network.modules():
        for path, times in getattr(part, "meta", {}).get("stands_for", {}).items():
            shared.update(dict.fromkeys(part.get_submodule(path).modules(), times))
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(partial(agree, shared.get(module, 1)))
    with torch.no_grad():
        network(inputs)
    return torch.linalg.slogdet(kernel).logabsdet.item()
