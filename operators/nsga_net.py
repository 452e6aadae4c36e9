"""NSGA-Net's operators on bit strings (Lu et al. 2019, arXiv:1810.03522, and its published code)."""

from __future__ import annotations

from random import Random

from evonas.genomes.nsga_net import NSGANetSpace
from evonas.individual import Individual, Toolbox
from evonas.operators import by_decision

ETA = 3.0  # distribution index of the polynomial mutation


def cx_two_point(first: Individual, second: Individual, *, rng: Random) -> tuple[Individual, Individual]:
    """Exchange the bits between two points. Changes both in place."""
    start, end = sorted(rng.sample(range(len(first) + 1), 2))
    first[start:end], second[start:end] = second[start:end], first[start:end]
    return first, second


def mut_polynomial_bits(
    individual: Individual, indpb: float | None = None, eta: float = ETA, *, rng: Random
) -> tuple[Individual]:
    """Move each bit with probability `indpb` (None: 1 / length) by a polynomial step (Deb and Goyal 1996) within
    [-0.5, 1.5] and round it. Changes the individual in place."""
    rate = 1 / len(individual) if indpb is None else indpb
    for place, bit in enumerate(individual):
        if rng.random() < rate:
            individual[place] = min(max(round(bit + 2 * _step(bit, eta, rng.random())), 0), 1)
    return (individual,)


def _step(bit: int, eta: float, draw: float) -> float:
    """A polynomial step, as a fraction of the range of width 2, from a uniform draw."""
    below, above = (bit + 0.5) / 2, (1.5 - bit) / 2
    if draw < 0.5:
        return float((2 * draw + (1 - 2 * draw) * (1 - below) ** (eta + 1)) ** (1 / (eta + 1)) - 1)
    return float(1 - (2 * (1 - draw) + 2 * (draw - 0.5) * (1 - above) ** (eta + 1)) ** (1 / (eta + 1)))


def toolbox(space: NSGANetSpace, *, rng: Random) -> Toolbox:
    """A DEAP toolbox with the published operators: individual, population, clone, mate, mutate, select."""
    box = by_decision.toolbox(space, rng=rng)
    box.register("mate", cx_two_point, rng=rng)
    box.register("mutate", mut_polynomial_bits, rng=rng)
    return box
