"""P-DARTS (Chen, Xie, Wu and Tian 2019, "Progressive Differentiable Architecture Search: Bridging the Depth Gap between
Search and Evaluation", arXiv:1904.12760)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from torch import Tensor

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.darts_cells import OPERATIONS
from evonas.genomes.p_darts import PDARTSSupernet
from evonas.recipe import Recipe
from evonas.space import Open, Space, Token, Weights
from evonas.supernets.darts import DARTS
from evonas.supernets.policy import Policy, Staged
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import number

CLIP = 5.0  # bound on the gradient of alpha (published code)
LEAST = 3  # options of an edge in the last stage: `none`, a skip connection, and what takes its place
SKIP = "skip_connect"


class PDARTS(Staged, DARTS):
    """DARTS of the first order in stages, each with a supernet of more cells and fewer options on each edge. Weights
    and alpha begin afresh; only the options that are left go over from one stage to the next (search space
    approximation).

    space     of DARTS cells; its `layers` do not count
    depths    cells of the supernet of each stage
    dropped   options that each edge loses after each stage but the last: those with the smallest softmax(alpha)
    dropout   rate in each stage from which the dropout behind skip connections falls (search space regularization)
    skips     M, skip connections that the normal cell has at most
    stage     of this policy, counted from 0; `genome` has its options

    Raises UserError for another space, and for stages that do not fit together.
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        depths: Sequence[int] = (5, 11, 17),
        dropped: Sequence[int] = (3, 2),
        dropout: Sequence[float] = (0.0, 0.4, 0.7),
        skips: int = 2,
        beginning: int = 10,
        stage: int = 0,
        genome: Sequence[Token] | None = None,
        **settings: Any,
    ) -> None:
        if not isinstance(space, DARTSSpace) or space.every or space.partial > 1:
            raise UserError(f"P-DARTS searches DARTS cells with two edges into each node, and {space.name} has others; "
                            "use DARTS")  # fmt: skip
        if len(depths) != len(dropout) or len(depths) != len(dropped) + 1 or min(depths) < 1:
            raise UserError(f"depths is {depths}, dropped {dropped} and dropout {dropout}; give each stage a depth and "
                            "a rate of dropout, and each but the last what it drops")  # fmt: skip
        if min(dropped, default=0) < 0 or len(OPERATIONS) - sum(dropped) < LEAST:
            raise UserError(f"dropped is {dropped} of {len(OPERATIONS)} options; use at least 0, and leave {LEAST}")
        if not all(0 <= rate < 1 for rate in dropout) or skips < 0:
            raise UserError(f"dropout is {dropout} and skips {skips}; use rates below 1, and at least 0 skips")
        supernet = PDARTSSupernet.of(space, layers=depths[stage], dropout=dropout[stage], rests=beginning)
        super().__init__(supernet, rng=rng, genome=genome, beginning=beginning, **settings)
        self.depths, self.dropped, self.dropout, self.skips, self.stage = depths, dropped, dropout, skips, stage
        self.stages, self.settings = len(depths), settings

    def check(self, recipe: Recipe) -> None:
        if recipe.epochs % self.stages:
            raise UserError(f"{recipe.epochs} epochs are not shared equally by {self.stages} stages; use a multiple")
        super().check(recipe.lasting(recipe.epochs // self.stages))

    def learn(self, gradients: Sequence[Tensor]) -> None:
        (gradient,) = gradients
        super().learn([gradient * (CLIP / (gradient.norm() + 1e-6)).clamp(max=1)])

    # ---- from one stage to the next -------------------------------------------------------------------------------

    def narrowed(self) -> list[tuple[Token, ...]]:
        """Each edge without the options of the smallest weights; `none` is one like the others."""
        kept = []
        for options, row in zip(self.options, self.probabilities().tolist(), strict=True):
            left = sorted(range(len(options)), key=row.__getitem__)[self.dropped[self.stage] :]
            kept.append(tuple(options[place] for place in sorted(left)))
        return kept

    def following(self, options: Sequence[Sequence[Token]]) -> PDARTS:
        return PDARTS(
            self.space,
            rng=Random(number(self.seed, "stage", self.stage + 1)),
            genome=tuple(Open(tuple(each)) for each in options),
            stage=self.stage + 1,
            depths=self.depths,
            dropped=self.dropped,
            dropout=self.dropout,
            skips=self.skips,
            beginning=self.beginning,
            **self.settings,
        )

    def largest(self) -> Sequence[Policy]:
        """Those of the options listed last, which are convolutions, take the most memory."""
        if self.stage + 1 == self.stages:
            return (self,)
        dearest = [options[self.dropped[self.stage] :] for options in self.options]
        return self, *self.following(dearest).largest()

    # ---- the result -----------------------------------------------------------------------------------------------

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        return self.limited(self.weights())

    def limited(self, weights: Weights) -> tuple[Token, ...]:
        """The genome of these weights; while its normal cell has more than M skip connections, that of the smallest
        weight is given up, and the cell derived anew, which may bring in one on another edge (published code)."""
        left = {name: dict(of) for name, of in weights.items()}
        while True:
            genome = self.space.likeliest(left)
            skips = [name for name, token in self.space.answers(genome).items()
                     if token == SKIP and name.startswith("normal/")]  # fmt: skip
            if len(skips) <= self.skips:
                return genome
            del left[min(skips, key=lambda name: left[name][SKIP])][SKIP]
