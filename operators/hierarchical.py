"""The mutation and the initialisation of hierarchical cells (Liu et al. 2018, arXiv:1711.00436, section 3.1)."""

from __future__ import annotations

from random import Random

from evonas.errors import UserError
from evonas.genomes.hierarchical import HierarchicalSpace
from evonas.individual import Individual, Toolbox
from evonas.operators import by_decision

MUTATIONS = 1000  # of the trivial genome, for each individual of the first population


def mut_hierarchical(individual: Individual, space: HierarchicalSpace, *, rng: Random) -> tuple[Individual]:
    """Draw a level above the primitives, a motif of it, a node and a predecessor, all uniformly, and redraw what their
    edge carries; the result may be the same. Changes the individual in place."""
    number, level = rng.choice(list(space.levels.items()))
    motif = rng.randint(1, level.motifs)
    target = rng.randint(2, level.nodes)
    source = rng.randint(1, target - 1)
    individual[space.places.index((number, motif, (source, target)))] = rng.choice(level.options)
    return (individual,)


def init_mutated(space: HierarchicalSpace, mutations: int = MUTATIONS, *, rng: Random) -> Individual:
    """An individual made from the trivial genome by many mutations."""
    individual = Individual(space.trivial())
    for _ in range(mutations):
        mut_hierarchical(individual, space, rng=rng)
    return individual


def toolbox(space: HierarchicalSpace, *, rng: Random, mutations: int = MUTATIONS) -> Toolbox:
    """A DEAP toolbox with the paper's start and mutation: individual, population, clone, mate, mutate, select.

    mutations   of the trivial genome, which make an initial individual
    """
    if mutations < 0:
        raise UserError(f"mutations is {mutations}; use at least 0")
    box = by_decision.toolbox(space, rng=rng)
    box.register("individual", init_mutated, space, mutations, rng=rng)
    box.register("mutate", mut_hierarchical, space=space, rng=rng)
    return box
