"""The contract of a space: what its `next`, `decode`, `format` and `parse` promise, checked on random genomes."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from math import isfinite
from random import Random
from typing import Any

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.sequences import LONGEST, endless
from evonas.space import Decision, Space, Token
from evonas.support.text import listed

GENOMES, DECODED = 200, 20  # random genomes that are checked; of the first DECODED at least one must decode
TOKENS = (str, int, float, bool, type(None))  # as JSON has them


def check(space: Space, rng: Random) -> Graph:
    """Check `next` against its contract on random genomes, and return the first graph that one of them decodes to; a
    space may have a `check` of its own.

    Raises UserError if a name occurs twice in a genome, a decision has no options or some that a journal or a code
    does not keep, one state has two futures, a genome has no end, its code is read back as another one, or none of
    the first genomes can be decoded.
    """
    if type(space).check is not Space.check or not space.is_sequence:
        return space.check(rng)
    futures: dict[Hashable, tuple[str, tuple]] = {}
    genomes = [_checked_genome(space, rng, futures) for _ in range(GENOMES)]
    codes = {genome: _read_back(space, genome) for genome in genomes}
    reasons = []
    for genome in genomes[:DECODED]:
        try:
            graph = space.decode(genome)
        except Exception as error:  # a user's decode may raise anything
            reasons.append(f"fails for the genome {genome}: {type(error).__name__}: {error}")
            continue
        if isinstance(graph, Graph):
            if codes[genome] != genome and space.decode(codes[genome]).digest() != graph.digest():
                raise _misread(space, genome, codes[genome])
            return graph
        reasons.append(f"returns {graph!r} for the genome {genome}; return a Graph")
    raise UserError(f"{space.name}: `decode` {reasons[0]}")


def _checked_genome(space: Space, rng: Random, futures: dict[Hashable, tuple[str, tuple]]) -> tuple[Token, ...]:
    genome: tuple[Token, ...] = ()
    names: set[str] = set()
    while (decision := space.next(genome)) is not None:
        if not (isinstance(decision, Decision) and isinstance(decision.options, tuple | list) and decision.options):
            raise UserError(f"{space.name}: `next` gives {decision!r} after {genome}; return a Decision with a "
                            "tuple of options, or None if the genome is complete")  # fmt: skip
        if decision.name in names:
            raise UserError(f"{space.name}: {decision.name!r} is asked twice, the second time after {genome}; names "
                            "must be unique in a genome")  # fmt: skip
        if not isinstance(decision.state, Hashable):
            raise UserError(f"{space.name}: the state {decision.state!r} of {decision.name} cannot be looked up; "
                            "give a tuple of plain values")  # fmt: skip
        if decision.state not in futures:
            _check_options(space, decision)
        future = futures.setdefault(decision.state, (decision.name, decision.options))
        if future != (decision.name, decision.options):
            raise UserError(f"{space.name}: the state {decision.state!r} of {decision.name} (after {genome}) stands "
                            f"for {future[0]} with the options {listed(future[1])} as well; put everything that "
                            "determines what may follow into the state")  # fmt: skip
        _check_pointer(space, decision, len(genome))
        names.add(decision.name)
        if len(names) > LONGEST:
            raise UserError(endless(space))
        genome += (rng.choice(decision.options),)
    return genome


def _check_options(space: Space, decision: Decision) -> None:
    """Tokens are what JSON keeps: journals hold them, and genomes that are read must equal those that were
    written. In the code that a space has by itself they are words, each of one option."""
    own_notation = type(space).format is not Space.format or type(space).parse is not Space.parse
    seen: dict[Token, Token] = {}
    for option in decision.options:
        told = f"{space.name}: the option {option!r} of {decision.name}"
        if not _is_kept(option):
            raise UserError(f"{told} is of the type {type(option).__name__}, or no finite number, which a journal "
                            "does not keep as it is; use texts, numbers, True, False or None, such as "
                            f"{_plain(option)!r}, and give them their meaning in `decode`")  # fmt: skip
        if option in seen:
            raise UserError(f"{told} equals {seen[option]!r}, another of its options; give each once")
        seen[option] = option
        if own_notation:
            continue
        if len((word := str(option)).split()) != 1 or not word.isprintable():
            raise UserError(f"{told} is no word that a code could hold; write it without spaces, such as "
                            f"{'_'.join(word.split()) or 'none'!r}, or give the space a `format` and a `parse` of "
                            "its own")  # fmt: skip
        if clash := [other for other in seen if str(other) == word and other != option]:
            raise UserError(f"{told} is written like {clash[0]!r}, another of its options, in a code; choose "
                            "another text for one of them, or give the space a `format` and a `parse` of its "
                            "own")  # fmt: skip


def _read_back(space: Space, genome: tuple[Token, ...]) -> tuple[Token, ...]:
    """A code reads back as the genome that it was made of, or as another one of the same code and types."""
    try:
        code = space.format(genome)
        found = tuple(space.parse(code))
        same = found == genome or space.format(found) == code
    except Exception as error:  # a user's own notation may raise anything
        raise UserError(f"{space.name}: the genome {genome} has no code that can be read back "
                        f"({type(error).__name__}: {error}); mend `format` and `parse`") from None  # fmt: skip
    if not same or list(map(type, found)) != list(map(type, genome)):
        raise _misread(space, genome, found)
    return found


def _misread(space: Space, genome: tuple[Token, ...], found: tuple[Token, ...]) -> UserError:
    return UserError(f"{space.name}: the code {space.format(genome)!r} of the genome {genome} is read back as "
                     f"{found}; mend `format` and `parse`, so that it is read back as it was")  # fmt: skip


def _check_pointer(space: Space, decision: Decision, place: int) -> None:
    if (pointer := decision.pointer) is None:
        return
    if (
        len(pointer.to) != len(decision.options)
        or pointer.at not in range(place)
        or any(each is not None and each not in range(pointer.at + 1) for each in pointer.to)
    ):
        raise UserError(f"{space.name}: {decision.name} at place {place} points by {pointer}; give `at` an earlier "
                        "place, and `to` for each option a place up to `at`, or None")  # fmt: skip


def _is_kept(option: Any) -> bool:
    """Whether JSON keeps an option as it is. A subclass, as numpy's float64 or an IntEnum, comes back plain."""
    return type(option) in TOKENS and not (isinstance(option, float) and not isfinite(option))


def _plain(option: Any) -> Token:
    """What may stand in place of an option that a journal does not keep: its plain value, or a text."""
    value = getattr(option, "tolist", lambda: option)()  # of numpy
    value = value.value if isinstance(value, Enum) else value
    if _is_kept(value):
        return value
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
