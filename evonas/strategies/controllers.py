"""Controllers: stochastic policies that write a genome decision by decision, with weights that can be learnt.

A controller knows a space only by what `space.next` says: its steps are the decisions, its masks their options. All
options of all decisions share one numbering, in which 0 stands for what is not there: the token before the first one,
options beyond a decision's last, decisions beyond a genome's end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from evonas.device import torch_threads
from evonas.errors import UserError
from evonas.space import Decision, Space, Token

NOTHING = 0


@dataclass(frozen=True, eq=False)
class Episode:
    """A genome and how a controller came to it, in T decisions of at most O options.

    options             numbers of the options of each decision, [T, O]
    chosen              place of the token among them, [T]
    log_probabilities   of these choices when they were made, [T]
    entropy             of all decisions together, then (nats)
    """

    genome: tuple[Token, ...]
    options: Tensor
    chosen: Tensor
    log_probabilities: Tensor
    entropy: float


@dataclass(frozen=True, eq=False)
class Likelihood:
    """What a controller says of n episodes: log-probabilities of their choices and entropies of their decisions, both
    in nats and [n, T], with 0 beyond the end of an episode."""

    log_probabilities: Tensor
    entropies: Tensor


class Controller(nn.Module, ABC):
    """A policy over the genomes of a space. A subclass gives `forward`.

    Raises UserError for a space whose genomes are no sequences of decisions.
    """

    def __init__(self, space: Space, *, rng: Random) -> None:
        super().__init__()
        if not space.is_sequence:
            raise UserError(f"genomes of {space.name} are no sequences of decisions (it has no `next`), which a "
                            "controller writes; use a strategy over its own operators")  # fmt: skip
        self.space = space
        pairs = [(name, option) for name, options in space.vocabulary.items() for option in options]
        self.numbers = {pair: number for number, pair in enumerate(pairs, NOTHING + 1)}
        self._known: dict[tuple[str, tuple[Token, ...]], list[int]] = {}  # numbers of the options of a decision
        self.generator = torch.Generator().manual_seed(rng.getrandbits(63))  # of its weights and its choices

    @abstractmethod
    def forward(self, previous: Tensor, options: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores (logits) of options, and the state after them.

        previous   the token before each decision, [T, n]
        options    [T, n, O]
        state      after the decisions before; None: at the beginning
        """

    @torch.no_grad()
    @torch_threads(1)  # the same numbers whatever the machine
    def sample(self, n: int) -> list[Episode]:
        """n genomes, drawn side by side."""
        genomes: list[tuple[Token, ...]] = [()] * n
        steps: list[_Drawn] = []
        previous, state = torch.zeros(1, n, dtype=torch.long), None
        while any(decisions := [self.space.next(genome) for genome in genomes]):
            options = _padded([self._numbers(decision) for decision in decisions])
            scores, state = self(previous, options[None], state)
            logits = _masked(scores[0], options)
            chosen = torch.multinomial(logits.exp(), 1, generator=self.generator)
            steps.append(_Drawn(options, chosen[:, 0], logits.gather(1, chosen)[:, 0], _entropies(logits, options)))
            previous = options.gather(1, chosen).T
            genomes = [
                genome if decision is None else (*genome, decision.options[place])
                for genome, decision, place in zip(genomes, decisions, chosen[:, 0].tolist(), strict=True)
            ]
        return _episodes(genomes, steps)

    def likelihood(self, episodes: Sequence[Episode]) -> Likelihood:
        """Of these episodes by the present weights, to be differentiated."""
        width = max(episode.options.shape[1] for episode in episodes)
        options = pad_sequence([nn.functional.pad(e.options, (0, width - e.options.shape[1])) for e in episodes])
        chosen = pad_sequence([episode.chosen for episode in episodes])[..., None]  # [T, n, 1]
        tokens = options.gather(2, chosen)[..., 0]
        previous = torch.cat([torch.zeros_like(tokens[:1]), tokens[:-1]])
        scores, _ = self(previous, options)
        logits = _masked(scores, options)
        there = tokens != NOTHING
        return Likelihood((logits.gather(2, chosen)[..., 0] * there).T, (_entropies(logits, options) * there).T)

    def _numbers(self, decision: Decision | None) -> list[int]:
        if decision is None:
            return [NOTHING]
        asked = decision.name, decision.options
        if asked not in self._known:
            self._known[asked] = [self.numbers[decision.name, option] for option in decision.options]
        return self._known[asked]


class Recurrent(Controller):
    """An LSTM that reads the embedding of the token before and scores the options of each decision by a linear head
    (Zoph and Le 2017, arXiv:1611.01578, section 3.1). With a temperature and a `tanh` constant C a score is
    C tanh(score / temperature) (Bello et al. 2017, arXiv:1611.09940, in Pham et al. 2018, arXiv:1802.03268).

    units     of each of the `layers`, and length of the embeddings
    initial   all weights are drawn uniformly from ± this
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        units: int = 100,
        layers: int = 1,
        initial: float = 0.1,
        temperature: float = 1.0,
        tanh: float | None = None,
    ) -> None:
        super().__init__(space, rng=rng)
        if min(units, layers) < 1 or min(initial, temperature, tanh or 1.0) <= 0:
            raise UserError(f"units is {units}, layers {layers}, initial {initial}, temperature {temperature} and tanh "
                            f"{tanh}; use at least 1 of the first two, and more than 0 of the others")  # fmt: skip
        self.temperature, self.tanh = temperature, tanh
        size = len(self.numbers) + 1
        self.embedding = nn.Embedding(size, units)
        self.lstm = nn.LSTM(units, units, layers)
        self.head = nn.Linear(units, size)
        for weights in self.parameters():
            nn.init.uniform_(weights, -initial, initial, generator=self.generator)

    def forward(self, previous: Tensor, options: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden, state = self.lstm(self.embedding(previous), state)
        scores = self.head(hidden).gather(2, options) / self.temperature
        return (scores if self.tanh is None else self.tanh * torch.tanh(scores)), state


class Independent(Controller):
    """A softmax of its own for each decision, whatever was chosen before: one weight an option, 0 at the beginning."""

    def __init__(self, space: Space, *, rng: Random) -> None:
        super().__init__(space, rng=rng)
        self.scores = nn.Parameter(torch.zeros(len(self.numbers) + 1))

    def forward(self, previous: Tensor, options: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.scores[options], None


class _Drawn(NamedTuple):
    """One decision of n genomes: options [n, O], and of each the place chosen, its log-probability and the entropy."""

    options: Tensor
    chosen: Tensor
    log_probabilities: Tensor
    entropies: Tensor


def _episodes(genomes: Sequence[tuple[Token, ...]], steps: Sequence[_Drawn]) -> list[Episode]:
    """What was drawn side by side, genome by genome."""
    width = max(step.options.shape[1] for step in steps)
    wide = [nn.functional.pad(step.options, (0, width - step.options.shape[1])) for step in steps]
    parts = [torch.stack(part, 1) for part in (wide, *zip(*(step[1:] for step in steps), strict=True))]
    options, chosen, scores, entropies = parts  # [n, T, O], and three of [n, T]
    return [
        Episode(genome, options[at, : len(genome)], chosen[at, : len(genome)], scores[at, : len(genome)],
                round(entropies[at].sum().item(), 4))
        for at, genome in enumerate(genomes)
    ]  # fmt: skip


def _padded(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [NOTHING] * (width - len(row)) for row in rows])


def _masked(scores: Tensor, options: Tensor) -> Tensor:
    """Log-probabilities of options; those that are not there have none, but the first, where there is no decision."""
    absent = options == NOTHING
    absent[..., 0] = False
    return scores.masked_fill(absent, -torch.inf).log_softmax(-1)


def _entropies(logits: Tensor, options: Tensor) -> Tensor:
    return -(logits.exp() * logits.masked_fill(options == NOTHING, 0)).sum(-1)
