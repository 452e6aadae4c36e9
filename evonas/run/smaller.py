"""By which settings a space has networks within limits that it has none of now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evonas.errors import UserError
from evonas.evaluation import Decoder
from evonas.evaluation.limits import Limits
from evonas.support.streams import stream
from evonas.systems.settings import shown
from evonas.systems.setup import Setup

HALVINGS = 6  # of a field, until networks keep the limits
DRAWS = 30  # random networks of each smaller space
NAMED = 2  # fields that a message names


def smaller(setup: Setup, limits: Limits) -> str:
    """Settings of the space by which some of its random networks keep the limits, as the command line takes them: one
    field made smaller, or else all of them. Empty where neither helps."""
    numbers = {
        name: setting.default
        for name, setting in setup.groups["space"].items()
        if _is_size(setting.default) and name != "strides"  # a smaller one makes networks larger
    }  # fmt: skip
    alone = (_first_that_fits(setup, limits, {name: value}) for name, value in numbers.items())
    found = [fitting for fitting in alone if fitting][:NAMED]
    if not found and (together := _first_that_fits(setup, limits, numbers)):
        found = [together]
    return ", or ".join("--set " + " ".join(f"{name}={shown(value)}" for name, value in each.items()) for each in found)


def _is_size(value: Any) -> bool:
    """A number that can be halved, or several of them."""
    several = value if isinstance(value, tuple) else (value,)
    return bool(several) and all(type(each) is int for each in several) and max(several) > 1


def _first_that_fits(setup: Setup, limits: Limits, fields: dict[str, Any]) -> dict[str, Any] | None:
    """The fields after as few halvings as it takes; None where no number of them is enough."""
    for halved in _halved(fields):
        try:
            sized = setup.having({f"space.{name}": value for name, value in halved.items()})
        except (UserError, ValueError):  # the space cannot have such a value; perhaps a smaller one
            continue
        toolbox, decoder = sized.strategy.tools(sized.space, stream(0, "smaller")), Decoder(sized.space)
        for _ in range(DRAWS):
            try:
                if limits.keeps(decoder.graph(toolbox.individual())):
                    return halved
            except ValueError:  # not every genome of a smaller space need be a network
                continue
    return None


def _halved(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for halving in range(1, HALVINGS + 1):
        yield {
            name: tuple(max(each >> halving, 1) for each in value) if isinstance(value, tuple)
            else max(value >> halving, 1)
            for name, value in fields.items()
        }  # fmt: skip
