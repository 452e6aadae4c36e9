"""PNAS's growing cells against the counts of the paper, and published cells."""

import pytest

from evonas.errors import UserError
from evonas.genomes.genotype import published
from evonas.genomes.growing import END
from evonas.genomes.pnas import PNASSpace
from evonas.space import CodeError
from evonas.support.streams import stream

SPACE = PNASSpace(normals=1, channels=8)
SMALL = PNASSpace(normals=1, channels=4, operations=("skip_connect", "max_pool_3x3"))
ONE = (0, "skip_connect", 1, "sep_conv_3x3", END)


def test_there_are_136_cells_of_one_block():
    """16 * 17 / 2 unordered pairs of (input, operation), of 256 ordered ones."""
    cells = list(SPACE.larger(()))
    assert len(cells) == len(set(cells)) == len({SPACE.key(cell) for cell in cells}) == 136
    assert all(SPACE.size(cell) == 1 for cell in cells)


def test_a_cell_has_300_528_820_and_1176_larger_ones():
    """(s O) (s O + 1) / 2 with s states to read and O = 8 operations."""
    genome = ONE
    for number in (300, 528, 820, 1176):
        larger = list(SPACE.larger(genome))
        assert len(larger) == len(set(larger)) == number
        genome = larger[-1]
        SPACE.decisions(genome)
    assert list(SPACE.larger(genome)) == []


def test_the_count_is_that_of_all_sizes():
    assert PNASSpace(blocks=1).count() == 136
    assert PNASSpace(blocks=2).count() == 136 + 136 * 300
    assert PNASSpace().count() == 136 * (1 + 300 * (1 + 528 * (1 + 820 * (1 + 1176))))


def test_all_genomes_grow_from_the_smallest():
    found = [cell for one in SMALL.larger(()) for cell in (one, *SMALL.larger(one))]
    two = PNASSpace(normals=1, channels=4, operations=SMALL.operations, blocks=2)
    assert {cell[:-1] if cell[-1] == END else cell for cell in found} == {
        cell[:-1] if cell[-1] == END else cell for cell in two.genomes()
    }


def test_blocks_in_another_order_have_one_key_and_one_network():
    first = (0, "skip_connect", 1, "sep_conv_3x3", 0, "max_pool_3x3", 0, "max_pool_3x3", END)
    other = (*first[4:8], *first[:4], END)
    assert first != other
    assert SPACE.key(first) == SPACE.key(other)
    assert SPACE.decode(first).digest() == SPACE.decode(other).digest()
    chain = (*first[:4], 2, "max_pool_3x3", 2, "max_pool_3x3", END)
    assert SPACE.key(chain) != SPACE.key(first)


def test_keys_tell_random_cells_apart_as_graphs_do():
    rng = stream(0, "cells")
    cells = [SMALL.complete({}, rng) for _ in range(150)]
    by_key, by_digest = {}, {}
    for cell in cells:
        by_key.setdefault(SMALL.key(cell), set()).add(SMALL.decode(cell).digest())
        by_digest.setdefault(SMALL.decode(cell).digest(), []).append(SMALL.key(cell))
    assert all(len(digests) == 1 for digests in by_key.values())
    assert len(by_key) < len(cells)  # some of them met twice


def test_a_genome_is_read_back_from_its_code():
    rng = stream(0, "cells")
    for _ in range(50):
        genome = SPACE.complete({}, rng)
        assert SPACE.parse(SPACE.format(genome)) == genome


def test_pnasnet_5_decodes_to_the_width_of_five_blocks():
    graph = PNASSpace(normals=4, channels=216).read("PNASNet-5")[1]
    assert list(graph.shapes.values())[-2][0] == 216 * 4 * 5


def test_pnasnet_5_lies_outside_the_space_since_it_concatenates_what_it_uses():
    with pytest.raises(CodeError, match="does not concatenate exactly what no block takes"):
        SPACE.genome(published()["PNASNet-5"].genotype)


def test_units_are_the_blocks_of_the_paper():
    assert SPACE.units(ONE) == [
        (("input", 0), ("input", 1), ("operation", "skip_connect"), ("operation", "sep_conv_3x3"))
    ]


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"blocks": 6}, "blocks is 6; use 1 to 5"), ({"reduction": "cell"}, "reduction is stride")],
)
def test_fields_out_of_range_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        PNASSpace(**settings)
