"""The growing cells of PNAS (Liu et al. 2018, "Progressive Neural Architecture Search", arXiv:1712.00559, section 3).

One cell, with stride 1 or 2, has one to five blocks. A block applies an operation to each of two earlier states and
adds the results. (I1, O1) and (I2, O2) may change places, so only one of the two orders is a genome.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.genomes.genotype import Genotype, Node, unused
from evonas.genomes.growing import END, begun, grown
from evonas.genomes.nasnet import BLOCKS, ELEMENTS, NASNetSpace
from evonas.graph import Graph
from evonas.space import CodeError, Decision, Genome, Token, require_closed

ANSWERS = 2 * ELEMENTS  # of a block: input, operation, input, operation


class Block(NamedTuple):
    """Its two pairs of a state and an operation, in the order of a genome."""

    input1: int
    operation1: str
    input2: int
    operation2: str


@dataclass(frozen=True)
class PNASSpace(NASNetSpace):
    """Genomes give input, operation, input, operation of each block, the second pair not before the first one; in place
    of a further block, a genome may end.

    normals     N, the number of cells in each of the three stacks, beside the strided ones
    channels    F, the filters of the first stack; doubled where the image is halved
    blocks      B, the number of blocks of the largest cells
    operations  options for the operations of a genome
    """

    name: ClassVar[str] = "pnas"
    reduction: str = "stride"
    blocks: int = len(BLOCKS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduction != "stride" or self.combinations != ("add",):
            raise UserError(
                "reduction is stride and combinations is add in this space; use the space nasnet for others"
            )
        if not 1 <= self.blocks <= len(BLOCKS):
            raise UserError(f"blocks is {self.blocks}; use 1 to {len(BLOCKS)}")

    def next(self, prefix: Genome) -> Decision | None:
        block, place = divmod(len(prefix), ANSWERS)
        if block == self.blocks or (prefix and prefix[-1] == END):
            return None
        state = BLOCKS[block]
        if place == 0:
            ends = (END,) if block else ()
            return Decision(f"{state}/input1", (*range(state), *ends), (block, 0))
        if place == 1:
            return Decision(f"{state}/operation1", self.operations, (block, 1, prefix[-1]))
        first, operation = prefix[block * ANSWERS : block * ANSWERS + 2]
        if place == 2:
            assert isinstance(first, int), "it is a state, and not the end"
            options = tuple(range(first, state))
            return Decision(f"{state}/input2", options, (block, 2, first, operation))
        begin = self.operations.index(str(operation)) if prefix[-1] == first else 0
        return Decision(f"{state}/operation2", self.operations[begin:], (block, 3, begin))

    def larger(self, genome: Genome) -> Iterator[tuple[Token, ...]]:
        """The genomes with one block more, in the order of the options; of (), those with one block."""
        return grown(self, genome, len(begun(genome)) + ANSWERS)

    def size(self, genome: Genome) -> int:
        """The number of blocks."""
        return len(genome) // ANSWERS

    def units(self, genome: Genome) -> list[tuple[tuple[str, Token], ...]]:
        """The blocks as PNAS's predictors read them: I1, I2, O1, O2 with the table of each."""
        return [(("input", a), ("input", b), ("operation", c), ("operation", d)) for a, c, b, d in self._blocks(genome)]

    def key(self, genome: Genome) -> str:
        """Equal for genomes whose blocks are the same in another order: each is written with those that it reads."""
        written = ["0", "1"]
        for a, c, b, d in self._blocks(genome):
            sides = sorted(f"{op}({written[source]})" for op, source in ((c, a), (d, b)))
            written.append("+".join(sides))
        return " ".join(sorted(written[2:]))

    def _blocks(self, genome: Genome) -> list[Block]:
        starts = range(0, self.size(genome) * ANSWERS, ANSWERS)
        return [Block(*genome[at : at + ANSWERS]) for at in starts]  # type: ignore[arg-type]

    # ---- its published form and its meaning -----------------------------------------------------------------------

    def genotype(self, genome: Genome) -> Genotype:
        """The cell of a genome in the form in which it is published; states that no block takes are the output."""
        require_closed(genome, "cells of PNAS have no supernet")
        self.decisions(genome)
        nodes: tuple[Node, ...] = tuple(((c, a), (d, b)) for a, c, b, d in self._blocks(genome))
        return Genotype(nodes, unused(nodes), nodes, unused(nodes))

    def genome(self, genotype: Genotype) -> tuple[Token, ...]:
        """The genome of a genotype of this space. Raises CodeError for one outside it."""
        nodes = genotype.normal
        if genotype.cell("reduce") != genotype.cell("normal"):
            raise CodeError("the reduction cell differs from the normal one; use a space with reduction=cell")
        if len(nodes) > self.blocks or any(len(pairs) != ELEMENTS for pairs in nodes) or genotype.normal_joins:
            raise CodeError(
                f"the cell is not 1 to {self.blocks} blocks that add two operations; decode it as a genotype"
            )
        if genotype.normal_concat != unused(nodes):
            raise CodeError("the cell does not concatenate exactly what no block takes; decode it as a genotype")
        genotype.check(self.operations)
        place = self.operations.index
        pairs = [sorted(((i, op) for op, i in node), key=lambda pair: (pair[0], place(pair[1]))) for node in nodes]
        genome: tuple[Token, ...] = tuple(token for node in pairs for pair in node for token in pair)
        genome += (END,) * (len(nodes) < self.blocks)
        self.decisions(genome)
        return genome

    def decode(self, genome: Genome) -> Graph:
        """The network of a closed genome."""
        return self.decode_genotype(self.genotype(genome))
