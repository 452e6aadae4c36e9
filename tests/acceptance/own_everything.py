"""A file of a user's: an operation, a space and a strategy of its own, and nothing of evonas edited."""

from dataclasses import dataclass

from torch import nn

from evonas.graph import INPUT, Draft
from evonas.operations import BatchNorm, Call, Convolution, GlobalAveragePool, Linear, Operation, ReLU
from evonas.space import Decision, Space


@dataclass(frozen=True)
class Mish(Operation):
    name = "mish"

    def module(self, shape):
        return Call(nn.Mish)


@dataclass(frozen=True)
class Three(Space):
    name, width, input_shape, outputs = "three", 8, (1, 8, 8), 10

    def next(self, prefix):
        return Decision(f"layer{len(prefix)}", ("relu", "mish"), len(prefix)) if len(prefix) < 3 else None

    def decode(self, genome):
        draft, x = Draft(self.input_shape), INPUT
        for place, token in enumerate(genome):
            x = draft.node(f"layer{place}", [x], Convolution(8), BatchNorm(), Mish() if token == "mish" else ReLU())
        draft.node("classifier", [x], GlobalAveragePool(), Linear(10))
        return draft.graph()


class Climb:
    def __init__(self, toolbox, *, rng, start: int = 2):
        self.toolbox, self.best, self.left = toolbox, None, start

    def generate(self, n=None):
        self.left -= 1
        if self.left >= 0 or self.best is None:
            return [self.toolbox.individual()]
        (child,) = self.toolbox.mutate(self.toolbox.clone(self.best))
        return [child]

    def update(self, individuals):
        self.best = max([*filter(None, [self.best]), *individuals], key=lambda each: each.fitness)
