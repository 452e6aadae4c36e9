"""When a search stops asking."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from evonas.errors import UserError
from evonas.systems.settings import whole


@dataclass(frozen=True)
class Budget:
    """When to stop asking; None: no limit.

    evaluations   results, reused ones and failures included
    epochs        trained epochs
    seconds       of run time; an evaluation that would probably end later is not begun
    cost_seconds  of evaluation, as outcomes say: the simulated ones of a table
    core_seconds  of the CPU, of evaluation: however busy the machine is, and on a GPU of little worth
    """

    evaluations: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    cost_seconds: float | None = None
    core_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "epochs", "seconds", "cost_seconds", "core_seconds"):
            amount = getattr(self, name)
            if amount is not None and not 0 < amount < math.inf:
                raise UserError(f"a budget of {amount} {name} allows nothing; use more than 0")

    @classmethod
    def of(cls, budget: int | str | Budget | None, usual: int | None = None) -> Budget:
        """A number of evaluations, or a time such as "20m"; None: the usual number of evaluations.

        Raises UserError for a text that is not a duration, and for a number that is not whole.
        """
        if isinstance(budget, Budget):
            return budget
        if isinstance(budget, str):
            return cls(seconds=seconds_of(budget))
        return cls(evaluations=usual if budget is None else whole("budget", budget))


def seconds_of(text: str) -> float:
    """90s, 10m, 1h30m in seconds. Raises UserError for a text that is not a duration, a bare number included: it might
    be meant as seconds, minutes or evaluations."""
    found = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d+)?)s)?", text.strip(), re.ASCII)
    if not found or not any(found.groups()):
        raise UserError(f"{text!r} is no duration; write 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if not total > 0:
        raise UserError(f"{text!r} allows nothing; use more than 0")
    return total
