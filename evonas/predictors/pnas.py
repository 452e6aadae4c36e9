"""The predictors of PNAS (Liu et al. 2018, arXiv:1712.00559, section 4.2 and the supplement), which read cells of any
number of blocks: an LSTM over all tokens, and a perceptron on the mean of the blocks; and that of DPP-Net (Dong et al.
2018, arXiv:1806.08198), an LSTM with layer normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.predictors.predictor import Predictor
from evonas.space import Genome, Space, Token
from evonas.support.device import torch_threads

WIDTH = 100
BIAS = 1.8  # of the output: sigmoid(1.8) = 0.858, about the mean accuracy of cells with one block
FORGET = 1.0  # added to the gate that forgets
SPREAD = 0.1  # embeddings are drawn from -0.1 to 0.1
UNKNOWN = 0  # number of a token that was not met before
AT_ONCE = 4096  # genomes of a prediction that are in memory at a time
Units = list[list[list[int]]]  # genomes x units x tokens, as numbers


class BlockPredictor(nn.Module):
    """Embeddings of the tokens of a unit, one table for all tokens of one kind, and an output between 0 and 1."""

    def __init__(
        self, tables: Sequence[str], sizes: dict[str, int], generator: torch.Generator,
        width: int = WIDTH, bias: float = BIAS,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tables = tables  # of each token of a unit
        embeddings = {name: nn.Embedding(size, width) for name, size in sizes.items()}
        for embedding in embeddings.values():
            nn.init.uniform_(embedding.weight, -SPREAD, SPREAD, generator=generator)
        self.embeddings = nn.ModuleDict(embeddings)
        self.width, self.output = width, nn.Linear(width, 1)
        self.bias = bias

    def _begin(self, *modules: nn.Module, generator: torch.Generator) -> None:
        """Weights from -1/sqrt(width) to 1/sqrt(width), as torch's own, from a generator; of the output last."""
        for parameter in (parameter for module in (*modules, self.output) for parameter in module.parameters()):
            bound = 1 / self.width**0.5 if parameter.ndim == 1 else 1 / parameter.shape[1] ** 0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        nn.init.constant_(self.output.bias, self.bias)

    def embedded(self, tokens: Tensor) -> Tensor:
        """genomes x units x tokens -> genomes x units x tokens x width."""
        found = [self.embeddings[table](tokens[..., place]) for place, table in enumerate(self.tables)]
        return torch.stack(found, dim=-2)


class Perceptron(BlockPredictor):
    """The embeddings of a unit, concatenated; the mean over all units; two layers."""

    def __init__(
        self, tables: Sequence[str], sizes: dict[str, int], generator: torch.Generator,
        width: int = WIDTH, bias: float = BIAS,
    ) -> None:  # fmt: skip
        super().__init__(tables, sizes, generator, width, bias)
        self.layers = nn.Sequential(
            nn.Linear(width * len(tables), width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self._begin(self.layers, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.sigmoid(self.output(self.layers(self.embedded(tokens).flatten(2).mean(dim=1)))[:, 0])


class Recurrent(BlockPredictor):
    """An LSTM over all tokens, one after the other; its last hidden state is the input of the output layer."""

    def __init__(
        self, tables: Sequence[str], sizes: dict[str, int], generator: torch.Generator,
        width: int = WIDTH, bias: float = BIAS,
    ) -> None:  # fmt: skip
        super().__init__(tables, sizes, generator, width, bias)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self._begin(self.lstm, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(self.embedded(tokens).flatten(1, 2))
        return torch.sigmoid(self.output(hidden[-1])[:, 0])


class Normalised(BlockPredictor):
    """The same with layer normalisation of each gate and of the cell's state (Ba, Kiros and Hinton 2016,
    arXiv:1607.06450, equations 20 to 22, one for each gate as in TensorFlow's LayerNormBasicLSTMCell)."""

    def __init__(
        self, tables: Sequence[str], sizes: dict[str, int], generator: torch.Generator,
        width: int = WIDTH, bias: float = BIAS,
    ) -> None:  # fmt: skip
        super().__init__(tables, sizes, generator, width, bias)
        self.gates = nn.Linear(2 * width, 4 * width, bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))  # of four gates, and of the state
        self._begin(self.gates, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        steps = self.embedded(tokens).flatten(1, 2)
        state = hidden = steps.new_zeros(len(steps), self.width)
        for step in steps.unbind(1):
            parts = self.gates(torch.cat([step, hidden], 1)).chunk(4, 1)
            enter, new, forget, show = (norm(part) for norm, part in zip(self.norms, parts, strict=False))
            kept = state * torch.sigmoid(forget + FORGET) + torch.sigmoid(enter) * torch.tanh(new)
            state = self.norms[-1](kept)
            hidden = torch.tanh(state) * torch.sigmoid(show)
        return torch.sigmoid(self.output(hidden)[:, 0])


KINDS: dict[str, type[BlockPredictor]] = {"mlp": Perceptron, "rnn": Recurrent, "rnn-norm": Normalised}


class PNASEnsemble(Predictor):
    """Members fitted from scratch by the mean absolute error, each on all data but its own part of them; the mean of
    their predictions, and their standard deviation.

    space          whose genomes are read in units (`Space.units`)
    kind           mlp, which ranked larger cells best in the paper, rnn, or rnn-norm, with layer normalisation
    members        of the ensemble: each learns from (members - 1) / members of the data; 1: one on all. A single value
                   is learnt by all of them
    epochs         of a fit (the paper does not say)
    batch          genomes a step
    first_rate     learning rate of Adam while all genomes have one size, and
    learning_rate  that of later fits
    width          of embeddings, of the LSTM and of the layers
    bias           of the output at first

    Values are fractions, between 0 and 1. Raises UserError for settings out of range.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int,
        kind: str = "mlp",
        members: int = 5,
        epochs: int = 60,
        batch: int = 32,
        first_rate: float = 0.01,
        learning_rate: float = 0.002,
        width: int = WIDTH,
        bias: float = BIAS,
    ) -> None:
        if kind not in KINDS:
            raise UserError(f"kind is {kind!r}; use {', '.join(KINDS)}")
        if min(members, epochs, batch, width) < 1 or min(first_rate, learning_rate) <= 0:
            raise UserError(f"members is {members}, epochs {epochs}, batch {batch}, width {width}, first_rate "
                            f"{first_rate} and learning_rate {learning_rate}; use at least 1, and rates more than "
                            "0")  # fmt: skip
        self.space, self.seed, self.kind, self.members = space, seed, KINDS[kind], members
        self.epochs, self.batch = epochs, batch
        self.first_rate, self.learning_rate = first_rate, learning_rate
        self.width, self.bias = width, bias
        self.numbers: dict[str, dict[Token, int]] = {}  # table -> token -> its number
        self.networks: list[BlockPredictor] = []

    def fit(self, genomes: Sequence[Genome], values: np.ndarray) -> None:
        self.numbers = {}
        units = self._numbered(genomes, learn=True)
        rate = self.first_rate if len(set(map(len, units))) == 1 else self.learning_rate
        generator = torch.Generator().manual_seed(self.seed)
        self.networks = [self._network(generator) for _ in range(self.members)]
        part = torch.randperm(len(units), generator=generator) % self.members
        targets = torch.as_tensor(np.asarray(values), dtype=torch.float32)
        with torch_threads(1), torch.enable_grad():
            for member, network in enumerate(self.networks):
                whole = min(self.members, len(units)) == 1
                learnt = torch.arange(len(units)) if whole else torch.nonzero(part != member)[:, 0]
                self._train(network, units, targets, learnt, rate, generator)

    def _train(
        self, network: BlockPredictor, units: Units, targets: Tensor, learnt: Tensor, rate: float,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
        for _ in range(self.epochs):
            order = learnt[torch.randperm(len(learnt), generator=generator)]
            for chosen in order.split(self.batch):
                optimizer.zero_grad()
                found = _by_size([units[place] for place in chosen], network)
                (found - targets[chosen]).abs().mean().backward()
                optimizer.step()

    @torch.no_grad()
    def predict(self, genomes: Sequence[Genome]) -> tuple[np.ndarray, np.ndarray]:
        units = self._numbered(genomes, learn=False)
        with torch_threads(1):
            parts = [
                torch.stack([_by_size(units[start : start + AT_ONCE], network) for network in self.networks])
                for start in range(0, len(units), AT_ONCE)
            ]
        found = torch.cat(parts, dim=1).double().numpy()
        return found.mean(axis=0), found.std(axis=0)

    def _network(self, generator: torch.Generator) -> BlockPredictor:
        sizes = {table: len(tokens) + 1 for table, tokens in self.numbers.items()}
        return self.kind(self._tables, sizes, generator, self.width, self.bias)

    def _numbered(self, genomes: Sequence[Genome], *, learn: bool) -> Units:
        """Tokens as numbers; those that were not met while learning are unknown."""
        found: Units = []
        for genome in genomes:
            units = self.space.units(genome)
            self._tables = [table for table, _ in units[0]]
            if learn:
                for table, token in (pair for unit in units for pair in unit):
                    known = self.numbers.setdefault(table, {})
                    known.setdefault(token, len(known) + 1)
            found.append([[self.numbers[table].get(token, UNKNOWN) for table, token in unit] for unit in units])
        return found


def _by_size(units: Units, network: Callable[[Tensor], Tensor]) -> Tensor:
    """The output for genomes of several sizes, those of one size at once."""
    order = sorted(range(len(units)), key=lambda place: len(units[place]))
    parts = [
        network(torch.tensor([units[place] for place in places]))
        for _, places in ((size, list(group)) for size, group in groupby(order, key=lambda place: len(units[place])))
    ]
    places = torch.empty(len(units), dtype=torch.long)
    places[torch.tensor(order)] = torch.arange(len(units))
    return torch.cat(parts)[places]
