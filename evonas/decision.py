"""A decision of a genome, and the token that leaves it open."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pointer:
    """How the options of a decision refer to earlier tokens. Recurrent controllers may use it to choose by attention.

    at   the place in the genome up to which tokens are known when the choice is made; decisions with the same `at` are
         made at once, independently of one another
    to   the place of the token to which each option refers; None: to none
    """

    at: int
    to: tuple[int | None, ...]


@dataclass(frozen=True)
class Decision:
    """What is decided next in a genome.

    name      stable name, unique in a genome
    options   the tokens that are legal here, at least one
    state     prefixes with equal state have exactly the same future; this makes counting and uniform drawing possible
    kind      a controller shares weights among decisions of one kind, such as the filters of all layers; by default,
              each decision is its own kind
    pointer   the earlier places of the genome to which the options refer, if they do
    """

    name: str
    options: tuple[Hashable, ...]
    state: Hashable
    kind: str = ""
    pointer: Pointer | None = None


@dataclass(frozen=True)
class Open:
    """An open token: a route through the supernet chooses one of its `options`."""

    options: tuple[Hashable, ...]

    def __str__(self) -> str:
        return "{" + "|".join(map(str, self.options)) + "}"
