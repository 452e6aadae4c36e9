"""Variation of networks that grow by edits (`evonas.genomes.edits`): a child is its parent and some edits more, so that
it begins with all that its parent has learnt.

The edits of NASH are drawn as in section 4.1 of Elsken, Metzen and Hutter 2017 (arXiv:1711.04528).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

from evonas.errors import UserError
from evonas.genomes.edits import EditSpace
from evonas.individual import Individual, Toolbox
from evonas.operators.by_decision import cx_decisions, init_population, neighbours

# deeper, wider, or a skip: each as likely as the others, whatever there is of its kinds
MORPHISMS = (("deepen",), ("widen", "extend"), ("add", "concat"), ("add-copies", "concat-copies", "concat-split"),
             ("insert", "replace"))  # fmt: skip


def init_start(space: EditSpace) -> Individual:
    """The network without edits."""
    individual = Individual(space.genome(()))
    individual.operator = "start"
    return individual


def mut_edits(individual: Individual, space: EditSpace, edits: int, *, rng: Random) -> tuple[Individual]:
    """Add so many edits, as far as there may be more: each deeper, wider, a skip, or branches, uniformly among what is
    possible; then uniformly by kind, place and value. Changes the individual in place."""
    begun = space.begun(individual)
    for _ in range(edits):
        begun = _longer(begun, space, rng)
    individual[:] = space.stopped(begun)
    return (individual,)


def _longer(begun: Sequence, space: EditSpace, rng: Random) -> tuple:
    groups = [kinds for group in MORPHISMS if (kinds := [kind for kind in group if kind in space.kinds])]
    rng.shuffle(groups)
    for kinds in groups:
        longer = space.longer(begun, rng, kinds)
        if len(longer) > len(begun):
            return longer
    return tuple(begun)


def toolbox(space: EditSpace, *, rng: Random, mutations: int = 1, swap_rate: float = 0.5) -> Toolbox:
    """A DEAP toolbox: individual (the network without edits), population, clone, mutate, mate, neighbours.

    mutations   edits that a child has beyond its parent's
    swap_rate   probability that a crossover exchanges the answers to a decision

    Raises UserError for a space whose genomes are no edits.
    """
    if not isinstance(space, EditSpace):
        raise UserError(f"genomes of {space.name} are no edits of a network; use the operators of its own")
    if mutations < 1:
        raise UserError(f"mutations is {mutations}; use at least 1")
    box = Toolbox()
    box.space = space
    box.register("individual", init_start, space)
    box.register("population", init_population, box)
    box.register("mutate", mut_edits, space=space, edits=mutations, rng=rng)
    box.register("mate", partial(cx_decisions, indpb=swap_rate), space=space, rng=rng)
    box.register("neighbours", neighbours, space=space, rng=rng)
    return box
