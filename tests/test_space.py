import enum
import random
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from random import Random

import numpy as np
import pytest
from deap import tools

from evonas import contract
from evonas.errors import UserError
from evonas.gates import Is
from evonas.genomes.genet import DIGITS, GeNetSpace
from evonas.individual import Individual
from evonas.operators.by_decision import cx_decisions, init_random, mut_decisions
from evonas.space import CodeError, Decision, Open, Pointer, Space


@dataclass(frozen=True)
class Chains(Space):
    """Up to `longest` layers, ended by "end"; after a pooling no further one: options depend on what came before."""

    name = "chains"
    longest: int = 3

    def next(self, prefix):
        if "end" in prefix or len(prefix) == self.longest:
            return None
        pooled = bool(prefix) and prefix[-1] == "pool"
        options = ("conv", "end") if pooled else ("conv", "pool", "end")
        return Decision(f"layer{len(prefix) + 1}", options, (len(prefix), pooled))


ALL = sorted(Chains().genomes())


def test_enumeration_gives_each_legal_genome_once():
    # by hand: c: 8 after conv, p: 4 after pool, e: 1
    assert len(ALL) == len(set(ALL)) == Chains().count()
    assert ("pool", "pool", "end") not in ALL
    assert ("conv", "pool", "end") in ALL
    assert Chains(1).count() == 3
    assert Chains(2).count() == 3 + 2 + 1


def test_random_genomes_are_uniform_although_options_hang_on_the_prefix():
    rng = random.Random(0)
    drawn = Counter(Chains().random(rng) for _ in range(200 * len(ALL)))
    assert set(drawn) == set(ALL)
    assert all(130 < count < 270 for count in drawn.values())  # 200 +- 5 standard deviations


def test_counting_is_fast_where_states_merge():
    assert Chains(200).count() > 10**40
    assert len(Chains(200).random(random.Random(1))) <= 200


def test_counting_asks_once_for_each_option_of_a_state():
    asked = []

    @dataclass(frozen=True)
    class Asked(Chains):
        def next(self, prefix):
            asked.append(prefix)
            return super().next(prefix)

    assert Asked(30).count() == Chains(30).count()
    assert len(asked) == 1 + 3 + 29 * (3 + 2)  # the beginning, its options, and those after conv and after pool


def test_a_genome_is_walked_once_for_all_its_children():
    asked = []

    @dataclass(frozen=True)
    class Asked(Chains):
        def next(self, prefix):
            asked.append(prefix)
            return super().next(prefix)

    space = Asked()
    decisions = space.decisions(["conv", "end"])
    walked = len(asked)
    assert space.decisions(("conv", "end")) == decisions
    assert len(asked) == walked
    completed = space.complete({"layer1": "pool", "layer2": "end"}, Random(0))
    walked = len(asked)
    assert [decision.name for decision in space.decisions(completed)] == ["layer1", "layer2"]
    assert len(asked) == walked


def test_what_is_remembered_of_genomes_is_nobodys_to_change():
    space = Chains()
    space.decisions(("conv", "end")).clear()
    assert len(space.decisions(("conv", "end"))) == 2


def test_few_genomes_are_remembered():
    space = GeNetSpace((6,), (4,))
    for genome in islice(space.genomes(), 3000):
        space.decisions(genome)
    assert len(space._decided) <= 1024


def test_code_round_trip_over_all_genomes():
    assert [Chains().parse(Chains().format(genome)) for genome in ALL] == ALL


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("pool pool end", "token 2 is 'pool'; layer2 takes one of conv, end"),
        ("conv", "ends after 1 tokens; layer2 comes next"),
        ("conv end end", "complete after 2"),
        ("konv end", "token 1 is 'konv'"),
        ("", "ends after 0 tokens"),
    ],
)
def test_an_illegal_code_is_refused_and_the_place_named(code, says):
    with pytest.raises(CodeError, match=says):
        Chains().parse(code)


def test_choices_are_one_for_closed_tokens_and_symbols_for_open_ones():
    space = GeNetSpace((3,), (4,))
    choices = space.choices((1, Open((0, 1)), Open((0,))))
    assert choices["stage1/1-2"] == {0: 0, 1: 1}
    assert choices["stage1/1-3"] == {0: Is("stage1/1-3", 0), 1: Is("stage1/1-3", 1)}
    assert choices["stage1/2-3"] == {0: 1, 1: 0}  # one option left is no question


def test_the_open_genome_opens_every_decision():
    assert GeNetSpace((3,), (4,)).open() == (Open((0, 1)),) * 3


def test_mutation_by_name_stays_legal_and_keeps_later_answers():
    space, rng = Chains(4), random.Random(3)
    kept = 0
    for _ in range(500):
        parent = init_random(space, rng=rng)
        child = Individual(parent)
        (returned,) = mut_decisions(child, space, 0.3, rng=rng)
        assert returned is child
        space.decisions(child)
        kept += child[1:] == parent[1:] and child[0] != parent[0]
    assert kept > 10


def test_mutation_by_name_with_probability_one_changes_every_free_decision():
    space = GeNetSpace()
    individual = Individual(space.parse("1-01/1-01-100"))
    mut_decisions(individual, space, 1.0, rng=random.Random(0))
    assert space.format(individual) == "0-10/0-10-011"
    mut_decisions(individual, space, 0.0, rng=random.Random(0))
    assert space.format(individual) == "0-10/0-10-011"


def test_crossover_by_name_stays_legal_and_takes_from_both():
    space, rng = Chains(4), random.Random(4)
    for _ in range(300):
        first, second = init_random(space, rng=rng), init_random(space, rng=rng)
        cx_decisions(first, second, space, rng=rng)
        space.decisions(first)
        space.decisions(second)
    one, other = Individual(["conv", "conv", "end"]), Individual(["pool", "conv", "end"])
    cx_decisions(one, other, Chains(4), 1.0, rng=rng)
    assert (list(one), list(other)) == (["pool", "conv", "end"], ["conv", "conv", "end"])


def test_random_draws_are_reproducible():
    assert [Chains().random(random.Random(7)) for _ in range(5)] == [Chains().random(random.Random(7))] * 5


def test_an_individual_is_copied_with_its_own_fitness():
    from copy import deepcopy

    parent = Individual((1, 0, 1))
    parent.fitness.values = (0.5,)
    parent.id = 3
    child = deepcopy(parent)
    del child.fitness.values
    child[0] = 0
    assert (list(parent), parent.fitness.values, parent.id) == ([1, 0, 1], (0.5,), 3)
    assert type(child) is Individual
    assert tools.selBest([child, parent], 1) == [parent]  # an invalid fitness is below every other


@dataclass(frozen=True)
class Pointing(Space):
    """Two tokens, of which the second points."""

    name = "pointing"
    at: int = 0
    to: tuple[int | None, ...] = (None, 0)

    def next(self, prefix):
        if len(prefix) == 2:
            return None
        return Decision(
            f"place{len(prefix)}", (0, 1), len(prefix), pointer=Pointer(self.at, self.to) if prefix else None
        )

    def decode(self, genome):
        return GeNetSpace((2,), (4,)).decode((genome[0],))


@pytest.mark.parametrize(("at", "to"), [(1, (None, 0)), (-1, (None, None)), (0, (None, 1)), (0, (-3, 0)), (0, (None,))])
def test_pointers_that_point_at_no_earlier_place_are_refused(at, to):
    contract.check(Pointing(), random.Random(0))
    with pytest.raises(UserError, match=r"place1 at place 1 points by Pointer"):
        contract.check(Pointing(at, to), random.Random(0))


def test_genomes_longer_than_the_stack_are_counted_and_drawn():
    @dataclass(frozen=True)
    class Long(Space):
        name = "long"

        def next(self, prefix):
            return Decision(f"bit{len(prefix)}", (0, 1), len(prefix)) if len(prefix) < 3000 else None

    assert Long().count() == 2**3000
    assert len(Long().random(random.Random(0))) == 3000


def test_counting_a_space_whose_genomes_have_no_end_says_so(monkeypatch):
    @dataclass(frozen=True)
    class Endless(Space):
        name = "endless"

        def next(self, prefix):
            return Decision(f"bit{len(prefix)}", (0, 1), len(prefix))

    monkeypatch.setattr("evonas.sequences.LONGEST", 50)
    for search in (Endless().count, lambda: Endless().random(random.Random(0))):
        with pytest.raises(UserError, match="more than 50 tokens; `next` must return None if it is complete"):
            search()


def test_states_with_one_future_may_lead_to_differently_named_ones():
    @dataclass(frozen=True)
    class Named(Space):
        name = "named"

        def next(self, prefix):
            states = ((), "merged", prefix[:1])  # the second forgets the first token, the third has it again
            return Decision(f"bit{len(prefix)}", (0, 1), states[len(prefix)]) if len(prefix) < 3 else None

    assert Named().count() == 8
    assert len({Named().random(random.Random(seed)) for seed in range(100)}) == 8


# ---- options that a journal or a code does not keep ---------------------------------------------------------------

Level = enum.IntEnum("Level", {"LOW": 1, "HIGH": 2})


@dataclass(frozen=True)
class Free(Space):
    """Two decisions with the same options; every genome is one network."""

    name = "free"
    options: tuple = ()

    def next(self, prefix):
        return Decision(f"layer{len(prefix)}", self.options, len(prefix)) if len(prefix) < 2 else None

    def decode(self, genome):
        self.decisions(genome)
        return DIGITS.decode(DIGITS.parse("1-01/1-01-100"))


@pytest.mark.parametrize("options", [(1, 2), (0.5, 1), ("a", "b", 3), (True, False, None), ("é", "max_pool")])
def test_plain_options_pass_the_check(options):
    space = Free(options)
    contract.check(space, random.Random(0))
    for genome in space.genomes():
        assert space.parse(space.format(genome)) == genome


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (tuple(np.arange(1, 3)), r"option np.int64\(1\) of layer0 is of the type int64, .* such as 1, "),
        (tuple(np.linspace(0, 1, 3)), r"option np.float64\(0.0\) of layer0 is of the type float64, .* such as 0.0, "),
        (tuple(np.array(["a", "b"])), r"option np.str_\('a'\) of layer0 is of the type str_, .* such as 'a', "),
        (tuple(Level), "LOW: 1> of layer0 is of the type Level, .* such as 1, "),
        ((float("nan"), 1.0), "option nan of layer0 is of the type float, or no finite number"),
        (((3, 3), (5, 5)), r"option \(3, 3\) of layer0 is of the type tuple, .* such as '3x3', "),
        (("max pool", "conv"), "option 'max pool' of layer0 is no word .* such as 'max_pool'"),
        (("", "conv"), "option '' of layer0 is no word .* such as 'none'"),
        (("a\x00", "conv"), "of layer0 is no word that a code could hold"),
        ((1, "1"), "option '1' of layer0 is written like 1, another of its options"),
        ((1, True), "option True of layer0 equals 1, another of its options; give each once"),
        (("conv", "conv"), "option 'conv' of layer0 equals 'conv'"),
        (np.arange(1, 3), r"`next` gives Decision\(.*return a Decision with a tuple of options"),
    ],
)
def test_options_that_do_not_come_back_are_refused_by_name(options, says):
    with pytest.raises(UserError, match=says):
        contract.check(Free(options), random.Random(0))


def test_a_notation_that_reads_some_genomes_as_others_is_refused():
    @dataclass(frozen=True)
    class Lossy(Free):
        def format(self, genome):
            return ",".join(genome)

        def parse(self, code):
            return tuple(code.replace("c", "b").split(","))

    with pytest.raises(UserError, match=r"the code '.*' of the genome \('.*\) is read back as .*; mend `format`"):
        contract.check(Lossy(("a", "b", "c")), random.Random(0))


def test_a_state_that_cannot_be_looked_up_is_refused():
    @dataclass(frozen=True)
    class Listed(Free):
        def next(self, prefix):
            return Decision("layer0", (0, 1), list(prefix)) if not prefix else None

    with pytest.raises(UserError, match=r"the state \[\] of layer0 cannot be looked up; give a tuple"):
        contract.check(Listed(), random.Random(0))


def test_a_space_that_says_neither_what_follows_nor_how_it_is_checked_is_refused():
    @dataclass(frozen=True)
    class Silent(Space):
        name = "silent"

    with pytest.raises(UserError, match="silent has no `next`; define it, or a `check`"):
        contract.check(Silent(), random.Random(0))
