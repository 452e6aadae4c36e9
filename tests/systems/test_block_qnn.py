"""Block-QNN's codes, and the terms of its reward, as printed or worked by hand."""

import math
import random
from dataclasses import replace

import pytest
import torch

from evonas import contract
from evonas.errors import UserError
from evonas.genomes.block_qnn import BlockQNNSpace
from evonas.individual import Individual
from evonas.network import build
from evonas.space import CodeError, Open
from evonas.strategies.rewards import accuracy, cube, lean_block, product

SPACE = BlockQNNSpace(blocks=1, channels=4)
RESIDUAL = "(1,4,0,0,0)(2,1,3,1,0)(3,1,3,2,0)(4,5,0,1,3)(5,7,0,0,0)"
INCEPTION = (
    "(1,4,0,0,0)(2,1,1,1,0)(3,1,3,2,0)(4,1,1,1,0)(5,1,5,4,0)(6,6,0,3,5)(7,2,3,1,0)(8,1,1,7,0)(9,6,0,6,8)(10,7,0,0,0)"
)


def inputs(code, space=SPACE):
    """layer -> the layers that it takes, in the first block; `output` too."""
    graph, block = space.decode(space.parse(code)), "stage1/block1/"
    nodes = {node.name.removeprefix(block): node for node in graph.nodes if node.name.startswith(block)}
    return {
        name: [str(each.source).removeprefix(block) for each in node.inputs] for name, node in nodes.items()
    }  # fmt: skip


def test_the_residual_block_of_the_paper():
    found = inputs(RESIDUAL)
    assert found["layer1"] == ["stem"]
    assert found["layer3"] == ["layer2"]
    assert found["layer4"] == ["layer1", "layer3"]
    assert found["output"] == ["layer4"]


def test_the_inception_block_of_the_paper_ends_in_its_last_layer_alone():
    found = inputs(INCEPTION)
    assert found["layer9"] == ["layer6", "layer8"]
    assert found["output"] == ["layer9"]


def test_layers_that_take_the_input():
    space = replace(SPACE, from_input=True)
    found = inputs("(1,1,3,0,0)(2,1,1,0,0)(3,5,0,1,2)(4,7,0,0,0)", space)
    assert found["layer3"] == ["layer1", "layer2"]
    assert found["output"] == ["layer3"]
    assert inputs("(1,1,3,0,0)(2,4,0,0,0)(3,7,0,0,0)", space)["output"] == ["layer1", "layer2"]
    with pytest.raises(CodeError, match="token 2"):
        SPACE.parse("(1,1,3,0,0)(2,1,1,0,0)(3,7,0,0,0)")


def test_predecessors_come_earlier_and_sums_take_two_different_ones():
    rng = random.Random(0)
    for _ in range(200):
        genome = SPACE.complete({}, rng)
        assert SPACE.parse(SPACE.format(genome)) == genome
        for token in genome:
            number, kind, _, first, second = map(int, token.strip("()").split(","))
            assert number == 1 or kind == 7 or 0 < first < number
            assert (0 < first < second < number) if kind in (5, 6) else second == 0
    assert len(genome) <= SPACE.longest


def test_every_block_can_be_trained_and_blocks_are_stacked_over_three_stages():
    space, rng = BlockQNNSpace(longest=6, blocks=2, channels=2, input_shape=(1, 8, 8)), random.Random(1)
    contract.check(space, random.Random(2))
    for _ in range(15):
        graph = space.decode(space.complete({}, rng))
        assert sum(node.name.endswith("/output") for node in graph.nodes) == 6
        assert build(graph)(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    "code", ["", "(1,7,0,0,0)", "(1,1,3,0,0)", "(1,1,7,0,0)(2,7,0,0,0)", "(1,1,3,0)", "(2,1,3,0,0)"]
)
def test_what_is_no_block_is_refused(code):
    with pytest.raises(CodeError):
        SPACE.parse(code)
    with pytest.raises(CodeError, match="open"):
        SPACE.decode((Open(("(1,1,3,0,0)",)), "(2,7,0,0,0)"))


def test_skeletons_that_cannot_be_are_refused():
    for settings in ({"longest": 1}, {"blocks": 0}, {"input_shape": (1, 2, 2)}):
        with pytest.raises(UserError):
            BlockQNNSpace(**settings)


# ---- rewards ------------------------------------------------------------------------------------------------------


def having(*values, genome=()):
    individual = Individual(genome)
    individual.fitness.weights = (1.0, -1.0)[: len(values)]
    individual.fitness.values = values
    return individual


def test_density_counts_the_input_and_no_terminal():
    space = replace(SPACE, from_input=True)
    assert space.density(space.parse("(1,1,3,0,0)(2,1,1,0,0)(3,5,0,1,2)(4,7,0,0,0)")) == 1.0
    assert SPACE.density(SPACE.parse(RESIDUAL)) == 5 / 5


def test_the_reward_of_a_block_falls_with_its_computation_and_its_density():
    genome = SPACE.parse(RESIDUAL)
    cost = SPACE.decode(genome).multiply_adds
    alike = lean_block(SPACE, reference=cost)(having(0.8, genome=genome))
    assert alike == pytest.approx(80 - 8 * math.log(1.0))
    assert alike - lean_block(SPACE, reference=cost / 2)(having(0.8, genome=genome)) == pytest.approx(math.log(2))
    dense = SPACE.parse("(1,1,3,0,0)(2,1,3,1,0)(3,5,0,1,2)(4,5,0,2,3)(5,7,0,0,0)")  # 6 edges, 5 nodes
    reward = lean_block(SPACE, reference=SPACE.decode(dense).multiply_adds)
    assert reward(having(0.8, genome=dense)) == pytest.approx(80 - 8 * math.log(6 / 5))


def test_mnasnets_products_are_the_worked_ones():
    soft, hard = product(target=75.0), product(target=75.0, below=0.0, above=-1.0)
    for latency, softly, hardly in [(75.0, 0.75, 0.75), (150.0, 0.7145, 0.375), (37.5, 0.7873, 0.75)]:
        assert soft(having(0.75, latency)) == pytest.approx(softly, abs=5e-5)
        assert hard(having(0.75, latency)) == pytest.approx(hardly)
    # 5 % of accuracy for twice the latency
    assert soft(having(0.70, 50.0)) == pytest.approx(soft(having(0.70 * 1.05, 100.0)), rel=1e-3)


def test_a_product_needs_costs_above_zero():
    with pytest.raises(UserError, match="costs above 0"):
        product(target=75.0)(having(0.75, 0.0))


def test_the_cube_of_the_accuracy():
    assert cube(having(0.73)) == pytest.approx(0.389017)
    assert accuracy(having(0.73)) == 0.73
