"""The two policies of N2N (Ashok et al. 2018, arXiv:1709.06030, section 3.2): which layers go, and by how much the
others shrink.

Both read seven numbers of a layer, here as shares of the largest of each kind, and not as they are, as the published
code does. The second policy reads besides which attribute is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from evonas.genomes.leaves import described
from evonas.genomes.n2n import KEEP, REMOVE, N2NSpace

if TYPE_CHECKING:
    from evonas.space import Decision, Token

ATTRIBUTES = ("kernel", "stride", "channels", "padding")
NUMBERS = 7


class Policy(nn.Module, ABC):
    """What both have in common: the layers of a space, and a generator for first weights and choices.

    units, layers   of the LSTM
    """

    scale: Tensor

    def __init__(self, space: N2NSpace, inputs: int, outputs: int, *, rng: Random, units: int, layers: int,
                 both_ways: bool) -> None:  # fmt: skip
        super().__init__()
        self.space = space
        numbers = torch.tensor([leaf.numbers for leaf in space.plan.leaves], dtype=torch.float32)
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer("scale", numbers.amax(0).clamp(min=1), persistent=False)
        self.generator = torch.Generator().manual_seed(rng.getrandbits(63))
        self.lstm = nn.LSTM(inputs, units, layers, bidirectional=both_ways)
        self.head = nn.Linear(units * (1 + both_ways), outputs)
        for weights in self.parameters():
            nn.init.uniform_(weights, -(units**-0.5), units**-0.5, generator=self.generator)

    @abstractmethod
    def sample(self, count: int) -> list[tuple[Token, ...]]:
        """So many genomes."""

    @abstractmethod
    def log_probabilities(self, genomes: Sequence[Sequence[Token]]) -> Tensor:
        """Those of the choices of which genomes were made, summed, [n]."""

    def drawn(self, logits: Tensor) -> Tensor:
        """A choice in each row of log-probabilities, [n, A] -> [n]."""
        return torch.multinomial(logits.exp(), 1, generator=self.generator)[:, 0]


class Removal(Policy):
    """Two layers of an LSTM that reads the network both ways, and a choice of each layer: it stays, or it goes."""

    numbers: Tensor

    def __init__(self, space: N2NSpace, *, rng: Random, units: int = 30, layers: int = 2) -> None:
        super().__init__(space, NUMBERS, 2, rng=rng, units=units, layers=layers, both_ways=True)
        self.removable = torch.tensor([leaf.removable for leaf in space.plan.leaves])

    def forward(self) -> Tensor:
        """Log-probabilities of staying and going, [L, 2]."""
        return self.head(self.lstm(self.numbers / self.scale)[0]).log_softmax(1)

    @torch.no_grad()
    def sample(self, count: int) -> list[tuple[Token, ...]]:
        """So many genomes, which shrink nothing."""
        logits, found = self(), []
        for _ in range(count):
            goes = (self.drawn(logits) == 1) & self.removable
            gone = {leaf.name for leaf, it in zip(self.space.plan.leaves, goes.tolist(), strict=True) if it}
            found.append(without(self.space, gone))
        return found

    def log_probabilities(self, genomes: Sequence[Sequence[Token]]) -> Tensor:
        """Those of the choices that were made, summed, [n]; what cannot go is no choice."""
        logits = self()
        rows = []
        for genome in genomes:
            answers = self.space.answers(genome)
            goes = [answers.get(f"{leaf.name}.keep") == REMOVE for leaf in self.space.plan.leaves]
            chosen = logits.gather(1, torch.tensor(goes, dtype=torch.long)[:, None])[:, 0]
            rows.append((chosen * self.removable).sum())
        return torch.stack(rows)


class Shrinkage(Policy):
    """Two layers of an LSTM that go through the layers that are left, and say of each attribute by what it is
    multiplied: each choice is read, applied, before the next.

    gone   the names of the layers that have been removed
    """

    def __init__(self, space: N2NSpace, gone: frozenset[str], *, rng: Random, units: int = 30, layers: int = 2) -> None:
        size = len(space.multipliers)
        super().__init__(
            space, NUMBERS + len(ATTRIBUTES), len(ATTRIBUTES) * size, rng=rng, units=units, layers=layers,
            both_ways=False,
        )  # fmt: skip
        self.gone, self.size = gone, size
        self.leaves = {leaf.name: leaf for leaf in space.plan.leaves}

    @torch.no_grad()
    def sample(self, count: int) -> list[tuple[Token, ...]]:
        return self._walk([()] * count, None)[0]

    def log_probabilities(self, genomes: Sequence[Sequence[Token]]) -> Tensor:
        return self._walk([()] * len(genomes), genomes)[1]

    def _walk(
        self, genomes: list[tuple[Token, ...]], given: Sequence[Sequence[Token]] | None
    ) -> tuple[list[tuple[Token, ...]], Tensor]:
        """Genomes that are drawn, or the given ones, decision by decision, with the log-probabilities of the choices,
        summed, [n]."""
        total, state = torch.zeros(len(genomes)), None
        while (first := self.space.next(genomes[0])) is not None:
            if first.kind == "keep":
                token = REMOVE if first.name.removesuffix(".keep") in self.gone else KEEP
                genomes = [(*genome, token) for genome in genomes]
                continue
            decisions = [self.space.next(genome) for genome in genomes]
            output, state = self.lstm(self._read(first, genomes)[None], state)
            place = ATTRIBUTES.index(first.kind) * self.size
            logits = self._masked(self.head(output[0])[:, place : place + self.size], decisions)
            if given is None:
                chosen = self.drawn(logits)
            else:
                at = len(genomes[0])
                chosen = torch.tensor([self.space.multipliers.index(each[at]) for each in given])
            total = total + logits.gather(1, chosen[:, None])[:, 0]
            tokens = [self.space.multipliers[each] for each in chosen.tolist()]
            genomes = [(*genome, token) for genome, token in zip(genomes, tokens, strict=True)]
        return genomes, total

    def _read(self, asked: Decision, genomes: Sequence[tuple[Token, ...]]) -> Tensor:
        """The layer that is asked about, with what was chosen so far, and which attribute is asked, [n, 11]."""
        name, _, attribute = asked.name.rpartition(".")
        leaf = self.leaves[name]
        before = leaf.attributes[: leaf.attributes.index(attribute)]
        rows = []
        for genome in genomes:
            chosen = dict(zip(before, genome[len(genome) - len(before) :], strict=True))
            rows.append([*described(leaf.changed(chosen)), *leaf.skip])  # type: ignore[arg-type]
        which = nn.functional.one_hot(torch.tensor(ATTRIBUTES.index(attribute)), len(ATTRIBUTES))
        numbers = torch.tensor(rows, dtype=torch.float32) / self.scale
        return torch.cat([numbers, which.float().expand(len(rows), -1)], 1)

    def _masked(self, scores: Tensor, decisions: Sequence[Decision | None]) -> Tensor:
        legal = torch.tensor(
            [[each in decision.options for each in self.space.multipliers] for decision in decisions if decision]
        )
        return scores.masked_fill(~legal, -torch.inf).log_softmax(1)


def without(space: N2NSpace, gone: set[str] | frozenset[str]) -> tuple[Token, ...]:
    """The genome that removes these layers, and shrinks nothing."""
    genome: tuple[Token, ...] = ()
    while (decision := space.next(genome)) is not None:
        is_gone = decision.kind == "keep" and decision.name.removesuffix(".keep") in gone
        genome += (REMOVE if is_gone else KEEP if decision.kind == "keep" else 1.0,)
    return genome
