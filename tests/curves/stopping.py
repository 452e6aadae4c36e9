"""What a termination rule makes of real learning curves."""

from collections.abc import Callable, Sequence

from evonas.curves import Curve, Forecast
from evonas.curves.termination import terminates

EPOCHS = 40


def stopped_early(
    predict: Callable[[Curve], Forecast | None],
    finished: Sequence[Curve],
    trainings: Sequence[Curve],
    grid: Sequence[int],
    confidence: float,
) -> tuple[float, bool]:
    """The share of their epochs that trainings take under the termination rule, one after another, and whether the best
    of all is kept. What they have to surpass is the best value seen so far in any of them."""
    best = max((max(each.values) for each in finished), default=None)
    kept, used = list(finished), 0
    for curve in trainings:
        epochs = EPOCHS
        for tau in grid:
            seen = curve.seen(tau)
            if terminates(predict(seen), best, max(seen.values), confidence=confidence):
                epochs = tau
                break
        else:
            kept.append(curve)
        used += epochs
        best = max(curve.seen(epochs).values + (() if best is None else (best,)))
    best_of_all = max(each.values[-1] for each in (*finished, *trainings))
    return used / (EPOCHS * len(trainings)), max(each.values[-1] for each in kept) == best_of_all
