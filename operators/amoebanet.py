"""AmoebaNet's mutations of NASNet cells (Real, Aggarwal, Huang and Le 2019, arXiv:1802.01548, section "Methods")."""

from __future__ import annotations

from random import Random

from evonas.genomes.nasnet import ELEMENTS, NASNetSpace
from evonas.individual import Individual, Toolbox
from evonas.operators import by_decision

IDENTITY = 0.05  # probability that nothing changes


def mut_amoebanet(
    individual: Individual, space: NASNetSpace, identity: float = IDENTITY, *, rng: Random
) -> tuple[Individual]:
    """Change nothing with probability `identity`; otherwise apply a hidden-state or an operation mutation, with equal
    probability. Changes the individual in place."""
    if rng.random() >= identity:
        mutate = mut_hidden_state if rng.random() < 0.5 else mut_operation
        mutate(individual, space, rng=rng)
    return (individual,)


def mut_hidden_state(individual: Individual, space: NASNetSpace, *, rng: Random) -> tuple[Individual]:
    """Replace one input of one block, drawn uniformly, by another earlier state. Changes the individual in place."""
    place = _element(individual, rng)
    decision = space.next(individual[:place])
    assert decision is not None
    individual[place] = rng.choice([state for state in decision.options if state != individual[place]])
    return (individual,)


def mut_operation(individual: Individual, space: NASNetSpace, *, rng: Random) -> tuple[Individual]:
    """Redraw one operation of one block, chosen uniformly, from the list; the result may be the same operation. Changes
    the individual in place."""
    individual[_element(individual, rng) + ELEMENTS] = rng.choice(space.operations)
    return (individual,)


def _element(individual: Individual, rng: Random) -> int:
    """The position of an input, drawn uniformly over cells, blocks and the two elements of a block."""
    block, element = rng.randrange(len(individual) // (2 * ELEMENTS)), rng.randrange(ELEMENTS)
    return 2 * ELEMENTS * block + element


def toolbox(space: NASNetSpace, *, rng: Random, identity: float = IDENTITY) -> Toolbox:
    """A DEAP toolbox for the space with the paper's mutation: individual, population, clone, mate, mutate, select.

    identity   probability that a mutation changes nothing

    The paper has no crossover; `mate` is an optional one that exchanges answers by decision.
    """
    by_decision.check_rates(identity=identity)
    box = by_decision.toolbox(space, rng=rng)
    box.register("mutate", mut_amoebanet, space=space, identity=identity, rng=rng)
    return box
