"""GeNet's operators (Xie and Yuille 2017, arXiv:1703.01513, section 3.2), and the DEAP toolbox that holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from evonas.genomes.genet import GeNetSpace
from evonas.individual import Individual, Toolbox
from evonas.operators import by_decision


def init_bits(space: GeNetSpace, *, rng: Random) -> Individual:
    """Every bit 0 or 1 with probability 0.5 (section 3.2.1)."""
    return Individual(rng.randrange(2) for _ in space.names)


def cx_stages(
    first: Individual, second: Individual, slices: Sequence[slice], indpb: float, *, rng: Random
) -> tuple[Individual, Individual]:
    """Exchange whole stages, each with probability `indpb` (q_C, section 3.2.3). Changes both in place."""
    for stage in slices:
        if rng.random() < indpb:
            first[stage], second[stage] = second[stage], first[stage]
    return first, second


def mut_bits(individual: Individual, indpb: float, *, rng: Random) -> tuple[Individual]:
    """Flip each bit with probability `indpb` (q_M, section 3.2.3). Changes the individual in place."""
    individual[:] = [bit ^ (rng.random() < indpb) for bit in individual]
    return (individual,)


def sel_roulette_above_worst(individuals: Sequence[Any], k: int, *, rng: Random) -> list[Any]:
    """Draw k individuals with replacement, with probability proportional to the lead over the worst (section 3.2.2).

    The worst individual is never chosen. A failed one (without a valid fitness) is never chosen either and does not
    count as the worst. Where all are equal, or all have failed, the draw is uniform.
    """
    valid = [individual for individual in individuals if individual.fitness.valid] or list(individuals)
    scores = [individual.fitness.wvalues[0] if individual.fitness.valid else 0.0 for individual in valid]
    worst = min(scores)
    leads = [score - worst for score in scores]  # r_n - min_k r_k
    return rng.choices(valid, weights=leads if any(leads) else None, k=k)


def toolbox(
    space: GeNetSpace,
    *,
    rng: Random,
    evaluate: Callable[[Individual], tuple[float, ...]] | None = None,
    stage_swap_rate: float = 0.2,
    bit_flip_rate: float = 0.05,
) -> Toolbox:
    """A toolbox with the roles of `by_decision.toolbox` and GeNet's initialisation, crossover, mutation and selection.

    stage_swap_rate   q_C, for each stage of a pair that is crossed
    bit_flip_rate     q_M, for each bit of an individual that is mutated

    The defaults are the paper's q_C and q_M for CIFAR-10.
    """
    by_decision.check_rates(stage_swap_rate=stage_swap_rate, bit_flip_rate=bit_flip_rate)
    box = by_decision.toolbox(space, rng=rng, evaluate=evaluate)
    box.register("individual", init_bits, space, rng=rng)
    box.register("mate", cx_stages, slices=space.slices, indpb=stage_swap_rate, rng=rng)
    box.register("mutate", mut_bits, indpb=bit_flip_rate, rng=rng)
    box.register("select", sel_roulette_above_worst, rng=rng)
    return box
