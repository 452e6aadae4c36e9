"""Several evaluations of a candidate as one: their mean, as where a training is repeated against its noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from evonas.evaluation.candidate import Candidate
from evonas.evaluation.evaluator import Evaluator, Job
from evonas.evaluation.outcome import Outcome


@dataclass(frozen=True)
class Mean(Evaluator):
    """`count` replicates of an evaluation; values, measures and curve are means, costs are sums.

    The first one that fails is the outcome, with the costs so far.
    """

    evaluator: Evaluator
    count: int

    @property
    def limit_s(self) -> float | None:  # type: ignore[override]
        limit = self.evaluator.limit_s
        return None if limit is None else limit * self.count

    def identity(self, candidate: Candidate) -> str:
        return f"{self.evaluator.identity(candidate)}/mean of {self.count}"

    def once_more(self, candidate: Candidate, replicate: int, outcome: Outcome) -> Job | None:
        job = self.evaluator.once_more(candidate, replicate, outcome)
        return None if job is None else replace(job, evaluator=replace(self, evaluator=job.evaluator))

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        found: list[Outcome] = []
        while len(found) < self.count and not (found and found[-1].failed):
            found.append(self.evaluator(candidate, replicate * self.count + len(found)))
        epochs, seconds = sum(each.epochs for each in found), round(sum(each.seconds for each in found), 4)
        if found[-1].failed:
            return Outcome(status="failed", error=found[-1].error, epochs=epochs, seconds=seconds)
        return Outcome(
            values=_means(each.values for each in found),
            epochs=epochs,
            seconds=seconds,
            curve=_means(each.curve for each in found),
            measures={name: fmean(each.measures[name] for each in found) for name in found[0].measures},
            profile={name: sum(each.profile[name] for each in found) for name in found[0].profile},
        )


def _means(rows: Iterable[Sequence[float]]) -> tuple[float, ...]:
    return tuple(map(fmean, zip(*rows, strict=True)))
