"""Extrapolation of learning curves by a mixture of parametric families (Domhan, Springenberg and Hutter, IJCAI 2015).

f_comb(x) = sum_k w_k f_k(x | theta_k), and y_x ~ N(f_comb(x), sigma^2) after epoch x. Families are fitted by least
squares; those whose fit keeps the prior start an ensemble sampler (emcee: Foreman-Mackey, Hogg, Lang and Goodman 2013,
arXiv:1202.3665) over all theta, w and sigma. It looks at one curve and at no other training.

The prior is flat where the weights are positive, 0 < sigma < 1, and each family and the mixture have f(1) <= f(m) and
0 <= f(m) <= bound at the last epoch m; elsewhere it is 0. The paper's requirement is f_comb(1) < f_comb(m) alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evonas.curves.model import Curve, CurveModel, Forecast, known_end
from evonas.errors import UserError
from evonas.support.streams import number

RISE, IN_A_ROW = 0.05, 5  # a curve has begun to rise when it lies so far above its first value so many times in a row
LEAST_VALUES = 4  # the parameters of the largest families
LEAST_FAMILIES = 3  # below which a mixture tells little
LEAST_WEIGHT = 1e-4  # of a family, where weights are fitted
ACCEPTANCE = (0.1, 0.6)  # of a sampler in good health
BALL = 1e-6  # radius of what the walkers start in
EVALUATIONS = 2000  # of a family in one least-squares fit
FAR = 1e3  # what a family counts as missing a value by where it is not defined


@dataclass(frozen=True)
class Family:
    """A parametric curve f(x | theta), with its start values."""

    name: str
    start: tuple[float, ...]
    function: Callable[..., np.ndarray]

    def __call__(self, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Values at x, of shape (points,) or (walkers, points), for theta of (parameters,) or (walkers, parameters)."""
        with np.errstate(all="ignore"):  # where it is not defined, the prior refuses the parameters
            return self.function(x, *(theta[..., [place]] for place in range(len(self.start))))


def _log_log_linear(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.log(a * np.log(x) + b)


def _hill3(x: np.ndarray, ymax: np.ndarray, eta: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    return ymax * x**eta / (kappa**eta + x**eta)


def _mmf(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray, kappa: np.ndarray, delta: np.ndarray) -> np.ndarray:
    return alpha - (alpha - beta) / (1 + (kappa * x) ** delta)


def _janoschek(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray, kappa: np.ndarray, delta: np.ndarray) -> np.ndarray:
    return alpha - (alpha - beta) * np.exp(-kappa * x**delta)


def _weibull(x: np.ndarray, alpha: np.ndarray, beta: np.ndarray, kappa: np.ndarray, delta: np.ndarray) -> np.ndarray:
    return alpha - (alpha - beta) * np.exp(-((kappa * x) ** delta))


FAMILIES = {
    family.name: family
    for family in (  # their table 1, parameters in the order of its start values
        Family(
            "vapor pressure", (-0.622028, -0.470050, 0.042322), lambda x, a, b, c: np.exp(a + b / x + c * np.log(x))
        ),
        Family("pow3", (0.84, 0.52, 0.01), lambda x, c, a, alpha: c - a * x**-alpha),
        Family("log log linear", (1.0, 1.0), _log_log_linear),
        Family("Hill3", (0.772320, 0.586449, 2.460843), _hill3),
        Family("log power", (0.77, 2.98, -0.51), lambda x, a, b, c: a / (1 + (x / np.exp(b)) ** c)),
        Family("pow4", (0.8, 200.0, 0.0, 0.1), lambda x, c, a, b, alpha: c - (a * x + b) ** -alpha),
        Family("MMF", (0.7, 0.1, 0.01, 5.0), _mmf),
        Family("exp4", (0.7, 0.8, -0.8, 0.3), lambda x, c, a, b, alpha: c - np.exp(-a * x**alpha + b)),
        Family("Janoschek", (0.73, 0.07, 0.355, 0.46), _janoschek),
        Family("Weibull", (0.7, 0.1, 0.01, 1.0), _weibull),
        Family("ilog2", (0.78, 0.43), lambda x, c, a: c - a / np.log(x + 1)),  # printed with ln x, infinite at x = 1
    )
}


@dataclass(frozen=True, eq=False)
class Sampled(Forecast):
    """What samples of the mixture's parameters say of the end: each a normal distribution of its own.

    means, sigmas  of the samples
    fitted         families whose least-squares fit keeps the prior; families: those in the mixture
    acceptance     share of the sampler's proposals that were accepted
    """

    means: np.ndarray
    sigmas: np.ndarray
    fitted: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    acceptance: float = math.nan

    @classmethod
    def of(cls, means: np.ndarray, sigmas: np.ndarray, fitted: Sequence[str] = (), families: Sequence[str] = (),
           acceptance: float = math.nan) -> Sampled:  # fmt: skip
        """With the mean and the standard deviation of these samples' mixture."""
        std = math.sqrt(float(means.var() + np.mean(sigmas**2)))
        return cls(float(means.mean()), std, means, sigmas, tuple(fitted), tuple(families), acceptance)

    @property
    def spread(self) -> float:
        """The standard deviation of the mean curve over the samples, which the paper calls predictive."""
        return float(self.means.std())

    def exceeds(self, threshold: float) -> float:
        """P(y_m > threshold) = mean over the samples of 1 - Phi((threshold - f_comb(m)) / sigma)."""
        from scipy.special import ndtr

        return float(np.mean(ndtr((self.means - threshold) / self.sigmas)))

    def interval(self, share: float = 0.9) -> tuple[float, float]:
        from scipy.optimize import brentq

        reach = 10 * self.sigmas.max()
        low, high = float(self.means.min() - reach), float(self.means.max() + reach)
        tail = (1 - share) / 2
        return (brentq(lambda value: self.exceeds(value) - (1 - tail), low, high),
                brentq(lambda value: self.exceeds(value) - tail, low, high))  # fmt: skip

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is wrong with the sampler's health, in whole sentences."""
        found = []
        if len(self.fitted) < LEAST_FAMILIES:
            found.append(f"Only {len(self.fitted)} of {len(FAMILIES)} families fit the curve.")
        if not ACCEPTANCE[0] <= self.acceptance <= ACCEPTANCE[1]:
            found.append(f"The sampler accepted {self.acceptance:.0%} of its proposals; {ACCEPTANCE[0]:.0%} to "
                         f"{ACCEPTANCE[1]:.0%} are sound.")  # fmt: skip
        return tuple(found)


class Domhan(CurveModel):
    """A mixture of up to eleven families of curves, fitted to the curve's own values and sampled.

    weights   start weights: nnls (non-negative least squares of the fitted families; those below 1e-4 are dropped) or
              const (10 each, divided by their sum)
    families  names of those that may take part
    walkers   of the sampler, at least twice the number of parameters
    steps, burn_in, thin  of the sampler: every thin-th step after the first burn_in is a sample of each walker. The
              authors' code has 2,500, 500 and 10, which was no better on the digits (benchmarks/README.md)
    bound     the metric's highest value: without one a short curve runs away
    recent    the last values count for more: the i-th of n by 10 ** (i / n)
    seed      of the sampler

    Of a flat beginning only the last value is kept, and the epochs are counted from it. It abstains below four values,
    and where no family fits. Its first forecast is worth asking for after 40 % of the epochs; before, it is too sure of
    itself.

    Raises UserError for settings out of range.
    """

    def __init__(
        self,
        *,
        weights: str = "nnls",
        families: tuple[str, ...] = tuple(FAMILIES),
        walkers: int = 100,
        steps: int = 1000,
        burn_in: int = 400,
        thin: int = 10,
        bound: float = 1.0,
        recent: bool = False,
        seed: int = 0,
    ) -> None:
        if weights not in ("nnls", "const"):
            raise UserError(f"there are no weights {weights!r}; use nnls or const")
        if unknown := [name for name in families if name not in FAMILIES]:
            raise UserError(f"there is no family {unknown[0]!r}; use some of {', '.join(FAMILIES)}")
        if not families:
            raise UserError(f"no family may take part; use some of {', '.join(FAMILIES)}")
        if walkers < 2 or thin < 1 or not 0 <= burn_in < steps:
            raise UserError(f"the sampler has {walkers} walkers, {steps} steps, of which {burn_in} are burnt in, and "
                            f"one of {thin} is kept; use 2 walkers or more, more steps than burn_in, and thin from 1 "
                            "on")  # fmt: skip
        if not bound > 0:
            raise UserError(f"the bound is {bound}; use the metric's highest value, above 0")
        self.weights, self.families, self.walkers, self.steps = weights, families, walkers, steps
        self.burn_in, self.thin, self.bound, self.recent, self.seed = burn_in, thin, bound, recent, seed
        self.epochs = 0
        self._made: dict[tuple[float, ...], Sampled | None] = {}

    def fit(self, curves: Sequence[Curve], epochs: int) -> Domhan:
        fitted = Domhan(weights=self.weights, families=self.families, walkers=self.walkers, steps=self.steps,
                        burn_in=self.burn_in, thin=self.thin, bound=self.bound, recent=self.recent,
                        seed=self.seed)  # fmt: skip
        fitted.epochs = epochs
        return fitted

    def predict(self, curve: Curve) -> Forecast | None:
        if (end := known_end(curve, self.epochs)) is not None:
            return end
        if not all(map(math.isfinite, curve.values)):
            return None
        if curve.values not in self._made:
            self._made[curve.values] = self._sampled(curve.values)
        return self._made[curve.values]

    def remarks(self) -> tuple[str, ...]:
        made = [forecast for forecast in self._made.values() if forecast is not None]
        few = sum(len(forecast.fitted) < LEAST_FAMILIES for forecast in made)
        unsound = sum(not ACCEPTANCE[0] <= forecast.acceptance <= ACCEPTANCE[1] for forecast in made)
        found = []
        if few:
            found.append(f"Of {few} of {len(made)} curves fewer than {LEAST_FAMILIES} families fit.")
        if unsound:
            found.append(f"The sampler's acceptance is out of {ACCEPTANCE[0]} to {ACCEPTANCE[1]} for {unsound} of "
                         f"{len(made)} curves.")  # fmt: skip
        return tuple(found)

    def _sampled(self, values: tuple[float, ...]) -> Sampled | None:
        from emcee import EnsembleSampler, State

        cut = flat_beginning(values)
        y, m = np.array(values[cut:]), self.epochs - cut
        if len(y) < LEAST_VALUES:
            return None
        x, end = np.arange(1.0, len(y) + 1), np.array([1.0, m])

        # 1. Each family by itself
        least_squares = {name: fit_family(FAMILIES[name], x, y) for name in self.families}
        fits = {name: theta for name, theta in least_squares.items() if theta is not None
                and bool(_keeps_prior(FAMILIES[name](end, theta), self.bound))}  # fmt: skip
        if not fits:
            return None
        fitted = tuple(fits)

        # 2. Start weights, and sigma from the mixture's residuals
        curves = np.stack([FAMILIES[name](x, theta) for name, theta in fits.items()])
        if self.weights == "nnls":
            from scipy.optimize import nnls

            fitting = nnls(curves.T, y)[0]
            used = np.flatnonzero(fitting >= LEAST_WEIGHT)
            if not len(used):
                return None
            fits = {fitted[place]: fits[fitted[place]] for place in used}
            w = fitting[used]
            ends = np.array([FAMILIES[name](end, theta)[1] for name, theta in fits.items()])
            w = w * min(1.0, self.bound / float(w @ ends)) if w @ ends > 0 else w  # the start keeps the prior
            residuals = y - w @ curves[used]
        else:
            w = np.full(len(fits), 10.0)
            residuals = y - curves.mean(axis=0)
        sigma = float(np.clip(residuals.std(), 1e-4, 0.99))

        # 3. The sampler: walkers in a small ball around the start
        posterior = _Posterior([FAMILIES[name] for name in fits], x, y, m, self.bound, self.weights == "const",
                               self.recent)  # fmt: skip
        start = np.concatenate([*fits.values(), w, [sigma]])
        rng = np.random.RandomState(number(self.seed, "domhan", m, *values[cut:]) % 2**32)
        walkers = max(self.walkers, 2 * len(start))
        sampler = EnsembleSampler(walkers, len(start), posterior, vectorize=True)
        ball = start + BALL * rng.standard_normal((walkers, len(start)))
        with np.errstate(invalid="ignore"):  # a step from one place that the prior refuses to another
            sampler.run_mcmc(State(ball, random_state=rng.get_state()), self.steps, skip_initial_state_check=True)
        accepted = float(sampler.acceptance_fraction.mean())

        # 4. f_comb(m) and sigma of each sample
        chain = sampler.get_chain(discard=self.burn_in, thin=self.thin, flat=True)
        chain = chain[np.isfinite(sampler.get_log_prob(discard=self.burn_in, thin=self.thin, flat=True))]
        if not len(chain):
            return None
        means = posterior.mixture(chain)[0][:, -1]
        return Sampled.of(means, chain[:, -1], fitted, tuple(fits), accepted)


class _Posterior:
    """The log posterior density of walkers: rows of all theta, the weights, and sigma."""

    def __init__(
        self,
        families: Sequence[Family],
        x: np.ndarray,
        y: np.ndarray,
        m: float,
        bound: float,
        normalised: bool,
        recent: bool,
    ) -> None:
        self.families, self.y, self.bound, self.normalised = families, y, bound, normalised
        self.points = np.append(x, m)
        self.counts = 10 ** (np.arange(len(y)) / len(y)) if recent else np.ones(len(y))

    def mixture(self, walkers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f_comb at all points and the last epoch, (walkers, points); f_k, (families, walkers, points)."""
        place, curves = 0, []
        for family in self.families:
            curves.append(family(self.points, walkers[:, place : place + len(family.start)]))
            place += len(family.start)
        w = walkers[:, place : place + len(self.families)]
        if self.normalised:
            w = w / w.sum(axis=1, keepdims=True)
        each = np.stack(curves)
        return np.einsum("wk,kwp->wp", w, each), each

    def __call__(self, walkers: np.ndarray) -> np.ndarray:
        sigma, w = walkers[:, -1], walkers[:, -1 - len(self.families) : -1]
        with np.errstate(all="ignore"):
            mixed, each = self.mixture(walkers)
            allowed = (w > 0).all(axis=1) & (sigma > 0) & (sigma < 1)
            allowed &= _keeps_prior(mixed[:, [0, -1]], self.bound)
            allowed &= _keeps_prior(each[:, :, [0, -1]], self.bound).all(axis=0)
            squares = ((mixed[:, :-1] - self.y) ** 2) @ self.counts
            likelihood = -self.counts.sum() * np.log(sigma) - squares / (2 * sigma**2)  # up to a constant
        return np.where(allowed & np.isfinite(likelihood), likelihood, -np.inf)


def _keeps_prior(ends: np.ndarray, bound: float) -> np.ndarray:
    """Whether curves with these values at 1 and m, the last axis, rise and end between 0 and the bound."""
    return (ends[..., 0] <= ends[..., 1]) & (ends[..., 1] >= 0) & (ends[..., 1] <= bound)


def fit_family(family: Family, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Its parameters by least squares from the start values, with Levenberg and Marquardt, or else L-BFGS-B; None: both
    fail."""
    from scipy.optimize import least_squares, minimize

    def residuals(theta: np.ndarray) -> np.ndarray:
        return np.clip(np.nan_to_num(family(x, theta) - y, nan=FAR), -FAR, FAR)

    start = np.array(family.start)
    if len(x) >= len(start):
        found = least_squares(residuals, start, method="lm", max_nfev=EVALUATIONS)
        if found.success and np.isfinite(family(x, found.x)).all():
            return found.x
    other = minimize(lambda theta: float(np.sum(residuals(theta) ** 2)), start, method="L-BFGS-B",
                     options={"maxfun": EVALUATIONS})  # fmt: skip
    return other.x if other.status in (0, 1) and np.isfinite(family(x, other.x)).all() else None  # 1: at the limit


def flat_beginning(values: Sequence[float]) -> int:
    """How many values at the beginning are cut: those of a flat part but for the last one.

    The curve rises from the first of five values in a row that lie more than .05 above the first value; a curve that
    never rises so is left as it is. The paper's code cuts the last flat value, too, and with it the first value of
    every curve that rises at once.
    """
    risen = [value > values[0] + RISE for value in values]
    for place in range(1, len(values) - IN_A_ROW + 1):
        if all(risen[place : place + IN_A_ROW]):
            return place - 1
    return 0
