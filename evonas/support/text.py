"""How values are written for people."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, isnan


def shown(name: str, value: float | None) -> str:
    """A value with its unit: accuracies in per cent, latency in ms, counts with separators."""
    if value is None:
        return "failed"
    if name.endswith("accuracy"):
        return f"{value:.2%}"
    if name == "latency":
        return f"{value:.2f} ms"
    return f"{int(value):,}" if name in ("parameters", "multiply_adds") else f"{value:.5g}"


def probability(p: float | None) -> str:
    """A p-value; empty where there is none."""
    if p is None or isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def words(name: str) -> str:
    """The name of a metric or measure in words: mean_absolute_error is mean absolute error."""
    return name.replace("_", " ")


def listed(options: Iterable[object]) -> str:
    """Options as a message names them."""
    return ", ".join(map(str, options))


def brief(code: str, longest: int = 100) -> str:
    """A code as far as there is room for it in a line of many things."""
    return code if len(code) <= longest else code[: longest - 2] + " …"


def duration(seconds: float, *, up: bool = False) -> str:
    """In hours, minutes and seconds: 4 min 20 s; `up` to what somebody would ask for: 5 min."""
    if up:
        unit = next(unit for limit, unit in ((100, 10), (3600, 60), (float("inf"), 600)) if seconds < limit)
        seconds = unit * ceil(seconds / unit)
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    if minutes and not rest:
        return f"{minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def reason(error: Exception) -> str:
    """The error in one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:200]
