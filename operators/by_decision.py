"""Variation by the names of decisions, for any space with `next`.

DEAP's positional operators would break genomes whose options hang on earlier tokens. Here a changed decision keeps
the later answers that are still legal, and the others are drawn anew.
"""

from __future__ import annotations

from random import Random

from evonas.individual import Individual
from evonas.space import Space


def init_random(space: Space, *, rng: Random) -> Individual:
    """Uniform over the genomes of the space."""
    return Individual(space.random(rng))


def mut_decisions(individual: Individual, space: Space, indpb: float, *, rng: Random) -> tuple[Individual]:
    """Answer each decision anew, by another option, with probability `indpb`. Changes the individual in place."""
    answers = space.route(individual)
    for decision in space.decisions(individual):
        others = [option for option in decision.options if option != answers[decision.name]]
        if others and rng.random() < indpb:
            answers[decision.name] = rng.choice(others)
    individual[:] = space.complete(answers, rng)
    return (individual,)


def cx_decisions(
    first: Individual, second: Individual, space: Space, indpb: float = 0.5, *, rng: Random
) -> tuple[Individual, Individual]:
    """Exchange the answers to each decision that both have met, with probability `indpb`. Changes both in place."""
    one, other = space.route(first), space.route(second)
    for name in one:
        if name in other and rng.random() < indpb:
            one[name], other[name] = other[name], one[name]
    first[:], second[:] = space.complete(one, rng), space.complete(other, rng)
    return first, second
