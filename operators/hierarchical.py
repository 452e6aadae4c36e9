"""Mutation of hierarchical cells, and where evolution begins (Liu et al. 2018, arXiv:1711.00436, section 3.1)."""

from __future__ import annotations

from random import Random

from deap import base

from evonas.genomes.hierarchical import MOTIFS, NODES, OPTIONS, PLACES, HierarchicalSpace
from evonas.individual import Individual
from evonas.operators import by_decision

MUTATIONS = 1000  # of the trivial genome, for one of the first population


def mut_hierarchical(individual: Individual, *, rng: Random) -> tuple[Individual]:
    """A level above the primitives, a motif of it, a node, and a predecessor, all drawn uniformly: what their edge
    carries is drawn anew, and may be what it was. Changes the individual in place."""
    level = rng.choice(list(NODES))
    motif = rng.randint(1, MOTIFS) if level == 2 else 1
    target = rng.randint(2, NODES[level])
    source = rng.randint(1, target - 1)
    individual[PLACES.index((level, motif, (source, target)))] = rng.choice(OPTIONS[level])
    return (individual,)


def init_mutated(space: HierarchicalSpace, mutations: int = MUTATIONS, *, rng: Random) -> Individual:
    """The trivial genome after many mutations."""
    individual = Individual(space.trivial())
    for _ in range(mutations):
        mut_hierarchical(individual, rng=rng)
    return individual


def toolbox(space: HierarchicalSpace, *, rng: Random, mutations: int = MUTATIONS) -> base.Toolbox:
    """A DEAP toolbox with the paper's start and mutation: individual, population, clone, mate, mutate, select."""
    box = by_decision.toolbox(space, rng=rng)
    box.register("individual", init_mutated, space, mutations, rng=rng)
    box.register("mutate", mut_hierarchical, rng=rng)
    return box
