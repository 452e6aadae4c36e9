"""NAS-Bench-201's cells (Dong and Yang 2020, arXiv:2001.00326), the topology space of NATS-Bench, section 3.1.

A cell has four nodes; node 0 is its input, and each edge from an earlier node carries one of five operations. Nodes sum
their inputs; node 3 is the output. The skeleton has three stages of equal cells with residual blocks between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.gates import every, no
from evonas.genomes.cells import edges_there, partial_edge, weighed
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Identity,
    Linear,
    Operation,
    ReLU,
    Zero,
)
from evonas.space import CodeError, Decision, Genome, Space
from evonas.support.text import brief

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # the official names and order
EDGES = tuple((source, target) for target in (1, 2, 3) for source in range(target))  # in the order of the official text
PATHS = (((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3)))  # from the input to the output
DECISIONS = tuple(Decision(f"{target}<-{source}", OPERATIONS, place) for place, (source, target) in enumerate(EDGES))


@dataclass(frozen=True)
class NASBench201Space(Space):
    """Genomes are six names of operations, in the order of the official strings: 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2.

    channels   width of the first stage; doubled twice
    cells      number of cells in each of the three stages
    partial    K of PC-DARTS: operations see the first 1/K of the channels, the rest bypasses them; only in a search
    """

    name: ClassVar[str] = "nasbench201"
    channels: int = 16
    cells: int = 5
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10
    partial: int = 1

    def __post_init__(self) -> None:
        if min(self.channels, self.cells) < 1 or self.outputs < 1:
            raise UserError("channels, cells and outputs must be at least 1")
        if self.partial < 1 or self.channels % self.partial:
            raise UserError(f"partial is {self.partial} and channels {self.channels}; channels must be a multiple")
        if min(self.input_shape[1:]) < 4:
            raise UserError(f"images of {self.input_shape} are too small to be halved twice; use at least 4 pixels")

    def next(self, prefix: Genome) -> Decision | None:
        return DECISIONS[len(prefix)] if len(prefix) < len(DECISIONS) else None

    def format(self, genome: Genome) -> str:
        """The official string: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."""
        self.decisions(genome)
        return self.key(genome)

    def key(self, genome: Genome) -> str:
        """The key of the table: the official string, unchecked."""
        a, b, c, d, e, f = genome
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def parse(self, code: str) -> tuple[str, ...]:
        genome = tuple(re.findall(r"(\w+)~", code))
        if len(genome) != len(EDGES) or "".join(code.split()) != self.key(genome):
            example = self.key(("none",) * len(EDGES))
            raise CodeError(f"code {brief(code)!r} is not a cell of NAS-Bench-201; one looks like {example}")
        self.decisions(genome)
        return genome

    def paths(self, genome: Genome) -> list[tuple[str, ...]]:
        operations = dict(zip(EDGES, map(str, genome), strict=True))
        found = [[operations[edge] for edge in path] for path in PATHS]
        return [tuple(op for op in path if op != "skip_connect") for path in found if "none" not in path]

    def route(self, genome: Genome) -> dict[str, Any]:
        """As in every space; with partial channels, an edge that is present also has weight 1 in the choice among the
        edges into its node."""
        route = super().route(genome)
        return route | edges_there(route) if self.partial > 1 else route

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft = Draft(self.input_shape)
        channels = self.channels
        x = draft.node("stem", [INPUT], Convolution(channels), BatchNorm())
        number = 0
        for stage in (1, 2, 3):
            if stage > 1:
                channels *= 2
                x = _residual(draft, f"reduction{stage - 1}", x, channels)
            for _ in range(self.cells):
                number += 1
                cell = _cell if self.partial == 1 else partial(_partial_cell, k=self.partial)
                x = cell(draft, f"cell{number}", x, channels, choices)
        draft.node("classifier", [x], BatchNorm(), ReLU(), GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


def _cell(draft: Draft, cell: str, x: str | None, channels: int, choices: dict) -> str | None:
    nodes = [x]
    for target in (1, 2, 3):
        arriving = []
        for source in range(target):
            for option, gate in choices[f"{target}<-{source}"].items():
                name = f"{cell}/{target}-{source}/{option}"
                arriving.append(draft.candidate(name, nodes[source], gate, *_candidate(option, channels)))
        nodes.append(draft.node(f"{cell}/node{target}", arriving))
    return nodes[-1]


def _partial_cell(draft: Draft, cell: str, x: str | None, channels: int, choices: dict, *, k: int) -> str | None:
    nodes = [x]
    for target in (1, 2, 3):
        made: dict[int, str | None] = {}
        for source in range(target):
            options, name = choices[f"{target}<-{source}"], f"{cell}/{target}-{source}"
            if options["none"] == 1:
                continue

            def mixed(first: str | None, few: int, options=options, name=name):
                return [draft.candidate(f"{name}/{op}", first, gate, *_candidate(op, few))
                        for op, gate in options.items()]  # fmt: skip

            made[source] = partial_edge(draft, name, nodes[source], 1, k, mixed)
        is_open = any(not isinstance(gate, int) for s in made for gate in choices[f"{target}<-{s}"].values())
        edges = weighed(str(target), made, is_open)
        without = every(no(gate) for _, gate in edges)  # no edge at all: zeros
        edges.append(draft.candidate(f"{cell}/{target}/none", x, without, Zero()))
        nodes.append(draft.node(f"{cell}/node{target}", edges))
    return nodes[-1]


@cache  # most options of a closed genome are asked for in vain
def _candidate(operation: str, channels: int) -> tuple[Operation, ...]:
    return {
        "none": (Zero(),),
        "skip_connect": (Identity(),),
        "nor_conv_1x1": (ReLU(), Convolution(channels, 1), BatchNorm()),
        "nor_conv_3x3": (ReLU(), Convolution(channels, 3), BatchNorm()),
        "avg_pool_3x3": (AveragePool(3, 1, 1),),
    }[operation]


def _residual(draft: Draft, name: str, x: str | None, channels: int) -> str | None:
    """The official residual block that halves the image: two 3x3 convolutions in parallel with average pooling and a
    1x1 convolution."""
    a = draft.node(f"{name}/a", [x], ReLU(), Convolution(channels, 3, stride=2), BatchNorm())
    b = draft.node(f"{name}/b", [a], ReLU(), Convolution(channels, 3), BatchNorm())
    shortcut = draft.node(f"{name}/shortcut", [x], AveragePool(2, 2), Convolution(channels, 1))
    return draft.node(f"{name}/sum", [b, shortcut])


def official_string(genome: Genome) -> str:
    """The string by which the authors count 6,466 different cells; it is equal for cells that they call isomorphic.

    Each node is written as the sorted sum of its inputs. A skip is written as its source; a zero, or an operation on a
    node that is just one zero, as #. Zeros stay in sums, so this distinguishes more cells than `Graph.digest`.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for operation, (source, end) in zip(genome, EDGES, strict=True):
            if end == target:
                if operation == "none" or nodes[source] == "#":
                    terms.append("#")
                elif operation == "skip_connect":
                    terms.append(nodes[source])
                else:
                    terms.append(f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]
