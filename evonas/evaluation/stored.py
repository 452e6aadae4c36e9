"""Stored learning curves as an evaluator: nothing is trained, and a training may stop and go on like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evonas.curves.model import Curve
from evonas.evaluation.candidate import Candidate
from evonas.evaluation.evaluator import Evaluator
from evonas.evaluation.outcome import Outcome


@dataclass(frozen=True)
class StoredCurves(Evaluator):
    """A genome is the place of a curve, (3,). All curves have `epochs` values.

    seconds   of an epoch of each training; (): not known
    """

    curves: Sequence[Curve]
    epochs: int
    seconds: Sequence[float] = ()

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(name for name, _ in self.curves[0].features)

    def identity(self, candidate: Candidate) -> str:
        return str(candidate.genome[0])

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        reached = self.epochs if candidate.epochs is None else candidate.epochs
        place = candidate.genome[0]
        curve, trained = self.curves[place].seen(reached), reached - candidate.had
        return Outcome(
            (curve.values[-1],),
            status="full" if reached == self.epochs else "partial",
            epochs=trained,
            seconds=trained * self.seconds[place] if self.seconds else 0.0,
            reached=reached,
            curve=curve.values,
            losses=curve.losses,
            measures=dict(curve.features),
        )
