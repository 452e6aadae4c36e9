"""DARTS cells whose edges have sets of operations: limits, codes, published cells of DATA, variation."""

from dataclasses import replace
from math import comb

import pytest

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.darts_cells import OPERATIONS, members
from evonas.genomes.darts_sets import OFFERED, DARTSSetsSpace, sets
from evonas.genomes.genotype import published
from evonas.individual import Individual
from evonas.operators.by_decision import cx_decisions, mut_decisions, neighbours
from evonas.space import CodeError, Open
from evonas.support.streams import stream

SMALL = DARTSSetsSpace(3, 4, input_shape=(1, 8, 8))
LARGE = {"layers": 14, "channels": 48, "stem": "imagenet", "input_shape": (3, 224, 224), "outputs": 1000}


def sizes(space, genome):
    """The number of operations that lead into each node."""
    genotype = space.genotype(genome)
    return [sum(op != "none" for op, _ in node) for node in genotype.normal + genotype.reduce]


@pytest.mark.parametrize(
    ("name", "pairs", "fields", "count"),
    [
        ("DATA_M7", 7, {"layers": 20, "channels": 36}, 3_410_038),
        ("DATA_M4", 4, {"layers": 20, "channels": 36}, 3_894_094),
        ("DATA_M7", 7, LARGE, 5_035_648),
        ("DATA_M4", 4, LARGE, 5_474_176),
    ],
)
def test_the_released_cells_have_their_exact_counts(name, pairs, fields, count):
    space = DARTSSetsSpace(pairs=pairs, **fields)
    genome = space.parse(name)
    assert space.decode(genome).parameters == count
    assert {frozenset(node) for node in space.genotype(genome).normal} == {
        frozenset(node) for node in published()[name].genotype.normal
    }


def test_the_cell_of_seven_samples_is_not_of_the_space_of_four():
    with pytest.raises(CodeError, match=r"reduce/4<-\d takes one of"):
        DARTSSetsSpace(pairs=4).parse("DATA_M7")


def test_sets_are_counted_once_each():
    assert len(sets(0, 7)) == len(set(sets(0, 7))) == 2**7
    assert [len(sets(0, most)) for most in (1, 2, 4)] == [8, 29, 99]
    assert len(sets(2, 2)) == comb(7, 2)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"pairs": 1}, (14 * 21 * 28 * 35) ** 2),
        ({"pairs": 2, "exact": True}, (comb(14, 2) * comb(21, 2) * comb(28, 2) * comb(35, 2)) ** 2),
        ({"pairs": 3}, 1),
    ],
)
def test_the_space_has_its_size(fields, count):
    space = replace(SMALL, **fields)
    if space.pairs == 3:
        count = 1
        for ways in (14, 21, 28, 35):
            count *= sum(comb(ways, n) for n in (1, 2, 3)) ** 2
    assert space.count() == count


@pytest.mark.parametrize("fields", [{}, {"pairs": 1}, {"pairs": 2, "exact": True}, {"pairs": 9, "exact": True}])
def test_random_genomes_and_their_children_keep_the_limits_and_come_back_from_their_codes(fields):
    space, rng = replace(SMALL, **fields), stream(0, "sets")
    legal = {space.pairs} if space.exact else set(range(1, space.pairs + 1))
    parents = [Individual(space.random(rng)) for _ in range(20)]
    children = [list(each) for each in parents]
    for one, other in zip(parents[::2], parents[1::2], strict=True):
        cx_decisions(one, other, space, rng=rng)
        mut_decisions(one, space, 0.2, rng=rng)
    for genome in (*children, *parents, *neighbours(parents[0], space, rng=rng)[:20]):
        assert set(sizes(space, genome)) <= legal
        assert space.parse(space.format(genome)) == tuple(genome)
        assert space.genome(space.genotype(genome)) == tuple(genome)
    assert [list(each) for each in parents] != children


def test_a_genome_and_its_genotype_mean_the_same_network():
    for seed in range(20):
        genome = SMALL.random(stream(seed, "sets"))
        assert SMALL.decode(genome).digest() == SMALL.decode_genotype(SMALL.genotype(genome)).digest()


def test_a_genome_with_two_edges_a_node_is_the_network_of_the_space_of_darts():
    both = replace(SMALL, pairs=2, exact=True)
    for seed in range(20):
        darts = DARTSSpace(3, 4, input_shape=(1, 8, 8))
        code = darts.format(darts.random(stream(seed, "darts")))
        assert both.decode(both.parse(code)) == darts.decode(darts.parse(code))


def test_the_supernet_weighs_all_eight_operations_on_every_edge():
    space = replace(SMALL, search=True)
    assert [token.options for token in space.open()] == [OPERATIONS] * 28
    graph = space.decode(space.open())
    darts = DARTSSpace(3, 4, search=True, input_shape=(1, 8, 8))
    assert graph == darts.decode(darts.open())


def test_an_edge_can_be_narrowed_or_closed_beside_open_ones():
    space = replace(SMALL, search=True)
    genome = (Open(("none", "skip_connect")), "none", *space.open()[2:])
    gates = space.choices(genome)
    assert {op for op, gate in gates["normal/2<-0"].items() if gate != 0} == {"none", "skip_connect"}
    assert gates["normal/2<-1"] == {op: int(op == "none") for op in OPERATIONS}
    space.decode(genome)


def test_each_node_keeps_the_largest_weights_whatever_their_edges():
    space = replace(SMALL, pairs=2, exact=True)
    draws = stream(0, "weights")
    weights = {name: dict.fromkeys(OPERATIONS, 0.0) for name in space.answers(space.random(draws))}
    for of in weights.values():
        of["none"] = 9.0  # counts nowhere
        of.update({op: draws.random() for op in OFFERED})
    weights["normal/4<-2"] |= {"skip_connect": 3.0, "sep_conv_5x5": 2.0}
    genome = dict(zip(weights, space.likeliest(weights), strict=True))
    assert genome["normal/4<-2"] == "skip_connect+sep_conv_5x5"  # two operations between the same states,
    assert [genome[f"normal/4<-{source}"] for source in (0, 1, 3)] == ["none"] * 3  # and the others are not linked
    assert all(len(members(token)) <= 2 for token in genome.values())


def test_weights_made_of_a_genome_derive_it():
    space = replace(SMALL, pairs=3, exact=True)
    for seed in range(20):
        answers = space.answers(space.random(stream(seed, "round trip")))
        weights = {name: {op: 0.9 if op in members(token) else 0.01 for op in OPERATIONS}
                   for name, token in answers.items()}  # fmt: skip
        assert space.likeliest(weights) == tuple(answers.values())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("normal 0:skip_connect 0:skip_connect | 0:none | 0:none | 0:none reduce 0:none | 0:none | 0:none | 0:none",
         "same operation of one input twice"),
        ("NASNet-A", "does not consist of nodes 2, 3, 4, 5"),
        ("normal 0:sep_conv_7x7 | 0:none | 0:none | 0:none reduce 0:none | 0:none | 0:none | 0:none",
         "'sep_conv_7x7' in the normal cell is no operation of this space"),
    ],
)  # fmt: skip
def test_codes_outside_the_space_are_refused(code, says):
    with pytest.raises(CodeError, match=says):
        SMALL.parse(code)


@pytest.mark.parametrize("pairs", [0, 15])
def test_numbers_that_no_node_can_have_are_refused(pairs):
    with pytest.raises(UserError, match=f"pairs is {pairs}; use 1 to 14"):
        replace(SMALL, pairs=pairs)
