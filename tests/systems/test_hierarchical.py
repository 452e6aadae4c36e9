"""Hierarchical cells, their mutation, and tournaments in a population that grows."""

import math
from collections import Counter

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.hierarchical import HIERARCHY, NONE, PRIMITIVES, HierarchicalSpace, motif
from evonas.graph import INPUT, Draft, Graph
from evonas.individual import Individual
from evonas.network import build
from evonas.operations import BatchNorm, Convolution
from evonas.operators.hierarchical import init_mutated, mut_hierarchical, toolbox
from evonas.space import CodeError
from evonas.strategies.growing_tournament import GrowingTournament
from evonas.support.streams import stream
from evonas.systems.registry import setup, system

SPACE = HierarchicalSpace(channels=4, input_shape=(3, 8, 8))
FLAT = HierarchicalSpace(channels=4, flat=True, input_shape=(3, 8, 8))
PLACES = SPACE.places


def changed(before, after):
    return [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]


def symbols(**carried):
    """The symbols of a motif of level 2, from e12="conv_1x1" for the edge from 1 to 2."""
    return [carried.get(f"e{a}{b}", NONE) for a, b in HIERARCHY[2].edges]


def test_a_genome_has_46_symbols_of_seven_values():
    assert len(PLACES) == 46
    assert HierarchicalSpace().count() == 7**46


def test_genomes_come_back_from_their_code():
    for seed in range(200):
        genome = SPACE.random(stream(seed, "hierarchical"))
        assert SPACE.parse(SPACE.format(genome)) == genome
    assert SPACE.format(SPACE.trivial()) == " ".join(["1-01-001"] * 6 + ["1-01-001-0001"])
    with pytest.raises(CodeError, match="give 46 digits of 0 to 6"):
        SPACE.parse("1-01-007")


def test_the_trivial_genome_is_the_identity_but_for_the_1x1_convolutions():
    graph = SPACE.decode(SPACE.trivial())
    assert all(len(node.inputs) == 1 for node in graph.nodes)
    end = next(n for n, node in enumerate(graph.nodes) if node.name == "stage1/separable1")
    cell = Graph(graph.input_shape, graph.nodes[:end])
    network, images = build(cell).eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        for name, module in network.named_modules():
            if name.startswith("stage1") and name.endswith("output.conv"):
                module.weight.copy_(torch.eye(4).view(4, 4, 1, 1))
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
        stem = build(Graph(graph.input_shape, graph.nodes[:1])).eval()
        stem.load_state_dict({name: value for name, value in network.state_dict().items() if name.startswith("stem")})
        stem.stem.batch_norm.eps = 0.0
        assert torch.allclose(network(images), stem(images), atol=1e-6)


def test_a_motif_of_two_edges_is_a_chain_of_two_convolutions_and_ignores_the_third_node():
    draft = Draft((8, 4, 4))
    assert motif(draft, "m", INPUT, 8, symbols(e12="conv_1x1", e24="conv_1x1")) == "m/output"
    graph = draft.graph().simplified()
    assert [node.name for node in graph.nodes] == ["m/1-2/conv_1x1", "m/2-4/conv_1x1", "m/output"]


def test_a_motif_without_a_path_gives_nothing_and_a_cell_of_such_motifs_is_refused():
    draft = Draft((8, 4, 4))
    assert motif(draft, "m", INPUT, 8, symbols(e12="conv_1x1", e13="identity")) is None
    empty = tuple(NONE if level == 2 else 1 for level, _, _ in PLACES)
    with pytest.raises(CodeError, match="no path leads from the input of the cell"):
        SPACE.decode(empty)
    with pytest.raises(CodeError, match="this space has no supernet"):
        SPACE.decode(SPACE.open())


def test_widths_grow_by_concatenation_and_come_back():
    draft = Draft((8, 4, 4))
    wide = draft.node("wide", [INPUT], Convolution(16, 1), BatchNorm())
    assert draft.shape(draft.node("both", [INPUT, wide], combine="concat"))[0] == 24
    carried = symbols(e12="identity", e13="separable_3x3", e23="conv_1x1", e14="max_pool_3x3", e34="identity")
    output = motif(draft, "m", INPUT, 8, carried)
    assert draft.shape("m/node3") == (16, 4, 4)
    assert draft.shape("m/node4") == (24, 4, 4)
    assert draft.shape(output) == (8, 4, 4)


def test_one_entry_of_a_motif_changes_every_place_where_it_is_used_and_only_those():
    genome = list(SPACE.trivial())
    for place, (level, _, edge) in enumerate(PLACES):
        if level == 3:
            genome[place] = {(1, 2): 3, (2, 3): 5, (3, 4): 3, (4, 5): 6}.get(edge, NONE)
    before = {node.name: node for node in SPACE.decode(genome).nodes}
    genome[PLACES.index((2, 3, (1, 2)))] = "separable_3x3"
    after = {node.name: node for node in SPACE.decode(genome).nodes}
    gone, new = set(before) - set(after), set(after) - set(before)
    uses = {f"stage{stage}/cell1/{edge}/motif3" for stage in (1, 2, 3) for edge in ("1-2", "3-4")}
    assert gone == {f"{use}/1-2/identity" for use in uses}
    assert new == {f"{use}/1-2/separable_3x3" for use in uses}
    for use in uses:
        del after[f"{use}/node2"], before[f"{use}/node2"]
    assert all(after[name] == before[name] for name in set(after) & set(before))


def test_every_primitive_builds_and_two_cells_a_stage_stand_apart():
    for primitive in PRIMITIVES:
        genome = tuple(primitive if token == "identity" else token for token in SPACE.trivial())
        assert build(SPACE.decode(genome))(torch.randn(2, 3, 8, 8)).shape == (2, 10)
    shapes = HierarchicalSpace(channels=4, cells=2, input_shape=(3, 8, 8)).decode(SPACE.trivial()).shapes
    found = [shape for name, shape in shapes.items() if "/separable" in name]
    assert found == [(4, 8, 8), (8, 4, 4), (8, 4, 4), (16, 2, 2), (16, 2, 2), (16, 2, 2)]


def test_mutation_changes_at_most_one_symbol_and_reaches_all_as_often_as_its_draws_say():
    rng, individual, seen, n = stream(0, "mutation"), Individual(SPACE.trivial()), Counter(), 20_000
    for _ in range(n):
        before = tuple(individual)
        assert mut_hierarchical(individual, SPACE, rng=rng) == (individual,)
        places = changed(before, individual)
        assert len(places) <= 1
        seen.update(places)
        SPACE.decisions(individual)
    assert len(seen) == 46
    top = sum(count for place, count in seen.items() if PLACES[place][0] == 3)
    assert top / seen.total() == pytest.approx(0.5, abs=0.02)  # a level, uniformly
    assert seen.total() / n == pytest.approx(6 / 7, abs=0.02)  # the old symbol may come again
    ends = sum(count for place, count in seen.items() if PLACES[place][0] == 3 and PLACES[place][2][1] == 2)
    assert ends / top == pytest.approx(1 / 4, abs=0.02)  # a node, then a predecessor of it


def test_the_flat_space_is_one_motif_of_eleven_nodes_of_primitives():
    assert FLAT.count() == 7**55
    assert FLAT.format(FLAT.trivial()) == "1-01-001-0001-00001-000001-0000001-00000001-000000001-0000000001"
    assert FLAT.parse(FLAT.format(FLAT.trivial())) == FLAT.trivial()
    assert FLAT.parse(FLAT.format(FLAT.trivial()).replace("-", "")) == FLAT.trivial()
    with pytest.raises(CodeError, match="divides its digits in another way"):
        FLAT.parse(FLAT.format(FLAT.trivial()).replace("1-01-", "10-1-", 1))
    rng, individual, seen = stream(0, "flat"), Individual(FLAT.trivial()), set()
    for _ in range(5000):
        before = tuple(individual)
        mut_hierarchical(individual, FLAT, rng=rng)
        seen.update(changed(before, individual))
    assert seen == set(range(55))
    genome = list(FLAT.trivial())
    genome[FLAT.places.index((2, 1, (1, 2)))] = "conv_1x1"
    genome[FLAT.places.index((2, 1, (1, 11)))] = "identity"
    shapes = FLAT.decode(genome).shapes
    assert shapes["stage1/cell1/node11"] == (8, 8, 8)  # the input, and the end of the chain
    assert shapes["stage1/cell1/output"] == (4, 8, 8)
    assert build(FLAT.decode(genome))(torch.randn(2, 3, 8, 8)).shape == (2, 10)
    with pytest.raises(CodeError, match="no path leads"):
        FLAT.decode((NONE,) * 55)


def test_individuals_begin_far_from_the_trivial_genome_and_most_have_a_network():
    decoded = 0
    for seed in range(200):
        individual = init_mutated(SPACE, rng=stream(seed, "first"))
        assert len(changed(SPACE.trivial(), individual)) > 20
        try:
            SPACE.decode(individual)
            decoded += 1
        except CodeError:
            pass
    assert decoded > 180


def test_the_population_and_the_tournament_grow():
    rng = stream(0, "growing")
    strategy = GrowingTournament(toolbox(SPACE, rng=rng, mutations=10), rng=rng)
    for step in range(260):
        (individual,) = strategy.generate(1)
        individual.id = step
        individual.fitness.values = (individual.count(NONE) / 46,)
        strategy.update([individual])
        if step >= 200:
            assert len(strategy.population) == step + 1
            assert strategy.tournament == math.ceil((step + 1) / 20)
    assert strategy.population[-1].operator == "mut_hierarchical"
    assert (
        sum(i.fitness.values[0] for i in strategy.population[200:]) / 60
        > sum(i.fitness.values[0] for i in strategy.population[:200]) / 200
    )


def test_a_share_out_of_range_is_refused():
    with pytest.raises(UserError, match="use more than 0, and at most 1"):
        GrowingTournament(toolbox(SPACE, rng=stream(0, "x")), rng=stream(0, "x"), share=0)


def test_the_paper_preset_is_the_published_search():
    paper = setup(system("hierarchical"), "cifar10")
    known = paper.settings()
    assert [known[f"strategy.{name}"] for name in ("population", "evaluations", "share")] == [200, 7000, 0.05]
    assert (paper.search.trainings, paper.search.batch_size, paper.final.trainings) == (4, 256, 1)
