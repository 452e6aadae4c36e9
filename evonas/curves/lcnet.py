"""LC-Net: learning curves by a Bayesian neural network (Klein, Falkner, Springenberg and Hutter, ICLR 2017).

One network for all trainings: its input is a configuration x, and its last layer turns what it says of x into a curve
over relative time t = epoch / epochs in (0, 1],

    f(t | x) = y_inf(x) + sum_k w_k(x) phi_k(t; theta_k(x)),    y ~ N(f, sigma^2(x))

so it predicts trainings that were never begun, too. Its weights are sampled by stochastic-gradient Hamiltonian Monte
Carlo, with the adaptation of Springenberg, Klein, Falkner and Hutter (NIPS 2016).

Two things are not the authors'. Several shorter chains run at once, as one batch, which takes a third of the time of a
long one. And the likelihood is tempered: the points of one curve err together, and taken for independent ones they make
the network far too sure of itself (of 90 % intervals for trainings that were never begun, 63 % held the end).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from evonas.curves.features import Columns, Standard
from evonas.curves.model import Curve, CurveModel, Forecast, complete, known_end
from evonas.errors import UserError
from evonas.support.streams import number

UNITS, LAYERS = 50, 3  # tanh units of the trunk
START_STD = math.sqrt(1e-3)  # of the noise
LOG_VARIANCE = math.log(1e-6), 0.01  # mean and variance of its prior
EPS = 1e-10  # in the adaptation of the sampler


def five_bases(t: Tensor, theta: Tensor) -> Tensor:
    """phi_1..phi_5 at t, of shape (...), for theta of shape (..., 13) in (0, 1): shape (..., 5).

    The layer of the authors' code of 2017. All vanish at t = 1, so that y_inf is the value at the end; for that, two
    subtracted constants are repaired: those of log power, 1 / (1 + exp(-c b / 10)) there, and of Hill3, a / (c^b + 1).
    """
    a1, b1, c1, a2, b2, a3, b3, c3, a4, b4, a5, b5, c5 = theta.unbind(-1)
    log = torch.log(t)
    return torch.stack(
        (
            torch.exp(-a1 - (b1 / 10) / t - (c1 / 10) * log) - torch.exp(-a1 - b1 / 10),  # vapor pressure
            a2 * (t**b2 - 1),  # power
            2 * a3 * (1 / (1 + torch.exp(-b3 / 10)) - 1 / (1 + torch.exp(c3 * log - b3 / 10))),  # log power
            a4 * (torch.exp(-10 * b4) - torch.exp(-10 * b4 * t)),  # exponential
            a5 * (1 / (c5**b5 * t**-b5 + 1) - 1 / (c5**b5 + 1)),  # Hill3
        ),
        dim=-1,
    )


def three_bases(t: Tensor, theta: Tensor) -> Tensor:
    """phi_1..phi_3 at t, of shape (...), for theta of shape (..., 9) in (0, 1): shape (..., 3).

    The layer of the authors' later code (pybnn), as it is: vapor pressure does not vanish at t = 1, a sign having been
    lost.
    """
    a1, b1, c1, a2, b2, c2, a3, b3, c3 = theta.unbind(-1)
    log = torch.log(t)
    return torch.stack(
        (
            torch.exp(-a1 - (b1 / 10) / (t + 1e-5) - (c1 / 10) * log) - torch.exp(a1 + b1 / 10),  # vapor pressure
            (10 * c2 + 5 * a2 * torch.log(b2 * t + 1e-10)) / 10,  # log
            a3 / (((c3 / 100) / t + 1e-5) ** b3 + 1),  # Hill3
        ),
        dim=-1,
    )


BASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int, int]] = {  # functions, parameters, how many there are
    "five": (five_bases, 13, 5),
    "three": (three_bases, 9, 3),
}


class Layout:
    """The network's weights as one vector: trunk, heads, and for three bases the log variance of all noise.

    With five bases the noise is a head of its own, a sigmoid for the standard deviation.
    """

    def __init__(self, inputs: int, bases: str) -> None:
        self.curve, self.parameters, self.bases = BASES[bases]
        self.head_for_noise = bases == "five"
        heads = self.parameters + self.bases + 1 + self.head_for_noise
        widths = [inputs, *[UNITS] * LAYERS, heads]
        self.shapes = [(out, into) for into, out in pairwise(widths)]
        self.size = sum(out * into + out for out, into in self.shapes) + (not self.head_for_noise)

    def start(self, chains: int, generator: torch.Generator) -> Tensor:
        """Weights to begin with, (chains, size): uniform by fan-in, and a noise of variance 1e-3."""
        parts = []
        for out, into in self.shapes:
            uniform = torch.rand(chains, out * into + out, generator=generator, dtype=torch.float64)
            parts.append((2 * uniform - 1) / math.sqrt(into))
        if self.head_for_noise:
            parts[-1][:, -1] = math.log(START_STD / (1 - START_STD))  # the last bias
        else:
            parts.append(torch.full((chains, 1), 2 * math.log(START_STD), dtype=torch.float64))
        return torch.cat(parts, dim=1)

    def __call__(self, weights: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (networks, n), of the value at relative times t, (networks, n), of configurations x,
        (networks, n, inputs), by each of the networks with these weights, (networks, size)."""
        place, hidden = 0, x
        for layer, (out, into) in enumerate(self.shapes):
            matrix = weights[:, place : place + out * into].view(-1, out, into)
            place += out * into
            hidden = torch.baddbmm(weights[:, None, place : place + out], hidden, matrix.transpose(1, 2))
            place += out
            if layer < len(self.shapes) - 1:
                hidden = torch.tanh(hidden)
        split = [self.parameters, self.bases, 1, *[1] * self.head_for_noise]
        theta, mixed, asymptote, *noise = hidden.split(split, dim=-1)
        # of three bases a parameter is (tanh(z) + 1) / 2, which is sigmoid(2 z)
        phi = self.curve(t, torch.sigmoid(theta if self.head_for_noise else 2 * theta))
        rise = (torch.softmax(mixed, dim=-1) * phi).sum(-1)
        mean = torch.sigmoid(asymptote[..., 0]) + (rise if self.head_for_noise else torch.tanh(rise))
        log_variance = 2 * logsigmoid(noise[0][..., 0]) if self.head_for_noise else weights[:, -1:].expand_as(mean)
        return mean, log_variance


def sghmc(
    gradient: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    steps: int,
    burn_in: int,
    thin: int,
    rate: float = 1e-2,
    friction: float = 0.05,
    noise: bool = True,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Every thin-th position after the burn-in, of adaptive stochastic-gradient Hamiltonian Monte Carlo.

    gradient  of the negated log posterior, or an unbiased estimate of it; of each chain, where start has several
    rate, friction  lr and mdecay of the authors' code
    noise     False: with a friction of 1 it is gradient descent, preconditioned by M
    """
    theta, r = start.clone(), torch.zeros_like(start)
    tau, g, v = (torch.ones_like(start) for _ in range(3))
    m, std = v, torch.full_like(start, math.sqrt(max(2 * rate**2 * friction - rate**4, 1e-16)))
    for step in range(1, steps + 1):
        d = gradient(theta)
        if step <= burn_in:
            weight = 1 / (tau + 1)
            tau += 1 - tau * g**2 / (v + EPS)
            g += weight * (d - g)
            v += weight * (d**2 - v)
            m = 1 / (v.sqrt() + EPS)
            std = (2 * rate**2 * friction * m - rate**4).clamp(min=1e-16).sqrt()
        r -= rate**2 * m * d + friction * r
        if noise:
            r += std * torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
        theta = theta + r
        if step > burn_in and (step - burn_in) % thin == 0:
            yield theta


class LCNet(CurveModel):
    """One Bayesian network for the curves of all configurations, complete or begun.

    bases     five (the paper's layer, with two constants repaired) or three (of the authors' later code)
    chains    of the sampler, at once; the authors' code has one, of 13,000 steps with 3,000 to burn in
    steps, burn_in, thin  of a chain: one network of each thin steps after the burn-in, which steps include
    batch     points of curves that a gradient is estimated from
    rate, friction  of the sampler
    independent  so many points of a curve count as independent ones, on average; as many as there are: the paper's
    monotone  curves are replaced by their running best before it learns from them; it forecasts the best value, then
    least     complete curves below which it abstains
    seed      of start weights, batches and noise

    It learns from the features of the trainings, and abstains where they have none in common. Values are fractions from
    0 to 1. To predict a curve that was among those that it was fitted to, or one without values, takes no time; any
    other one is learnt anew together with them, in some seconds: a scheduler that asks for many should fit it to all.
    With five bases the value at the end depends on the features alone, and a curve's own values tell of it through what
    the network learns of them: where features tell little, so does the forecast. The mean of three bases may leave
    [0, 1].

    Raises UserError for settings out of range, and for values that are no fractions.
    """

    def __init__(
        self,
        *,
        bases: str = "five",
        chains: int = 4,
        steps: int = 4_000,
        burn_in: int = 2_000,
        thin: int = 100,
        batch: int = 20,
        rate: float = 1e-2,
        friction: float = 0.05,
        independent: float = 3.0,
        monotone: bool = True,
        least: int = 20,
        seed: int = 0,
    ) -> None:
        if bases not in BASES:
            raise UserError(f"there are no {bases!r} bases; use {' or '.join(BASES)}")
        if thin < 1 or burn_in < 0 or steps < burn_in + 2 * thin:
            raise UserError(f"the sampler takes {steps} steps, {burn_in} of them to burn in, and keeps one network of "
                            f"{thin}; use thin from 1 on, and steps from burn_in + 2 thin on")  # fmt: skip
        if chains < 1 or batch < 1 or least < 0:
            raise UserError(f"chains is {chains}, batch {batch} and least {least}; use chains and a batch from 1, and "
                            "least from 0 on")  # fmt: skip
        if not independent > 0:
            raise UserError(f"independent is {independent}; use a number of points of each curve, above 0")
        if not rate > 0 or not 0 < friction <= 1:
            raise UserError(f"rate is {rate} and friction is {friction}; use a rate above 0 and friction up to 1")
        self.bases, self.chains, self.steps, self.burn_in, self.thin = bases, chains, steps, burn_in, thin
        self.batch, self.rate, self.friction, self.monotone = batch, rate, friction, monotone
        self.least, self.independent, self.seed = least, independent, seed
        self.known: tuple[Curve, ...] = ()
        self.epochs = 0
        self._posterior: _Posterior | None = None
        self._alone: dict[Curve, Forecast | None] = {}

    def fit(self, curves: Sequence[Curve], epochs: int) -> LCNet:
        fitted = LCNet(bases=self.bases, chains=self.chains, steps=self.steps, burn_in=self.burn_in, thin=self.thin,
                       batch=self.batch, rate=self.rate, friction=self.friction, independent=self.independent,
                       monotone=self.monotone, least=self.least, seed=self.seed)  # fmt: skip
        usable = [curve for curve in curves if len(curve.values) <= epochs and all(map(math.isfinite, curve.values))]
        for curve in usable:
            if curve.values and not 0 <= min(curve.values) <= max(curve.values) <= 1:
                raise UserError(f"LC-Net models values from 0 to 1, and one of the curves has {min(curve.values):g} to "
                                f"{max(curve.values):g}; give fractions, or use another curve model")  # fmt: skip
        fitted.known = _ordered(usable)
        fitted.epochs = epochs
        return fitted

    def predict(self, curve: Curve) -> Forecast | None:
        if (end := known_end(curve, self.epochs)) is not None:
            return end
        if len(complete(self.known, self.epochs)) < self.least or not all(map(math.isfinite, curve.values)):
            return None
        if curve in self.known or not curve.values:
            if self._posterior is None:
                self._posterior = self._sampled(self.known)
            if curve in self.known or _has(curve, self._posterior.columns):
                return self._posterior.at_end(curve)
        if curve not in self._alone:
            earlier = [each for each in self.known if each.features == curve.features and len(each.values) <
                       len(curve.values) and curve.values[: len(each.values)] == each.values]  # fmt: skip
            others = [each for each in self.known if each not in earlier]  # itself at an earlier epoch is replaced
            self._alone[curve] = self._sampled(_ordered([*others, curve])).at_end(curve)
        return self._alone[curve]

    def _sampled(self, curves: Sequence[Curve]) -> _Posterior:
        columns = Columns.of(curves)
        posterior = _Posterior(columns, Standard.of(np.array([columns.row(curve) for curve in curves])),
                               Layout(len(columns.names), self.bases), [])  # fmt: skip
        if not columns.names or not any(curve.values for curve in curves):
            return posterior
        x = torch.cat([posterior.inputs(curve).expand(len(curve.values), -1) for curve in curves])
        t = torch.cat([torch.arange(1, len(curve.values) + 1, dtype=torch.float64) for curve in curves]) / self.epochs
        values = (accumulate(curve.values, max) if self.monotone else curve.values for curve in curves)
        y = torch.tensor([value for each in values for value in each], dtype=torch.float64)
        generator = torch.Generator().manual_seed(number(self.seed, "lc-net"))
        start = posterior.layout.start(self.chains, generator)
        points = len(y)
        tempered = min(1.0, self.independent * sum(bool(curve.values) for curve in curves) / points)

        def gradient(weights: Tensor) -> Tensor:
            """The gradient of N times (the mean negative log likelihood of a batch - log prior / N), for each chain."""
            some = torch.randint(points, (self.chains, self.batch), generator=generator)
            at = weights.detach().requires_grad_()
            mean, log_variance = posterior.layout(at, x[some], t[some])
            misses = 0.5 * log_variance + 0.5 * (y[some] - mean) ** 2 * torch.exp(-log_variance)
            # the prior of the noise, in the mean over the points; of weights standard normal, divided by their number
            noise = (log_variance - LOG_VARIANCE[0]) ** 2 / (2 * LOG_VARIANCE[1])
            loss = tempered * (points * misses + noise).mean(dim=1).sum()
            return torch.autograd.grad(loss, at)[0] + weights / weights.shape[1]

        with _one_thread():
            posterior.samples.extend(
                sghmc(gradient, start, steps=self.steps, burn_in=self.burn_in, thin=self.thin, rate=self.rate,
                      friction=self.friction, generator=generator)
            )  # fmt: skip
        return posterior


class _Posterior:
    """Networks sampled, and how a curve becomes their input; without samples there was nothing to learn from."""

    def __init__(self, columns: Columns, standard: Standard, layout: Layout, samples: list[Tensor]) -> None:
        self.columns, self.standard, self.layout, self.samples = columns, standard, layout, samples

    def inputs(self, curve: Curve) -> Tensor:
        return torch.from_numpy(self.standard(np.array([self.columns.row(curve)], dtype=float)))

    def at_end(self, curve: Curve) -> Forecast | None:
        """The variance is that of the means, and the mean one of the noise."""
        if not self.samples:
            return None
        networks = torch.cat(self.samples)
        x = self.inputs(curve).expand(len(networks), 1, -1)
        means, log_variance = self.layout(networks, x, torch.ones(len(networks), 1, dtype=torch.float64))
        variance = means.var(correction=0) + log_variance.exp().mean()
        return Forecast(float(means.mean()), math.sqrt(float(variance)))


def _ordered(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """In an order that is not that of their arrival."""
    return tuple(sorted(curves, key=lambda curve: (curve.values, curve.losses, curve.features)))


def _has(curve: Curve, columns: Columns) -> bool:
    return set(columns.names) <= {name for name, _ in curve.features}


@contextmanager
def _one_thread() -> Iterator[None]:
    """The tensors are so small that threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
