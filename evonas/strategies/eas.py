"""EAS: reinforcement learning that edits a trained network (Cai et al. 2018, "Efficient Architecture Search by Network
Transformation", arXiv:1707.04873; where the paper is silent, as in the authors' code).

An episode takes the start network through WIDER steps and then DEEPER steps; the network is read anew before each. All
networks of a batch begin with what the start network has learnt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import pi, tan
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.genomes.edits import EditSpace
from evonas.individual import Individual
from evonas.space import Space
from evonas.strategies.rewards import accuracy
from evonas.strategies.strategy import Strategy
from evonas.support.device import torch_threads

if TYPE_CHECKING:  # torch is loaded with the controller
    from evonas.strategies.eas_model import Decided, Layer

LARGEST = 0.9999  # accuracy that is rewarded: the tangent of 1 has no end


def tangent(individual: Individual) -> float:
    """R = tan(accuracy * pi / 2), which makes much of small gains of what is good already (section 3.4)."""
    return tan(min(accuracy(individual), LARGEST) * pi / 2)


class EAS(Strategy):
    """The start network is trained; then batches of edited ones, each an episode of the meta-controller, by REINFORCE:

        grad J = 1/batch  sum over episodes  sum over decisions  grad log P(decision) (R - b)

    where the baseline b moves with each batch, before it is subtracted: b <- b + `decay` (mean R - b).

    space           whose genomes are edits of a plain network
    batch           networks for one step of Adam
    wider           steps of an episode in which layers become wider
    deeper          steps of an episode in which a layer is inserted
    learning_rate   of Adam
    decay           of the baseline
    entropy         weight of the entropy of the decisions
    learning        False: uniform decisions, wider and deeper steps in a random order (the paper's random search)
    evaluations     in all, the start network among them

    Networks that failed have no part in a step. A result that comes late waits with its batch.

    Raises UserError for another space, and for a setting out of its range.
    """

    ended = "all evaluations were made"

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        batch: int = 10,
        wider: int = 4,
        deeper: int = 5,
        learning_rate: float = 2e-3,
        decay: float = 0.95,
        entropy: float = 1e-5,
        learning: bool = True,
        evaluations: int = 151,
    ) -> None:
        if not isinstance(space, EditSpace):
            raise UserError(f"genomes of {space.name} are no edits of a network, which EAS makes; use the space edits")
        branching = [node.name for node in space.decode(space.genome(())).nodes if len(node.inputs) > 1]
        if branching:
            raise UserError(f"the start is no plain network: {branching[0]} has several inputs; give a chain of layers "
                            "such as start=conv16-pool-conv32-mean-fc64")  # fmt: skip
        if batch < 1 or min(wider, deeper) < 0 or evaluations < 1:
            raise UserError(f"batch is {batch}, wider {wider}, deeper {deeper} and evaluations {evaluations}; use at "
                            "least 1, 0, 0 and 1")  # fmt: skip
        if learning_rate <= 0 or not 0 < decay <= 1 or entropy < 0:
            raise UserError(f"learning_rate is {learning_rate}, decay {decay} and entropy {entropy}; use more than 0, "
                            "up to 1, and at least 0")  # fmt: skip
        self.space, self.rng, self.batch, self.steps = space, rng, batch, (wider, deeper)
        self.decay, self.entropy, self.learning = decay, entropy, learning
        self.evaluations: int = evaluations
        from evonas.strategies.eas_model import MetaController

        self.controller = MetaController(space.kernels, rng=rng, learning_rate=learning_rate)
        self.baseline = 0.0
        self.start: Individual | None = None
        self.failed = False  # the start could not be trained
        self.proposed = 0
        self._in_flight: dict[int, list[Decided]] = {}  # by identity of the individual
        self._left = 0  # of this batch, to be proposed
        self._told: list[tuple[list[Decided], float]] = []

    @property
    def population(self) -> list[Individual]:  # type: ignore[override]
        return [] if self.start is None else [self.start]

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        for _ in range(n or self.batch):
            if self.failed:
                break
            if self.start is None and not self._in_flight:
                given.append(self._first())
            elif self.start is not None and self._room():
                given.append(self._edited(self.start))
            else:
                break
        return given

    def _room(self) -> bool:
        """Whether this batch, or if it has been told the next one, wants another network."""
        if not self._left and not self._in_flight and self.proposed < self.evaluations:
            self._left = min(self.batch, self.evaluations - self.proposed)
        return self._left > 0

    def _first(self) -> Individual:
        individual = Individual(self.space.genome(()))
        individual.operator = "start"
        return self._proposes(individual, [])

    @torch_threads(1)  # the same numbers on every machine
    def _edited(self, start: Individual) -> Individual:
        self._left -= 1
        texts, decided = self.episode()
        individual = Individual(self.space.genome(texts))
        individual.parents, individual.operator = start.sources, "eas"
        if self.learning:
            individual.proposal = {"entropy": float(sum(each.entropy.item() for each in decided)),
                                   "reward_baseline": self.baseline}  # fmt: skip
        return self._proposes(individual, decided)

    def _proposes(self, individual: Individual, decided: list[Decided]) -> Individual:
        self.proposed += 1
        self._in_flight[id(individual)] = decided
        return individual

    # ---- an episode -----------------------------------------------------------------------------------------------

    def episode(self) -> tuple[tuple[str, ...], list[Decided]]:
        """The edits of a network, and the decisions that led to them."""
        from evonas.strategies.eas_model import FC, blocks_of, layers_of

        order = [*["wider"] * self.steps[0], *["deeper"] * self.steps[1]]
        if not self.learning:
            self.rng.shuffle(order)
        texts: list[str] = []
        decided: list[Decided] = []
        for step in order:
            layers = layers_of(self.space.decode(self.space.genome(tuple(texts))), self.space.wider)
            if step == "wider":
                decided.append(self._widens(layers))
                new = [f"widen:{layer.place}:{layer.wider}"
                       for layer, yes in zip(layers, decided[-1].chosen, strict=True) if yes]  # fmt: skip
            elif any(blocks_of(layers)):
                decided.append(self._deepens(layers))
                block, place, kernel = decided[-1].chosen
                layer = layers[blocks_of(layers)[block][place]]
                new = [f"deepen:{layer.behind}:{1 if layer.kind == FC else self.space.kernels[kernel]}"]
            else:
                new = []
            texts += new[: max(self.space.edits - len(texts), 0)]
        return tuple(texts), decided

    def _widens(self, layers: Sequence[Layer]) -> Decided:
        if self.learning:
            return self.controller.wider(layers)
        return self.controller.wider(layers, [layer.wider is not None and self.rng.random() < 0.5 for layer in layers])

    def _deepens(self, layers: Sequence[Layer]) -> Decided:
        from evonas.strategies.eas_model import blocks_of

        if self.learning:
            return self.controller.deeper(layers)
        blocks = blocks_of(layers)
        block = self.rng.choice([number for number, of in enumerate(blocks) if of])
        return self.controller.deeper(
            layers, (block, self.rng.randrange(len(blocks[block])), self.rng.randrange(len(self.space.kernels)))
        )

    # ---- learning -------------------------------------------------------------------------------------------------

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            decided = self._in_flight.pop(id(individual))
            if self.start is None:
                self.start, self.failed = individual, not individual.fitness.valid
                self.ended = "the start network could not be trained" if self.failed else self.ended
            elif individual.fitness.valid:
                self._told.append((decided, tangent(individual)))
        if self._told and not self._left and not self._in_flight:
            if self.learning:
                self._learn(self._told)
            self._told = []

    @torch_threads(1)
    def _learn(self, told: Sequence[tuple[list[Decided], float]]) -> None:
        mean = sum(reward for _, reward in told) / len(told)
        self.baseline += self.decay * (mean - self.baseline)
        self.controller.descend(
            -each.log_probability * (reward - self.baseline) / len(told) - self.entropy * each.entropy
            for decided, reward in told
            for each in decided
        )
