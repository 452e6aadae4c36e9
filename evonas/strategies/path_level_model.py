"""The controller of Path-level EAS, which reads a cell as a tree and lets it grow (Cai et al. 2018, "Path-Level Network
Transformation for Efficient Architecture Search", arXiv:1806.02639, section 3.3; the sizes are those of the authors'
code)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from random import Random

import torch
from torch import Tensor, nn

from evonas.genomes.trees import ADD, ANSWERS, BRANCHES, CONCAT, COUNTS, INSERT, LAYER, MERGE, MERGES, Branch, Tree
from evonas.morphisms.paths import EDGES
from evonas.space import Decision
from evonas.strategies.actors import Actors, Decided

State = tuple[Tensor, Tensor]  # h, c [units]
COPY, SPLIT = "concat-copy", "concat-split"  # how a concatenation hands its input to its branches
NODES = (ADD, COPY, SPLIT)
ORDERED = 2  # branches of a concatenation


class TreeCell(nn.Module):
    """A node of a tree LSTM (Tai, Socher and Manning 2015, arXiv:1503.00075): of x and of the states of its children,

        i, o, u = sigma, sigma, tanh (W x + U h + b),   f_k = sigma(W_f x + U_f,k h + b_f),
        c = i u + sum over k of f_k c_k,   h' = o tanh(c).

    places   None: children of any number in any order, h = sum of h_k, and f_k sees h_k alone; else so many places with
             weights of their own, h = [h_1 .. h_N]
    """

    def __init__(self, inputs: int, units: int, places: int | None) -> None:
        super().__init__()
        self.units, self.places = units, places
        wide = units if places is None else units * places
        self.read = nn.Linear(inputs, 4 * units)  # W and b, of i, o, u and f
        self.recur = nn.Linear(wide, 3 * units, bias=False)
        self.forget = nn.Linear(wide, units * (places or 1), bias=False)

    def forward(self, x: Tensor, states: Sequence[State | None]) -> State:
        """The state that an input [inputs] and the children's states give; None: there is no child at this place."""
        zero = x.new_zeros(self.units)
        if self.places is None:
            states = [state for state in states if state is not None]
        h = torch.stack([zero if state is None else state[0] for state in states])  # [K, units]
        c = torch.stack([zero if state is None else state[1] for state in states])
        *gates, forget = self.read(x).split(self.units)
        i, o, u = (torch.cat(gates) + self.recur(h.sum(0) if self.places is None else h.flatten())).split(self.units)
        kept = self.forget(h) if self.places is None else self.forget(h.flatten()).view(self.places, self.units)
        c = i.sigmoid() * u.tanh() + (torch.sigmoid(forget + kept) * c).sum(0)
        return o.sigmoid() * c.tanh(), c


class Direction(nn.Module):
    """The cells of one direction of the encoder."""

    def __init__(self, embedding: int, units: int, places: int) -> None:
        super().__init__()
        self.unordered, self.ordered = TreeCell(embedding, units, None), TreeCell(embedding, units, places)
        self.edge = nn.LSTMCell(embedding, units)

    def along(self, edge: Tensor, state: State) -> State:
        h, c = self.edge(edge[None], (state[0][None], state[1][None]))
        return h[0], c[0]


class TreeController(Actors):
    """An encoder, a bidirectional tree LSTM over a cell, and three actors, which read the state of a branch: how a node
    merges and how many branches it has, whether a node is inserted, what an identity becomes.

    grouped     the layer that the cell replaces has groups, which a concatenation deals out
    embedding   length of that of an edge or of a node
    units       of the encoder in each direction; actors have 5 times as many
    """

    def __init__(self, *, rng: Random, grouped: bool = False, embedding: int = 10, units: int = 100) -> None:
        super().__init__()
        self.grouped, self.units = grouped, units
        self.generator = torch.Generator().manual_seed(rng.getrandbits(63))  # for initial weights and choices
        self.edges, self.nodes = nn.Embedding(len(EDGES) + 1, embedding), nn.Embedding(len(NODES), embedding)
        self.up = Direction(embedding, units, ORDERED)
        self.down = Direction(embedding, units, ORDERED + 1)  # beside the siblings the node itself has a place
        self.merge, self.insert, self.edge = (
            nn.Sequential(nn.Linear(2 * units, 5 * units), nn.ReLU(), nn.Linear(5 * units, answers))
            for answers in (len(MERGES) + len(COUNTS), len(ANSWERS), len(EDGES))
        )
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() == 1:
                    weight.zero_()
                elif name.startswith(("edges", "nodes")):
                    weight.uniform_(-0.1, 0.1, generator=self.generator)
                elif name.startswith(("up", "down")):
                    nn.init.orthogonal_(weight, generator=self.generator)
                else:
                    nn.init.kaiming_uniform_(weight, a=5**0.5, generator=self.generator)

    # ---- reading --------------------------------------------------------------------------------------------------

    def encode(self, root: Tree) -> tuple[State, dict[int, State]]:
        """The state of the whole cell, and those of its branches, by identity, from the leaves up."""
        upward: dict[int, State] = {}
        return self._read(root, upward), upward

    def state(self, root: Tree, branch: Branch) -> Tensor:
        """What the actors read of a branch: its state from the leaves up and that from the root down [2 units]."""
        _, upward = self.encode(root)
        return torch.cat([upward[id(branch)][0], self._reached(root, branch, upward)[0]])

    def _zero(self) -> State:
        zero = self.edges.weight.new_zeros(self.units)
        return zero, zero

    def _embedded(self, branch: Branch) -> Tensor:
        return self.edges.weight[(*EDGES, LAYER).index(branch.edge)]

    def _kind(self, tree: Tree) -> Tensor:
        """The embedding of a node."""
        copies = any(branch.edge == LAYER for branch in tree.branches) and not self.grouped
        return self.nodes.weight[NODES.index(ADD if tree.merge == ADD else COPY if copies else SPLIT)]

    def _read(self, tree: Tree, upward: dict[int, State]) -> State:
        """The state of a node, from the leaves up."""
        states = []
        for branch in tree.branches:
            below = self._zero() if branch.node is None else self._read(branch.node, upward)
            upward[id(branch)] = self.up.along(self._embedded(branch), below)
            states.append(upward[id(branch)])
        if tree.merge == ADD:
            return self.up.unordered(self._kind(tree), states)
        return self.up.ordered(self._kind(tree), states) if tree.merge == CONCAT else states[0]

    def _reached(self, root: Tree, branch: Branch, upward: dict[int, State]) -> State:
        """The state of a branch, from the root down: of all that is not behind it."""
        state, tree = self._zero(), root
        while True:
            on_the_way = next(each for each in tree.branches if f"{branch.place}+".startswith(f"{each.place}+"))
            siblings = [None if each is on_the_way else upward[id(each)] for each in tree.branches]
            if tree.merge == ADD:
                state = self.down.unordered(self._kind(tree), [state, *siblings])
            elif tree.merge == CONCAT:
                state = self.down.ordered(self._kind(tree), [state, *siblings])
            state = self.down.along(self._embedded(on_the_way), state)
            if on_the_way is branch:
                return state
            assert on_the_way.node is not None, "the branch stands behind this one"
            tree = on_the_way.node

    # ---- deciding -------------------------------------------------------------------------------------------------

    def scores(self, root: Tree, branch: Branch, decision: Decision) -> Tensor:
        """The log-probabilities of the options of a decision at a branch."""
        state = self.state(root, branch)
        words: tuple[Hashable, ...]
        if decision.kind in (MERGE, BRANCHES):
            words, scores = (*MERGES, *COUNTS), self.merge(state)
        else:
            words, scores = (ANSWERS, self.insert(state)) if decision.kind == INSERT else (EDGES, self.edge(state))
        return torch.log_softmax(scores[[words.index(option) for option in decision.options]], 0)

    def decide(self, root: Tree, branch: Branch, decision: Decision) -> Decided:
        """A decision at a branch, drawn by its probabilities."""
        scores = self.scores(root, branch, decision)
        drawn = int(torch.multinomial(scores.detach().exp(), 1, generator=self.generator))
        return Decided((decision.options[drawn],), scores[drawn], -(scores.exp() * scores).sum())
