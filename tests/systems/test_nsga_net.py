"""NSGA-Net's macro genome, its operators, and the ranking that it uses."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from deap import tools

from evonas.errors import UserError
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.nsga_net import NSGANetSpace
from evonas.individual import Fitness, Individual
from evonas.network import build
from evonas.operators.nsga_net import cx_two_point, mut_polynomial_bits
from evonas.space import CodeError
from evonas.support.streams import stream
from evonas.systems.registry import setup, system

SPACE = NSGANetSpace()
SMALL = NSGANetSpace(channels=4, input_shape=(3, 8, 8))


def names(code, space=SMALL):
    return [node.name for node in space.read(code)[1].nodes]


def test_genomes_have_the_published_lengths():
    assert len(SPACE.random(stream(0, "nsga"))) == 21
    assert len(NSGANetSpace(phases=(6, 6, 6)).random(stream(0, "nsga"))) == 48


def test_genomes_come_back_from_their_code_and_build():
    images = torch.randn(2, 3, 8, 8)
    for seed in range(100):
        genome = SMALL.random(stream(seed, "nsga"))
        assert SMALL.parse(SMALL.format(genome)) == genome
        assert build(SMALL.decode(genome))(images).shape == (2, 10)


@pytest.mark.parametrize("stage", ["1-01-100", "1-00-111", "0-00-100", "1-11-111", "0-10-001"])
def test_without_skip_bits_a_phase_has_the_nodes_and_repairs_of_genet(stage):
    genet = GeNetSpace((4,), (4,), input_shape=(3, 8, 8)).read(stage)[1]
    ours = NSGANetSpace((4,), 4, input_shape=(3, 8, 8)).read(f"{stage}-0")[1]

    def wired(graph, prefix, entry, ends):
        """node -> the ordinary nodes that feed it; 0 for the phase's input."""
        nodes = {node.name: node for node in graph.nodes}

        def ordinary(name):
            if name.startswith(f"{prefix}/node"):
                return {int(name[-1])}
            return {0} if name == entry else {s for e in nodes[name].inputs for s in ordinary(e.source)}

        found = {name: {s for e in node.inputs for s in ordinary(e.source)} for name, node in nodes.items()
                 if name.startswith(f"{prefix}/node") or name == ends}  # fmt: skip
        return {name.rpartition("/")[2]: sources for name, sources in found.items()}

    assert wired(ours, "phase1", "phase1/input", "phase1/output") == wired(
        genet, "stage1", "stage1/input", "stage1/output"
    )


def test_several_inputs_are_concatenated_and_brought_back_to_the_width():
    graph = NSGANetSpace((3,), 4, input_shape=(3, 8, 8)).read("1-11-0")[1]
    node = next(node for node in graph.nodes if node.name == "phase1/3-inputs")
    assert (node.combine, len(node.inputs), graph.shapes[node.name]) == ("concat", 2, (4, 8, 8))
    convolution = 3 * 4 * 9 + 3 * (4 * 4 * 9 + 8) + 8 * 4 + 8 + 50
    assert graph.parameters == convolution


def test_the_skip_bit_makes_the_input_a_member_of_the_output():
    graph = NSGANetSpace((2,), 4, input_shape=(3, 8, 8)).read("1-1")[1]
    merged = next(node for node in graph.nodes if node.name == "phase1/merged")
    assert [edge.source for edge in merged.inputs] == ["phase1/input", "phase1/node2"]


def test_phases_without_an_edge_are_left_out_and_widths_follow_those_that_are_left():
    code = "0-00-000-1/1-00-000-0/1-00-000-0"
    assert not any(name.startswith("phase1") for name in names(code))
    shapes = SMALL.read(code)[1].shapes
    assert (shapes["phase2/output"], shapes["phase3/output"]) == ((4, 8, 8), (8, 4, 4))
    assert names("0-00-000-1/0-00-000-1/0-00-000-0") == ["classifier"]


@pytest.mark.parametrize("code", ["1-01-100-0", "1-01-100/1-01-100/1-01-100", "2-01-100-0/1-01-100-0/1-01-100-0"])
def test_codes_of_another_form_are_refused(code):
    with pytest.raises(CodeError, match="one looks like 0-00-000-0/0-00-000-0/0-00-000-0"):
        SPACE.parse(code)


def test_open_tokens_and_impossible_networks_are_refused():
    with pytest.raises(CodeError, match="this space has no supernet"):
        SPACE.decode(SPACE.open())
    with pytest.raises(UserError, match="each phase at least 2 nodes"):
        NSGANetSpace(phases=(1, 4))


def test_two_point_crossover_exchanges_one_run_of_bits():
    for seed in range(200):
        rng = stream(seed, "cross")
        first, second = Individual([0] * 21), Individual([1] * 21)
        assert cx_two_point(first, second, rng=rng) == (first, second)
        assert [a + b for a, b in zip(first, second, strict=True)] == [1] * 21
        assert sum(first) >= 1
        assert sum(a != b for a, b in pairwise([0, *first, 0])) == 2


def test_polynomial_mutation_flips_a_bit_as_often_as_its_distribution_says():
    # a step of at least a quarter of the range: 2s + (1 - 2s) 0.25^4 = 0.75^4 has s = 0.1568
    rng, flips, n = stream(0, "mutation"), Counter(), 20_000
    for _ in range(n):
        individual = Individual([0, 1])
        assert mut_polynomial_bits(individual, indpb=1.0, rng=rng) == (individual,)
        flips["up"] += individual[0]
        flips["down"] += 1 - individual[1]
    assert flips["up"] / n == pytest.approx(0.157, abs=0.01)
    assert flips["down"] / n == pytest.approx(0.157, abs=0.01)


def test_fronts_and_crowding_are_those_of_the_sheet():
    individuals = [Individual([0]) for _ in range(5)]
    for individual, values in zip(individuals, [(1, 5), (2, 3), (4, 1), (3, 4), (5, 5)], strict=True):
        individual.fitness = Fitness(weights=(-1.0, -1.0))
        individual.fitness.values = values
    fronts = tools.sortNondominated(individuals, 5)
    assert [[i.fitness.values for i in front] for front in fronts] == [
        [(1, 5), (2, 3), (4, 1)], [(3, 4)], [(5, 5)],
    ]  # fmt: skip
    tools.emo.assignCrowdingDist(fronts[0])
    assert [i.fitness.crowding_dist for i in fronts[0]] == [float("inf"), 1.0, float("inf")]
    assert {i.fitness.values for i in tools.selNSGA2(individuals, 3, nd="log")} == {(1, 5), (2, 3), (4, 1)}


def test_the_paper_preset_is_the_published_search():
    paper, rng = setup(system("nsga-net"), "cifar10"), stream(0, "paper")
    strategy = paper.strategy.strategy(paper.strategy.tools(paper.space, rng), rng)
    assert (strategy.size, strategy.evaluations) == (40, 1200)
    assert (paper.search.epochs, paper.search.learning_rate, paper.search.clip_norm) == (25, 0.025, 5)
