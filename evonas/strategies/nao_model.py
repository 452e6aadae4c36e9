"""The network of NAO (Luo, Tian, Qin, Chen and Liu 2018, "Neural Architecture Optimization", arXiv:1808.07233): an
encoder from genomes to continuous states, a predictor of their worth, and a decoder back to genomes.

Where the paper leaves it open it follows the authors' PyTorch code (github.com/renqianluo/NAO_pytorch). n genomes of at
most T tokens are read in at most S steps; V is the size of the vocabulary, H the number of units.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence

from evonas.space import Decision, Genome, Space, Token
from evonas.support.device import torch_threads
from evonas.training.optimizers import Adam

NOTHING = 0  # padding, and what the decoder reads before the first token


class Sequences(NamedTuple):
    """Genomes as numbers.

    tokens     number of each token, [n, T]; 0 beyond the end of a genome
    legal      whether an option may stand at a place, [n, T, V]
    exchanged  number of the token at each place once all branches are exchanged, [n, T]
    pairs      which pair of branches a place belongs to, from 1, [n, T]; 0: to none
    steps      places of the tokens that are read at each step, from 1, [n, S, W]; 0: none
    """

    tokens: Tensor
    legal: Tensor
    exchanged: Tensor
    pairs: Tensor
    steps: Tensor


class States(NamedTuple):
    """What the encoder makes of genomes: its normalised outputs h, [n, S, H], and which of the steps there are,
    [n, S]."""

    outputs: Tensor
    there: Tensor

    @property
    def embedding(self) -> Tensor:
        """e_x, the mean of the outputs, of length 1, [n, H] (section 3.2; normalised in the authors' code)."""
        return normalize((self.outputs * self.there[..., None]).sum(1) / self.there.sum(1, keepdim=True), dim=-1)


class Found(NamedTuple):
    """A genome that was decoded after a step of ascent, and the worth that is predicted of the state it was decoded
    from, between 0 and 1."""

    genome: tuple[Token, ...]
    predicted: float


class Vocabulary:
    """A numbering of all options of a space, from 1. Decisions of one kind share their numbers; those of no kind share
    them with all that have the same options, as the operations of all nodes do in the paper."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.numbers = {pair: number for number, pair in enumerate(space.vocabulary(_kind), NOTHING + 1)}
        self.size = len(self.numbers) + 1
        self._rows: dict[tuple[Hashable, tuple[Token, ...]] | None, Tensor] = {}

    def number(self, decision: Decision, token: Token) -> int:
        return self.numbers[_kind(decision), self.space.word(token)]

    def token(self, decision: Decision, number: int) -> Token:
        """The option of a decision that has this number."""
        return decision.options[self._options(decision)[number]]

    def legal(self, decision: Decision | None) -> Tensor:
        """Which numbers the options of a decision have, [V]; of none, that of padding."""
        asked = None if decision is None else (_kind(decision), decision.options)
        if asked not in self._rows:
            self._rows[asked] = torch.zeros(self.size, dtype=torch.bool)
            self._rows[asked][[NOTHING] if decision is None else list(self._options(decision))] = True
        return self._rows[asked]

    def _options(self, decision: Decision) -> dict[int, int]:
        """The place of each option of a decision by its number."""
        return {self.number(decision, option): place for place, option in enumerate(decision.options)}

    def sequences(self, genomes: Sequence[Genome]) -> Sequences:
        """Genomes of the space as numbers. Tokens of a branch (`Space.branches`) are read in one step, as the paper's
        pairs of an input and an operation; each other token in one of its own."""
        parts = [self._sequence(genome) for genome in genomes]
        width = max(steps.shape[1] for *_, steps in parts)
        wide = [(*rest, nn.functional.pad(steps, (0, width - steps.shape[1]))) for *rest, steps in parts]
        return Sequences(*(pad_sequence(list(column), batch_first=True) for column in zip(*wide, strict=True)))

    def _sequence(self, genome: Genome) -> tuple[Tensor, ...]:
        decisions, branches = self.space.decisions(genome), self.space.branches(genome)
        other, pairs = list(genome), [0] * len(genome)
        steps: dict[int, tuple[int, ...]] = {place: (place,) for place in range(len(genome))}
        for number, (one, two) in enumerate(branches, 1):
            for a, b in zip(one, two, strict=True):
                other[a], other[b], pairs[a], pairs[b] = genome[b], genome[a], number, number
            steps |= {place: branch for branch in (one, two) for place in branch}
        read = [torch.tensor(step) + 1 for step in dict.fromkeys(steps.values())]
        return (
            torch.tensor([self.number(*each) for each in zip(decisions, genome, strict=True)]),
            torch.stack([self.legal(decision) for decision in decisions]),
            torch.tensor([self.number(*each) for each in zip(decisions, other, strict=True)]),
            torch.tensor(pairs),
            pad_sequence(read, batch_first=True),
        )


class EncoderPredictorDecoder(nn.Module):
    """The three networks, which share the states of the encoder (section 3 and figure 1).

    seed        of the initial weights, and of all that training draws
    width       most tokens that are read in one step
    embedding   length of a token's embedding
    units       H, of the LSTMs of encoder and decoder
    layers      of the predictor between the embedding of a genome and its worth, each of `dense` units
    dropout     in the predictor
    """

    def __init__(
        self, space: Space, *, seed: int, width: int, embedding: int = 48, units: int = 96, layers: int = 3,
        dense: int = 200, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.space, self.width, self.dropout = space, width, dropout
        self.vocabulary = Vocabulary(space)
        self.generator = torch.Generator().manual_seed(seed)
        self.read = nn.Embedding(self.vocabulary.size, embedding, padding_idx=NOTHING)
        self.encoder = nn.LSTM(width * embedding, units, batch_first=True)
        sizes = [units, *[dense] * layers]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.worth = nn.Linear(sizes[-1], 1)
        self.written = nn.Embedding(self.vocabulary.size, units)
        self.decoder = nn.LSTM(units, units, batch_first=True)
        self.asks = nn.Linear(units, units, bias=False)
        self.joins = nn.Linear(2 * units, units, bias=False)
        self.head = nn.Linear(units, self.vocabulary.size)
        self._initialize()

    def _initialize(self) -> None:
        """PyTorch's own initial weights, drawn from the model's generator."""
        for module in self.modules():
            own = list(module.parameters(recurse=False))
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, generator=self.generator)
            elif own:
                bound = (module.hidden_size if isinstance(module, nn.LSTM) else own[0].shape[1]) ** -0.5
                for weights in own:
                    nn.init.uniform_(weights, -bound, bound, generator=self.generator)
        with torch.no_grad():
            self.read.weight[NOTHING] = 0
        self.eval()

    # ---- the three networks ---------------------------------------------------------------------------------------

    def encode(self, tokens: Tensor, steps: Tensor) -> States:
        """E: the states of genomes of numbers [n, T] that are read in steps [n, S, W] (section 3.2)."""
        steps = nn.functional.pad(steps, (0, self.width - steps.shape[2]))
        places = nn.functional.pad(tokens, (1, 0))  # place 0 stands for none
        read = places.gather(1, steps.flatten(1)).view(steps.shape)
        outputs, _ = self.encoder(self.read(read).flatten(2))
        return States(normalize(outputs, dim=-1), steps[..., 0] != NOTHING)

    def predict(self, states: States) -> Tensor:
        """f: the worth of genomes between 0 and 1, [n], of their embeddings."""
        found = states.embedding
        for layer in self.layers:
            found = self._dropped(torch.relu(layer(found)))
        return torch.sigmoid(self.worth(found))[:, 0]

    def scores(
        self, before: Tensor, states: States, memory: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """D: scores (logits) of all tokens after each of the tokens `before`, [n, T, V], and the memory of the LSTM,
        which begins as e_x, with attention on the states (section 3.2)."""
        if memory is None:
            memory = (states.embedding[None],) * 2
        hidden, memory = self.decoder(self.written(before), memory)
        weights = self.asks(hidden) @ states.outputs.transpose(1, 2)
        weights = weights.masked_fill(~states.there[:, None], -torch.inf).softmax(-1)
        return self.head(torch.tanh(self.joins(torch.cat([weights @ states.outputs, hidden], -1)))), memory

    def _dropped(self, values: Tensor) -> Tensor:
        if not (self.training and self.dropout):
            return values
        kept = torch.empty_like(values).bernoulli_(1 - self.dropout, generator=self.generator)
        return values * kept / (1 - self.dropout)

    # ---- training -------------------------------------------------------------------------------------------------

    def losses(self, tokens: Tensor, legal: Tensor, steps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared error of the predictor, and the mean negative log-likelihood of a token."""
        states = self.encode(tokens, steps)
        before = nn.functional.pad(tokens, (1, -1))
        there = tokens != NOTHING
        scores = self.scores(before, states)[0][there].masked_fill(~legal[there], -torch.inf)
        return (self.predict(states) - targets).square().mean(), nn.functional.cross_entropy(scores, tokens[there])

    @torch_threads(1)  # the same numbers on every machine
    def fit(
        self, genomes: Sequence[Genome], worths: Sequence[float], *, epochs: int, batch: int, learning_rate: float,
        weight_decay: float, trade_off: float, exchange: bool,
    ) -> None:  # fmt: skip
        """Train on genomes and their worths, of which more is better, by Adam (section 3.3 and algorithm 1).

            L = lambda L_pp + (1 - lambda) L_rec                                  (equation 1)

        trade_off   lambda
        exchange    each time a genome is read, each pair of its branches is exchanged with probability 1/2

        The worths are scaled to [0, 1] over these genomes; where all are equal, to 1/2.
        """
        data, targets = self.vocabulary.sequences(genomes), scaled(worths)
        optimizer = Adam(self.parameters(), learning_rate, weight_decay=weight_decay)
        self.train()
        for _ in range(epochs):
            tokens = self._exchanged(data) if exchange else data.tokens
            for rows in torch.randperm(len(targets), generator=self.generator).split(batch):
                error, surprise = self.losses(tokens[rows], data.legal[rows], data.steps[rows], targets[rows])
                optimizer.zero_grad()
                (trade_off * error + (1 - trade_off) * surprise).backward()
                nn.utils.clip_grad_norm_(self.parameters(), 5.0)
                optimizer.step()
        self.eval()

    def _exchanged(self, data: Sequences) -> Tensor:
        """The tokens with each pair of branches exchanged or not, by chance."""
        drawn = torch.rand(len(data.pairs), int(data.pairs.max()) + 1, generator=self.generator) < 0.5
        drawn[:, 0] = False
        return torch.where(drawn.gather(1, data.pairs), data.exchanged, data.tokens)

    # ---- what is asked of a trained model -------------------------------------------------------------------------

    def states(self, genomes: Sequence[Genome]) -> States:
        data = self.vocabulary.sequences(genomes)
        return self.encode(data.tokens, data.steps)

    @torch.no_grad()
    @torch_threads(1)
    def predictions(self, genomes: Sequence[Genome]) -> list[float]:
        """The predicted worth of genomes, on the scale of the last fit."""
        return self.predict(self.states(genomes)).tolist()

    @torch_threads(1)
    def gradients(self, genomes: Sequence[Genome]) -> tuple[States, Tensor]:
        """The states of genomes, and the gradient of their predicted worth by the outputs at each step, [n, S, H]."""
        with torch.no_grad():
            outputs, there = self.states(genomes)
        outputs.requires_grad_()
        (gradient,) = torch.autograd.grad(self.predict(States(outputs, there)).sum(), outputs)
        return States(outputs.detach(), there), gradient

    @torch.no_grad()
    @torch_threads(1)
    def ascend(self, states: States, gradient: Tensor, eta: float) -> list[Found]:
        """The genomes at a step of eta uphill (f predicts worth, not error), decoded greedily.

        h_t' = h_t + eta df/dh_t                                                  (equation 2)
        """
        moved = States(normalize(states.outputs + eta * gradient, dim=-1), states.there)
        return [Found(*each) for each in zip(self.decode(moved), self.predict(moved).tolist(), strict=True)]

    @torch.no_grad()
    @torch_threads(1)
    def decode(self, states: States) -> list[tuple[Token, ...]]:
        """The genomes whose tokens, one after the other, have the highest scores of those that are legal there."""
        genomes: list[tuple[Token, ...]] = [()] * len(states.outputs)
        before, memory = torch.full((len(genomes), 1), NOTHING), None
        while any(decisions := [self.space.next(genome) for genome in genomes]):
            scores, memory = self.scores(before, states, memory)
            legal = torch.stack([self.vocabulary.legal(decision) for decision in decisions])
            before = scores.masked_fill(~legal[:, None], -torch.inf).argmax(-1)
            genomes = [
                genome if decision is None else (*genome, self.vocabulary.token(decision, number))
                for genome, decision, number in zip(genomes, decisions, before[:, 0].tolist(), strict=True)
            ]
        return genomes


def widest(space: Space, genomes: Sequence[Genome]) -> int:
    """The most tokens of these genomes that are read in one step."""
    return max(len(branch) for genome in genomes for pair in (*space.branches(genome), ((0,),)) for branch in pair)


def scaled(worths: Sequence[float]) -> Tensor:
    """Worths scaled to [0, 1], [n]; where all are equal, to 1/2."""
    given = torch.tensor(worths, dtype=torch.float64)
    least, span = given.min(), given.max() - given.min()
    return torch.full_like(given, 0.5).float() if span == 0 else ((given - least) / span).float()


def _kind(decision: Decision) -> Hashable:
    return decision.kind or tuple(decision.options)
