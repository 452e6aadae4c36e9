"""The meta-controller of EAS, which reads a network as a row of layers and edits it (Cai et al. 2018, "Efficient
Architecture Search by Network Transformation", arXiv:1707.04873, section 3; the sizes are those of the authors' code).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from random import Random

import torch
from torch import Tensor, nn

from evonas.graph import Graph
from evonas.morphisms import offers
from evonas.morphisms.morphism import place_of, width_of
from evonas.operations import Convolution, Linear, sides
from evonas.strategies.actors import Actors, Decided

CONV, FC, POOL = range(3)
KINDS = 3


@dataclass(frozen=True)
class Layer:
    """A layer of a plain network.

    kind     CONV, FC or POOL
    width    its channels or units; 0: of a pool
    kernel   of a convolution; 0: of others
    place    of the layer, as morphisms name it
    behind   the place of the ReLU behind it, where another one can be inserted; empty: there is none
    wider    the next width that it may have; None: none, as of pools and of the classifier
    """

    kind: int
    width: int
    kernel: int
    place: str
    behind: str
    wider: str | None


def layers_of(graph: Graph, widths: offers.Wider) -> list[Layer]:
    """The layers of a plain network in order."""
    wider, deeper = offers.wider(graph, widths), offers.deeper(graph, (1,))
    found = []
    for node in graph.nodes:
        for position, operation in enumerate(node.operations):
            place = place_of(node, position)
            if isinstance(operation, Convolution | Linear):
                behind = next((place_of(node, later) for later in range(position + 1, len(node.operations))
                               if place_of(node, later) in deeper), "")  # fmt: skip
                kind, kernel = (FC, 0) if isinstance(operation, Linear) else (CONV, sides(operation.kernel)[0])
                found.append(Layer(kind, width_of(operation), kernel, place, behind, wider.get(place, (None,))[0]))
            elif operation.name in ("max_pool", "avg_pool", "global_avg_pool"):
                found.append(Layer(POOL, 0, 0, place, "", None))
    return found


def blocks_of(layers: Sequence[Layer]) -> list[list[int]]:
    """The layers behind which another one can be inserted, by block: blocks are separated by pooling."""
    blocks: list[list[int]] = [[]]
    for number, layer in enumerate(layers):
        if layer.kind == POOL:
            blocks.append([])
        elif layer.behind:
            blocks[-1].append(number)
    return blocks


class MetaController(Actors):
    """An encoder, a bidirectional LSTM over the layers, and two actors.

    kernels    of convolutions that may be inserted
    blocks     at most, and
    longest    layers of one at most
    embedding  length of that of a layer's kind, width and kernel together
    units      of the encoder in each direction; the decoder of the deeper actor has twice as many
    largest    width that is read as 1
    """

    def __init__(
        self,
        kernels: Sequence[int],
        *,
        rng: Random,
        learning_rate: float,
        blocks: int = 8,
        longest: int = 32,
        embedding: int = 16,
        units: int = 50,
        largest: int = 2048,
    ) -> None:
        super().__init__()
        self.kernels, self.blocks, self.longest, self.largest = tuple(kernels), blocks, longest, largest
        self.generator = torch.Generator().manual_seed(rng.getrandbits(63))  # for initial weights and choices
        self.read = nn.Linear(KINDS + 2, embedding)  # of kind, width and kernel
        self.encoder = nn.LSTM(embedding, units, bidirectional=True)
        self.widen = nn.Linear(2 * units, 1)
        self.decoder = nn.LSTMCell(embedding, 2 * units)
        self.choices = nn.Embedding(1 + blocks + longest, embedding)  # what was decided before
        self.block, self.layer = nn.Linear(2 * units, blocks), nn.Linear(2 * units, longest)
        self.kernel = nn.Linear(2 * units, len(kernels))
        with torch.no_grad():
            for weight in self.parameters():
                bound = sqrt(3) if weight is self.choices.weight else 1 / sqrt(max(weight.shape[-1], 1))
                weight.uniform_(-bound, bound, generator=self.generator)
        self.learns(learning_rate)

    def encode(self, layers: Sequence[Layer]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The states of all layers [L, 2 units], and the encoder's last state h, c [1, 2 units]."""
        rows = torch.zeros(len(layers), KINDS + 2)
        for row, layer in zip(rows, layers, strict=True):
            row[layer.kind] = 1
            row[KINDS] = torch.log1p(torch.tensor(float(layer.width))) / torch.log1p(torch.tensor(float(self.largest)))
            row[KINDS + 1] = layer.kernel / max(self.kernels)
        states, (h, c) = self.encoder(self.read(rows))
        return states, (h.reshape(1, -1), c.reshape(1, -1))

    def wider(self, layers: Sequence[Layer], chosen: Sequence[bool] | None = None) -> Decided:
        """Which layers become wider: each for itself, where it can be. Chosen ones are judged rather than drawn."""
        states, _ = self.encode(layers)
        p = torch.sigmoid(self.widen(states)[:, 0])
        mask = torch.tensor([layer.wider is not None for layer in layers])
        if chosen is None:
            drawn = torch.rand(len(layers), generator=self.generator) < p.detach()
            chosen = (drawn & mask).tolist()
        yes = torch.tensor(chosen)
        log_p = torch.where(yes, p, 1 - p).clamp_min(1e-12).log()
        entropy = -(p * p.clamp_min(1e-12).log() + (1 - p) * (1 - p).clamp_min(1e-12).log())
        return Decided(tuple(chosen), (log_p * mask).sum(), (entropy * mask).sum())

    def deeper(self, layers: Sequence[Layer], chosen: Sequence[int] | None = None) -> Decided:
        """Where a layer is inserted, and its kernel: the block, the layer of it behind which it comes, the place of the
        kernel among `kernels`; where no image is, that counts for nothing."""
        blocks = blocks_of(layers)
        _, state = self.encode(layers)
        taken: list[int] = []
        log_p, entropy = torch.zeros(()), torch.zeros(())
        said = 0  # nothing yet
        for step, head in enumerate((self.block, self.layer, self.kernel)):
            state = self.decoder(self.choices(torch.tensor([said])), state)
            if step == 0:
                legal = torch.tensor([number < len(blocks) and bool(blocks[number]) for number in range(self.blocks)])
            elif step == 1:
                legal = torch.arange(self.longest) < len(blocks[taken[0]])
            else:
                legal = torch.ones(len(self.kernels), dtype=torch.bool)
                if layers[blocks[taken[0]][taken[1]]].kind == FC:
                    taken.append(0)
                    break
            scores = torch.log_softmax(head(state[0])[0].masked_fill(~legal, -inf), 0)
            if chosen is None:
                taken.append(int(torch.multinomial(scores.detach().exp(), 1, generator=self.generator)))
            else:
                taken.append(chosen[step])
            log_p = log_p + scores[taken[-1]]
            entropy = entropy - (scores.exp() * scores.masked_fill(~legal, 0)).sum()
            said = 1 + taken[-1] + self.blocks * step
        return Decided(tuple(taken), log_p, entropy)
