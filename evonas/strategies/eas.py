"""EAS: reinforcement learning that edits a trained network (Cai et al. 2018, "Efficient Architecture Search by Network
Transformation", arXiv:1707.04873; where the paper is silent, as in the authors' code).

An episode takes the start network through WIDER steps and then DEEPER steps; the network is read anew before each. All
networks of a batch begin with what the start network has learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.genomes.edits import EditSpace
from evonas.space import Space, Token
from evonas.strategies.from_start import FromStart

if TYPE_CHECKING:  # torch is loaded with the controller
    from evonas.strategies.actors import Decided
    from evonas.strategies.eas_model import Layer, MetaController


class EAS(FromStart):
    """Networks that an episode of the meta-controller makes of a start, as `FromStart` says.

    space           whose genomes are edits of a plain network
    batch           networks for one step of Adam
    wider           steps of an episode in which layers become wider
    deeper          steps of an episode in which a layer is inserted
    learning_rate   of Adam
    decay           of the baseline
    entropy         weight of the entropy of the decisions
    learning        False: uniform decisions, wider and deeper steps in a random order (the paper's random search)
    evaluations     in all, the start network among them

    Raises UserError for another space, and for a setting out of its range.
    """

    operator = "eas"
    controller: MetaController

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
        if min(wider, deeper) < 0 or wider + deeper == 0:
            raise UserError(f"wider is {wider} and deeper {deeper}; use at least 0, and one step in all")
        from evonas.strategies.eas_model import MetaController

        self.space, self.steps = space, (wider, deeper)
        super().__init__(
            space.genome(()), MetaController(space.kernels, rng=rng, learning_rate=learning_rate), rng=rng, batch=batch,
            decay=decay, entropy=entropy, learning=learning, evaluations=evaluations,
        )  # fmt: skip

    def proposal(self) -> tuple[Sequence[Token], list[Decided]]:
        texts, decided = self.episode()
        return self.space.genome(texts), decided

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
