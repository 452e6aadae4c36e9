"""The order by size, by hand."""

import pytest

from evonas.errors import UserError
from evonas.evaluation import Decoder
from evonas.evaluation.limits import Guard, Limits
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.nasbench_graph import NASBenchGraphSpace
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.individual import Individual, Toolbox
from evonas.operators.by_decision import one_change_toolbox
from evonas.strategies import by_size
from evonas.strategies.by_size import largest_first, smallest_first
from evonas.support.streams import stream

SPACE = NASBenchMacroSpace(stages=(1, 2), channels=4, head=8, input_shape=(3, 8, 8))


def proposed(make, space, seed=0):
    rng = stream(seed, "size")
    strategy = make(one_change_toolbox(space, rng=rng), rng=rng)
    found = []
    while given := strategy.generate(7):
        found += map(tuple, given)
        strategy.update(given)
    return found


def test_every_genome_is_proposed_once_by_multiply_adds_and_parameters():
    upwards, downwards = proposed(smallest_first, SPACE), proposed(largest_first, SPACE)
    assert sorted(upwards) == sorted(downwards) == list(SPACE.genomes())
    sizes = [(graph.multiply_adds, graph.parameters) for graph in map(SPACE.decode, upwards)]
    assert sizes == sorted(sizes)
    assert [(graph.multiply_adds, graph.parameters) for graph in map(SPACE.decode, downwards)] == sizes[::-1]
    assert (upwards[0], downwards[0]) == ((0, 0, 0), (2, 2, 2))


def test_networks_of_equal_size_come_in_the_order_of_the_space_whichever_way():
    space = GeNetSpace(stages=(3,), filters=(2,))
    places = {genome: place for place, genome in enumerate(space.genomes())}
    for found in (proposed(smallest_first, space), proposed(largest_first, space)):
        sizes = [(graph.multiply_adds, graph.parameters) for graph in map(space.decode, found)]
        assert len(set(sizes)) < len(found)
        for first, second, one, other in zip(found, found[1:], sizes, sizes[1:], strict=False):
            assert one != other or places[first] < places[second]


def test_a_large_space_is_represented_by_a_uniform_draw(monkeypatch):
    monkeypatch.setattr(by_size, "MOST", 20)
    found = proposed(smallest_first, SPACE)
    assert 5 < len(found) == len(set(found)) <= 20
    assert found != proposed(smallest_first, SPACE, seed=1)
    assert found == proposed(smallest_first, SPACE)


def test_a_whole_space_is_counted_once_in_a_process(monkeypatch):
    proposed(smallest_first, SPACE)
    monkeypatch.setattr(NASBenchMacroSpace, "decode", None)
    assert len(proposed(largest_first, SPACE)) == 27


def test_spaces_that_have_no_networks_or_no_list_are_refused():
    with pytest.raises(UserError, match="search it on its table"):
        proposed(smallest_first, NASBenchGraphSpace())
    box = Toolbox()
    box.space = LargeScaleSpace()
    with pytest.raises(UserError, match="not sequences of decisions"):
        smallest_first(box, rng=stream(0, "size"))


def test_networks_over_a_limit_are_left_out():
    """The largest first would propose nothing else for thousands of times, and a run gives up before."""
    rng = stream(0, "size")
    box, decoder = one_change_toolbox(SPACE, rng=rng), Decoder(SPACE)
    middle = sorted(decoder.graph(genome).parameters for genome in SPACE.genomes())[13]
    Guard(decoder, Limits(parameters=middle)).decorate(box)
    found = [decoder.graph(tuple(each)).parameters for each in largest_first(box, rng=rng).generate(100)]
    assert 0 < len(found) < 27
    assert max(found) <= middle


def test_genomes_whose_decode_fails_in_any_way_are_left_out(monkeypatch):
    space = NASBenchMacroSpace(stages=(1, 1), channels=4, head=8, input_shape=(3, 8, 8))
    decode = NASBenchMacroSpace.decode
    monkeypatch.setattr(
        NASBenchMacroSpace, "decode", lambda self, genome: decode(self, genome) if genome[0] else [][genome[0]]
    )
    assert [genome[0] for genome in proposed(smallest_first, space)].count(0) == 0


def test_what_a_search_begins_with_comes_first():
    rng = stream(0, "size")
    given = Individual((1, 1, 1))
    strategy = smallest_first(one_change_toolbox(SPACE, rng=rng), rng=rng).begin_with([given])
    assert strategy.generate(1) == [given]
    assert strategy.generate(1) == [Individual((0, 0, 0))]
