"""Scores by the gradient of the cross-entropy (Abdelfattah et al. 2021, arXiv:2101.08134, section 3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from evonas.scores.contract import on_a_copy, weights


@on_a_copy
def grad_norm(network: nn.Module, inputs: Tensor, targets: Tensor, generator: Generator) -> float:
    """The sum of the Euclidean norms of the layers' gradients: sum_l ||dL/dW_l||."""
    F.cross_entropy(network(inputs), targets).backward()
    return sum(gradient.norm().item() for _, gradient in weights(network))


@on_a_copy
def snip(network: nn.Module, inputs: Tensor, targets: Tensor, generator: Generator) -> float:
    """What the loss would change by if a weight were cut, to first order: sum |w dL/dw| (Lee et al. 2019,
    arXiv:1810.02340), here unnormalised."""
    F.cross_entropy(network(inputs), targets).backward()
    return sum((weight * gradient).abs().sum().item() for weight, gradient in weights(network))
