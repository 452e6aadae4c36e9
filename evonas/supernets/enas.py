"""ENAS (Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing", arXiv:1802.03268)."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.space import Space, Token, Weights
from evonas.strategies.attentive import Attentive
from evonas.strategies.controllers import Episode
from evonas.supernets.policy import Policy
from evonas.supernets.training import Batch, SupernetTraining
from evonas.support.streams import number
from evonas.training.optimizers import Adam

DRAWN = 100  # architectures from which the controller's preferences are estimated


class ENAS(Policy):
    """A controller draws one architecture for each training batch. Alternately, the controller learns by REINFORCE from
    the accuracy of architectures on batches of held-out images (section 2.2).

    steps, samples      steps of the controller after each epoch, and architectures per step
    decay               decay of the baseline, which is updated before it is used
    entropy             weight of the entropy in the reward
    chosen_entropy      of each decision's entropy, the sum of -p log p over its options, count the chosen option's term
                        alone, as the authors' code does for the macro space
    candidates          architectures drawn at the end; the best on one held-out batch is derived (section 2.3)
    skips, skip_weight  the desired share of skip connections, and the weight of the KL divergence from it (section
                        2.4); for decisions of the kind "skip"
    controller          settings of the LSTM: units, initial, temperature, tanh

    The defaults are those of the authors' code for the micro space, without its fixed preference for separable
    convolutions. The paper uses other ones: 100 units, a learning rate of 3.5e-4, tanh 2.5, temperature 5, and 0.1 for
    the entropy.
    """

    one_path = True

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        steps: int = 30,
        samples: int = 10,
        learning_rate: float = 3.5e-3,
        decay: float = 0.99,
        entropy: float = 1e-4,
        chosen_entropy: bool = False,
        candidates: int = 10,
        skips: float = 0.4,
        skip_weight: float = 0.8,
        controller: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(space, rng=rng)
        if min(steps, samples, candidates) < 1 or learning_rate <= 0 or not 0 <= decay < 1 or not 0 < skips < 1:
            raise UserError(f"steps is {steps}, samples {samples}, candidates {candidates}, learning_rate "
                            f"{learning_rate}, decay {decay} and skips {skips}; use at least 1 of the first three, "
                            "more than 0, from 0 to below 1, and between 0 and 1")  # fmt: skip
        if min(entropy, skip_weight) < 0:
            raise UserError(f"entropy is {entropy} and skip_weight {skip_weight}; use at least 0")
        self.steps, self.samples, self.candidates = steps, samples, candidates
        self.decay, self.entropy, self.skips, self.skip_weight = decay, entropy, skips, skip_weight
        self.chosen_entropy = chosen_entropy
        usual = {"units": 64, "initial": 0.1, "tanh": 1.1}
        self.controller = Attentive(space, rng=rng, **usual | dict(controller or {}))
        self.optimizer = Adam(self.controller.parameters(), learning_rate, betas=(0.0, 0.999), eps=1e-3)
        self.register_buffer("baseline", torch.zeros((), dtype=torch.float64))
        self._skip_steps = {each.name for each in space.every_decision if each.kind == "skip"}

    baseline: Tensor

    def _apply(self, fn: Any, recurse: bool = True) -> ENAS:
        """Keep the controller on the CPU, where so small an LSTM is fastest, whatever the device of the supernet."""
        return self

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.controller.generator.manual_seed(number(self.seed, "controller", epoch))

    def epoch(self, training: SupernetTraining) -> float:
        """One epoch: first the weights are trained with a fixed controller, then the controller with fixed weights."""
        total = torch.zeros((), device=training.device)
        training.network.train()
        for batch, _ in training.batches():
            (episode,) = self.controller.sample(1)
            total += training.descend(batch, self.space.route(episode.genome))
        held_out = training.held_out("controller")
        for _ in range(self.steps):
            self.learn_from(training, held_out.__next__)
        return total.item() / training.steps

    def learn_from(self, training: SupernetTraining, held_out: Any) -> None:
        """One step of the controller: REINFORCE on architectures, each evaluated on its own held-out batch."""
        episodes = self.controller.sample(self.samples)
        advantages = []
        for episode in episodes:
            reward = training.reward_on(held_out(), self.space.route(episode.genome)) + self.bonus(episode)
            self.baseline -= (1 - self.decay) * (self.baseline - reward)
            advantages.append(reward - self.baseline.item())
        now = self.controller.likelihood(episodes)
        loss = -(now.log_probabilities.sum(1) * torch.tensor(advantages)).mean()
        if self._skip_steps and self.skip_weight:
            loss = loss + self.skip_weight * self.divergence(episodes, now.log_probabilities)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def bonus(self, episode: Episode) -> float:
        """The weighted entropy of an episode's decisions."""
        logs = episode.log_probabilities
        return self.entropy * (-(logs.exp() * logs).sum().item() if self.chosen_entropy else episode.entropy)

    def divergence(self, episodes: list[Episode], log_probabilities: Tensor) -> Tensor:
        """The KL divergence of skips from the desired share, summed over those of a layer and averaged over layers. As
        in the published code, it is that of sigmoid(q), though a skip with the scores (-q, q) is drawn with the
        probability sigmoid(2 q)."""
        of_layers: dict[tuple[int, str], Tensor] = {}
        for row, episode in enumerate(episodes):
            for step, (decision, token) in enumerate(
                zip(self.space.decisions(episode.genome), episode.genome, strict=True)
            ):
                if decision.name in self._skip_steps:
                    chosen = log_probabilities[row, step].exp().clamp(1e-6, 1 - 1e-6)
                    p = torch.sigmoid((chosen.logit() if token else -chosen.logit()) / 2)
                    kl = p * (p / self.skips).log() + (1 - p) * ((1 - p) / (1 - self.skips)).log()
                    layer = row, decision.name.rpartition("/")[0]
                    of_layers[layer] = of_layers[layer] + kl if layer in of_layers else kl
        return torch.stack(list(of_layers.values())).mean()

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        """The best of several drawn architectures on one held-out batch."""
        batch: Batch = next(training.held_out("derive"))
        drawn = [episode.genome for episode in self.controller.sample(self.candidates)]
        return max(drawn, key=lambda genome: training.reward_on(batch, self.space.route(genome)))

    def weights(self) -> Weights:
        """The frequency with which each option is drawn."""
        counts: dict[str, dict[Token, float]] = {}
        for episode in self.controller.sample(DRAWN):
            for decision, token in zip(self.space.decisions(episode.genome), episode.genome, strict=True):
                of = counts.setdefault(decision.name, dict.fromkeys(decision.options, 0.0))
                of[token] = of.get(token, 0.0) + 1.0
        return {name: {o: n / sum(of.values()) for o, n in of.items()} for name, of in counts.items()}
