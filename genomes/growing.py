"""Genomes that may end early and grow by a part at a time, for spaces of progressive searches."""

from __future__ import annotations

from collections.abc import Iterator

from evonas.space import Genome, Space, Token

END = "end"  # in place of a further part


def begun(genome: Genome) -> tuple[Token, ...]:
    """A genome without its end."""
    return tuple(genome[:-1]) if genome and genome[-1] == END else tuple(genome)


def grown(space: Space, genome: Genome, size: int) -> Iterator[tuple[Token, ...]]:
    """The genomes that go on from this one to so many tokens and end there, in the order of the options."""
    waiting = [begun(genome)]
    while waiting:
        prefix = waiting.pop()
        decision = space.next(prefix)
        if len(prefix) == size:
            yield prefix if decision is None else (*prefix, END)
        elif decision is not None:
            waiting += [(*prefix, option) for option in reversed(decision.options) if option != END]
