"""PC-DARTS (Xu et al. 2020, "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search",
arXiv:1907.05737)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.gates import Route
from evonas.genomes.darts import EDGES, NODES, DARTSSpace
from evonas.genomes.genotype import CELLS
from evonas.space import Weights
from evonas.supernets.darts import DARTS
from evonas.supernets.training import SupernetTraining


class PCDARTS(DARTS):
    """DARTS on a part of the channels (a field of the space), with a weight for each edge (section 3.3).

    Of the edges into a node each weighs softmax(beta). A derived edge counts by softmax(alpha) times softmax(beta).

    beginning   epochs in which the weights alone learn
    """

    def __init__(self, space: DARTSSpace, *, beginning: int = 15, initial: float = 1e-3, **settings: Any) -> None:
        if not isinstance(space, DARTSSpace):
            raise UserError(f"PC-DARTS weighs the edges of DARTS cells, which {space.name} has not; use DARTS, or a "
                            "DARTSSpace")  # fmt: skip
        super().__init__(space, initial=initial, **settings)
        self.beginning, self.learning = beginning, False
        drawn = initial * torch.randn(len(CELLS), len(EDGES), generator=self.generator)
        self.beta = nn.Parameter(drawn)

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.learning = epoch >= self.beginning

    def learn_from(self, training: SupernetTraining, batch: Any, held_out: Any) -> None:
        if self.learning:
            super().learn_from(training, batch, held_out)

    def edges(self) -> dict[str, dict[int, Tensor]]:
        """cell/node -> {source: softmax(beta)}."""
        found, place = {}, 0
        for target in NODES:
            shares = self.beta[:, place : place + target].softmax(1)
            for cell, row in zip(CELLS, shares.unbind(), strict=True):
                found[f"{cell}/{target}"] = dict(enumerate(row.unbind()))
            place += target
        return found

    def route(self) -> Route:
        if self.space.partial > 1:  # type: ignore[attr-defined]
            return {**super().route(), **self.edges()}
        scaled = self.probabilities() * self._of_decisions()[:, None]
        return self.soft(scaled)

    def weights(self) -> Weights:
        return self._with_closed(self.probabilities() * self._of_decisions()[:, None])

    def _of_decisions(self) -> Tensor:
        """The weight of the edge that each open decision is about."""
        edges = self.edges()
        found = []
        for decision in self.asked:
            node, _, source = decision.name.partition("<-")
            found.append(edges[node][int(source)])
        return torch.stack(found)
