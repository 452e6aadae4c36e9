"""The eleven mutations of Large-scale Evolution, and the one that picks among them (Real et al. 2017,
arXiv:1703.01041, section 3.2). docs/systems/large-scale.md lists the choices made where the paper is silent.

Every operator changes an individual in place and returns a tuple. An operator that cannot be applied raises
Inapplicable and leaves the individual unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

from evonas.errors import UserError
from evonas.genomes.large_scale import DNA, Filter, LargeScaleSpace, Vertex
from evonas.individual import Individual, Toolbox
from evonas.operators.by_decision import init_population

TRIES = 100  # draws of a mutation before the child stays equal to its parent
DIGITS = 3  # decimals of the reals in a gene


class Inapplicable(UserError):
    """The mutation cannot be applied to this individual."""


class Mutation(Protocol):
    __name__: str

    def __call__(self, individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]: ...


# ---- the eleven -----------------------------------------------------------------------------------------------------


def mut_alter_learning_rate(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Redraw the learning rate log-uniformly between half and twice its value."""
    dna = DNA.read(individual)
    return _becomes(individual, replace(dna, learning_rate=float(f"{dna.learning_rate * 2 ** rng.uniform(-1, 1):.6g}")))


def mut_identity(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Change nothing; where weights are inherited, training continues."""
    return (individual,)


def mut_reset_weights(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Change nothing in the genome, but reinitialise all weights."""
    individual.reset = True
    return (individual,)


def mut_insert_convolution(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Insert a 3x3 convolution at a random place of the backbone, with stride 1 or 2, as many channels as come in (at
    least the space's `least`), and with or without batch norm and ReLU after it."""
    dna = DNA.read(individual)
    place = rng.randint(0, len(dna.vertices))
    edge = Filter(_channels_into(dna, place, space), scale=rng.randint(0, 1))
    return _becomes(individual, dna.inserted(place, edge, active=rng.random() < 0.5))


def mut_remove_convolution(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Remove a random convolution together with its vertex."""
    dna = DNA.read(individual)
    return _becomes(individual, dna.without(_convolution(dna, rng).number))


def mut_alter_stride(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Double or halve the stride of a random convolution; a stride of 1 becomes 2."""
    dna = DNA.read(individual)
    number, edge = _edge(dna, rng)
    scale = edge.scale + (1 if edge.scale == 0 else rng.choice((-1, 1)))
    return _becomes(individual, dna.changed(number, replace(edge, scale=scale)))


def mut_alter_channels(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Redraw the channels of a random convolution uniformly between half and twice their number."""
    dna = DNA.read(individual)
    number, edge = _edge(dna, rng)
    return _becomes(individual, dna.changed(number, replace(edge, channels=_near(edge.channels, rng))))


def mut_filter_size(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Redraw the filter height or width of a random convolution uniformly between half and twice its value."""
    dna = DNA.read(individual)
    number, edge = _edge(dna, rng)
    if rng.random() < 0.5:
        changed = replace(edge, height=_near(edge.height, rng))
    else:
        changed = replace(edge, width=_near(edge.width, rng))
    return _becomes(individual, dna.changed(number, changed))


def mut_insert_one_to_one(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Insert a vertex reached by an identity at a random place of the backbone, with or without batch norm and ReLU."""
    dna = DNA.read(individual)
    place = rng.randint(0, len(dna.vertices))
    return _becomes(individual, dna.inserted(place, None, active=rng.random() < 0.5))


def mut_add_skip(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Add an identity from a random vertex to a random later one."""
    dna = DNA.read(individual)
    if not dna.possible_skips:
        raise Inapplicable("no two vertices are left that a skip could join")
    return _becomes(individual, dna.with_skip(rng.choice(dna.possible_skips)))


def mut_remove_skip(individual: Individual, space: LargeScaleSpace, *, rng: Random) -> tuple[Individual]:
    """Remove a random skip."""
    dna = DNA.read(individual)
    if not dna.skips:
        raise Inapplicable("there is no skip to remove")
    return _becomes(individual, dna.without_skip(rng.choice(dna.skips)))


MUTATIONS: tuple[Mutation, ...] = (
    mut_alter_learning_rate, mut_identity, mut_reset_weights, mut_insert_convolution, mut_remove_convolution,
    mut_alter_stride, mut_alter_channels, mut_filter_size, mut_insert_one_to_one, mut_add_skip, mut_remove_skip,
)  # fmt: skip


# ---- the one that picks ---------------------------------------------------------------------------------------------


def mut_large_scale(
    individual: Individual,
    space: LargeScaleSpace,
    mutations: int = 1,
    among: Sequence[Mutation] = MUTATIONS,
    *,
    rng: Random,
) -> tuple[Individual]:
    """Apply `mutations` mutations, each drawn uniformly; one that is inapplicable or leaves no pixels is redrawn.

    After TRIES unsuccessful draws the individual stays unchanged. Its `operator` names the mutations.
    """
    applied: list[str] = []
    individual.reset = False
    while len(applied) < mutations:
        applied.append(_one(individual, space, among, rng).__name__)
    individual.operator = " + ".join(applied)
    return (individual,)


def _one(individual: Individual, space: LargeScaleSpace, among: Sequence[Mutation], rng: Random) -> Mutation:
    before = list(individual)
    for _ in range(TRIES):
        mutation = rng.choice(among)
        try:
            mutation(individual, space, rng=rng)
            space.decode(individual)
            return mutation
        except UserError:  # inapplicable, no pixels left, or a number outside the notation of genes
            individual[:] = before
    return mut_identity


def init_trivial(space: LargeScaleSpace) -> Individual:
    """The trivial individual, from which evolution begins (section 3.2)."""
    individual = Individual(space.trivial())
    individual.operator = "trivial"
    return individual


def toolbox(space: LargeScaleSpace, *, rng: Random, mutations: int = 1) -> Toolbox:
    """A DEAP toolbox: individual (the trivial one), population, clone, mutate. The paper's method has no crossover.

    mutations   of a child
    """
    if mutations < 1:
        raise UserError(f"mutations is {mutations}; use at least 1")
    box = Toolbox()
    box.space = space
    box.register("individual", init_trivial, space)
    box.register("population", init_population, box)
    box.register("mutate", mut_large_scale, space=space, mutations=mutations, rng=rng)
    return box


# ---- what they share ------------------------------------------------------------------------------------------------


def _becomes(individual: Individual, dna: DNA) -> tuple[Individual]:
    individual[:] = dna.genes
    return (individual,)


def _near(value: float, rng: Random) -> float:
    """A draw by the rule of section 3.2: uniformly between half and twice the present value. It is at least 1, because
    a number that has become small would hardly grow again."""
    return max(1.0, round(rng.uniform(value / 2, 2 * value), DIGITS))


def _convolution(dna: DNA, rng: Random) -> Vertex:
    if not dna.convolutions:
        raise Inapplicable("there is no convolution to change")
    return rng.choice(dna.convolutions)


def _edge(dna: DNA, rng: Random) -> tuple[int, Filter]:
    vertex = _convolution(dna, rng)
    assert vertex.edge is not None, "only vertices with a convolution are drawn"
    return vertex.number, vertex.edge


def _channels_into(dna: DNA, place: int, space: LargeScaleSpace) -> float:
    """The channels of the last convolution before a place of the backbone, or of the image; at least `least`."""
    before = [vertex.edge.channels for vertex in dna.vertices[:place] if vertex.edge is not None]
    return max(before[-1] if before else float(space.input_shape[0]), float(space.least))
