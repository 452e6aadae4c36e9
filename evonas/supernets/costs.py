"""What the options of each decision cost, and so what is expected of a soft route: milliseconds by a table of
latencies, or multiply-adds. A gradient search can weigh it against the loss, and derive what keeps a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.graph import Graph
from evonas.latency import Join, Shape, Step, steps_of_node, table
from evonas.space import Open, Token, Weights
from evonas.supernets.policy import Relaxation
from evonas.supernets.training import Bench, SupernetTraining

MILLION = 1e6
CHECKS = 20  # random networks whose costs must be the sums of those of their options
TOLERANCE = 1e-6  # by which they may differ, relatively
HALVINGS = 50  # of the interval in which a multiplier lies

Price = Callable[[Step, Shape], float]


@dataclass(frozen=True)
class Costs:
    """What networks cost that consist of fixed parts and one option a decision.

    fixed     of what all networks have
    amounts   of what an option adds, [decisions, options], in double precision; 0 where a decision has fewer
    least     of the cheapest network
    """

    fixed: float
    amounts: Tensor
    least: float

    def of(self, weights: Tensor) -> Tensor:
        """The cost that is expected where options have these probabilities, [decisions, options]; that of one network
        where they are 0 and 1."""
        return self.fixed + (weights * self.amounts).sum()


def price_of(limits: Limits) -> Price:
    """What a step costs: its milliseconds, where there is a table, or millions of multiply-adds."""
    if limits.latencies is None:
        return lambda step, shape: 0.0 if isinstance(step, Join) else step.multiply_adds(shape) / MILLION
    latencies = table(limits.latencies)
    return lambda step, shape: latencies.scale * latencies.of_step(step, shape)


def costs_of(policy: Relaxation, price: Price) -> Costs:
    """The costs of the options of a policy's decisions, each by networks that differ in this decision alone: an option
    costs what its network does and not all of these do.

    Raises UserError where networks do not cost the sum of their options, as where the answers to several decisions meet
    in one sum.
    """
    space, rng = policy.space, Random(policy.seed)
    first = [token.options[0] if isinstance(token, Open) else token for token in policy.genome]
    places = {decision.name: place for place, decision in enumerate(space.decisions(policy.genome))}
    amounts = torch.zeros(policy.alpha.shape, dtype=torch.float64)
    for row, (decision, options) in enumerate(zip(policy.asked, policy.options, strict=True)):
        nodes = []
        for option in options:
            genome = list(first)
            genome[places[decision.name]] = option
            nodes.append(_by_node(space.decode(genome), price))
        common = set.intersection(*(set(each.items()) for each in nodes))
        for column, each in enumerate(nodes):
            amounts[row, column] = sum(ms for name, ms in each.items() if (name, ms) not in common)
    fixed = sum(_by_node(space.decode(first), price).values()) - amounts[:, 0].sum().item()
    found = Costs(
        fixed,
        amounts.to(policy.alpha.device),
        fixed + amounts.masked_fill(~policy.there.cpu(), torch.inf).min(1).values.sum().item(),
    )
    for _ in range(CHECKS):
        genome, summed = list(first), fixed
        for row, (decision, options) in enumerate(zip(policy.asked, policy.options, strict=True)):
            column = rng.randrange(len(options))
            genome[places[decision.name]] = options[column]
            summed += amounts[row, column].item()
        exact = sum(_by_node(space.decode(genome), price).values())
        if abs(summed - exact) > TOLERANCE * exact:
            raise UserError(f"in {space.name} the cost of a network, {exact:.4g}, is not the sum of those of its "
                            f"options, {summed:.4g}: no cost can be expected of a mixture; use a space of layers, such "
                            "as fbnet")  # fmt: skip
    return found


def _by_node(graph: Graph, price: Price) -> dict[str, float]:
    simple = graph.simplified()
    return {node.name: sum(price(*step) for step in steps_of_node(simple, node)) for node in simple.nodes}


class CostAware(Relaxation):
    """A relaxation that knows what its options cost. Where networks are to keep a limit on their latency, or else on
    their multiply-adds, that is its target: it derives the likeliest network within it.

    unit   milliseconds, or millions of multiply-adds without a table, that count as one where costs are weighed. In a
           logarithm a smaller unit makes the same saving worth less, and costs must be above one
    """

    costs: Costs  # in units, once it is prepared

    def __init__(self, *args: Any, unit: float = 1.0, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if not unit > 0:
            raise UserError(f"unit is {unit}; use more than 0")
        self.unit = unit
        self.target: float | None = None  # in units

    def prepare(self, bench: Bench) -> None:
        """Raises UserError where no network keeps the limit, and for a unit in which some network costs no more than
        one."""
        super().prepare(bench)
        limits, price = bench.limits, price_of(bench.limits)
        self.costs = costs_of(self, lambda step, shape: price(step, shape) / self.unit)
        limit = limits.latency_ms
        if limit is None and limits.multiply_adds is not None:
            limit = limits.multiply_adds / MILLION
        if limit is not None:
            self.target = limit / self.unit
            if self.costs.least > self.target:
                raise UserError(f"the cheapest network costs {self.costs.least * self.unit:.4g} {told(limits)}, over "
                                f"the limit of {limit:.4g}; raise it, or shrink the space")  # fmt: skip
        if self.costs.least <= 1:
            raise UserError(f"the cheapest network costs {self.costs.least * self.unit:.4g} {told(limits)}, and unit "
                            f"is {self.unit:g}: its logarithm is not above 0; use a smaller one, such as "
                            f"{self.costs.least * self.unit / 100:.1g}")  # fmt: skip

    def derive(self, training: SupernetTraining) -> tuple[Token, ...]:
        return self.space.likeliest(self.within_target(self.probabilities().detach()))

    def within_target(self, probabilities: Tensor) -> Weights:
        """One option a decision, with weight 1: the most probable ones, each less a multiple of its cost, the smallest
        with which the network keeps the target (Everett 1963, generalized Lagrange multipliers)."""
        logs = probabilities.log().masked_fill(~self.there, -torch.inf)

        def chosen(multiplier: float) -> Tensor:
            best = (logs - multiplier * self.costs.amounts).argmax(1)
            return torch.nn.functional.one_hot(best, logs.shape[1]).to(logs)

        found = chosen(0.0)
        if self.target is not None and not self.keeps_target(found):
            low, high = 0.0, 1.0
            while not self.keeps_target(chosen(high)) and high < 2**HALVINGS:
                high *= 2
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                low, high = (low, middle) if self.keeps_target(chosen(middle)) else (middle, high)
            found = chosen(high)
        return self._with_closed(found)

    def keeps_target(self, weights: Tensor) -> bool:
        return self.target is None or bool(self.costs.of(weights) <= self.target)


def told(limits: Limits) -> str:
    """The unit of costs, in words."""
    return "million multiply-adds" if limits.latencies is None else "ms"
