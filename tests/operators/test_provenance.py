"""Parents and operators of every child, which nobody has to think of."""

import random
from copy import deepcopy

import pytest
from deap import algorithms, tools

import evonas
from evonas.evaluation import Function
from evonas.executors import Serial
from evonas.genomes.genet import DIGITS
from evonas.individual import Individual, Toolbox
from evonas.operators.genet import toolbox
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase


def box(seed=0):
    return toolbox(DIGITS, rng=random.Random(seed))


def searched(strategy, budget=60):
    phase = Loop(Unwritten(), Serial(), 1).run(Phase("search", strategy, Function(sum)), Budget(budget))
    return [individual for individual, _ in phase.told()]


class Varied:
    """DEAP's own variation, generation after generation."""

    def __init__(self, vary):
        self.toolbox, self.vary, self.waiting = box(), vary, []
        self.alive = [self.toolbox.individual() for _ in range(6)]
        self.waiting = list(self.alive)

    def generate(self, n=None):
        if not self.waiting:
            offspring = self.vary(self.alive, self.toolbox)
            self.waiting = [child for child in offspring if not child.fitness.valid]
            self.alive = offspring
        return [self.waiting.pop(0)] if self.waiting else []

    def update(self, individuals):
        pass


WAYS = {
    "varAnd": lambda alive, toolbox: algorithms.varAnd(alive, toolbox, cxpb=0.5, mutpb=0.9),
    "varOr": lambda alive, toolbox: algorithms.varOr(alive, toolbox, 6, cxpb=0.4, mutpb=0.6),
}


@pytest.mark.parametrize("way", WAYS)
def test_deaps_own_variation_leaves_true_parents_and_operators(way):
    random.seed(3)
    found = searched(Varied(WAYS[way]))
    by_id = {individual.id: individual for individual in found}
    assert [each.operator for each in found[:6]] == ["random"] * 6
    children = found[6:]
    assert {each.operator for each in children} <= {"cx_stages", "mut_bits", "cx_stages + mut_bits"}
    assert {"cx_stages" in each.operator for each in children} == {True, False}
    for child in children:
        assert child.parents
        assert all(parent in by_id and parent < child.id for parent in child.parents)
        assert len(child.parents) <= (2 if "cx" in child.operator else 1)
        if child.operator == "cx_stages" and len(child.parents) == 2:  # stage by stage it is one of its parents
            one, other = (tuple(by_id[parent]) for parent in child.parents)
            assert all(tuple(child[s]) in (one[s], other[s]) for s in DIGITS.slices)


def test_a_replaced_role_says_its_own_name():
    def mut_first(individual):
        individual[0] ^= 1
        return (individual,)

    made = box()
    made.register("mutate", mut_first)
    made.decorate("mutate", lambda function: lambda *given: function(*given))  # a decorator without a name
    parent = made.individual()
    parent.id = 7
    (child,) = made.mutate(made.clone(parent))
    assert (child.parents, child.operator) == ((7,), "mut_first")
    (grown,) = made.mutate(child)
    assert (grown.parents, grown.operator) == ((7,), "mut_first + mut_first")


def test_a_clone_is_a_child_that_nobody_has_asked_for():
    parent = Individual([1, 0])
    parent.id, parent.parents, parent.generation, parent.reset, parent.role = 3, (1, 2), 4, True, "winner"
    parent.fitness.values = (0.5,)
    child = deepcopy(parent)
    assert (child.id, child.parents, child.operator, child.generation, child.reset, child.role) == (
        None, (3,), "copy", None, False, None,
    )  # fmt: skip
    assert child.fitness.values == (0.5,)
    assert deepcopy(child).parents == (3,)


def test_an_operator_that_returns_new_individuals_is_recorded_too():
    made = Toolbox()
    made.register("mutate", lambda individual: (Individual([*individual, 1]),))
    parent = Individual([0])
    parent.id = 5
    (child,) = made.mutate(parent)
    assert (child.parents, child.operator) == ((5,), "<lambda>")


def test_halls_of_fame_and_selection_see_individuals_unchanged():
    made, best = box(), tools.HallOfFame(2)
    population = [made.individual() for _ in range(5)]
    for number, individual in enumerate(population):
        individual.id, individual.fitness.values = number, (number,)
    best.update(population)
    assert [each.fitness.values[0] for each in best] == [4, 3]
    assert best[0].parents == (4,)


class Twelve:
    """A user's strategy: clone and mutate."""

    def __init__(self, toolbox, rng):
        self.toolbox, self.best = toolbox, None

    def generate(self, n=None):
        if self.best is None:
            return [self.toolbox.individual()]
        return list(self.toolbox.mutate(self.toolbox.clone(self.best)))

    def update(self, individuals):
        self.best = max([*individuals, *([self.best] if self.best else [])], key=lambda each: each.fitness)


def test_a_strategy_of_twelve_lines_inherits_weights(tmp_path):
    settings = {"epochs": 1, "final.epochs": 1, "filters": (4, 8)}
    found = evonas.search("genet", "digits", strategy=Twelve, inherit=True, budget=5, settings=settings, workers=1,
                          out=tmp_path / "run", progress=False)  # fmt: skip
    told = [record for record in found.records() if record["phase"] == "search"]
    assert [record["operator"] for record in told] == ["random"] + ["mut_bits"] * 4
    assert all(record["lineage"]["from"] == record["parents"][0] for record in told[1:])
    assert max(record["lineage"]["epochs"] for record in told) >= 2


def test_children_that_name_no_parents_are_told_at_once(tmp_path):
    class Nameless(Twelve):
        def generate(self, n=None):
            return [Individual(DIGITS.random(random.Random(len(self.best or ()))))]

    settings = {"epochs": 1, "final.epochs": 1, "filters": (4, 8)}
    found = evonas.search("genet", "digits", strategy=Nameless, inherit=True, budget=3, settings=settings, workers=1,
                          out=tmp_path / "run", progress=False)  # fmt: skip
    warnings = [record.get("warning") for record in found.records() if record["phase"] == "search"]
    assert warnings[0] is None
    assert "names no parents" in warnings[1]
    with pytest.raises(evonas.UserError, match="nobody ever has children"):
        evonas.search("genet", "digits", strategy="random", inherit=True, out=tmp_path / "other")
