"""The controller of ENAS (Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing",
arXiv:1802.03268, section 2.4, in the form of its published code)."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor

from evonas.space import Space
from evonas.strategies.controllers import NOTHING, Recurrent

Cells = tuple[Tensor, Tensor]


class Attentive(Recurrent):
    """An LSTM without biases that reads the anchors of what it has pointed at, instead of tokens.

    A token that later decisions point at is read by a step of its own, whose output is its anchor. A decision that
    points at one of several anchors is scored by attention, and the next step reads the anchor of the chosen one.
    Yes/no decisions that are made at once, such as the skips of a layer, take no step: with q = v tanh(W_prev h_j +
    W_curr h_i) the scores of no and yes are (-q, q), and the next step reads the sum of the anchors that were taken,
    divided by one more than their number. After an anchor of which nothing is asked the LSTM begins with the token
    before the first one again.

    settings   units, layers, initial, temperature and tanh, as of `Recurrent`
    """

    def __init__(self, space: Space, *, rng: Random, **settings: Any) -> None:
        super().__init__(space, rng=rng, bias=False, **settings)
        pointers = [each.pointer for each in space.every_decision if each.pointer is not None]
        self.anchors = {place for pointer in pointers for place in pointer.to if place is not None}

    def forward(self, previous: Tensor, options: Tensor, pointers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        scores = []
        for each in zip(previous, options, pointers, strict=True):
            found, state = self._decide(*each, state or self._nothing(len(each[0])))
            scores.append(found)
        return torch.stack(scores), state

    def _nothing(self, n: int) -> _Past:
        zeros = torch.zeros(n, self.lstm.hidden_size)
        none = torch.full((n, 1), NOTHING)
        return _Past(
            (zeros.expand(self.lstm.num_layers, -1, -1),) * 2, zeros, (), none, none.expand(-1, 2), zeros, none
        )

    def _decide(self, previous: Tensor, options: Tensor, pointers: Tensor, past: _Past) -> tuple[Tensor, _Past]:
        """The scores of one decision of n genomes, [n, O], from the last token [n], the options [n, O] and the pointers
        [n, 1 + O]."""
        asks, asked = _is_yes_or_no(options, pointers), _is_yes_or_no(past.options, past.pointers)
        pointed, at, to = past.pointers[:, :1] != NOTHING, pointers[:, :1], pointers[:, 1:]

        chosen = (past.options == previous[:, None]).long().argmax(1, keepdim=True)
        target = past.pointers[:, 1:].gather(1, chosen)
        anchor = _recalled(past.outputs, target)[:, 0] if past.outputs else past.taken
        taken, number = past.taken + asked * anchor, past.number + (asked & (target != NOTHING))

        waits = asks & asked & (at == past.pointers[:, :1])  # further skips of the same layer
        inputs = torch.where(pointed, anchor, self.embedding(previous))
        inputs = torch.where(asked, taken / (1 + number), inputs)
        cells, output = self._read_some(~waits, inputs, past.cells, past.output)
        outputs = (*past.outputs, output if past.outputs else torch.zeros_like(output))  # the first stands for nothing
        if len(past.outputs) - 1 in self.anchors:
            start = self.embedding.weight[NOTHING].expand_as(inputs)
            cells, output = self._read_some(~pointed & ~asks, start, cells, output)

        scores = self.head(output).gather(1, options)
        if self.points:
            by_attention = self._by_attention(outputs, output, asks, at, to)
            scores = torch.where(at == NOTHING, scores, by_attention)
        scores = scores / self.temperature
        bounded = self.limits[options] * torch.tanh(scores) if self.bounded else scores
        return bounded, _Past(cells, output, outputs, options, pointers, taken * waits, number * waits)

    def _by_attention(
        self, outputs: tuple[Tensor, ...], output: Tensor, asks: Tensor, at: Tensor, to: Tensor
    ) -> Tensor:
        """The scores of options that point, [n, O]; `asks` says which decisions are yes/no."""
        query = torch.where(asks, _recalled(outputs, at)[:, 0], output)
        seen = torch.tanh(self.earlier(_recalled(outputs, to)) + self.current(query)[:, None])
        scores = self.attention(seen)[..., 0].masked_fill(to == NOTHING, 0)
        return torch.where(asks & (to == NOTHING), -scores.sum(1, keepdim=True), scores)

    def _read_some(self, which: Tensor, inputs: Tensor, cells: Cells, output: Tensor) -> tuple[Cells, Tensor]:
        """The LSTM's state and output after the genomes of `which`, [n, 1], have read their inputs, [n, units]."""
        if not which.any():
            return cells, output
        after, (hidden, inner) = self._read(inputs[None], cells)
        return (torch.where(which, hidden, cells[0]), torch.where(which, inner, cells[1])), torch.where(
            which, after[0], output
        )


class _Past(NamedTuple):
    """What n genomes remember: the LSTM's state and its last output [n, units]; its output after each token was read;
    options and pointers of the last decision; and sum [n, units] and number [n, 1] of the anchors that yes/no decisions
    have taken since it read."""

    cells: Cells
    output: Tensor
    outputs: tuple[Tensor, ...]
    options: Tensor
    pointers: Tensor
    taken: Tensor
    number: Tensor


def _is_yes_or_no(options: Tensor, pointers: Tensor) -> Tensor:
    """Whether decisions point, by one of two options, [n, 1]."""
    there = options != NOTHING
    refuses = (there & (pointers[:, 1:] == NOTHING)).any(1, keepdim=True)
    return (pointers[:, :1] != NOTHING) & refuses & (there.sum(1, keepdim=True) == 2)


def _recalled(outputs: tuple[Tensor, ...], steps: Tensor) -> Tensor:
    """The LSTM's outputs at these steps [n, k] of each genome, [n, k, units]."""
    return torch.stack(outputs)[steps, torch.arange(len(steps))[:, None]]
