"""Path-level EAS: reinforcement learning that lets a cell grow in place of the convolutions of a trained network (Cai
et al. 2018, "Path-Level Network Transformation for Efficient Architecture Search", arXiv:1806.02639; where the paper is
silent, as in the authors' code).

An episode makes one cell: the tree is read anew before each decision. All networks of a batch begin with what the start
network has learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.genomes.path_level import PathLevelSpace
from evonas.individual import Individual
from evonas.space import Space, Token
from evonas.strategies.from_start import FromStart, tangent
from evonas.support.device import torch_threads

if TYPE_CHECKING:  # torch is loaded with the controller
    from evonas.strategies.actors import Decided
    from evonas.strategies.path_level_model import TreeController


class PathLevel(FromStart):
    """Cells of a tree controller in place of the start's convolutions, as `FromStart` says. The baseline begins with
    the reward of the start. An episode that leads to the start itself is drawn again.

    space          whose genomes are decisions by which a cell grows
    batch          networks for one step of Adam
    learning_rate  of Adam
    decay          of the baseline
    entropy        weight of the entropy of the decisions
    largest_norm   of the gradient
    units          of the encoder in each direction
    learning       False: uniform decisions (the paper's random search)
    evaluations    in all, the start network among them

    Raises UserError for another space, and for a setting out of its range.
    """

    operator = "path-level"
    controller: TreeController

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        batch: int = 10,
        learning_rate: float = 6e-3,
        decay: float = 0.95,
        entropy: float = 1e-2,
        largest_norm: float = 40.0,
        units: int = 100,
        learning: bool = True,
        evaluations: int = 501,
    ) -> None:
        if not isinstance(space, PathLevelSpace):
            raise UserError(f"genomes of {space.name} are no cells that grow, which Path-level EAS makes; use the "
                            "space path-level")  # fmt: skip
        if units < 1 or largest_norm <= 0:
            raise UserError(f"units is {units} and largest_norm {largest_norm}; use at least 1, and more than 0")
        from evonas.strategies.path_level_model import TreeController

        self.space = space
        grouped = all(layer.groups > 1 for layer in space.layers)
        with torch_threads(1):  # the same numbers on every machine
            controller = TreeController(rng=rng, grouped=grouped, units=units)
            controller.learns(learning_rate, largest_norm)
        super().__init__(
            space.start_genome(), controller, rng=rng, batch=batch, decay=decay, entropy=entropy, learning=learning,
            evaluations=evaluations,
        )  # fmt: skip

    def first_baseline(self, start: Individual) -> float:
        return tangent(start)

    def proposal(self) -> tuple[Sequence[Token], list[Decided]]:
        genome, decided = self.episode()
        while genome == self.start_genome:
            genome, decided = self.episode()
        return genome, decided

    def episode(self) -> tuple[tuple[Token, ...], list[Decided]]:
        """A genome, and the decisions of which it consists."""
        if not self.learning:
            return self.space.random(self.rng), []
        genome: tuple[Token, ...] = ()
        decided: list[Decided] = []
        while (decision := self.space.next(genome)) is not None:
            flow = self.space.flow(genome)
            decided.append(self.controller.decide(flow.root, flow.open[-1][2], decision))
            genome = (*genome, decided[-1].chosen[0])
        return genome, decided
