"""Genomes as rows of numbers, for predictors: by the names of their decisions, their pairs, or the paths of the cell.

    one-hot   a column for each option of each decision: zero where the decision was not asked
    pairs     a column for each two of these together
    counts    a column for each option and number: the genome has it at least so often
    paths     a column for each sequence of operations on a path from the input of the cell to its output (White et al.
              2020, "A Study on Encodings for Neural Architecture Search", arXiv:2007.04965, section 3), in spaces that
              say what these are (`Space.paths`)

Several are joined by +, such as `one-hot+pairs`; the rows of each have about the length of one.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from evonas.errors import UserError
from evonas.space import Genome, Space, Token

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Features = Iterable[Hashable]
REMEMBERED = 4096  # rows: what was evaluated comes again with each fit, most candidates never


class Encoding:
    """Rows of the genomes of one space. Columns are added as they are met, in this order, so that a space need not be
    walked through, and what was encoded last is remembered.

    Raises UserError for a kind that is unknown, and for a space that does not have it.
    """

    def __init__(self, text: str, space: Space) -> None:
        self.kinds, self.space = text.split("+"), space
        for kind in self.kinds:
            if kind not in FEATURES:
                raise UserError(f"there is no encoding {kind!r}; use {', '.join(FEATURES)}, or several such as "
                                "one-hot+pairs")  # fmt: skip
        if len(set(self.kinds)) < len(self.kinds):
            raise UserError(f"the encoding {text!r} has a part twice; name each once")
        if not space.is_sequence:
            raise UserError(f"genomes of {space.name} are not sequences of decisions (it has no `next`), and a "
                            "predictor needs those; use a strategy over its own operators")  # fmt: skip
        if "paths" in self.kinds and not space.has_paths:
            raise UserError(f"{space.name} does not say what the paths of a cell are; use one-hot+pairs")
        self._columns: dict[Hashable, int] = {}
        self._known: OrderedDict[tuple, tuple[np.ndarray, np.ndarray]] = OrderedDict()  # the last one used at the end
        self._whole: tuple[Sequence[Genome], csr_array | None] = (), None

    @property
    def width(self) -> int:
        """The number of columns met so far."""
        return len(self._columns)

    def rows(self, genomes: Sequence[Genome]) -> csr_array:
        """A sparse matrix, genomes x columns. That of the last tuple is kept, since all genomes of a space come again
        with each proposal."""
        if isinstance(genomes, tuple):
            if self._whole[0] is not genomes or self._whole[1] is None:
                self._whole = genomes, self._made(genomes)
            return with_width(self._whole[1], self.width)
        return self._made(genomes)

    def _made(self, genomes: Sequence[Genome]) -> csr_array:
        from scipy.sparse import csr_array

        found = [self._row(tuple(genome)) for genome in genomes]
        ends = np.cumsum([0, *(len(columns) for columns, _ in found)])
        columns = np.concatenate([columns for columns, _ in found]) if found else np.zeros(0, int)
        values = np.concatenate([values for _, values in found]) if found else np.zeros(0)
        return csr_array((values, columns, ends), shape=(len(genomes), self.width))

    def _row(self, genome: tuple) -> tuple[np.ndarray, np.ndarray]:
        if (row := self._known.get(genome)) is None:
            columns: list[int] = []
            values: list[float] = []
            for kind in self.kinds:
                features = list(FEATURES[kind](self.space, genome))
                columns += [self._columns.setdefault((kind, each), len(self._columns)) for each in features]
                values += [1 / np.sqrt(max(1, len(features)))] * len(features)
            row = self._known[genome] = np.array(columns, dtype=int), np.array(values)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(genome)
        return row


def one_hot(space: Space, genome: Genome) -> Features:
    """The answer to each decision, with its name."""
    return space.route(genome).items()


def pairs(space: Space, genome: Genome) -> Features:
    """Each two answers."""
    return combinations(space.route(genome).items(), 2)


def counts(space: Space, genome: Genome) -> Features:
    """Each option with 1, 2, ... up to how often the genome has it, whatever the decision."""
    met: Counter[Token] = Counter()
    for token in genome:
        met[token] += 1
        yield token, met[token]


def paths(space: Space, genome: Genome) -> Features:
    """Each sequence of operations, once."""
    return sorted(set(space.paths(genome)))


FEATURES: dict[str, Callable[[Space, Genome], Features]] = {
    "one-hot": one_hot, "pairs": pairs, "counts": counts, "paths": paths,
}  # fmt: skip


def with_width(rows: csr_array, width: int) -> csr_array:
    """The rows with so many columns, those that are new empty."""
    from scipy.sparse import csr_array

    if rows.shape[1] == width:
        return rows
    return csr_array((rows.data, rows.indices, rows.indptr), shape=(rows.shape[0], width))
