"""The operators of a space of networks, for genomes that decide fields of the recipe too (`evonas.with_recipe`)."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from random import Random
from typing import Any

from evonas.genomes.with_recipe import WithRecipe
from evonas.individual import Individual, Toolbox
from evonas.operators.by_decision import init_population

SWAP_RATE = 0.5  # probability that a crossover exchanges a field of the recipe


def init_with_recipe(init: Callable[[], Individual], space: WithRecipe, *, rng: Random) -> Individual:
    """An individual whose network is drawn as `init` draws it, and whose recipe is drawn uniformly."""
    individual = init()
    individual[:0] = [rng.choice(decision.options) for decision in space.asked]
    return individual


def mut_with_recipe(
    individual: Individual, mutate: Callable[..., tuple[Individual]], space: WithRecipe, *, rng: Random
) -> tuple[Individual]:
    """Change one field of the recipe, with the probability that its fields have among all decisions; else the network,
    as `mutate` does. Changes the individual in place."""
    said, places = individual[: len(space.asked)], _open_places(space)
    if places and rng.randrange(len(individual)) < len(said):
        place = rng.choice(places)
        individual[place] = rng.choice(_others(space, said, place))
        individual.operator = "mut_recipe"
        return (individual,)
    del individual[: len(said)]
    (child,) = mutate(individual)
    child[:0] = said
    return (child,)


def cx_with_recipe(
    first: Individual, second: Individual, mate: Callable[..., tuple[Individual, Individual]], space: WithRecipe, *,
    rng: Random,
) -> tuple[Individual, Individual]:  # fmt: skip
    """Cross the networks as `mate` does, and exchange each field of the recipe with probability one half."""
    width = len(space.asked)
    one, other = first[:width], second[:width]
    for place in range(width):
        if rng.random() < SWAP_RATE:
            one[place], other[place] = other[place], one[place]
    del first[:width], second[:width]
    first, second = mate(first, second)
    first[:0], second[:0] = one, other
    return first, second


def neighbours_with_recipe(
    individual: Individual, neighbours: Callable[..., list[Individual]], space: WithRecipe
) -> list[Individual]:
    """All genomes with another value of one field of the recipe, and then all with a neighbouring network."""
    said, network = individual[: len(space.asked)], Individual(individual[len(space.asked) :])
    of_recipe = [
        Individual([*said[:place], option, *said[place + 1 :], *network])
        for place in range(len(said))
        for option in _others(space, said, place)
    ]
    return of_recipe + [Individual([*said, *each]) for each in neighbours(network)]


def toolbox(networks: Toolbox, space: WithRecipe, *, rng: Random) -> Toolbox:
    """The toolbox of a space of networks with its roles over both parts of a genome; the others are as they were."""
    box = copy(networks)
    box.space = space
    roles: dict[str, Any] = {
        "individual": partial(init_with_recipe, networks.individual, space, rng=rng),
        "population": partial(init_population, box),
    }
    operators: dict[str, Callable[..., Any]] = {
        "mate": cx_with_recipe,
        "mutate": mut_with_recipe,
        "neighbours": neighbours_with_recipe,
    }
    for role, operator in operators.items():
        if hasattr(networks, role):
            drawn = {} if role == "neighbours" else {"rng": rng}
            roles[role] = partial(operator, **{role: getattr(networks, role)}, space=space, **drawn)
    for role, function in roles.items():
        box.register(role, function)
    return box


def _open_places(space: WithRecipe) -> list[int]:
    return [place for place, decision in enumerate(space.asked) if len(decision.options) > 1]


def _others(space: WithRecipe, said: list[Any], place: int) -> list[Any]:
    return [option for option in space.asked[place].options if option != said[place]]
