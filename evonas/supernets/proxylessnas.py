"""ProxylessNAS (Cai, Zhu and Han 2019, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
arXiv:1812.00332). What the text leaves open follows the authors' code, mit-han-lab/proxylessnas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.genomes.proxylessnas import ZERO
from evonas.supernets.costs import CostAware
from evonas.supernets.policy import gradients
from evonas.supernets.supernet import Batch
from evonas.supernets.training import Bench, SupernetTraining

MODES = ("full", "full_v2", "two")
TERMS = ("mul#log", "add#linear")  # published code


class ProxylessNAS(CostAware):
    """One option of each decision runs in a step of the weights, drawn from p = softmax(alpha); alpha learns through
    the binary gates of the drawn options (section 3.2).

    mode        of a step of alpha: "full" runs all options beside one another, "full_v2" the active one with each other
                one in turn, which gives the same gradient in the memory of two, "two" a drawn pair (section 3.2.2).
                The authors' code does "full_v2" within one backward pass
    interval    steps of the weights before one of alpha (published code)
    beginning   number of initial epochs in which the weights alone learn, and paths are near to uniform
    term        how the latency counts: "mul#log", alpha CE (log E[LAT] / log reference)^beta, or "add#linear",
                CE + lambda (E[LAT] - reference) / reference (section 3.3, published code)
    reference   latency in ms, or millions of multiply-adds without a table; of a search with a limit, that limit. 0,
                and no limit: costs count for nothing
    scale       alpha of mul#log
    power       beta of mul#log
    share       lambda of add#linear
    """

    one_path = True
    zeros: Tensor  # [decisions, options]: True where the option is zero

    def __init__(
        self,
        *args: Any,
        mode: str = "full_v2",
        interval: int = 5,
        beginning: int = 41,
        term: str = "mul#log",
        reference: float = 0.0,
        scale: float = 0.2,
        power: float = 0.3,
        share: float = 0.1,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.0, 0.999),
        weight_decay: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(
            *args, beginning=beginning, learning_rate=learning_rate, betas=betas, weight_decay=weight_decay, **settings
        )
        if mode not in MODES or term not in TERMS:
            raise UserError(f"mode is {mode!r} and term {term!r}; use one of {', '.join(MODES)}, and one of "
                            f"{', '.join(TERMS)}")  # fmt: skip
        if interval < 1:
            raise UserError(f"interval is {interval}; use at least 1")
        if min(reference, power, share) < 0 or not scale > 0:
            raise UserError(f"reference is {reference}, scale {scale}, power {power} and share {share}; use at least "
                            "0, and a scale above 0")  # fmt: skip
        self.mode, self.interval = mode, interval
        self.term, self.reference = term, reference / self.unit  # in units
        self.scale, self.power, self.share = scale, power, share
        self.one_path, self.at_once = mode != "full", 2
        self.done = 0
        zeros = [[place < len(options) and options[place] == ZERO for place in range(self.alpha.shape[1])]
                 for options in self.options]  # fmt: skip
        self.register_buffer("zeros", torch.tensor(zeros), persistent=False)

    def prepare(self, bench: Bench) -> None:
        super().prepare(bench)
        if self.target is not None:
            self.reference = self.target
        if self.term == "mul#log" and 0 < self.reference <= 1:
            raise UserError(f"reference is {self.reference * self.unit:g} and unit {self.unit:g}: its logarithm is not "
                            "above 0; use a smaller unit")  # fmt: skip

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.done = 0

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        """A step of the weights on one path; after every few of them, one of alpha."""
        chosen = torch.multinomial(self.probabilities().detach().cpu(), 1, generator=self.generator)
        loss = training.descend(batch, self.hard(chosen[:, 0].tolist()))
        self.done += 1
        if self.learning and self.done % self.interval == 0:
            self.learn_from(training, held_out())
        return loss

    # ---- a step of alpha ------------------------------------------------------------------------------------------

    def learn_from(self, training: SupernetTraining, batch: Batch) -> None:
        """A step of alpha. Neither the weights nor batch norm statistics change."""
        compared, active = self.draw()
        with training.probing():
            entropy, by_gate = self.gate_gradients(training, batch, compared, active)
        p = self.logits.masked_fill(~compared, -torch.inf).softmax(1)
        entropy.requires_grad_()
        factor, direct = gradients(self.loss(entropy, self.costs.of(p)), [entropy, self.alpha])
        gradient = direct + alpha_gradient(p.detach(), factor * by_gate)
        of_zero = self.zeros.gather(1, active)
        gradient = gradient.masked_fill(of_zero, 0.0)  # published code: nothing is learnt where zero is active
        before = self.alpha.detach().clone()
        self.learn([gradient])
        if self.mode == "two":
            with torch.no_grad():
                self.alpha.copy_(rescaled(self.alpha, before, compared))

    def draw(self) -> tuple[Tensor, Tensor]:
        """The options that are compared, [decisions, options], and the place of the active one of each decision,
        [decisions, 1]. In the mode "two" they are two, drawn by p without replacement, one of which is drawn by p over
        both (section 3.2.2)."""
        logits, compared = self.logits.detach(), self.there
        if self.mode == "two":
            p = logits.softmax(1).clamp_min(torch.finfo(logits.dtype).tiny) * self.there  # two can always be drawn
            pair = torch.multinomial(p.cpu(), 2, generator=self.generator).to(logits.device)
            compared = torch.zeros_like(self.there).scatter_(1, pair, True)
        p = logits.masked_fill(~compared, -torch.inf).softmax(1)
        return compared, torch.multinomial(p.cpu(), 1, generator=self.generator).to(logits.device)

    def gate_gradients(
        self, training: SupernetTraining, batch: Batch, compared: Tensor, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss of the active path, and its gradient with respect to the gates of the compared options, [decisions,
        options]: the scalar product of an option's output with the gradient of the output of its layer."""
        gates = torch.zeros_like(self.alpha).scatter_(1, active, 1.0).requires_grad_()
        others = compared.scatter(1, active, False)
        loss, found = torch.zeros(()), torch.zeros_like(self.alpha)
        for others_now in [others] if self.mode != "full_v2" else _one_by_one(others):
            run = others_now.scatter(1, active, True)
            loss = training.loss(batch, self.gated(gates, run))
            (gradient,) = gradients(loss, [gates])
            found = torch.where(run, gradient, found)
        return loss.detach(), found

    def gated(self, gates: Tensor, run: Tensor) -> Route:
        """The route on which the options that run have their gates as weights."""
        route = self.soft(gates)
        return {
            name: {option: gate for (option, gate), runs in zip(of.items(), row, strict=False) if runs}
            for (name, of), row in zip(route.items(), run.tolist(), strict=True)
        }

    def loss(self, entropy: Tensor, latency: Tensor) -> Tensor:
        """The cross-entropy with the expected latency."""
        if not self.reference:
            return entropy
        reference = torch.as_tensor(self.reference, dtype=latency.dtype)
        if self.term == "mul#log":
            return self.scale * entropy * (latency.log() / reference.log()) ** self.power
        return entropy + self.share * (latency - reference) / reference


def alpha_gradient(p: Tensor, by_gate: Tensor) -> Tensor:
    """dL/dalpha_i = sum_j dL/dg_j p_j (delta_ij - p_i) (equation 4), [decisions, options]."""
    return p * (by_gate - (p * by_gate).sum(1, keepdim=True))


def rescaled(alpha: Tensor, before: Tensor, compared: Tensor) -> Tensor:
    """Alpha after a step of those that were compared, shifted so that the probabilities of all others are what they
    were (section 3.2.2)."""
    new, old = (each.masked_fill(~compared, -torch.inf).logsumexp(1, keepdim=True) for each in (alpha, before))
    return torch.where(compared, alpha - (new - old), alpha)


def _one_by_one(options: Tensor) -> list[Tensor]:
    """Each option of each row once, [rows, options], at most one of a row at a time."""
    order = options.cumsum(1)
    return [options & (order == number) for number in range(1, int(order.max()) + 1)]
