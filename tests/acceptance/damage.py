"""Ways in which files and values come to harm: bytes that were lost or flipped, and JSON that somebody has forged."""

import json
import zlib

ODD = [None, True, -1, 0, 10**30, -(10**30), 1e308, 0.5, "", "x", "../../../x", "\x00", "²", "[/red]", "a" * 300, [],
       {}, [[]], {"x": 1}, [None], ["is"], [1, [2, [3]]], "NaN", '3"""; import os']  # fmt: skip


def damaged(data, rng):
    """Bytes with a few that are flipped, lost, repeated or cut off."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 10])):
        if not data:
            break
        at, much = rng.randrange(len(data)), rng.choice([1, 1, 4, 100])
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + much]
            case 2:
                data[at:at] = data[at : at + much]
            case 3:
                data[at : at + much] = bytes(rng.randrange(256) for _ in range(much))
            case 4:
                del data[at:]
    return bytes(data)


def forged(value, rng):
    """JSON of the same kind in which one place is something else."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {name: each for name, each in value.items() if name != key}
            case 1:
                return value | {rng.choice(["x", "kind", "id", key + "x"]): rng.choice(ODD)}
            case _:
                return value | {key: forged(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value[:at], value[at], *value[at:]]
            case _:
                return [*value[:at], forged(value[at], rng), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice([value + 1, -value, value * 1000, value / 3, str(value)])
    return rng.choice(ODD)


def signed(events):
    """The lines of a journal of these events, each with the checksum that it ought to have."""
    check, lines = "", []
    for event in events if isinstance(events, list) else [events]:
        body = json.dumps(event)
        check = f"{zlib.crc32((check + body).encode()):08x}"
        lines.append(f'{body[:-1]}, "check": "{check}"}}\n' if isinstance(event, dict) else f"{body}\n")
    return "".join(lines)
