"""SETN (Dong and Yang 2019, "One-Shot Neural Architecture Search via Self-Evaluated Template Network",
arXiv:1910.05733), in the form of the authors' code for NAS-Bench-201's space."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from torch import Tensor

from evonas.space import Space
from evonas.supernets.policy import Relaxation, gradients
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining


class SETN(Relaxation):
    """The weights, the template network, learn on one genome a batch, every option as often as any other, whatever the
    evaluator believes. The evaluator, a softmax over the options of each decision, learns by the gradient of the loss
    on held-out images, with the weights as they are (section 3.2, algorithm 1).

    alpha_rate   learning rate of the evaluator, by Adam
    alpha_decay  its weight decay
    statistics   of batch norm by which genomes are judged later
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        alpha_rate: float = 3e-4,
        alpha_decay: float = 1e-3,
        statistics: str = "batch",
    ) -> None:
        super().__init__(space, rng=rng, learning_rate=alpha_rate, weight_decay=alpha_decay)
        self.statistics = statistics

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        """The weights on a uniform path, then the evaluator on the mixture of all options."""
        loss = training.descend(batch, self.hard(self.uniform()))
        with training.probing():
            judged = training.loss(held_out(), self.soft(self.probabilities()))
            self.learn(gradients(judged, [self.alpha]))
        return loss

    def uniform(self) -> list[int]:
        """The place of an option for each decision, all equally likely and independent."""
        return [self.draws.randrange(len(options)) for options in self.options]
