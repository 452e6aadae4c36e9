"""ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys, arXiv:1810.05934)."""

from __future__ import annotations

from evonas.errors import UserError
from evonas.fidelity.scheduler import Immediate, Scheduler, Trial, rungs


def asha(epochs: int, *, eta: float = 3.0, least: int = 1, variant: str = "promotion") -> Scheduler:
    """Successive halving without barriers.

    eta       the best 1/eta of a rung go on, to eta times as many epochs
    least     epochs of the first rung
    variant   promotion: every training pauses at its rung, and goes on when it is among the best of it (the paper's);
              stopping: it goes on at once, or stops for good
    """
    if variant not in ("promotion", "stopping"):
        raise UserError(f"variant is {variant!r}; use promotion, or stopping")
    kind = Promotion if variant == "promotion" else Stopping
    return kind(epochs, eta=eta, least=least)


class Promotion(Scheduler):
    """Algorithm 2 of the paper. A worker that is free promotes a training of the highest rung that has one among its
    best floor(n / eta), n having reached it; else a new one begins.

    A paused training counts as stopped for now. A strategy that was told of it is told again, if it goes on.
    """

    def __init__(self, epochs: int, *, eta: float, least: int) -> None:
        super().__init__(epochs)
        self.budgets, self.eta = rungs(least, eta, epochs), eta
        self._reached: list[dict[int, Trial]] = [{} for _ in self.budgets]
        self._promoted: list[set[int]] = [set() for _ in self.budgets]

    def begin(self, id: int) -> int:
        return self.budgets[0]

    def report(self, trial: Trial) -> list[int]:
        rung = next(i for i, budget in enumerate(self.budgets) if budget >= trial.epochs)
        self._reached[rung][trial.id] = trial
        return [] if trial.id in self._promotable(rung) else [trial.id]

    def next(self) -> tuple[int, int] | None:
        for rung in reversed(range(len(self.budgets) - 1)):
            if promotable := self._promotable(rung):
                id = promotable[0]
                self._promoted[rung].add(id)
                return id, self.budgets[rung + 1]
        return None

    @property
    def open(self) -> set[int]:
        failed = {id for reached in self._reached for id, trial in reached.items() if trial.failed}
        return set().union(*self._reached[:-1]) - set(self._reached[-1]) - failed

    def _promotable(self, rung: int) -> list[int]:
        """Those that may go on from a rung, the best first."""
        if rung == len(self.budgets) - 1:
            return []
        reached = self._reached[rung]
        able = [trial for trial in reached.values() if not trial.failed]
        ordered = sorted(able, key=lambda trial: (-trial.value, trial.id))
        best = ordered[: int(len(reached) / self.eta + 1e-9)]
        return [trial.id for trial in best if trial.id not in self._promoted[rung]]


class Stopping(Immediate):
    """The variant that never pauses: a training that reaches a rung stops unless it is among the best 1/eta of those
    that have reached it so far, itself included; the first ones go on."""

    def __init__(self, epochs: int, *, eta: float, least: int) -> None:
        self.budgets, self.eta = rungs(least, eta, epochs), eta
        super().__init__(epochs, self.budgets)
        self._values: dict[int, list[float]] = {budget: [] for budget in self.budgets}

    def goes_on(self, trial: Trial) -> bool:
        before = self._values[trial.epochs]
        better = sum(value > trial.value for value in before)
        return better < max(1, int((len(before) + 1) / self.eta + 1e-9))

    def heard(self, trial: Trial) -> None:
        if not trial.failed:
            self._values[trial.epochs].append(trial.value)
