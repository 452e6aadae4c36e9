"""The spaces of MaskConnect (Ahmed and Torresani 2018, "MaskConnect: Connectivity Learning by Gradient Descent", ECCV,
arXiv:1807.11473): residual modules, each of which reads the sum of a few earlier ones.

A code lists, for each module after the first, the modules that it reads: `1 1+2 2+3` says that the second reads the
first one, the third the first two, the fourth the second and third. Where modules consist of parallel branches, it
lists for each branch of a module the branches of the module before, with commas between: `1+2,2+3,1+3`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Linear,
    MaxPool,
    Operation,
    PadChannels,
    ReLU,
    Scale,
)
from evonas.space import CodeError, Decision, Genome, Open, Space, Token, Weights, require_closed
from evonas.support.text import brief

BITS = (False, True)


class Reader(NamedTuple):
    """A module, or a branch of one, which reads `fan_in` of so many sources."""

    module: int
    branch: int
    sources: int
    fan_in: int


@dataclass(frozen=True)
class MaskConnectSpace(Space):
    """Genomes are masks: for each reader one bit for each of its sources, of which K are on, or all where there are
    fewer (section 3.1).

    A module adds its input to what its convolutions make of it. It reads the sum of K of all modules before it; the
    first one reads the stem. With branches, a module is that of ResNeXt (Xie et al. 2017, arXiv:1611.05431): parallel
    residual blocks, each of which reads the sum of K blocks of the module before, and carries an equal share of the
    identity, so that the network with all bits on is ResNeXt (section 3.3; the share is ours, the paper names none).
    What nothing reads is not there.

    The first module of each later stage halves the image. What is larger than its reader's input is subsampled, and
    missing channels are zeros, as by shortcuts without parameters (section 3.2; subsampling is ours, for stages that
    lie further apart).

    widths    channels of each stage
    modules   of a stage
    fan_in    K
    cardinality
              C: parallel branches of a module; 1: whole modules, of two 3x3 convolutions
    inner     channels inside of a branch of the first stage, doubled by each stage
    """

    name: ClassVar[str] = "mask-connect"
    widths: tuple[int, ...] = (16, 32, 64)
    modules: int = 6
    fan_in: int = 10
    cardinality: int = 1
    inner: int = 8
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        for name in ("modules", "fan_in", "cardinality", "inner", "outputs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; use at least 1")
        if not self.widths or min(self.widths) < 1 or list(self.widths) != sorted(self.widths):
            raise UserError(f"widths is {self.widths}; use at least one stage, as in 16,32,64, and in a later one no "
                            "fewer channels than before, since shortcuts add zeros")  # fmt: skip
        if self.cardinality > 1 and self.fan_in > self.cardinality:
            raise UserError(f"fan_in is {self.fan_in}, and there are {self.cardinality} branches; use at most as many")
        if self.depth < 2 + (self.cardinality == 1):
            raise UserError(f"a network of {self.depth} modules has nothing to choose; use more")
        if min(self.input_shape[1:]) < 2 ** (len(self.widths) - 1):
            raise UserError(f"images of {self.input_shape[1:]} are too small for {len(self.widths)} stages")

    @property
    def depth(self) -> int:
        """L: modules of the network."""
        return len(self.widths) * self.modules

    # ---- the genome -----------------------------------------------------------------------------------------------

    @cached_property
    def readers(self) -> tuple[Reader, ...]:
        """Those that choose what they read, in the order of a genome."""
        return tuple(
            Reader(module, branch, sources, min(self.fan_in, sources))
            for module in range(2, self.depth + 1)
            for sources in [module - 1 if self.cardinality == 1 else self.cardinality]
            for branch in range(1, self.cardinality + 1)
        )

    @cached_property
    def _places(self) -> tuple[tuple[int, int], ...]:
        """For each bit, which reader it belongs to, and which one of that reader's bits it is, from 0."""
        return tuple((at, bit) for at, reader in enumerate(self.readers) for bit in range(reader.sources))

    def next(self, prefix: Genome) -> Decision | None:
        if len(prefix) == len(self._places):
            return None
        at, bit = self._places[len(prefix)]
        reader, before = self.readers[at], prefix[len(prefix) - bit :]
        least = most = 0  # bits that are on
        for token in before:
            least += token is True
            most += isinstance(token, Open) or token is True
        left = reader.sources - bit - 1
        may_be = (most + left >= reader.fan_in, least < reader.fan_in)  # off, on
        options = tuple(option for option, legal in zip(BITS, may_be, strict=True) if legal)
        return Decision(self._name(reader, bit), options, (at, bit, least, most))

    def next_open(self, prefix: Genome) -> Decision | None:
        """An open bit is on or off, whatever the others are."""
        decision = self.next(prefix)
        return decision and replace(decision, options=BITS, state=len(prefix))

    def _name(self, reader: Reader, bit: int) -> str:
        target = f"{reader.module}.{reader.branch}" if self.cardinality > 1 else str(reader.module)
        return f"{target}<-{bit + 1}"

    def masks(self, genome: Sequence[Token]) -> list[tuple[Token, ...]]:
        """The bits of a genome, reader by reader."""
        bits = iter(genome)
        return [tuple(next(bits) for _ in range(reader.sources)) for reader in self.readers]

    def likeliest(self, weights: Weights) -> tuple[Token, ...]:
        """Each reader keeps the K sources whose masks are largest (section 3.2, the end of the training)."""
        genome: list[Token] = []
        for reader in self.readers:
            large = [weights[self._name(reader, bit)].get(True, 0.0) for bit in range(reader.sources)]
            kept = sorted(range(reader.sources), key=lambda bit: large[bit], reverse=True)[: reader.fan_in]
            genome += [bit in kept for bit in range(reader.sources)]
        return tuple(genome)

    def format(self, genome: Genome) -> str:
        require_closed(genome, "a code names what is read, which open bits do not say")
        self.decisions(genome)
        read = ["+".join(str(bit + 1) for bit, on in enumerate(mask) if on) for mask in self.masks(genome)]
        modules = [read[at : at + self.cardinality] for at in range(0, len(read), self.cardinality)]
        return " ".join(",".join(branches) for branches in modules)

    def parse(self, code: str) -> tuple[Token, ...]:
        """Reads what `format` writes. Raises CodeError, which names the module."""
        words = [word.split(",") for word in code.split()]
        if len(words) != self.depth - 1:
            raise CodeError(f"code {brief(code)!r} lists {len(words)} modules; in this space {self.depth - 1} choose "
                            "what they read, with spaces between them")  # fmt: skip
        genome: list[Token] = []
        for module, branches in enumerate(words, 2):
            if len(branches) != self.cardinality:
                raise CodeError(f"module {module} lists {len(branches)} branches; in this space it has "
                                f"{self.cardinality}, with commas between them")  # fmt: skip
            for reader, word in zip(self.readers[(module - 2) * self.cardinality :], branches, strict=False):
                known, read = [str(bit + 1) for bit in range(reader.sources)], word.split("+")
                if not set(read) <= set(known) or len(set(read)) < len(read) or len(read) != reader.fan_in:
                    raise CodeError(f"module {module} reads {brief(word)!r}; name {reader.fan_in} of 1 to "
                                    f"{reader.sources}, each once, with + between them")  # fmt: skip
                genome += [number in read for number in known]
        return tuple(genome)

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        on = {name: of.get(True, 0) for name, of in self.choices(genome).items()}
        gates: dict[tuple[int, int], list[Gate]] = {
            (reader.module, reader.branch): [on[self._name(reader, bit)] for bit in range(reader.sources)]
            for reader in self.readers
        }
        needed = self._needed(gates)
        draft = Draft(self.input_shape)
        stem = draft.node("stem", [INPUT], Convolution(self.widths[0]), BatchNorm(), ReLU())
        made: dict[tuple[tuple[int, int], int], str] = {}  # nodes by module and branch, and the stage they fit
        for module, branch in sorted(needed):
            name = f"module{module}" + f"/branch{branch}" * (self.cardinality > 1)
            x = stem
            if module > 1:
                sources = zip(self._sources(module), gates[module, branch], strict=True)
                read = [(self._as_read(draft, made, source, module), gate) for source, gate in sources if gate != 0]
                x = draft.node(f"{name}/input", read, *[ReLU()] * (self.cardinality > 1))
            made[(module, branch), self._stage(module)] = self._block(draft, name, x, module)
        last = [made[(self.depth, branch), len(self.widths) - 1] for branch in range(1, self.cardinality + 1)]
        draft.node("classifier", last, *[ReLU()] * (self.cardinality > 1), GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()

    def _sources(self, module: int) -> list[tuple[int, int]]:
        """What a module, or a branch of it, may read."""
        if self.cardinality == 1:
            return [(earlier, 1) for earlier in range(1, module)]
        return [(module - 1, branch) for branch in range(1, self.cardinality + 1)]

    def _needed(self, gates: dict[tuple[int, int], list[Gate]]) -> set[tuple[int, int]]:
        """The modules, or branches, from which a path may lead to the output (section 3.3)."""
        needed = {(self.depth, branch) for branch in range(1, self.cardinality + 1)}
        for module in range(self.depth, 1, -1):
            for branch in range(1, self.cardinality + 1):
                if (module, branch) in needed:
                    pairs = zip(self._sources(module), gates[module, branch], strict=True)
                    needed |= {source for source, gate in pairs if gate != 0}
        return needed

    def _stage(self, module: int) -> int:
        return (module - 1) // self.modules

    def _halves(self, module: int) -> bool:
        return module > 1 and (module - 1) % self.modules == 0

    def _as_read(
        self, draft: Draft, made: dict[tuple[tuple[int, int], int], str], source: tuple[int, int], module: int
    ) -> str:
        """What a module reads of a source: in the size of its input, which is that of the stage before where it halves
        it."""
        wanted, given = self._stage(module) - self._halves(module), self._stage(source[0])
        if (source, wanted) not in made:
            whole = made[source, given]
            shortcut = self._shortcut(self.widths[wanted], 2 ** (wanted - given))
            name = f"{whole.removesuffix('/sum')}/for_stage{wanted + 1}"
            made[source, wanted] = str(draft.node(name, [whole], *shortcut))
        return made[source, wanted]

    def _block(self, draft: Draft, name: str, x: str | None, module: int) -> str:
        """What a module, or a branch of one, adds to its input."""
        width, stride = self.widths[self._stage(module)], 2 if self._halves(module) else 1
        inner = self.inner * 2 ** self._stage(module)
        convolutions: list[Operation]
        if self.cardinality == 1:
            convolutions = [Convolution(width, 3, stride), BatchNorm(), ReLU(), Convolution(width), BatchNorm()]
        else:
            convolutions = [
                Convolution(inner, 1), BatchNorm(), ReLU(), Convolution(inner, 3, stride), BatchNorm(), ReLU(),
                Convolution(width, 1), BatchNorm(),
            ]  # fmt: skip
        residual = draft.node(f"{name}/residual", [x], *convolutions)
        shortcut = self._shortcut(width, stride) if stride > 1 else []
        share = [Scale(1 / self.cardinality)] if self.cardinality > 1 else []
        carried = draft.node(f"{name}/identity", [x], *shortcut, *share) if shortcut or share else x
        return str(draft.node(f"{name}/sum", [residual, carried], *[ReLU()] * (self.cardinality == 1)))

    @staticmethod
    def _shortcut(width: int, stride: int) -> list[Operation]:
        """Without parameters (He et al. 2016, section 4.2, option A)."""
        return [MaxPool(1, stride, 0), PadChannels(width)]
