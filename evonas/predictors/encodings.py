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

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from evonas.errors import UserError
from evonas.space import Genome, Space, Token, require_sequence

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Features = Iterable[Hashable]
NEW = -1  # a pair that was not met
REMEMBERED = 4096  # rows: what was evaluated comes again with each fit, most candidates never


class Encoding:
    """Rows of the genomes of one space. Columns are added as they are met, in this order, so that a space need not be
    walked through, and what was encoded last is remembered.

    Raises UserError for a kind that is unknown, and for a space that does not have it.
    """

    def __init__(self, text: str, space: Space) -> None:
        self.kinds, self.space = text.split("+"), space
        for kind in self.kinds:
            if kind not in KINDS:
                raise UserError(f"there is no encoding {kind!r}; use {', '.join(KINDS)}, or several such as "
                                "one-hot+pairs")  # fmt: skip
        if len(set(self.kinds)) < len(self.kinds):
            raise UserError(f"the encoding {text!r} has a part twice; name each once")
        require_sequence(space, "a predictor")
        if "paths" in self.kinds and not space.has_paths:
            raise UserError(f"{space.name} does not say what the paths of a cell are; use one-hot or one-hot+pairs")
        self.width = 0  # columns met so far
        self._columns: dict[str, defaultdict[Hashable, int]] = {kind: defaultdict(self._another) for kind in FEATURES}
        self._answers: dict[Hashable, int] = {}  # numbers, in the order in which they are met
        self._of_pairs = np.zeros((0, 0), np.int32)  # the column of each two answers, by their numbers
        self._known: OrderedDict[tuple, tuple[np.ndarray, list[int]]] = OrderedDict()  # the last one used at the end
        self._whole: tuple[Sequence[Genome], csr_array | None] = (), None

    def _another(self) -> int:
        self.width += 1
        return self.width - 1

    def ahead(self) -> int:
        """About how many columns of answers and of their pairs all genomes have together: as many as the options of one
        genome's decisions would give."""
        genome = self.space.complete({}, Random(0))
        options = [len(decision.options) for decision in self.space.decisions(genome)]
        pairs = (sum(options) ** 2 - sum(each**2 for each in options)) // 2
        return sum(options) * ("one-hot" in self.kinds) + pairs * ("pairs" in self.kinds)

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
        columns = np.concatenate([columns for columns, _ in found]) if found else np.zeros(0, np.int32)
        sizes = np.array([sizes for _, sizes in found]).reshape(len(genomes), len(self.kinds))  # columns of each kind
        ends = np.cumsum([0, *sizes.sum(axis=1)], dtype=np.int32)
        values = np.repeat(1 / np.sqrt(np.maximum(1, sizes)), sizes.ravel())
        return csr_array((values, columns, ends), shape=(len(genomes), self.width))

    def _row(self, genome: tuple) -> tuple[np.ndarray, list[int]]:
        """The columns of a genome, and how many are of each kind."""
        if (row := self._known.get(genome)) is None:
            found = [self._pairs(genome) if kind == "pairs" else self._met(kind, genome) for kind in self.kinds]
            row = self._known[genome] = np.concatenate(found), list(map(len, found))
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(genome)
        return row

    def _met(self, kind: str, genome: tuple) -> np.ndarray:
        columns = self._columns[kind]
        return np.array([columns[each] for each in FEATURES[kind](self.space, genome)], dtype=np.int32)

    def _pairs(self, genome: tuple) -> np.ndarray:
        """The columns of all pairs of answers of a genome. Fifty decisions have 1,225 of them, so
        all are looked up at once."""
        met = self._answers
        answers = np.array([met.setdefault(each, len(met)) for each in one_hot(self.space, genome)], dtype=np.int32)
        if (missing := len(met) - len(self._of_pairs)) > 0:
            self._of_pairs = np.pad(self._of_pairs, (0, max(missing, len(self._of_pairs))), constant_values=NEW)
        first, second = (answers[places] for places in _each_two(len(answers)))
        columns = self._of_pairs[first, second]
        new = columns == NEW
        columns[new] = np.arange(self.width, self.width + new.sum())
        self._of_pairs[first, second] = columns
        self.width += int(new.sum())
        return columns


@lru_cache(maxsize=256)
def _each_two(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of each two of so many, in the order of `itertools.combinations`."""
    return np.triu_indices(size, 1)


def one_hot(space: Space, genome: Genome) -> Features:
    """The answer to each decision, with its name."""
    return space.answers(genome).items()


def counts(space: Space, genome: Genome) -> Features:
    """Each option with 1, 2, ... up to how often the genome has it, whatever the decision."""
    met: Counter[Token] = Counter()
    for token in genome:
        met[token] += 1
        yield token, met[token]


def paths(space: Space, genome: Genome) -> Features:
    """Each sequence of operations, once."""
    return sorted(set(space.paths(genome)))


FEATURES: dict[str, Callable[[Space, Genome], Features]] = {"one-hot": one_hot, "counts": counts, "paths": paths}
KINDS = ("one-hot", "pairs", "counts", "paths")


def with_width(rows: csr_array, width: int) -> csr_array:
    """The rows with so many columns, those that are new empty."""
    from scipy.sparse import csr_array

    if rows.shape[1] == width:
        return rows
    return csr_array((rows.data, rows.indices, rows.indptr), shape=(rows.shape[0], width))
