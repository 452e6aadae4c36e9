"""What a search maximises or minimises."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evonas.errors import UserError

if TYPE_CHECKING:
    from evonas.tasks.task import Task

COSTS: dict[str, float] = {"parameters": -1.0, "multiply_adds": -1.0, "latency": -1.0}  # of any network


def read_objectives(names: str | Sequence[str], task: Task) -> dict[str, float]:
    """["accuracy", "parameters"], or "accuracy,parameters" -> {name: weight}, in this order.

    The first is a metric of the task; its other metrics, parameters, multiply_adds and latency (ms for one input,
    measured) may follow. Raises UserError for an unknown or repeated name, or none.
    """
    known = {metric.name: float(metric.sign) for metric in task.metrics} | COSTS
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    first = task.metric.name
    for name in names:
        if name not in known:
            raise UserError(f"unknown objective {name!r}; use some of {', '.join(known)}")
    if len(set(names)) < len(names) or not names:
        raise UserError(f"objectives are {', '.join(names) or 'none'}; name each once, such as {first},parameters")
    if names[0] in COSTS:
        raise UserError(f"the first objective is {names[0]}; put {first} first: by it the winner is chosen")
    return {name: known[name] for name in names}


def own_objectives(objectives: Mapping[str, float]) -> dict[str, float]:
    """The objectives of a user's own evaluation, {name: weight}. Raises UserError where a weight is not a number."""
    for name, weight in objectives.items():
        if not isinstance(weight, int | float) or weight == 0:
            raise UserError(f"objective {name!r} has the weight {weight!r}; use 1 to maximise and -1 to minimise")
    if not objectives:
        raise UserError("there are no objectives; give at least one, such as {'score': 1}")
    return {name: float(weight) for name, weight in objectives.items()}


def read_count(value: int | str) -> int:
    """200000, 200k, 20M as a number. Raises UserError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", str(value))
    if not found:
        raise UserError(f"{value!r} is no count; write 200000, 200k or 20M")
    return round(float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]])
