"""What an operation is, and how one is added: a frozen dataclass that derives from `Operation` is known by its name."""

from __future__ import annotations

import keyword
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

from evonas.errors import UserError
from evonas.support.call import Call

Shape = tuple[int, ...]
Kept = Literal["input", "output", "nothing"]
OWN = {f"{__package__}.{file}" for file in ("layers", "activations", "arrangement", "learned", "fusion")}

OPERATIONS: dict[str, type[Operation]] = {}  # by name: evonas's own, and those that files of users have added


@dataclass(frozen=True)
class Operation:
    """One step of a node. A class with a `name` is registered as it is defined; to build, count, export and estimate
    it takes no more than what stands here. Its fields are plain values, which JSON keeps.

    name           what its module is called below the node, and its kind in JSON
    keeps          what autograd keeps of it until its gradient is known
    keeps_besides  bytes that autograd keeps beside that, for each value of the output: the places of maxima, or what
                   lies between the layers of a block (4 for each float32)
    view           its output is a part of its input and takes no memory
    keeps_zero     a zero input gives a zero output, whatever the weights
    pure           its output depends on its input alone: no weights, no statistics, no chance
    overwrites     its module has a field `inplace`, with which it overwrites its input
    overwritable   its gradient does not need its output, which the operation behind it may overwrite

    Raises UserError for a class whose name is taken, or cannot be the name of a module.
    """

    name: ClassVar[str]
    keeps: ClassVar[Kept] = "input"
    keeps_besides: ClassVar[int] = 0
    view: ClassVar[bool] = False
    keeps_zero: ClassVar[bool] = False
    pure: ClassVar[bool] = False
    overwrites: ClassVar[bool] = False
    overwritable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if isinstance(vars(cls).get("name"), str):
            _register(cls)

    def shape(self, shape: Shape) -> Shape:
        """The shape of the output. Raises ValueError, saying why, where the input does not fit."""
        return shape

    def module(self, shape: Shape) -> Call:
        """The module that carries it out, for an input of this shape."""
        raise UserError(f"{type(self).__qualname__} has no module; return Call(CLASS, ...) from its method `module`")

    def parameters(self, shape: Shape) -> int:
        """The number of weights, for an input of this shape: those of the module, where a class does not say it."""
        return _counted(self, shape)

    def parameters_in_training(self, shape: Shape) -> int:
        """Those that a training has to hold, where some go along its way."""
        return self.parameters(shape)

    def multiply_adds(self, shape: Shape) -> int:
        """The multiply-adds of convolutions and linear layers, for one image of this shape."""
        return 0

    def written(self) -> dict[str, Any]:
        """Its kind and its fields: what tells it from others."""
        return {"kind": self.name, **asdict(self)}

    def __str__(self) -> str:
        return self.name


def is_own(operation: Operation) -> bool:
    """Whether it is one of evonas's, which every process knows."""
    return is_own_kind(type(operation))


def some_are_added() -> bool:
    """Whether somebody's file has added an operation."""
    return not all(map(is_own_kind, OPERATIONS.values()))


def is_own_kind(kind: type[Operation]) -> bool:
    return kind.__module__ in OWN


def _register(kind: type[Operation]) -> None:
    name, known = kind.name, OPERATIONS.get(kind.name)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{kind.__qualname__}: {name!r} cannot be the name of an operation; use letters, digits and _")
    if kind.keeps not in get_args(Kept):
        raise UserError(f"{kind.__qualname__}: keeps is {kind.keeps!r}; use {', '.join(get_args(Kept))}")
    if known is not None and is_own_kind(known) and not is_own_kind(kind):
        raise UserError(f"{kind.__qualname__}: evonas has an operation {name!r} of its own; choose another name")
    if known is not None and known.__qualname__ != kind.__qualname__:  # else the same file is imported again
        raise UserError(f"{kind.__qualname__}: {known.__qualname__} of {known.__module__} has the name {name!r} "
                        "already; choose another one")  # fmt: skip
    OPERATIONS[name] = kind


@lru_cache(maxsize=1000)
def _counted(operation: Operation, shape: Shape) -> int:
    from evonas.modules import seeded  # torch is loaded only where a module has to be made

    return sum(weight.numel() for weight in seeded(operation.module(shape), seed=0).parameters())
