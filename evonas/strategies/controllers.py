"""Controllers: stochastic policies with learnable weights that generate a genome decision by decision.

A controller knows a space only through `space.next`: its steps are the decisions, its masks their options. All options
of all kinds of decisions share one numbering, in which 0 is padding: the token before the first one, options beyond a
decision's last, decisions beyond a genome's end, and pointers to nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from evonas.errors import UserError
from evonas.space import CodeError, Decision, Genome, Space, Token, require_sequence
from evonas.support.device import torch_threads

NOTHING = 0
_NOWHERE = [NOTHING]


@dataclass(frozen=True, eq=False)
class Episode:
    """A genome and the T decisions, with at most O options each, by which a controller generated it.

    options             numbers of the options of each decision, [T, O]
    pointers            the step at which each decision is made and the steps that its options point at, [T, 1 + O]
    chosen              place of the chosen token among the options, [T]
    log_probabilities   log-probabilities of these choices at the time of sampling, [T]
    entropy             entropy summed over all decisions at that time (nats)
    """

    genome: tuple[Token, ...]
    options: Tensor
    pointers: Tensor
    chosen: Tensor
    log_probabilities: Tensor
    entropy: float


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The log-probabilities of the choices and the entropies of the decisions of n episodes under a controller, both in
    nats and [n, T], with 0 beyond the end of an episode."""

    log_probabilities: Tensor
    entropies: Tensor


class Controller(nn.Module, ABC):
    """A policy over the genomes of a space. A subclass defines `forward`.

    Raises UserError for a space whose genomes are not sequences of decisions.
    """

    def __init__(self, space: Space, *, rng: Random) -> None:
        super().__init__()
        require_sequence(space, "a controller")
        self.space = space
        self.numbers = {pair: number for number, pair in enumerate(space.vocabulary(self.kind), NOTHING + 1)}
        self.points = space.points
        self._known: dict[tuple[str, tuple[Token, ...]], list[int]] = {}  # numbers of the options of a decision
        self.generator = torch.Generator().manual_seed(rng.getrandbits(63))  # for initial weights and choices

    def kind(self, decision: Decision) -> str:
        """The kind of a decision. Decisions of one kind share the numbers of their options, and thus the weights."""
        return decision.kind or decision.name

    @abstractmethod
    def forward(self, previous: Tensor, options: Tensor, pointers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The scores (logits) of options, and the state after these decisions.

        previous   the token before each decision, [T, n]
        options    numbers of the options, [T, n, O]
        pointers   the step at which a decision is made, and the step that each option points at, [T, n, 1 + O]; at step
                   t, t tokens have been read
        state      the state after the earlier decisions; None: at the beginning
        """

    @torch.no_grad()
    @torch_threads(1)  # the same numbers on every machine
    def sample(self, n: int, begun: Sequence[Genome] | None = None) -> list[Episode]:
        """n genomes, drawn in parallel; each continues its prefix in `begun`, whose tokens do not count as choices."""
        genomes: list[tuple[Token, ...]] = [()] * n
        begun = begun or genomes
        steps: list[_Step] = []
        previous, state = torch.zeros(1, n, dtype=torch.long), None
        while any(decisions := [self._asked(*each) for each in zip(genomes, begun, strict=True)]):
            options = _padded([self._numbers(decision) for decision in decisions])
            pointers = _padded([_pointers(decision) for decision in decisions], options.shape[1] + 1)
            scores, state = self(previous, options[None], pointers[None], state)
            logits = _masked(scores[0], options)
            chosen = _draw(logits, self.generator)
            steps.append(_Step(options, pointers, chosen, logits))
            previous = options.gather(1, chosen).T
            genomes = [
                genome if decision is None else (*genome, decision.options[place])
                for genome, decision, place in zip(genomes, decisions, chosen[:, 0].tolist(), strict=True)
            ]
        return _episodes(genomes, steps)

    def likelihood(self, episodes: Sequence[Episode]) -> Likelihood:
        """The likelihood of these episodes under the present weights; it can be differentiated."""
        width = max(episode.options.shape[1] for episode in episodes)
        options = pad_sequence([_widened(episode.options, width) for episode in episodes])
        pointers = pad_sequence([_widened(episode.pointers, width + 1) for episode in episodes])
        chosen = pad_sequence([episode.chosen for episode in episodes])[..., None]  # [T, n, 1]
        tokens = options.gather(2, chosen)[..., 0]
        previous = torch.cat([torch.zeros_like(tokens[:1]), tokens[:-1]])
        scores, _ = self(previous, options, pointers)
        logits = _masked(scores, options)
        there = tokens != NOTHING
        return Likelihood((logits.gather(2, chosen)[..., 0] * there).T, (_entropies(logits, options) * there).T)

    def _asked(self, genome: tuple[Token, ...], begun: Genome) -> Decision | None:
        """The decision that follows a genome; within the given prefix, the token of the prefix is its only option."""
        decision = self.space.next(genome)
        if decision is None or len(genome) >= len(begun):
            return decision
        token = begun[len(genome)]
        if token not in decision.options:
            raise CodeError(f"the given prefix has {token!r} for {decision.name}, which takes one of "
                            f"{', '.join(map(str, decision.options))}")  # fmt: skip
        return replace(decision, options=(token,), pointer=None)

    def _numbers(self, decision: Decision | None) -> list[int]:
        if decision is None:
            return _NOWHERE
        asked = self.kind(decision), decision.options
        if asked not in self._known:
            self._known[asked] = [self.numbers[asked[0], self.space.word(option)] for option in decision.options]
        return self._known[asked]


class Recurrent(Controller):
    """An LSTM that reads the embedding of the previous token and scores the options of each decision by a linear head
    (Zoph and Le 2017, arXiv:1611.01578, section 3.1). With a temperature and a `tanh` constant C, a score becomes
    C tanh(score / temperature) (Bello et al. 2017, arXiv:1611.09940, in Pham et al. 2018, arXiv:1802.03268).

    Where a decision points, an option that refers to an earlier step j has the score v tanh(W_prev h_j + W_curr h_i),
    where h_j and h_i are the LSTM's outputs at step j and at the step i of the choice; an option that refers to nothing
    has the score 0. For a yes/no decision these are the sigmoids of Zoph and Le's anchors (section 3.3).

    units     units of each of the `layers`, and length of the embeddings
    initial   all weights are drawn uniformly from [-initial, initial]
    tanh      C; kinds of decisions may have their own: {kind: C}, with the one of all others under ""
    bias      whether the LSTM and the linear head have biases
    """

    limits: Tensor  # the constant C of each option

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        units: int = 100,
        layers: int = 1,
        initial: float = 0.1,
        temperature: float = 1.0,
        tanh: float | Mapping[str, float] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(space, rng=rng)
        bounds = tanh if isinstance(tanh, Mapping) else {} if tanh is None else {"": tanh}
        if min(units, layers) < 1 or min(initial, temperature, *bounds.values(), 1) <= 0:
            raise UserError(f"units is {units}, layers {layers}, initial {initial}, temperature {temperature} and tanh "
                            f"{tanh}; use at least 1 for the first two, and more than 0 for the others")  # fmt: skip
        self.temperature, self.bounded = temperature, bool(bounds)
        size = len(self.numbers) + 1
        limits = torch.ones(size)
        for (kind, _), number in self.numbers.items():
            limits[number] = bounds.get(kind, bounds.get("", 1.0))
        self.register_buffer("limits", limits, persistent=False)
        self.embedding = nn.Embedding(size, units)
        self.lstm = nn.LSTM(units, units, layers, bias=bias)
        self.head = nn.Linear(units, size, bias=bias)
        if self.points:
            self.earlier, self.current = nn.Linear(units, units, bias=False), nn.Linear(units, units, bias=False)
            self.attention = nn.Linear(units, 1, bias=False)
        for weights in self.parameters():
            nn.init.uniform_(weights, -initial, initial, generator=self.generator)

    def forward(self, previous: Tensor, options: Tensor, pointers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        cells, before = state or (None, ())
        hidden, cells = self._read(self.embedding(previous), cells)
        scores = self.head(hidden).gather(2, options)
        if self.points:
            before = (*before, hidden)
            if pointers.any():
                scores = torch.where(pointers[..., :1] == NOTHING, scores, self._attended(torch.cat(before), pointers))
        scores = scores / self.temperature
        return (self.limits[options] * torch.tanh(scores) if self.bounded else scores), (cells, before)

    def _read(self, inputs: Tensor, cells: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The LSTM's outputs for inputs [T, n, units], and its state after them. A single step is computed by cells,
        which takes a third of the time."""
        if len(inputs) > 1:
            return self.lstm(inputs, cells)
        if cells is None:
            cells = (inputs.new_zeros(self.lstm.num_layers, *inputs.shape[1:]),) * 2
        output, after = inputs[0], []
        for layer, before in enumerate(zip(*cells, strict=True)):
            output, inner = torch.lstm_cell(output, before, *self.lstm.all_weights[layer])
            after.append((output, inner))
        hidden, inner = (torch.stack(each) for each in zip(*after, strict=True))
        return output[None], (hidden, inner)

    def _attended(self, outputs: Tensor, pointers: Tensor) -> Tensor:
        """The scores of options that point, [T, n, O], given the LSTM's outputs at all steps so far, [S, n, units]."""
        episode = torch.arange(outputs.shape[1])[:, None]
        at, to = pointers[..., :1], pointers[..., 1:]
        seen = self.earlier(outputs)[to, episode] + self.current(outputs)[at, episode]
        return self.attention(torch.tanh(seen))[..., 0].masked_fill(to == NOTHING, 0)


class Independent(Controller):
    """A separate softmax for each decision, independent of earlier choices: one weight per option, initially 0."""

    def __init__(self, space: Space, *, rng: Random) -> None:
        super().__init__(space, rng=rng)
        self.scores = nn.Parameter(torch.zeros(len(self.numbers) + 1))

    def kind(self, decision: Decision) -> str:
        return decision.name

    def forward(self, previous: Tensor, options: Tensor, pointers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.scores[options], None


class _Step(NamedTuple):
    """One decision of n genomes: options [n, O], pointers [n, 1 + O], the chosen place [n, 1], and log-probabilities of
    all options [n, O]."""

    options: Tensor
    pointers: Tensor
    chosen: Tensor
    logits: Tensor


def _episodes(genomes: Sequence[tuple[Token, ...]], steps: Sequence[_Step]) -> list[Episode]:
    """The episodes of genomes that were drawn in parallel."""
    width = max(step.options.shape[1] for step in steps)
    options = torch.stack([_widened(step.options, width) for step in steps], 1)
    pointers = torch.stack([_widened(step.pointers, width + 1) for step in steps], 1)
    chosen = torch.stack([step.chosen for step in steps], 1)
    logits = torch.stack([_widened(step.logits, width, -torch.inf) for step in steps], 1)
    scores, entropies = logits.gather(2, chosen)[..., 0], _entropies(logits, options).sum(1).tolist()
    return [
        Episode(genome, options[at, :length], pointers[at, :length], chosen[at, :length, 0], scores[at, :length],
                round(entropies[at], 4))
        for at, (genome, length) in enumerate(zip(genomes, map(len, genomes), strict=True))
    ]  # fmt: skip


def _draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """A place in each row, [n, 1], drawn by log-probabilities [n, O]. The draws are those of `torch.multinomial`,
    without its checks, which take most of its time."""
    return (logits.exp() / torch.empty_like(logits).exponential_(generator=generator)).argmax(1, keepdim=True)


def _pointers(decision: Decision | None) -> list[int]:
    """The step at which a decision is made, and the steps that its options point at. A token has been read at the step
    after its own."""
    if decision is None or decision.pointer is None:
        return _NOWHERE
    return [decision.pointer.at + 1] + [NOTHING if place is None else place + 1 for place in decision.pointer.to]


def _padded(rows: list[list[int]], width: int = 0) -> Tensor:
    width = max(width, *map(len, rows))
    if all(row is rows[0] for row in rows):  # one decision for all, as in every space of fixed length
        return torch.tensor(rows[0] + [NOTHING] * (width - len(rows[0]))).expand(len(rows), -1)
    return torch.tensor([row + [NOTHING] * (width - len(row)) for row in rows])


def _widened(rows: Tensor, width: int, value: float = NOTHING) -> Tensor:
    missing = width - rows.shape[1]
    return nn.functional.pad(rows, (0, missing), value=value) if missing else rows


def _masked(scores: Tensor, options: Tensor) -> Tensor:
    """The log-probabilities of options. Padding has none, except the first option where there is no decision."""
    absent = options == NOTHING
    absent[..., 0] = False
    return scores.masked_fill(absent, -torch.inf).log_softmax(-1)


def _entropies(logits: Tensor, options: Tensor) -> Tensor:
    return -(logits.exp() * logits.masked_fill(options == NOTHING, 0)).sum(-1)
