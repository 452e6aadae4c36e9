"""Rewards for reinforcement learning: small functions of the fitness and the genome of an evaluated individual."""

from __future__ import annotations

from collections.abc import Callable
from math import log

from evonas.errors import UserError
from evonas.genomes.block_qnn import BlockQNNSpace
from evonas.individual import Individual

PATIENCE = 15  # updates until a constraint of N2N counts in full
DEGENERATE = -1.0  # N2N's reward of what cannot be trained
Reward = Callable[[Individual], float]


def accuracy(individual: Individual) -> float:
    """The first objective, or its negative where less is better."""
    return float(individual.fitness.wvalues[0])


def cube(individual: Individual) -> float:
    """The third power of the accuracy, which emphasises differences among the best networks (Zoph and Le 2017,
    arXiv:1611.01578, section 4.1)."""
    return accuracy(individual) ** 3


def product(target: float, below: float = -0.07, above: float = -0.07) -> Reward:
    """MnasNet's weighted product ACC (LAT / T)^w of two objectives, accuracy and latency (Tan et al. 2019,
    arXiv:1807.11626, equation 2). The exponent w is `below` up to the target T and `above` beyond it. With -0.07 and
    -0.07 this is the soft constraint, in which doubling the latency is worth 5 % of accuracy; with 0 and -1 the hard
    one. Where there is no second objective it is the first.

    target   T, in the unit of the latency, ms

    Raises UserError for a latency that is not above 0.
    """

    def reward(individual: Individual) -> float:
        if len(individual.fitness.values) == 1:
            return accuracy(individual)
        latency = individual.fitness.values[1]
        if latency <= 0:
            raise UserError(f"the second objective is {latency}; a product of accuracy and cost needs costs above 0")
        return accuracy(individual) * (latency / target) ** (below if latency <= target else above)

    return reward


def compression(kept: float, relative: float) -> float:
    """N2N's C (2 - C) R_a of a network that has a share `kept` = 1 - C of its teacher's parameters and a share
    `relative` = R_a of its accuracy (Ashok et al. 2018, arXiv:1709.06030, section 3.3)."""
    spared = 1 - kept
    return spared * (2 - spared) * relative


def constrained(reward: float, update: int) -> float:
    """What N2N gives a network that breaks a constraint, at an update from 0: its reward at first, and from the 15th on
    -1. The published code clips after the even power, by which the constraint fades away again; here it is clipped
    before."""
    patience = max(0.0, 1 - update / PATIENCE) ** 4
    return (patience - 1) + patience * reward


def lean_block(space: BlockQNNSpace, *, reference: float, flops: float = 1.0, density: float = 8.0) -> Reward:
    """Block-QNN's ACC - mu log(FLOPs) - rho log(Density), with the accuracy in per cent and natural logarithms (Zhong
    et al. 2018, arXiv:1708.05552, equation 7). The paper gives no units; here FLOPs are the network's multiply-adds
    divided by `reference`.
    """

    def reward(individual: Individual) -> float:
        cost = space.decode(individual).multiply_adds / reference
        return 100 * accuracy(individual) - flops * log(cost) - density * log(space.density(individual))

    return reward
