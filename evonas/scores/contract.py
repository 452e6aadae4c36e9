"""What every score keeps to: it works on a copy, and leaves no trace on the network or on torch's generators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import wraps
from typing import Protocol

import torch
from torch import Tensor, fx, nn

from evonas.support.streams import number

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Score(Protocol):
    """Higher is better. NaN and -inf say that the network has no score, and rank last."""

    def __call__(self, network: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
        """The score of a network as it is initialised.

        inputs      one minibatch on the network's device, normalised as in a training: images (B, C, H, W), distinct
        targets     (B,), numbers of classes; scores without a loss do not look at them
        generator   of the CPU, for what a score draws
        """
        ...


def on_a_copy(formula: Callable[[nn.Module, Tensor, Tensor, torch.Generator], float]) -> Score:
    """A score by a formula that may do as it likes with its network: it is handed a copy without hooks, in training
    mode and without dropout. What overflows has no score."""

    @wraps(formula)
    def score(network: nn.Module, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> float:
        copy = _copy_of(network)
        with _own_randomness(inputs.device, generator), torch.enable_grad():
            found = formula(copy, inputs.detach(), targets, generator)
        return math.nan if found == math.inf else found

    return score


def weights(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The weight of each convolution and linear layer, and its gradient, where it has one; in the order of modules."""
    layers = (each for each in network.modules() if isinstance(each, nn.modules.conv._ConvNd | nn.Linear))
    return [(layer.weight.detach(), layer.weight.grad) for layer in layers if layer.weight.grad is not None]


def _copy_of(network: nn.Module) -> nn.Module:
    copy = deepcopy(network).train().requires_grad_(True)
    if isinstance(copy, fx.GraphModule):
        copy.graph.owning_module = None  # else only the garbage collector would free it
    for module in copy.modules():
        for hooks in HOOKS:
            getattr(module, hooks).clear()
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()  # its noise is no property of the network
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]  # formulas read, and bypass, what stands before it
    return copy


@contextmanager
def _own_randomness(device: torch.device, generator: torch.Generator) -> Iterator[None]:
    """What a network itself draws within comes from the generator's seed; torch's generators stay as they are."""
    is_cuda = device.type == "cuda"
    seed = number(generator.initial_seed(), "network")
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
