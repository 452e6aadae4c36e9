"""FBNet (Wu et al. 2019, "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture
Search", arXiv:1812.03443). The authors' search code is not public; what is said to be of ports agrees in two of them.
"""

from __future__ import annotations

from itertools import islice
from math import exp
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.space import Token
from evonas.supernets.costs import CostAware
from evonas.supernets.policy import gradients
from evonas.supernets.training import SupernetTraining

EPOCHS = 90  # of the published search, over which its temperature falls (ports)


class FBNet(CostAware):
    """Each option has the weight m, a sample of the Gumbel softmax; all options of a layer run, in either direction
    (section 3.2, equation 5).

        m_k = exp((theta_k + G_k) / tau) / sum_l exp((theta_l + G_l) / tau)

    In each epoch the weights learn from the training split, then theta from the validation split, by the cross-entropy
    times scale log(LAT)^power, where LAT is the latency that is expected of m (equations 2 and 3). The weights follow
    the cross-entropy alone: the factor does not depend on them. Where there is a target, a latency below it counts as
    the target, which the paper has not got.

    hot         tau at the beginning (ports)
    cooling     tau falls by exp(-cooling) in an epoch of 90 (ports); in a search of fewer epochs, as far by its end
    beginning   number of initial epochs in which the weights alone learn
    scale       alpha of equation 2
    power       beta of equation 2; 0: latency counts for nothing
    drawn       networks that are drawn from softmax(theta) beside the likeliest one; the best of them by the weights of
                the supernet is derived
    """

    symbol = "theta"

    def __init__(
        self,
        *args: Any,
        hot: float = 5.0,
        cooling: float = 0.045,
        beginning: int = 10,
        scale: float = 0.2,
        power: float = 0.6,
        drawn: int = 0,
        learning_rate: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 5e-4,
        **settings: Any,
    ) -> None:
        super().__init__(
            *args, beginning=beginning, learning_rate=learning_rate, betas=betas, weight_decay=weight_decay, **settings
        )
        if not hot > 0 or cooling < 0:
            raise UserError(f"hot is {hot} and cooling {cooling}; use more than 0, and at least 0")
        if not scale > 0 or power < 0:
            raise UserError(f"scale is {scale} and power {power}; use more than 0, and at least 0")
        if drawn < 0:
            raise UserError(f"drawn is {drawn}; use at least 0")
        self.hot, self.cooling, self.tau = hot, cooling, hot
        self.scale, self.power, self.drawn = scale, power, drawn

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.tau = self.hot * exp(-self.cooling * EPOCHS * epoch / epochs)

    def epoch(self, training: SupernetTraining) -> float:
        """The weights on the whole training split, then theta on the validation split: 80 % and 20 % of the images, as
        published, where the run holds 20 % of them out."""
        total = torch.zeros((), device=training.device)
        training.network.train()
        for batch, _ in training.batches():
            with torch.no_grad():
                route = self.soft(self.mask())
            total += training.descend(batch, route)
        if self.learning:
            steps = max(len(training.bench.validation) // training.step_size, 1)
            for batch in islice(training.held_out("theta"), steps):
                self.learn_from(training, batch)
        return total.item() / training.steps

    def learn_from(self, training: SupernetTraining, batch: Any) -> None:
        """A step of theta. Neither the weights nor batch norm statistics change."""
        with training.probing():
            m = self.mask()
            entropy = training.loss(batch, self.soft(m))
            self.learn(gradients(self.loss(entropy, self.costs.of(m)), [self.alpha]))

    def mask(self) -> Tensor:
        """A sample m, [decisions, options]."""
        return ((self.logits + self.gumbel()) / self.tau).softmax(1)

    def loss(self, entropy: Tensor, latency: Tensor) -> Tensor:
        """CE alpha log(LAT)^beta (equation 2), with the natural logarithm."""
        if self.target is not None:
            latency = latency.clamp_min(self.target)
        return entropy * self.scale * latency.log() ** self.power

    # ---- the network that is found --------------------------------------------------------------------------------

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        likeliest = super().derive(training)
        if not self.drawn:
            return likeliest
        sign = training.task.metric.sign
        found = [likeliest, *self.sample(self.drawn)]
        return max(found, key=lambda genome: sign * training.score(self.space.route(genome)))

    @torch.no_grad()
    def sample(self, count: int) -> list[tuple[Token, ...]]:
        """Networks drawn from softmax(theta) (section 3.2), without those over the target."""
        found = []
        probabilities = self.probabilities()
        for _ in range(count):
            places = torch.multinomial(probabilities.cpu(), 1, generator=self.generator)
            weights = torch.zeros_like(probabilities).scatter_(1, places.to(probabilities.device), 1.0)
            if self.keeps_target(weights):
                found.append(self.space.likeliest(self._with_closed(weights)))
        return found
