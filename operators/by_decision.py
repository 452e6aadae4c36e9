"""Variation by the names of decisions, for any space with `next`.

DEAP's positional operators would break genomes whose options depend on earlier tokens. Here, after a decision has
changed, later answers that are still legal are kept, and the others are redrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from evonas.errors import UserError
from evonas.individual import Individual, Toolbox
from evonas.space import Decision, Genome, Space, Token


def init_random(space: Space, *, rng: Random) -> Individual:
    """An individual drawn uniformly from all genomes of the space."""
    return Individual(space.random(rng))


def init_by_decision(space: Space, *, rng: Random) -> Individual:
    """An individual whose decisions are each drawn uniformly from the legal options. Where a genome may end early, this
    favours short ones; drawn uniformly over genomes, nearly all would have the maximal length."""
    return Individual(space.complete({}, rng))


def init_near(genome: Genome, space: Space, redraw_rate: float, *, rng: Random) -> Individual:
    """An individual that takes each answer of a genome, or, with probability `redraw_rate`, another one at random."""
    answers = {name: token for name, token in space.answers(genome).items() if rng.random() >= redraw_rate}
    return Individual(space.complete(answers, rng))


def init_population(toolbox: Toolbox, n: int) -> list[Individual]:
    """n individuals from the toolbox's current role `individual`, so that decorating that role affects this one too."""
    return [toolbox.individual() for _ in range(n)]


def mut_decisions(individual: Individual, space: Space, indpb: float, *, rng: Random) -> tuple[Individual]:
    """Give each decision another option with probability `indpb`. Changes the individual in place."""
    answers = space.answers(individual)
    for decision in space.decisions(individual):
        others = [option for option in decision.options if option != answers[decision.name]]
        if others and rng.random() < indpb:
            answers[decision.name] = rng.choice(others)
    individual[:] = space.complete(answers, rng)
    return (individual,)


def mut_one_decision(individual: Individual, space: Space, *, rng: Random) -> tuple[Individual]:
    """Give one decision, drawn uniformly, another option, if there is any. Changes the individual in place."""
    decisions = space.decisions(individual)
    places = [place for place, decision in enumerate(decisions) if len(decision.options) > 1]
    if not places:
        return (individual,)
    place = rng.choice(places)
    individual[:] = _with_answer(
        decisions, individual, place, rng.choice(_others(decisions, individual, place)), space, rng
    )
    return (individual,)


def neighbours(individual: Individual, space: Space, *, rng: Random) -> list[Individual]:
    """All genomes that differ in the answer to one decision, in order; later answers are kept where they are legal."""
    decisions = space.decisions(individual)
    return [
        Individual(_with_answer(decisions, individual, place, option, space, rng))
        for place in range(len(decisions))
        for option in _others(decisions, individual, place)
    ]


def _others(decisions: list[Decision], individual: Individual, place: int) -> list[Token]:
    return [option for option in decisions[place].options if option != individual[place]]


def _with_answer(
    decisions: list[Decision], individual: Individual, place: int, option: Token, space: Space, rng: Random
) -> tuple[Token, ...]:
    answers = {decision.name: token for decision, token in zip(decisions, individual, strict=True)}
    answers[decisions[place].name] = option
    return space.complete(answers, rng)


def cx_decisions(
    first: Individual, second: Individual, space: Space, indpb: float = 0.5, *, rng: Random
) -> tuple[Individual, Individual]:
    """Exchange the answers to each decision of both genomes with probability `indpb`. Changes both in place."""
    one, other = space.answers(first), space.answers(second)
    for name in one:
        if name in other and rng.random() < indpb:
            one[name], other[name] = other[name], one[name]
    first[:], second[:] = space.complete(one, rng), space.complete(other, rng)
    return first, second


def toolbox(
    space: Space,
    *,
    rng: Random,
    evaluate: Callable[[Individual], tuple[float, ...]] | None = None,
    change_rate: float = 0.1,
    swap_rate: float = 0.5,
) -> Toolbox:
    """A DEAP toolbox for any space with `next`, with the roles that `deap.algorithms` requires.

    The roles are individual, population, clone, mate, mutate, neighbours, select (tournaments of three) and, where a
    fitness is given, evaluate.

    change_rate   probability that a mutation changes a decision
    swap_rate     probability that a crossover exchanges one

    Raises UserError for a space whose genomes are not sequences of decisions: only its own operators vary them; and for
    a rate that is no probability.
    """
    if not space.is_sequence:
        raise UserError(_no_sequence(space))
    check_rates(change_rate=change_rate, swap_rate=swap_rate)
    box = Toolbox()
    box.space = space
    box.register("individual", init_random, space, rng=rng)
    box.register("population", init_population, box)
    box.register("mate", cx_decisions, space=space, indpb=swap_rate, rng=rng)
    box.register("mutate", mut_decisions, space=space, indpb=change_rate, rng=rng)
    box.register("neighbours", neighbours, space=space, rng=rng)
    box.register("select", sel_tournament, tournsize=3, rng=rng)
    if evaluate is not None:
        box.register("evaluate", evaluate)
    return box


def sel_tournament(individuals: Sequence[Individual], k: int, tournsize: int, *, rng: Random) -> list[Individual]:
    """DEAP's `selTournament` with the generator of the search in place of Python's global one: only so a search can be
    replayed."""
    return [
        max([rng.choice(individuals) for _ in range(tournsize)], key=lambda individual: individual.fitness)
        for _ in range(k)
    ]


def check_rates(**rates: float) -> None:
    """Raises UserError for a rate that is no probability."""
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise UserError(f"{name} is {rate}; use a probability between 0 and 1")


def without_operators(space: Space, *, rng: Random) -> Toolbox:
    """The toolbox of a space whose genomes are not sequences of decisions, for a strategy that brings its own: its
    roles raise UserError when they are used."""

    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise UserError(_no_sequence(space))

    box = Toolbox()
    box.space = space
    for role in ("individual", "population", "mate", "mutate"):
        box.register(role, unknown)
    return box


def _no_sequence(space: Space) -> str:
    return (f"genomes of {space.name} are not sequences of decisions (it has no `next`); use a strategy over its own "
            "operators")  # fmt: skip


def uniform_toolbox(space: Space, *, rng: Random) -> Toolbox:
    """The roles of `toolbox`, for strategies that write genomes themselves: for what else draws from their spaces, such
    as random search, uniformly from all genomes."""
    return toolbox(space, rng=rng)


def stepwise_toolbox(space: Space, *, rng: Random) -> Toolbox:
    """The toolbox in which individuals are drawn token by token, each from what is legal, as an agent explores."""
    box = toolbox(space, rng=rng)
    box.register("individual", init_by_decision, space, rng=rng)
    return box


def one_change_toolbox(space: Space, *, rng: Random) -> Toolbox:
    """The roles that strategies share on a table: uniform individuals, all neighbours, one of them as mutation."""
    box = toolbox(space, rng=rng)
    box.register("mutate", mut_one_decision, space=space, rng=rng)
    return box
