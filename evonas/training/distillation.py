"""A teacher in a training: its outputs, and those of its nodes, are what a network is to give.

Ba and Caruana 2014, "Do Deep Nets Really Need to be Deep?", arXiv:1312.6184: squared errors of logits; Hinton, Vinyals
and Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531: softened probabilities; Romero et al.
2015, "FitNets", arXiv:1412.6550: features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.network import tapped
from evonas.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


class Guide:
    """A trained network that is imitated: frozen, in evaluation mode, and the same for every training of a process.

    network   as `evonas.network.build` has made it, on the device where the data lie
    affine    scale and shift [C, 1, 1] that make of an image as this task normalises it one as the teacher was trained
              on; None: they are normalised alike
    """

    def __init__(self, network: fx.GraphModule, affine: tuple[Tensor, Tensor] | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.affine = affine
        self._tapped: dict[tuple[str, ...], nn.Module] = {}

    @torch.no_grad()
    def __call__(self, inputs: Tensor, nodes: tuple[str, ...] = ()) -> tuple[Tensor, ...]:
        """What it gives for a batch, and what these of its nodes give."""
        if nodes not in self._tapped:
            self._tapped[nodes] = tapped(self.network, *nodes)
        if self.affine is not None:
            scale, shift = self.affine
            inputs = inputs * scale + shift
        return self._tapped[nodes](inputs)


def distilled(recipe: Recipe, outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """What a teacher adds to the loss of a batch, of the logits (B, classes, ...) and then the features of both."""
    loss = torch.zeros((), device=outputs[0].device)
    if recipe.distill:
        loss = loss + recipe.distill * of_logits(outputs[0].float(), wanted[0].float(), recipe.distill_temperature)
    for own, theirs in zip(outputs[1:], wanted[1:], strict=True):
        loss = loss + recipe.imitate * F.mse_loss(own.float(), theirs.float())
    return loss


def of_logits(own: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """The mean squared error of logits, or, with a temperature T, T^2 times the cross-entropy of softened probabilities
    (Hinton et al. 2015, section 2.1: so that gradients keep their size)."""
    if not temperature:
        return F.mse_loss(own, theirs)
    return temperature**2 * F.cross_entropy(own / temperature, (theirs / temperature).softmax(1))


def check_nodes(recipe: Recipe, graph: Graph, whose: str) -> None:
    """Raises UserError where a network has not the nodes whose outputs a recipe compares."""
    if missing := [name for name in recipe.features if name not in graph.shapes]:
        raise UserError(f"features has {missing[0]!r}, which is no node of {whose}; its nodes are "
                        f"{', '.join(node.name for node in graph.nodes)}")  # fmt: skip


def differing(recipe: Recipe, graph: Graph, teacher: Graph) -> str:
    """Why a network cannot be compared with its teacher at some node; empty: it can."""
    for name in recipe.features:
        if name not in graph.shapes:
            return f"the network has no node {name!r}, whose output is to be the teacher's"
        if graph.shapes[name] != teacher.shapes[name]:
            return f"{name} gives {graph.shapes[name]}, and the teacher's {teacher.shapes[name]}"
    return ""
