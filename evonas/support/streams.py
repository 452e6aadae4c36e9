"""Named streams of randomness: the same for any number of workers and any order of finishing."""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

Anything = TypeVar("Anything")


def stream(seed: int, *path: object) -> Random:
    """The generator of one purpose of a run, such as stream(seed, "mutate")."""
    return Random(number(seed, *path))


def drawn(rng: Random, among: Sequence[Anything], n: int) -> list[Anything]:
    """n of them, drawn one by one with replacement: those that `rng.choice` would draw, in a fourth of the time, since
    the length is looked at once."""
    size = len(among)
    if not size:
        raise IndexError("cannot draw from nobody")
    bits, getrandbits = size.bit_length(), rng.getrandbits
    found: list[Anything] = []
    while len(found) < n:
        if (place := getrandbits(bits)) < size:
            found.append(among[place])
    return found


def number(seed: int, *path: object) -> int:
    """A seed of 56 bits for one purpose of a run, for generators that are not Python's."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")
