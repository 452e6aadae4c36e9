"""Policy gradients: a controller generates genomes and learns from their rewards.

REINFORCE (Williams 1992) as in Zoph and Le 2017, "Neural Architecture Search with Reinforcement Learning",
arXiv:1611.01578, section 3.2, and PPO (Schulman et al. 2017, arXiv:1707.06347) as in NASNet (Zoph et al. 2018,
arXiv:1707.07012, appendix A).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.space import Genome
from evonas.strategies.controllers import Controller, Episode, Likelihood
from evonas.strategies.first import First
from evonas.strategies.rewards import Reward, accuracy
from evonas.strategies.strategy import Strategy
from evonas.support.device import torch_threads
from evonas.training.optimizers import Adam


class Reinforce(Strategy):
    """The gradient of the expected reward J, from `batch` genomes and their rewards R (Zoph and Le, section 3.2):

        grad J = 1/batch  sum over genomes  sum over decisions  grad log P(choice | choices before) (R - b)

    b is an exponential moving average of the rewards of earlier batches; for the first batch it is the mean of its
    rewards. An entropy bonus may be added, to prevent early convergence.

    controller      generates the genomes; its weights are trained
    batch           genomes per step of Adam; one generation
    learning_rate   learning rate of Adam
    decay           decay of the baseline per reward
    entropy         weight of the policy's entropy (nats, summed over the decisions) in the objective
    reward          function from an individual with a valid fitness to its reward
    begin           function from the number of a proposal, from 0, to its first tokens, which are not choices; a
                    proposal that fails or is rejected returns its number
    evaluations     number of evaluations that it plans to make

    No worker waits: until a batch is full, further genomes are drawn with the present weights. A late result counts in
    the batch in which it arrives, with its probability under the weights of that moment and without a correction for
    the weights that drew it. Failed individuals are ignored.

    Raises UserError for a setting out of its range.
    """

    population = ()  # there are no parents

    def __init__(
        self,
        controller: Controller,
        *,
        batch: int = 20,
        learning_rate: float = 6e-4,
        decay: float = 0.95,
        entropy: float = 0.0,
        reward: Reward = accuracy,
        begin: Callable[[int], Genome] | None = None,
        evaluations: int | None = None,
    ) -> None:
        if evaluations is not None and evaluations < 1:
            raise UserError(f"evaluations is {evaluations}; use at least 1")
        if batch < 1 or learning_rate <= 0 or not 0 <= decay < 1 or entropy < 0:
            raise UserError(f"batch is {batch}, learning_rate {learning_rate}, decay {decay} and entropy {entropy}; "
                            "use at least 1, more than 0, from 0 to below 1, and at least 0")  # fmt: skip
        self.controller, self.batch, self.decay, self.entropy, self.reward = controller, batch, decay, entropy, reward
        self.optimizer = Adam(controller.parameters(), learning_rate)
        self.begin, self.proposed, self.evaluations = begin, 0, evaluations
        self.baseline: float | None = None
        self._drawn: list[Episode] = []  # drawn with the present weights, not yet proposed
        self._in_flight: dict[int, Episode] = {}  # by identity of the individual
        self._told: list[tuple[Episode, float]] = []  # episodes with rewards since the last step

    def generate(self, n: int | None = None) -> list[Individual]:
        return [self._next() for _ in range(n or self.batch)]

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """It writes genomes itself: what a search begins with comes before it."""
        return First(first, then=self) if first else self

    def _next(self) -> Individual:
        if not self._drawn:
            numbers = range(self.proposed, self.proposed + self.batch)
            begun = None if self.begin is None else [self.begin(number) for number in numbers]
            self._drawn = self.controller.sample(self.batch, begun)
        episode = self._drawn.pop(0)
        self.proposed += 1
        individual = Individual(episode.genome)
        individual.operator = "controller"
        individual.proposal = {"entropy": episode.entropy}
        if self.baseline is not None:
            individual.proposal["baseline" if self.reward is accuracy else "reward_baseline"] = self.baseline
        self._in_flight[id(individual)] = episode
        return individual

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            episode = self._in_flight.pop(id(individual))
            if individual.fitness.valid:
                self._told.append((episode, self.reward(individual)))
            else:
                self.proposed -= 1
            if len(self._told) == self.batch:
                self._learn([episode for episode, _ in self._told], [reward for _, reward in self._told])
                self._told, self._drawn = [], []

    @torch_threads(1)  # the same numbers on every machine
    def _learn(self, episodes: Sequence[Episode], rewards: Sequence[float]) -> None:
        if self.baseline is None:
            self.baseline = sum(rewards) / len(rewards)
        self.step(episodes, torch.tensor(rewards) - self.baseline)
        for reward in rewards:
            self.baseline = self.decay * self.baseline + (1 - self.decay) * reward

    def step(self, episodes: Sequence[Episode], advantages: Tensor) -> None:
        """Update the weights with these episodes, whose rewards exceed the baseline by `advantages`, [n]."""
        self._descend(lambda now: -(now.log_probabilities.sum(1) * advantages).mean(), episodes)

    def _descend(self, loss: Callable[[Likelihood], Tensor], episodes: Sequence[Episode]) -> None:
        now = self.controller.likelihood(episodes)
        self.optimizer.zero_grad()
        (loss(now) - self.entropy * now.entropies.sum(1).mean()).backward()
        self.optimizer.step()


class PPO(Reinforce):
    """Proximal policy optimization: `passes` steps over each batch, in which a choice has no further effect once its
    probability has changed by more than the fraction `clip` in the direction of its advantage (Schulman et al. 2017,
    equation 7). NASNet states neither setting; the defaults are the usual ones.
    """

    def __init__(self, controller: Controller, *, passes: int = 4, clip: float = 0.2, learning_rate: float = 3.5e-4,
                 entropy: float = 1e-5, **settings) -> None:  # fmt: skip
        super().__init__(controller, learning_rate=learning_rate, entropy=entropy, **settings)
        if passes < 1 or not 0 < clip < 1:
            raise UserError(f"passes is {passes} and clip {clip}; use at least 1, and a number between 0 and 1")
        self.passes, self.clip = passes, clip

    def step(self, episodes: Sequence[Episode], advantages: Tensor) -> None:
        before = torch.nn.utils.rnn.pad_sequence([e.log_probabilities for e in episodes], batch_first=True)

        def surrogate(now: Likelihood) -> Tensor:
            ratio = (now.log_probabilities - before).exp()
            bounded = ratio.clamp(1 - self.clip, 1 + self.clip)
            kept = torch.minimum(ratio * advantages[:, None], bounded * advantages[:, None])
            return -kept.sum(1).mean()

        for _ in range(self.passes):
            self._descend(surrogate, episodes)
