"""DARTS (Liu, Simonyan and Yang 2019, "DARTS: Differentiable Architecture Search", arXiv:1806.09055)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.recipe import Recipe
from evonas.supernets.policy import Relaxation, gradients
from evonas.supernets.training import SupernetTraining

EPSILON = 0.01  # divided by the norm of the direction: the step of the two probes (section 2.3)


class DARTS(Relaxation):
    """Each option has the weight softmax(alpha); alpha and the weights learn alternately (section 2.3, algorithm 1).

    second_order   alpha is trained at the weights after one further step (equation 6) instead of the present weights
    """

    def __init__(self, *args: Any, second_order: bool = False, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.second_order = second_order

    def check(self, recipe: Recipe) -> None:
        super().check(recipe)
        if self.second_order and (recipe.optimizer != "sgd" or recipe.nesterov):
            raise UserError("the second order looks one step of plain SGD ahead; set optimizer=sgd and nesterov=False, "
                            "or second_order=False")  # fmt: skip

    def route(self) -> Route:
        return self.soft(self.probabilities())

    def step(self, training: SupernetTraining, batch: Any, held_out: Any) -> Tensor:
        """A step of algorithm 1: alpha by the loss on held-out images, then the weights by that on training images."""
        if self.learning:
            self.learn_from(training, batch, held_out())
        with torch.no_grad():
            route = self.route()
        return training.descend(batch, route)

    def learn_from(self, training: SupernetTraining, batch: Any, held_out: Any) -> None:
        """A step of alpha. Nothing else changes: neither the weights, nor their momentum, nor batch norm statistics."""
        alphas = list(self.parameters())
        with training.probing():
            if not self.second_order:
                loss = training.loss(held_out, self.route())
                self.learn(gradients(loss, alphas))
                return
            group = training.optimizer.param_groups[0]
            self.learn(
                unrolled_gradient(
                    lambda: training.loss(batch, self.route()),
                    lambda: training.loss(held_out, self.route()),
                    alphas,
                    training.weights,
                    rate=group["lr"],
                    momentum=group["momentum"],
                    decay=group["weight_decay"],
                    buffers=[training.optimizer.state[each].get("momentum_buffer") for each in training.weights],
                )
            )


def unrolled_gradient(
    train_loss: Callable[[], Tensor],
    valid_loss: Callable[[], Tensor],
    alphas: Sequence[Tensor],
    weights: Sequence[Tensor],
    *,
    rate: float,
    momentum: float = 0.0,
    decay: float = 0.0,
    buffers: Sequence[Tensor | None] | None = None,
) -> list[Tensor]:
    """The gradient with respect to alpha of the validation loss at w' = w - rate u, where u = momentum * buffer +
    gradient of the training loss + decay * w is the next step of the weights (equation 7):

        d L_val(w', alpha) / d alpha  -  rate * (d^2 L_train(w, alpha) / d alpha d w) v,    v = d L_val / d w'

    The product is approximated by the difference of two gradients at w + eps v and w - eps v, eps = 0.01 / |v|
    (equation 8). The weights are restored bit by bit.
    """
    before = [each.detach().clone() for each in weights]
    buffers = buffers or [None] * len(weights)

    steps = gradients(train_loss(), weights)
    with torch.no_grad():
        for weight, step, buffer in zip(weights, steps, buffers, strict=True):
            inertia = 0 if buffer is None else momentum * buffer
            weight -= rate * (inertia + step + decay * weight)

    found = gradients(valid_loss(), [*alphas, *weights])
    direct, v = found[: len(alphas)], found[len(alphas) :]

    eps = EPSILON / torch.linalg.vector_norm(torch.stack(torch._foreach_norm(v)))

    def at(sign: int) -> list[Tensor]:
        with torch.no_grad():
            for weight, was, direction in zip(weights, before, v, strict=True):
                weight.copy_(was + sign * eps * direction)
        return gradients(train_loss(), alphas)

    above, below = at(1), at(-1)
    with torch.no_grad():
        for weight, was in zip(weights, before, strict=True):
            weight.copy_(was)
    return [d - rate * (a - b) / (2 * eps) for d, a, b in zip(direct, above, below, strict=True)]
