"""The macro space of ENAS (Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing",
arXiv:1802.03268), in the form of its supernet and in that of a final network; `enas.py` has its other space.

Genomes are whole networks: a layer applies an operation to the layer before it, and adds earlier layers. Where the
paper leaves it open the networks follow the authors' code (github.com/melodyguan/enas).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.cells import Placement, factorized_reduce
from evonas.genomes.enas import NO_CODE, NO_NETWORK, check_size, numbered
from evonas.genomes.notation import whole
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Linear,
    MaxPool,
    Operation,
    ReLU,
)
from evonas.space import CodeError, Decision, Genome, Pointer, Space, Token, require_closed
from evonas.support.text import brief

MACRO = ("conv_3x3", "sep_conv_3x3", "conv_5x5", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3")


@dataclass(frozen=True)
class ENASMacroSpace(Space):
    """Genomes are, for each layer i from 0, its operation and i bits, the skips. Codes are the same, as numbers.

    The operation takes the layer before. Skip j of a layer adds the output of layer j - 1, or of the stem where j = 0,
    as in the authors' code, so that the operation's input is never a skip; the paper reads as if j meant layer j. A
    controller that points at earlier layers sees layer j behind skip j, as theirs does: the stem has no token.

    layers    L: behind layers L // 3 - 1 and 2 (L // 3) - 1 the size is halved, of each output so far by a reduction of
              its own
    channels  of each layer
    search    the form of the supernet. Skips are added to what the operation gives, and a batch norm follows. Else, in
              a final network, they are concatenated with it and a 1x1 convolution, batch norm and ReLU follow, and
              channels double in each reduction

    Layer 0, which has no skips, is its operation alone. Final networks have the operations of a search, pooling and
    separable convolutions among them: the authors' code for them builds plain convolutions only, and ReLUs stand first.
    """

    name: ClassVar[str] = "enas-macro"
    layers: int = 12
    channels: int = 36
    search: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.layers < 3 or self.channels < 2 or self.outputs < 1:
            raise UserError(f"layers is {self.layers}, channels {self.channels} and outputs {self.outputs}; use at "
                            "least 3, one for each size, 2 and 1")  # fmt: skip
        check_size(self.input_shape)

    @property
    def reductions(self) -> tuple[int, int]:
        """The layers behind which the size is halved."""
        return self.layers // 3 - 1, 2 * (self.layers // 3) - 1

    @property
    def supernet(self) -> ENASMacroSpace:
        return replace(self, search=True)

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        place = len(prefix)
        layer = 0
        while place >= self._place(layer + 1):
            layer += 1
        if layer == self.layers:
            return None
        begin = self._place(layer)
        if place == begin:
            return Decision(f"layer{layer}/operation", MACRO, place, kind="operation")
        skip = place - begin - 1
        pointer = Pointer(begin, (None, self._place(skip)))
        return Decision(f"layer{layer}/skip{skip}", (0, 1), place, kind="skip", pointer=pointer)

    @staticmethod
    def _place(layer: int) -> int:
        """Where a layer begins in the genome, with its operation."""
        return layer * (layer + 1) // 2

    def format(self, genome: Genome) -> str:
        """Numbers, such as `0 3 0 0 0 1`: the operation of each layer, and its skips."""
        require_closed(genome, NO_CODE)
        self.decisions(genome)
        return " ".join(str(MACRO.index(token) if isinstance(token, str) else token) for token in genome)

    def parse(self, code: str) -> tuple[Token, ...]:
        """Reads what `format` writes; layers may be parted by |. Raises CodeError, naming the place."""
        genome: tuple[Token, ...] = ()
        for nth, word in enumerate(code.replace("|", " ").split(), 1):
            decision = self.next(genome)
            if decision is None:
                raise CodeError(
                    f"code {brief(code)!r} goes on behind number {nth - 1}, the last of {self.layers} layers"
                )
            if (number := whole(word)) is None or number >= len(decision.options):
                raise CodeError(f"number {nth} of code {brief(code)!r} is {brief(word)!r}; {decision.name} takes "
                                f"{numbered(decision.options)}")  # fmt: skip
            genome += (decision.options[number],)
        self.decisions(genome)
        return genome

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        if not self.search:
            require_closed(genome, NO_NETWORK)
        choices = self.choices(genome)
        skips = {i: [choices[f"layer{i}/skip{j}"][1] for j in range(i)] for i in range(self.layers)}
        draft = Draft(self.input_shape)
        channels = self.channels
        states = [draft.node("stem", [INPUT], Convolution(channels), BatchNorm())]  # of the stem, layer 0, 1, ...
        for layer, gates in skips.items():
            name = f"layer{layer}"
            made = [
                draft.candidate(f"{name}/{operation}", states[-1], gate, *_branch(str(operation), channels))
                for operation, gate in choices[f"{name}/operation"].items()
            ]
            earlier = list(zip(states, gates, strict=False))  # all but the last, which is the operation's input
            if layer == 0 or self.search:
                states.append(draft.node(f"{name}/output", [*made, *earlier], *[BatchNorm()] * (layer > 0)))
            else:
                shrink = Convolution(channels, 1), BatchNorm(), ReLU()
                states.append(draft.node(f"{name}/output", [*earlier, *made], *shrink, combine="concat"))
            if layer in self.reductions:
                channels *= 1 if self.search else 2
                wanted = {
                    j for later in range(layer + 1, self.layers) for j, gate in enumerate(skips[later]) if gate != 0
                }
                states = [  # what no layer can take any more is left out: nothing would train its weights
                    factorized_reduce(Placement(draft, f"{name}/reduced{j}", state, channels, 2), relu=False)
                    if j in wanted or j == layer + 1 else None
                    for j, state in enumerate(states)
                ]  # fmt: skip
        draft.node("classifier", states[-1:], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


def _branch(operation: str, channels: int) -> list[Operation]:
    """A 1x1 convolution, and the operation; each convolution is followed by batch norm and ReLU."""
    steps: list[Operation] = [Convolution(channels, 1), BatchNorm(), ReLU()]
    match operation:
        case "avg_pool_3x3":
            return [*steps, AveragePool(3, 1, 1)]
        case "max_pool_3x3":
            return [*steps, MaxPool(3, 1, 1)]
    kernel = int(operation[-1])
    if operation.startswith("sep"):
        steps += [Convolution(channels, kernel, groups=channels), Convolution(channels, 1)]
    else:
        steps += [Convolution(channels, kernel)]
    return [*steps, BatchNorm(), ReLU()]
