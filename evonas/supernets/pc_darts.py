"""PC-DARTS (Xu et al. 2020, "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search",
arXiv:1907.05737)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evonas.gates import Route
from evonas.space import Space, Weights
from evonas.supernets.darts import DARTS
from evonas.supernets.policy import edges_of


class PCDARTS(DARTS):
    """DARTS on some of the channels (`partial` of the space), with a weight for each edge (section 3.3).

    The edges into a node have the weights softmax(beta). Edges are derived by softmax(alpha) times softmax(beta).

    space       a space with a decision for each edge, named NODE<-SOURCE
    beginning   number of initial epochs in which only the weights learn

    Raises UserError for another space.
    """

    def __init__(self, space: Space, *, beginning: int = 15, initial: float = 1e-3, **settings: Any) -> None:
        super().__init__(space, beginning=beginning, initial=initial, **settings)
        self.into = edges_of(self, "PC-DARTS")  # node -> {source: place of its beta}
        self.beta = nn.Parameter(initial * torch.randn(len(self.asked), generator=self.generator))
        self.optimizer.add_param_group({"params": [self.beta]})

    def edges(self) -> dict[str, dict[int, Tensor]]:
        """node -> {source: softmax(beta)}."""
        return {
            node: dict(zip(places, self.beta[list(places.values())].softmax(0).unbind(), strict=True))
            for node, places in self.into.items()
        }

    def route(self) -> Route:
        if getattr(self.space, "partial", 1) > 1:  # then edges have their own gates
            return {**super().route(), **self.edges()}
        return self.soft(self.scaled())

    def weights(self) -> Weights:
        return self._with_closed(self.scaled())

    def scaled(self) -> Tensor:
        """softmax(alpha) times the weight of the edge, [decisions, options]."""
        shares = self.edges()
        of = {place: shares[node][source] for node, places in self.into.items() for source, place in places.items()}
        return self.probabilities() * torch.stack([of[place] for place in range(len(of))])[:, None]
