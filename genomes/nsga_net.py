"""NSGA-Net's macro genome (Lu et al. 2019, "NSGA-Net: Neural Architecture Search using Multi-Objective Genetic
Algorithm", arXiv:1810.03522, and its published code, class ResidualPhase).

A genome consists of GeNet's binary strings with one more bit for each phase, which passes the phase's input on to its
output. Where GeNet sums several inputs, they are concatenated here, and a 1x1 convolution brings them back to the
width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, MaxPool, ReLU
from evonas.space import CodeError, Decision, Genome, Open, Space
from evonas.support.text import brief


@dataclass(frozen=True)
class NSGANetSpace(Space):
    """Genomes have n (n - 1) / 2 bits for each phase, by target as in GeNet, and then its skip bit.

    A phase without an edge is omitted, whatever its skip bit. The first convolution of the published code has no
    padding (32 pixels become 30); here it keeps the size.

    phases     number of nodes in each phase
    channels   width of the first phase; doubled in each later one; there is a 2x2 max pool between two phases
    """

    name: ClassVar[str] = "nsga-net"
    phases: tuple[int, ...] = (4, 4, 4)
    channels: int = 32
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if not self.phases or min(self.phases) < 2 or self.channels < 1 or self.outputs < 1:
            raise UserError("give each phase at least 2 nodes, as in phases=4,4,4; use at least 1 channel, 1 class")
        if min(self.input_shape[1:]) < 2 ** (len(self.phases) - 1):
            raise UserError(f"images of {self.input_shape} are too small to be halved {len(self.phases) - 1} times")

    def next(self, prefix: Genome) -> Decision | None:
        start = 0
        for number, nodes in enumerate(self.phases, 1):
            edges = _edges(nodes)
            place = len(prefix) - start
            if place < len(edges):
                source, target = edges[place]
                return Decision(f"phase{number}/{source}-{target}", (0, 1), len(prefix))
            if place == len(edges):
                return Decision(f"phase{number}/skip", (0, 1), len(prefix))
            start += len(edges) + 1
        return None

    def format(self, genome: Genome) -> str:
        """The code of a genome, such as 1-01-100-0/1-00-111-1/...; the last bit of each phase is its skip bit."""
        self.decisions(genome)
        words, rest = [], list(map(str, genome))
        for nodes in self.phases:
            groups = ["".join(rest[at : at + size]) for at, size in _groups(nodes)]
            words.append("-".join(groups))
            del rest[: len(_edges(nodes)) + 1]
        return "/".join(words)

    def parse(self, code: str) -> tuple[int, ...]:
        phases = code.split("/")
        like = "/".join("-".join("0" * size for _, size in _groups(nodes)) for nodes in self.phases)
        if [[len(group) for group in phase.split("-")] for phase in phases] != [
            [len(group) for group in phase.split("-")] for phase in like.split("/")
        ] or set(code) - set("01-/"):
            raise CodeError(f"code {brief(code)!r} is not a genome of this space; one looks like {like}")
        return tuple(int(bit) for bit in code if bit in "01")

    def decode(self, genome: Genome) -> Graph:
        """The network of a genome. Raises CodeError for open tokens, because the weights depend on all of them."""
        if any(isinstance(token, Open) for token in genome):
            raise CodeError("a token is open; this space has no supernet, because its weights depend on every token")
        answers = self.route(genome)
        draft = Draft(self.input_shape)
        x, width, active = INPUT, self.input_shape[0], 0
        for number, nodes in enumerate(self.phases, 1):
            edges = {edge for edge in _edges(nodes) if answers[f"phase{number}/{edge[0]}-{edge[1]}"]}
            if not edges:
                continue
            if active:
                x = str(draft.node(f"phase{number}/pool", [x], MaxPool(2, 2)))
            channels = self.channels * 2**active
            if width != channels:
                x = str(draft.node(f"phase{number}/input", [x], Convolution(channels, 1 if active else 3)))
            skip = bool(answers[f"phase{number}/skip"])
            x, width, active = _phase(draft, f"phase{number}", x, channels, nodes, edges, skip), channels, active + 1
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


def _phase(
    draft: Draft, name: str, x: str, channels: int, nodes: int, edges: set[tuple[int, int]], skip: bool
) -> str:  # fmt: skip
    made: dict[int, str] = {}
    for node in range(1, nodes + 1):
        sources = [source for source, target in sorted(edges) if target == node]
        feeds = any(source == node for source, _ in edges)
        if not sources and not feeds:
            continue  # an isolated node is omitted, as in GeNet
        inputs = [made[source] for source in sources] or [x]
        entered = _reduced(draft, f"{name}/{node}-inputs", inputs, channels)
        made[node] = str(draft.node(f"{name}/node{node}", [entered], Convolution(channels), BatchNorm(), ReLU()))
    sinks = [made[node] for node in made if not any(source == node for source, _ in edges)]
    merged = _reduced(draft, f"{name}/merged", [x] * skip + sinks, channels)
    return str(draft.node(f"{name}/output", [merged], BatchNorm(), ReLU()))


def _reduced(draft: Draft, name: str, inputs: list[str], channels: int) -> str:
    """A single input unchanged; several concatenated and brought back to the width."""
    if len(inputs) == 1:
        return inputs[0]
    return str(draft.node(name, inputs, Convolution(channels, 1), combine="concat"))


def _edges(nodes: int) -> list[tuple[int, int]]:
    """The edges by target, with ascending sources, as in GeNet."""
    return [(source, target) for target in range(2, nodes + 1) for source in range(1, target)]


def _groups(nodes: int) -> list[tuple[int, int]]:
    """The (start, size) of the bits of each target, and of the skip bit."""
    groups = [(target * (target - 1) // 2 - (target - 1), target - 1) for target in range(2, nodes + 1)]
    return [*groups, (len(_edges(nodes)), 1)]
