"""Sequential regression models (Baker, Gupta, Raskar and Naik 2017, arXiv:1705.10823, sections 3 and 4).

For each prefix length tau a regressor of its own learns the value at the end from the first tau values, their first and
second differences, and features of the network and its training, on the same complete trainings. Errors are taken as
normal, with a standard deviation that depends on tau and not on the training: that of leave-one-out residuals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas.curves.features import Columns, Standard
from evonas.curves.model import Curve, CurveModel, Forecast, complete, known_end
from evonas.errors import UserError
from evonas.support.streams import number

if TYPE_CHECKING:
    from sklearn.base import RegressorMixin

REGRESSORS = ("nu-svr", "linear-nu-svr", "ols", "forest")
FOLDS = 3


def prefix_features(values: Sequence[float]) -> np.ndarray:
    """y_1..y_tau, the first differences y'_t = y_t - y_(t-1), the second ones y''_t = y'_t - y'_(t-1): from tau = 2 on
    these are 3 tau - 3 numbers."""
    y = np.asarray(values, dtype=float)
    return np.concatenate([y, np.diff(y), np.diff(y, n=2)])


@dataclass(frozen=True)
class _Fitted:
    """The regressor of one prefix length, and the std of its errors."""

    columns: Columns
    inputs: Standard
    targets: Standard
    regressor: Any
    sigma: float


class Baker(CurveModel):
    """A regressor for each prefix length.

    regressor   nu-svr (RBF kernel), linear-nu-svr (minutes where prefixes are long), ols (least squares) or forest (a
                random forest)
    draws       settings of the regressor that are tried for each prefix length, by 3-fold cross-validation (the paper:
                1,000); ols has none. A forest of the paper's 10 to 800 trees takes a second for each of them
    least       complete curves below which it abstains; the paper learns from 100
    use_curve   False: the features of network and training alone
    use_features  False: the curve alone
    seed        of the draws, the folds and the forest

    The settings found on all curves are kept for the leave-one-out residuals, which are slightly optimistic by it.
    Those of a forest are its out-of-bag residuals: no tree that predicts a curve has learnt from it.

    Raises UserError for settings out of range.
    """

    def __init__(
        self,
        *,
        regressor: str = "nu-svr",
        draws: int = 60,
        least: int = 20,
        use_curve: bool = True,
        use_features: bool = True,
        seed: int = 0,
    ) -> None:
        if regressor not in REGRESSORS:
            raise UserError(f"there is no regressor {regressor!r}; use one of {', '.join(REGRESSORS)}")
        if draws < 1:
            raise UserError(f"draws is {draws}; use at least 1")
        if least < 2 * FOLDS:
            raise UserError(f"least is {least}; {FOLDS}-fold cross-validation needs at least {2 * FOLDS} curves")
        if not (use_curve or use_features):
            raise UserError("use_curve and use_features are both False, and nothing is left; let one of them be True")
        self.regressor, self.draws, self.least, self.seed = regressor, draws, least, seed
        self.use_curve, self.use_features = use_curve, use_features
        self.known: tuple[Curve, ...] = ()
        self.epochs = 0
        self._fitted: dict[tuple[int, frozenset[str]], _Fitted | None] = {}

    def fit(self, curves: Sequence[Curve], epochs: int) -> Baker:
        fitted = Baker(regressor=self.regressor, draws=self.draws, least=self.least, use_curve=self.use_curve,
                       use_features=self.use_features, seed=self.seed)  # fmt: skip
        fitted.known, fitted.epochs = complete(curves, epochs), epochs
        return fitted

    def predict(self, curve: Curve) -> Forecast | None:
        if (end := known_end(curve, self.epochs)) is not None:
            return end
        if len(self.known) < self.least or not all(map(math.isfinite, curve.values)):
            return None
        key = len(curve.values), frozenset(name for name, value in curve.features if math.isfinite(value))
        if key not in self._fitted:
            self._fitted[key] = self._fit(*key)
        fitted = self._fitted[key]
        if fitted is None:
            return None
        x = fitted.inputs(self._row(curve, fitted.columns)[None])
        return Forecast(float(fitted.targets.back(fitted.regressor.predict(x))[0]), fitted.sigma)

    def sigmas(self) -> dict[int, float]:
        """The std of the errors by prefix length, of those that a forecast was asked for."""
        return {tau: found.sigma for (tau, _), found in sorted(self._fitted.items(), key=lambda item: item[0][0])
                if found is not None}  # fmt: skip

    def remarks(self) -> tuple[str, ...]:
        sigmas = self.sigmas()
        first, last = min(sigmas, default=0), max(sigmas, default=0)
        if first == last or sigmas[last] < sigmas[first]:
            return ()
        return (f"The error does not fall along the curves: its leave-one-out standard deviation is "
                f"{sigmas[first]:.3g} after {first} epochs and {sigmas[last]:.3g} after {last}. The fit is a poor one; "
                "give more complete curves, more draws, or another seed.",)  # fmt: skip

    def _row(self, curve: Curve, columns: Columns) -> np.ndarray:
        return np.concatenate([prefix_features(curve.values) if self.use_curve else [], columns.row(curve)])

    def _fit(self, tau: int, names: frozenset[str]) -> _Fitted | None:
        """The regressor of a prefix length, for curves with these features; None: there is nothing to learn from."""
        columns = Columns.of(self.known, names if self.use_features else frozenset())
        rows = np.array([self._row(curve.seen(tau), columns) for curve in self.known])
        ends = np.array([curve.values[-1] for curve in self.known])
        if not rows.shape[1]:
            return None
        rng = np.random.default_rng(number(self.seed, "baker", tau))
        best = self._best_settings(rows, ends, rng)
        inputs, targets = Standard.of(rows), Standard.of(ends)
        regressor = self._regressor(best).fit(inputs(rows), targets(ends))
        if self.regressor == "forest":
            residuals = ends - targets.back(regressor.oob_prediction_)
        else:
            residuals = self._left_out(rows, ends, best)
        return _Fitted(columns, inputs, targets, regressor, float(np.sqrt(np.mean(residuals**2))))

    def _best_settings(self, rows: np.ndarray, ends: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        """The settings with the least squared error in cross-validation, among the draws."""
        folds = np.array_split(rng.permutation(len(ends)), FOLDS)
        splits = [(np.setdiff1d(np.arange(len(ends)), fold), fold) for fold in folds]
        least, best = math.inf, dict[str, Any]()
        for settings in self._drawn(rng):
            errors = np.concatenate([self._errors(rows, ends, *split, settings) for split in splits])
            if errors @ errors < least:
                least, best = float(errors @ errors), settings
        return best

    def _left_out(self, rows: np.ndarray, ends: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
        """The residual of each curve, of the regressor that has learnt from all others."""
        every = np.arange(len(ends))
        return np.concatenate([self._errors(rows, ends, np.delete(every, one), every[[one]], settings)
                               for one in every])  # fmt: skip

    def _errors(
        self, rows: np.ndarray, ends: np.ndarray, learnt: np.ndarray, held: np.ndarray, settings: dict[str, Any]
    ) -> np.ndarray:
        """The errors on the held curves of a regressor that is fitted to the learnt ones, and to their scales."""
        inputs, targets = Standard.of(rows[learnt]), Standard.of(ends[learnt])
        regressor = self._regressor(settings).fit(inputs(rows[learnt]), targets(ends[learnt]))
        return ends[held] - targets.back(regressor.predict(inputs(rows[held])))

    def _drawn(self, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        """Settings as the paper draws them, section 4.1; but nu from .01 on, below which a fit takes for ever."""
        if self.regressor == "ols":
            yield {}
            return
        for _ in range(self.draws):
            if self.regressor == "forest":
                yield {"n_estimators": int(rng.integers(10, 801)), "max_features": float(rng.uniform(0.1, 0.5))}
            else:
                cost, gamma = np.exp(rng.uniform(np.log(1e-5), np.log(10), size=2))
                yield {"C": float(cost), "nu": float(rng.uniform(0.01, 1)), "gamma": float(gamma)}

    def _regressor(self, settings: dict[str, Any]) -> RegressorMixin:
        if self.regressor == "ols":
            from sklearn.linear_model import LinearRegression

            return LinearRegression()
        if self.regressor == "forest":
            from sklearn.ensemble import RandomForestRegressor

            return RandomForestRegressor(**settings, oob_score=True, random_state=number(self.seed, "forest") % 2**32)
        from sklearn.svm import NuSVR

        return NuSVR(kernel="linear" if self.regressor == "linear-nu-svr" else "rbf", **settings)
