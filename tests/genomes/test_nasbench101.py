"""NAS-Bench-101: the official form, widths, counts and keys."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import evonas
from evonas.evaluation.table import read_table
from evonas.genomes.nasbench101 import EDGES, OPERATIONS, OUTPUT, NASBench101Space, vertex_channels
from evonas.network import build, extract
from evonas.space import CodeError, Open
from evonas.support.streams import stream

TABLE = Path(os.environ.get("EVONAS_TABLES", Path(__file__).parents[3] / "shared" / "data")) / "nasbench101_test108.npz"
with_table = pytest.mark.skipif(not TABLE.exists(), reason="the table nasbench101_test108.npz is not here")
SPACE = NASBench101Space()
SMALL = NASBench101Space(channels=8, stacks=1, modules=1, input_shape=(3, 8, 8))
BEST = (  # the cell of the paper's figure 1
    ((0, 1, 1, 1, 0, 1, 0), (0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 0, 1),
     (0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 0)),
    ("input", "conv1x1-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"),
)  # fmt: skip
TEN = [[0, 1, 1, 1, 1, 1, 0], *[[0, 0, 0, 0, 0, 0, 1]] * 5, [0] * 7]


@pytest.fixture(scope="module")
def table():
    with np.load(TABLE) as file:
        return {name: file[name] for name in file}


def cell(table, row):
    """The genome of a row of the table."""
    size = int(table["vertices"][row])
    bits = int(table["edge_bits"][row])
    matrix = [[bits >> (x + y * (y - 1) // 2) & 1 if x < y else 0 for y in range(size)] for x in range(size)]
    return SPACE.genome(matrix, [OPERATIONS[int(op)] for op in table["ops"][row][: size - 2]])


def test_random_genomes_keep_the_official_limits_and_come_back_from_code_and_matrix():
    for seed in range(300):
        genome = SPACE.random(stream(seed, "101"))
        assert sum(genome[: len(EDGES)]) <= 9
        assert SPACE.parse(SPACE.format(genome)) == genome
        matrix, operations = SPACE.matrix(genome)
        again = SPACE.genome(matrix, operations)
        assert SPACE.matrix(again) == (matrix, operations)
        assert SPACE.key(again) == SPACE.key(genome)
        assert SMALL.decode(again).digest() == SMALL.decode(genome).digest()
        assert operations[0] == "input"
        assert operations[-1] == "output"


def test_every_full_prefix_of_a_walk_can_be_completed_by_any_of_its_options():
    for seed in range(2000):  # any legal choice, not the uniform draw, which would hide a dead end
        rng, genome = stream(seed, "walk"), ()
        while (decision := SPACE.next(genome)) is not None:
            genome += (decision.options[-1] if rng.random() < 0.7 else rng.choice(decision.options),)
        assert SPACE.matrix(genome)[0][0].count(1) >= 1


def test_a_full_matrix_comes_back_as_it_was():
    matrix, operations = BEST
    assert SPACE.matrix(SPACE.genome(matrix, operations)) == (matrix, operations)


@pytest.mark.parametrize(
    ("matrix", "operations", "says"),
    [
        ([[0, 1], [1, 0]], [], "not above its diagonal"),
        ([[0, 1], [0, 0]], ["maxpool3x3"], "an operation for each but the first and the last"),
        ([[0, 0], [0, 0]], [], "no path leads from the input"),
        ([[0, 0, 1], [0, 0, 1], [0, 0, 0]], ["conv5x5"], "'conv5x5' is unknown"),  # on no path, and yet
        ([[0, 0.5], [0, 0]], [], "the entry 0.5; use 0 and 1"),
        ([[int(a < b) for b in range(7)] for a in range(7)], ["maxpool3x3"] * 5, "7 vertices and 21 edges .* 7 and 9"),
        ([[int(a + 1 == b) for b in range(8)] for a in range(8)], ["maxpool3x3"] * 6, "8 vertices .* at most 7"),
        (TEN, ["maxpool3x3"] * 5, "and 10 edges on paths .* at most 7 and 9"),
    ],
)
def test_cells_outside_the_space_are_refused(matrix, operations, says):
    with pytest.raises(CodeError, match=says):
        SPACE.genome(matrix, operations)


def test_only_edges_and_vertices_on_paths_count():
    matrix = [[0] * 8 for _ in range(8)]
    matrix[0][1:7], matrix[1][7] = [1] * 6, 1  # eight vertices, of which only one lies on a path
    matrix[2][3:6] = [1] * 3  # ten edges
    chain = SPACE.genome([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["maxpool3x3"])
    assert SPACE.genome(matrix, ["maxpool3x3", *["conv1x1-bn-relu"] * 5]) == chain


def test_a_code_of_ten_edges_is_read_where_some_lead_from_nowhere():
    named = ["maxpool3x3", *["conv3x3-bn-relu"] * 4]
    wide = [[0, 1, 1, 1, 1, 0], *[[0, 0, 0, 0, 0, 1]] * 4, [0] * 6]  # four vertices beside each other
    code = "0-11-110-1000-10000-001111 "  # and vertex 1, which nothing leads to, before two of them
    assert code.count("1") == 10
    assert SPACE.parse(code + " ".join(named)) == SPACE.genome(wide, named[1:])
    with pytest.raises(CodeError, match="10 edges on paths"):
        SPACE.parse("1-10-100-1000-10000-011111 " + " ".join(named))


def test_widths_are_the_official_ones():
    full = np.zeros((7, 7), int)
    for a, b in ((0, 1), (0, 2), (1, 3), (2, 6), (3, 6), (0, 4), (4, 6), (1, 4)):
        full[a, b] = 1
    assert vertex_channels(full.tolist(), (0, 1, 2, 3, 4, OUTPUT), 128) == {2: 43, 3: 43, 4: 42, 1: 43}


def test_an_identity_cell_is_one_projection():
    graph = SMALL.decode(SPACE.genome([[0, 1], [0, 0]], []))
    assert graph.parameters == (3 * 8 * 9 + 16) + (8 * 8 + 16) + 90


def test_networks_equal_the_supernet_of_their_edges_and_open_edges_are_refused():
    images = torch.randn(2, 3, 8, 8)
    for seed in range(5):
        rng = stream(seed, "route")
        genome = SMALL.random(rng)
        while len(SMALL.matrix(genome)[1]) < 4:  # one whose operations matter
            genome = SMALL.random(rng)
        opened = (*genome[: len(EDGES)], *[Open(OPERATIONS)] * (OUTPUT - 1))
        opened_graph = SMALL.decode(opened)
        assert opened_graph.is_open
        supernet = build(opened_graph).eval()
        for _ in range(5):
            drawn = (*genome[: len(EDGES)], *(rng.choice(OPERATIONS) for _ in range(OUTPUT - 1)))
            with torch.inference_mode():
                alone = extract(supernet, SMALL.decode(drawn))
                assert torch.equal(supernet(images, SMALL.route(drawn)), alone(images))
    with pytest.raises(CodeError, match="leave operations open, not edges"):
        SMALL.decode(SMALL.open())


# ---- the table ----------------------------------------------------------------------------------------------------


@with_table
def test_two_thousand_random_cells_have_the_counts_and_the_keys_of_the_table(table):
    rng = stream(0, "rows")
    for row in rng.sample(range(len(table["key"])), 2000):
        genome = cell(table, row)
        assert SPACE.decode(genome).parameters == table["params"][row]
        assert SPACE.key(genome) == f"{int(table['key'][row]):016x}"


def reordered(genome, rng):
    """The same cell with its vertices in another order that the edges allow."""
    matrix, operations = SPACE.matrix(genome)
    size, order = len(matrix), [0]
    while len(order) < size:
        order.append(rng.choice([v for v in range(size) if v not in order
                                 and all(u in order for u in range(size) if matrix[u][v])]))  # fmt: skip
    return SPACE.genome([[matrix[a][b] for b in order] for a in order], [operations[v] for v in order])


def digests_by_key(table, count):
    """key -> digests, and digest -> keys, of random cells of the table, each in two orders of its vertices."""
    by_key, by_digest = defaultdict(set), defaultdict(set)
    rng = stream(0, "digests")
    for row in rng.sample(range(len(table["key"])), count):
        for genome in (cell(table, row), reordered(cell(table, row), rng)):
            key, digest = SMALL.key(genome), SMALL.decode(genome).digest()
            assert int(key, 16) == table["key"][row]
            by_key[key].add(digest)
            by_digest[digest].add(key)
    return by_key, by_digest


@with_table
@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_equal_digests_mean_equal_keys(table, count):
    by_key, by_digest = digests_by_key(table, count)
    assert len(by_key) == count
    assert all(len(keys) == 1 for keys in by_digest.values())
    several = [key for key, digests in by_key.items() if len(digests) > 1]
    assert 0 < len(several) < count / 2  # the next test says why there are any


def test_one_key_has_two_digests_where_the_order_of_vertices_decides_the_widths():
    def of(*operations):  # three ends share 8 channels: 3, 3, 2; the last of them gets 2
        edges = ((0, 1), (0, 2), (0, 3), (1, 6), (2, 6), (3, 6))
        bits = tuple(int(edge in edges) for edge in EDGES)
        return (*bits, *operations, *OPERATIONS[:1] * 2)

    one, other = of("maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu"), of(*OPERATIONS)
    assert SMALL.key(one) == SMALL.key(other)
    assert SMALL.decode(one).digest() != SMALL.decode(other).digest()
    even = NASBench101Space(channels=9, stacks=1, modules=1, input_shape=(3, 8, 8))
    assert even.decode(one).digest() == even.decode(other).digest()


@with_table
def test_searches_on_the_table_find_cells_as_good_as_random_ones_should_be(tmp_path):
    table = read_table("nasbench101", TABLE)
    assert round(table.best_test, 2) == 94.32
    found = evonas.compare(
        "nasbench101", table=TABLE, strategies="random,aging:population=20,sample=10", seeds=10, budget=200, workers=1,
        out=tmp_path,
    )  # fmt: skip
    shown = found.to_json()["strategies"]
    assert shown["aging:population=20,sample=10"]["mean"] > shown["random"]["mean"] > 93
