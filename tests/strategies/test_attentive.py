"""The controller of ENAS, beside its program written out by hand (Pham et al. 2018, published code)."""

import math
import random

import pytest
import torch

from evonas.genomes.enas import MICRO, ENASMicroSpace
from evonas.genomes.enas_macro import MACRO, ENASMacroSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.strategies.attentive import Attentive

LAYERS = ENASMacroSpace(4, 4, input_shape=(1, 8, 8))
CELLS = ENASMicroSpace(1, 4, nodes=3, input_shape=(1, 8, 8))
SETTINGS = {"units": 5, "initial": 0.8, "temperature": 1.5, "tanh": {"": 1.5, "operation": 0.6}}


def controller_of(space, **settings):
    return Attentive(space, rng=random.Random(0), **SETTINGS | settings)


class ByHand:
    """One LSTM without biases that reads vectors [units], and the scores that its weights give."""

    def __init__(self, controller):
        self.weights = dict(controller.named_parameters())
        self.numbers = controller.numbers
        self.h = self.c = torch.zeros(5)

    def read(self, vector):
        gates = self.weights["lstm.weight_ih_l0"] @ vector + self.weights["lstm.weight_hh_l0"] @ self.h
        take, forget, new, give = gates.chunk(4)
        self.c = forget.sigmoid() * self.c + take.sigmoid() * new.tanh()
        self.h = give.sigmoid() * self.c.tanh()
        return self.h

    def embedded(self, kind, token):
        return self.weights["embedding.weight"][self.numbers[kind, token]]

    @property
    def start(self):
        return self.weights["embedding.weight"][0]

    def softmax(self, kind, options, constant):
        rows = self.weights["head.weight"][[self.numbers[kind, option] for option in options]]
        return (constant * (rows @ self.h / 1.5).tanh()).log_softmax(0)

    def attention(self, anchor):
        seen = self.weights["earlier.weight"] @ anchor + self.weights["current.weight"] @ self.h
        return (self.weights["attention.weight"] @ seen.tanh())[0]


def layers_by_hand(controller, genome):
    """The log-probabilities of a genome of whole networks: an LSTM step for each operation and one for all skips."""
    by, anchors, found, tokens = ByHand(controller), [], [], iter(genome)
    vector = by.start
    for layer in range(4):
        by.read(vector)
        operation = next(tokens)
        found.append(by.softmax("operation", MACRO, 0.6)[MACRO.index(operation)])
        by.read(by.embedded("operation", operation))
        taken = torch.zeros(5)
        count = 0
        for anchor in anchors:
            q = 1.5 * (by.attention(anchor) / 1.5).tanh()
            skip = next(tokens)
            found.append(torch.stack([-q, q]).log_softmax(0)[skip])
            taken, count = taken + skip * anchor, count + skip
        vector = taken / (1 + count) if layer else by.start
        anchors.append(by.h)
    return found


def cells_by_hand(controller, genome):
    """The log-probabilities of a genome of cells: a step for each decision, and one that makes a node's anchor. The
    inputs of a cell have no steps here: the two of its first node stand in, and are chosen by the linear head."""
    by, found, tokens = ByHand(controller), [], iter(genome)
    by.read(by.start)
    for _ in ("normal", "reduce"):
        anchors = []
        for node in (2, 3, 4):
            for _ in range(2):
                index = next(tokens)
                if node == 2:
                    found.append(by.softmax("input", (0, 1), 1.5)[index])
                    anchors.append(by.read(by.embedded("input", index)))
                    by.read(by.start)
                else:
                    scores = 1.5 * (torch.stack([by.attention(anchor) for anchor in anchors]) / 1.5).tanh()
                    found.append(scores.log_softmax(0)[index])
                    by.read(anchors[index])
            for _ in range(2):
                operation = next(tokens)
                found.append(by.softmax("operation", MICRO, 0.6)[MICRO.index(operation)])
                vector = by.read(by.embedded("operation", operation))
            if node < 4:
                anchors.append(vector)
                by.read(by.start)
    return found


@pytest.mark.parametrize(("space", "by_hand"), [(LAYERS, layers_by_hand), (CELLS, cells_by_hand)])
def test_it_is_the_program_written_out_by_hand(space, by_hand):
    controller = controller_of(space)
    episodes = controller.sample(6)
    with torch.no_grad():
        now = controller.likelihood(episodes).log_probabilities
        for episode, row in zip(episodes, now, strict=True):
            by = torch.stack(by_hand(controller, episode.genome))
            assert torch.allclose(row, by, atol=1e-5)  # all steps at once
            assert torch.allclose(episode.log_probabilities, by, atol=1e-5)  # and drawn step by step


@pytest.mark.parametrize(("q", "p"), [(0.0, 0.5), (0.1, 0.5742), (-0.5, 0.2000), (50.0, 0.9526), (-50.0, 0.0474)])
def test_a_skip_has_twice_the_score_of_its_attention(q, p):
    """(-q, q) within C = 1.5: P(skip) = sigmoid(3 tanh q), .047 to .953. With scores (0, q): .18 to .82."""
    controller = controller_of(LAYERS, temperature=1.0)
    with torch.no_grad():  # tanh(W h) is 1 in every unit, and v has the sum q
        controller.earlier.weight.zero_()
        controller.attention.weight.fill_(q / 5)
    controller.current.register_forward_hook(lambda module, inputs, output: torch.full_like(output, 20.0))
    for episode in controller.sample(4):
        for place, decision in enumerate(LAYERS.decisions(episode.genome)):
            if decision.kind == "skip":
                taken = episode.log_probabilities[place].exp().item()
                assert (taken if episode.genome[place] else 1 - taken) == pytest.approx(p, abs=1e-4)
    assert p == pytest.approx(1 / (1 + math.exp(-3 * math.tanh(q))), abs=1e-4)


def test_it_has_no_biases():
    assert not [name for name, _ in controller_of(LAYERS).named_parameters() if "bias" in name]


def test_a_space_whose_decisions_point_at_nothing_is_written_too():
    controller = controller_of(NASBench201Space(4, 1, (1, 8, 8)))
    (episode,) = controller.sample(1)
    assert torch.allclose(controller.likelihood([episode]).log_probabilities[0], episode.log_probabilities, atol=1e-5)
