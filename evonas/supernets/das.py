"""DAS (Shin, Packer and Song 2018, "Differentiable Neural Network Architecture Search", ICLR workshop)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from evonas.errors import UserError
from evonas.gates import Route
from evonas.genomes.das import Chosen, DASSpace, Layer, window
from evonas.graph import Graph
from evonas.network import build
from evonas.space import Genome, Space, Token, Weights
from evonas.supernets.policy import Policy
from evonas.supernets.scaled import Scaled, Scales
from evonas.supernets.supernet import Batch
from evonas.supernets.training import Bench, SupernetTraining
from evonas.training.optimizers import SGD
from evonas.training.train import autocast

MOMENTUM = 0.9  # of the architecture parameters; the text names no optimizer (ours)


class DAS(Policy):
    """The largest network is trained with scaled weights: weights and architecture parameters learn together, from one
    loss (section 2). Parameters below the threshold are 0 in the end, and what they scale is not there.

    rate       learning rate of the architecture parameters, as a share of that of the weights
    sparsity   gamma, the weight of L1(alpha, beta) in the loss
    simplex    beta is sparsemax of what is learnt
    patterns   p, columns of P and rows of S in each convolution; 0: no groups
    eta        weight of the mixed norms of P and S in the loss
    threshold  t

    alpha, beta and the scale of W could stand for one another, so that alpha would shrink and W grow: here each W keeps
    the norm with which it begins, and that of W_eff begins the same. What is left of a layer at any threshold is one
    size and one channel at least, those of the largest parameters.

    Raises UserError for another space than its own.
    """

    space: DASSpace

    def __init__(
        self,
        space: Space,
        *,
        rate: float = 0.2,
        sparsity: float = 1e-2,
        simplex: bool = False,
        patterns: int = 0,
        eta: float = 0.0,
        threshold: float = 1e-2,
        **settings: Any,
    ) -> None:
        super().__init__(space, **settings)
        if not isinstance(space, DASSpace) or self.genome != space.open():
            raise UserError("DAS scales the weights of its own space's largest network, all of them at once; use the "
                            "space `das`, with everything open")  # fmt: skip
        if rate <= 0 or threshold <= 0:
            raise UserError(f"rate is {rate} and threshold {threshold}; use more than 0")
        if min(sparsity, eta, patterns) < 0:
            raise UserError(f"sparsity is {sparsity}, eta {eta} and patterns {patterns}; use at least 0")
        self.rate, self.sparsity, self.eta, self.threshold = rate, sparsity, eta, threshold
        self.layers = space.layers
        self.scaled = nn.ModuleList(
            Scaled(
                sizes_of(layer),
                layer.inputs,
                individual=space.individual,
                simplex=simplex,
                filters=layer.filters,
                patterns=patterns if layer.size else 0,
                generator=self.generator,
            )
            for layer in self.layers
        )
        self.gains = [gain(*each) for each in self.each]
        self.optimizer = SGD(self.parameters(), lr=rate, momentum=MOMENTUM)

    @property
    def each(self) -> list[tuple[Layer, Scaled]]:
        return list(zip(self.layers, self.scaled, strict=True))  # type: ignore[arg-type]

    # ---- the supernet ---------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        return self.space.decode(self.space.largest)

    def new_training(self, graph: Graph, bench: Bench, *, statistics: str) -> SupernetTraining:
        return ScaledTraining(self, graph, bench, statistics=statistics)

    def weights_on(self, network: nn.Module, route: Route) -> dict[str, Tensor]:
        """The weights of the largest network, scaled. On the route of a genome they are clamped, and 0 where the genome
        leaves them out; the route of a training says nothing, and nothing is clamped."""
        found = {}
        chosen = self.space.chosen(tuple(route.values())) if route else None
        for at, (layer, scaled) in enumerate(self.each):
            scales = scaled.scales() if chosen is None else within(scaled.clamped(self.threshold), chosen[at])
            name = weight_of(layer)
            weight = network.get_parameter(name)
            by_channel = weight if layer.size else weight.unflatten(1, (layer.inputs, 1, -1))
            found[name] = (self.gains[at] * scales.applied(by_channel)).reshape(weight.shape)
        return found

    # ---- learning -------------------------------------------------------------------------------------------------

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        training.optimizer.zero_grad(set_to_none=True)
        self.optimizer.zero_grad(set_to_none=True)
        loss = training.loss(batch, {})
        (loss + self.penalty()).backward()  # one loss for weights and architecture, of one split
        if training.recipe.clip_norm:  # of the gradient as a whole
            nn.utils.clip_grad_norm_([*training.weights, *self.parameters()], training.recipe.clip_norm)
        training.apply()
        self.optimizer.param_groups[0]["lr"] = self.rate * training.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        return loss.detach()

    def penalty(self) -> Tensor:
        return torch.stack([scaled.penalty(self.sparsity, self.eta) for _, scaled in self.each]).sum()

    # ---- what is found --------------------------------------------------------------------------------------------

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        return self.space.genome([
            Chosen(scaled.size(self.threshold) if layer.size else None, scaled.channels(self.threshold))
            for layer, scaled in self.each
        ])  # fmt: skip

    @torch.no_grad()
    def compact(self, training: SupernetTraining, genome: Genome) -> fx.GraphModule:
        """The network of a genome with its part of the scaled weights: the same function as its route, to be used as it
        is, or after a short training."""
        chosen = self.space.chosen(genome)
        network = build(self.space.decode(genome)).to(training.device)
        weights = self.weights_on(training.network, self.space.route(genome))
        for at, (layer, (size, channels)) in enumerate(zip(self.layers, chosen, strict=True)):
            name = weight_of(layer)
            filters = list(chosen[at + 1].channels if at + 1 < len(chosen) else range(layer.filters))
            whole = weights[name].reshape(layer.filters, layer.inputs, *(weights[name].shape[2:] or (1, -1)))
            kept = whole[filters][:, list(channels)]
            if size is not None:
                kept = kept[:, :, window(size[0], layer.size), window(size[1], layer.size)]
            own, bias = network.get_parameter(name), name.replace("weight", "bias")
            own.copy_(kept.reshape(own.shape))
            network.get_parameter(bias).copy_(training.network.get_parameter(bias)[filters])
        return network.train(training.network.training)

    def weights(self) -> Weights:
        """Heights and widths have their shares of |alpha|, and numbers of channels those of |beta|; a single channel is
        as probable as it is strong beside the threshold."""
        known: dict[str, dict[Token, float]] = {}
        for layer, scaled in self.each:
            if layer.size:
                alphas = scaled.alpha.detach().abs().reshape(layer.size, layer.size)
                for side, of in (("height", alphas.sum(1)), ("width", alphas.sum(0))):
                    known[f"{layer.name}/{side}"] = dict(enumerate((of / of.sum()).tolist(), 1))
            if self.space.individual:
                strengths = scaled.scales().strength.tolist()
                for channel, of in enumerate(strengths, 1):
                    on = of / (of + self.threshold)
                    known[f"{layer.name}/channel{channel}"] = {False: 1 - on, True: on}
            else:
                betas = scaled.beta.detach().abs()
                known[f"{layer.name}/channels"] = dict(enumerate((betas / betas.sum()).tolist(), 1))
        return known


class ScaledTraining(SupernetTraining):
    """A training of the largest network, whose weights are scaled in each pass, and keep their norm."""

    def __init__(self, policy: DAS, graph: Graph, bench: Bench, *, statistics: str) -> None:
        super().__init__(graph, bench, statistics=statistics)
        self.policy = policy
        self.kept = [self.network.get_parameter(weight_of(layer)) for layer in policy.layers]
        self.lengths = [weight.detach().norm() for weight in self.kept]

    def outputs(self, inputs: Tensor, route: Route) -> Tensor:
        with autocast(self.device, self.precision):
            return functional_call(self.network, self.policy.weights_on(self.network, route), (inputs,))

    @torch.no_grad()
    def apply(self) -> None:
        super().apply()
        for weight, length in zip(self.kept, self.lengths, strict=True):
            weight.mul_(length / weight.norm())


def sizes_of(layer: Layer) -> list[tuple[int, int]]:
    """(height, width) of all kernels that a layer may have; of a linear layer, as if it were a 1x1 convolution."""
    sides = range(1, max(layer.size, 1) + 1)
    return list(product(sides, sides))


def weight_of(layer: Layer) -> str:
    """The name of a layer's weights in the network."""
    return f"{layer.name}.{'conv' if layer.size else 'linear'}.weight"


def within(scales: Scales, chosen: Chosen) -> Scales:
    """The scales of a layer without what a genome leaves out."""
    (height, width), channels = chosen.size or (1, 1), list(chosen.channels)
    place = window(height, scales.kernel.shape[0]), window(width, scales.kernel.shape[1])
    kernel, kept = torch.zeros_like(scales.kernel), torch.zeros_like(scales.channels)
    kernel[place], kept[channels] = scales.kernel[place], scales.channels[channels]
    return scales._replace(kernel=kernel, channels=kept)


def gain(layer: Layer, scaled: Scaled) -> float:
    """By which W_eff begins with the root mean square of W."""
    with torch.no_grad():
        scales = scaled.scales().applied(torch.ones(layer.filters, layer.inputs, 1, 1))
        return 1 / scales.square().mean().sqrt().item()
