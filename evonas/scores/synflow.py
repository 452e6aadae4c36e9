"""The synaptic flow, which needs no data (Tanaka et al. 2020, arXiv:2006.05467), as a score of a whole network
(Abdelfattah et al. 2021, arXiv:2101.08134, section 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from evonas.scores.contract import on_a_copy, weights


@on_a_copy
def synflow(network: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
    """ln sum |w dR/dw|, where R sums the outputs for an image of ones, all parameters being positive.

    Batch norms are bypassed, or they would undo the flow. Of the inputs only the shape counts. In float64, and as a
    logarithm: the sum grows by an order of magnitude with each layer or two.
    """
    network.double()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = _unchanged  # type: ignore[method-assign, assignment]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones(1, *inputs.shape[1:], dtype=torch.float64, device=inputs.device)
    network(ones).sum().backward()
    flow = sum((weight * gradient).abs().sum().item() for weight, gradient in weights(network))
    return math.log(flow) if flow > 0 else -math.inf


def _unchanged(x: Tensor) -> Tensor:
    return x
