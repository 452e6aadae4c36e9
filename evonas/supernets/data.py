"""DATA (Chang, Zhang, Guo, Meng, Xiang and Pan 2019, "DATA: Differentiable ArchiTecture Approximation", NeurIPS)."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial
from random import Random
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.genomes.darts_cells import EDGES, OPERATIONS
from evonas.genomes.darts_sets import DARTSSetsSpace
from evonas.space import Space, Token
from evonas.supernets.i_darts import ByNode
from evonas.supernets.training import SupernetTraining

NONE = "none"


class DATA(ByNode):
    """The ensemble Gumbel-softmax: each node has the options that at least one of M samples says. Alpha and the weights
    learn together, from one loss on training images, to which the distance between the probabilities and the draw is
    added (published code).

    M is the space's `pairs`. A draw is shared by a batch and all cells of a kind. It has the weights 1 and 0: the node
    is the sum of what was drawn, as it is in the network that is derived; the published code divides by their number.

    space       of DARTS cells whose edges have sets of operations, of which a node has at least one
    hot, cold   temperature at the beginning and at the end, between which it falls linearly over the epochs
    distance    weight of the distance (L1, in the mean over a cell's options)

    Raises UserError for another space.
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        hot: float = 5.0,
        cold: float = 1.0,
        distance: float = 0.1,
        weight_decay: float = 0.0,
        **settings: Any,
    ) -> None:
        if not isinstance(space, DARTSSetsSpace) or space.exact:
            raise UserError(f"DATA finds how many operations an edge has, and {space.name} says so itself; use "
                            "darts-sets with exact=False")  # fmt: skip
        super().__init__(space, rng=rng, weight_decay=weight_decay, **settings)
        if not 0 < cold <= hot or distance < 0:
            raise UserError(f"hot is {hot}, cold {cold} and distance {distance}; use positive temperatures, the hot "
                            "one not below the cold one, and a distance of at least 0")  # fmt: skip
        self.hot, self.cold, self.temperature, self.distance = hot, cold, hot, distance
        self.samples = space.pairs

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.temperature = self.hot - (self.hot - self.cold) * epoch / max(epochs - 1, 1)

    def step(self, training: SupernetTraining, batch: Any, held_out: Any) -> Tensor:
        """A step of alpha and the weights on one draw, one batch and one loss."""
        b = self.draw()
        loss = training.loss(batch, self.route(b))
        away = (self.probabilities() - b.detach()).abs().sum() / (len(EDGES) * len(OPERATIONS))
        self.learn_together(training, loss + self.distance * away)
        return loss.detach()

    def draw(self) -> Tensor:
        """The code b of every node, [decisions, options]."""
        noisy = torch.stack([self.logits + self.gumbel() for _ in range(self.samples)]) / self.temperature
        return torch.cat([ensemble(self.by_node(noisy)[:, rows]) for rows in self.nodes.values()])

    def route(self, b: Tensor) -> Route:
        return self.soft(b)

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        """Each node takes the likeliest number of its likeliest options. `none` is one option, whatever the edge, and
        is dropped afterwards (published code); a node of which nothing would be left keeps its best operation."""
        weights, space = self.weights(), self.space
        assert isinstance(space, DARTSSetsSpace)
        kept: dict[str, list[str]] = {name: [] for name in weights}
        for cell_and_node in dict.fromkeys(name.partition("<-")[0] for name in weights):
            into = {name: of for name, of in weights.items() if name.startswith(f"{cell_and_node}<-")}
            ways = [(weight, name, str(option)) for name, of in into.items() for option, weight in of.items()
                    if option != NONE]  # fmt: skip
            ranked = sorted(
                [(sum(of.get(NONE, 0.0) for of in into.values()), "", NONE), *ways], key=lambda way: -way[0]
            )
            number = likeliest_number([weight for weight, *_ in ranked], self.samples)
            chosen = [way for way in ranked[:number] if way[2] != NONE] or [max(ways, key=lambda way: way[0])]
            for _, name, option in chosen:
                kept[name].append(option)
        return space.joined(kept)


def ensemble(soft: Tensor) -> Tensor:
    """The binary code b of samples of the Gumbel-softmax, [samples, ...] to [...]: the maximum over the samples, each
    made one-hot, of which the gradients pass straight through to the samples that attain it."""
    flat = soft.flatten(1)
    hard = torch.zeros_like(flat).scatter(1, flat.argmax(1, keepdim=True), 1.0)
    return (hard + (flat - flat.detach())).max(0).values.view_as(soft[0])


def likeliest_number(p: Sequence[float], samples: int) -> int:
    """The number n for which it is likeliest that the options drawn are exactly the n first ones, of falling
    probabilities p: the sum of samples! / prod k_i! prod p_i^k_i over all k_1 + ... + k_n = samples, k_i >= 1.
    """
    best, number = 0.0, 1
    ways = [1.0] + [0.0] * samples  # ways[m]: the sum over k_1 + ... + k_n = m of prod p_i^k_i / k_i!
    for n, each in enumerate(p[:samples], 1):
        ways = [sum(ways[m - k] * each**k / factorial(k) for k in range(1, m + 1)) for m in range(samples + 1)]
        if (exactly := factorial(samples) * ways[samples]) > best:
            best, number = exactly, n
    return number
