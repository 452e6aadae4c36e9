"""How differently a network sees the images of a minibatch (Mellor et al. 2021, arXiv:2006.04647, in its first
version)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from evonas.scores.contract import on_a_copy

K = 1e-5  # keeps an eigenvalue of 0 from dividing by it


@on_a_copy
def jacov(network: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
    """-sum ln(v + k) + 1/(v + k) over the eigenvalues v of the correlations between the images' gradients.

    The gradient of an image is that of the sum of its outputs. NaN where one is the same for all pixels.
    """
    network.requires_grad_(False)
    images = inputs.clone().requires_grad_(True)
    outputs = network(images).sum()
    if not outputs.requires_grad:  # the outputs depend on no image
        return math.nan
    (gradients,) = torch.autograd.grad(outputs, images)
    correlations = torch.corrcoef(gradients.flatten(1).double())  # (B, B)
    if not correlations.isfinite().all():
        return math.nan
    v = torch.linalg.eigvalsh(torch.atleast_2d(correlations)).clamp(min=0)  # 0 may come out as -1e-16
    return -(torch.log(v + K) + 1 / (v + K)).sum().item()
