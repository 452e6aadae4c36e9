"""Named streams of randomness: the same for any number of workers and any order of finishing."""

from hashlib import blake2b
from random import Random


def stream(seed: int, *path: object) -> Random:
    """The generator of one purpose of a run, such as stream(seed, "mutate")."""
    return Random(number(seed, *path))


def number(seed: int, *path: object) -> int:
    """A seed of 56 bits for one purpose of a run, for generators that are not Python's."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")
