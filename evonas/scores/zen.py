"""The Zen-Score (Lin et al. 2021, arXiv:2102.01063, algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evonas.scores.contract import on_a_copy

ALPHA = 0.01  # the size of a perturbation


@on_a_copy
def zen(network: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
    """ln E |f(x) - f(x + alpha e)| + sum over batch norms of ln sqrt(mean over channels of the variance).

    f is the network as long as its features are images, before global pooling; x, e and all weights are drawn from
    N(0, 1), and of the inputs only the shape counts. The norm is the sum of absolute values, as in the authors' code
    (github.com/idstcv/ZenNAS, compute_zen_score.py), the variances are those of the batch x. Residual connections stay;
    the authors take them out of their own networks.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            _draw(module, generator)
    features: list[Tensor] = []  # what the last module that leaves no image was given
    scales: list[Tensor] = []

    def keep(module: nn.Module, given: Any, output: Any) -> None:
        if given and _is_image(given[0]) and not _is_image(output):
            features[:] = [given[0]]

    def scale(module: nn.Module, given: Any) -> None:
        scales.append(given[0].var((0, 2, 3), correction=0).mean().sqrt().log())

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(keep)
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(scale) for norm in norms]
    x, e = (torch.empty_like(inputs).copy_(torch.randn(inputs.shape, generator=generator)) for _ in range(2))
    with torch.no_grad():
        output = network(x)
        first = features[0] if features else output
        for handle in handles:
            handle.remove()
        output = network(x + ALPHA * e)
        second = features[0] if features else output
    difference = (first - second).abs().flatten(1).sum(1).mean()
    return (difference.log() + sum(scales, torch.zeros(()))).item()


def _is_image(found: Any) -> bool:
    """Whether it is a batch of feature maps of more than one pixel."""
    return isinstance(found, Tensor) and found.dim() == 4 and found[0, 0].numel() > 1


def _draw(layer: nn.Module, generator: torch.Generator) -> None:
    """Weights from N(0, 1), biases 0."""
    assert isinstance(layer, nn.modules.conv._ConvNd | nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        if layer.bias is not None:
            layer.bias.zero_()
