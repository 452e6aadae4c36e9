"""MnasNet: the published networks to the weight, blocks that share their choices, and what its search is told."""

import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import evonas
from evonas.errors import UserError
from evonas.genomes.mnasnet import EXPANSIONS, LAYERS, PUBLISHED, QUESTIONS, Block, MnasNetSpace, read_blocks
from evonas.individual import Fitness, Individual
from evonas.network import build
from evonas.space import CodeError
from evonas.systems.registry import setup, system

SPACE = MnasNetSpace()
SMALL = system("mnasnet").preset("digits").space


@pytest.mark.parametrize(("name", "parameters"), [("MnasNet-A1", 3_887_038), ("MnasNet-B1", 4_383_312)])
def test_published_networks_have_the_published_parameters(name, parameters):
    _, graph = SPACE.read(name)
    assert graph.parameters == parameters
    assert graph.output_shape == (1000,)


def test_a1_has_the_published_multiply_adds_and_a_total_stride_of_32():
    _, graph = SPACE.read("MnasNet-A1")
    assert round(graph.multiply_adds / 1e6) == 312
    assert graph.shapes["block7/layer1/main"] == (320, 7, 7)


@pytest.mark.parametrize("name", PUBLISHED)
def test_codes_of_published_networks_read_and_write_to_themselves(name):
    assert " ".join(map(str, read_blocks(PUBLISHED[name]))) == PUBLISHED[name]
    assert SPACE.read(PUBLISHED[name])[0] == PUBLISHED[name]
    block, width = {"MnasNet-A1": (5, 112), "MnasNet-B1": (6, 192)}[name]
    with pytest.raises(CodeError, match=rf"block {block}\b.*{width}"):  # no multiple of the skeleton's
        SPACE.parse(name)


def test_there_are_432_choices_for_each_block():
    assert SPACE.count() == 432**7
    assert replace(SPACE, widths=SPACE.widths[:5], depths=SPACE.depths[:5], strides=SPACE.strides[:5]).count() == 432**5


def test_codes_round_trip_and_keep_the_network():
    rng = random.Random(0)
    for _ in range(30):
        genome = SMALL.random(rng)
        again = SMALL.parse(SMALL.format(genome))  # one layer fewer than one is one layer: one code for two genomes
        assert SMALL.decode(again) == SMALL.decode(genome)
        assert SMALL.parse(SMALL.format(again)) == again


def test_one_token_changes_its_block_and_the_width_that_the_next_one_takes():
    rng = random.Random(1)
    for _ in range(40):
        genome = list(SPACE.random(rng))
        before = SPACE.blocks(genome)
        place = rng.randrange(len(genome))
        decision = SPACE.next(tuple(genome[:place]))
        genome[place] = rng.choice(decision.options)
        changed = [n for n, (a, b) in enumerate(zip(before, SPACE.blocks(genome), strict=True))
                   if replace(a, inputs=0) != replace(b, inputs=0)]  # fmt: skip
        assert changed in ([], [place // len(QUESTIONS)])


def test_all_layers_of_a_block_are_alike_and_the_first_has_the_stride():
    graph = SPACE.decode_blocks(read_blocks("r3_k5_s22_e6_i32_o40_se0.25"))
    nodes = {node.name: node for node in graph.nodes}
    kinds = [[type(op) for op in nodes[f"block1/layer{n}/main"].operations] for n in (1, 2, 3)]
    assert kinds[0] == kinds[1] == kinds[2]
    assert [graph.shapes[f"block1/layer{n}/main"] for n in (1, 2, 3)] == [(40, 56, 56)] * 3
    assert "block1/layer1/sum" not in nodes  # the width changes
    assert [edge.source for edge in nodes["block1/layer2/sum"].inputs] == ["block1/layer2/main", "block1/layer1/main"]
    units = [str(op) for op in nodes["block1/layer1/main"].operations + nodes["block1/layer2/main"].operations]
    assert [word for word in units if "squeeze" in word] == ["squeeze and excite by 8", "squeeze and excite by 10"]


@pytest.mark.parametrize(
    ("skip", "stride", "sums"), [("", 1, True), ("", 2, False), ("_pool", 2, True), ("_noskip", 1, False)]
)
def test_skips_add_the_input_or_its_pool_where_shapes_agree(skip, stride, sums):
    graph = SPACE.decode_blocks(read_blocks(f"r1_k3_s{stride}{stride}_c_i32_o32{skip}"))
    assert ("block1/layer1/sum" in graph.shapes) is sums
    assert graph.shapes["classifier"] == (1000,)


def test_squeeze_and_excite_weighs_channels_by_their_means():
    network = build(SPACE.decode_blocks(read_blocks("r1_k3_s11_e1_i32_o16_se0.25_noskip")), seed=1).eval()
    module = network.get_submodule("block1.layer1.main.squeeze_excite")
    x = torch.rand(2, 32, 6, 6)
    means = x.mean((2, 3))
    hidden = F.relu(F.linear(means, module.squeeze.weight, module.squeeze.bias))
    shares = torch.sigmoid(F.linear(hidden, module.excite.weight, module.excite.bias))
    with torch.no_grad():
        assert torch.allclose(module(x), x * shares[..., None, None])


@pytest.mark.parametrize(
    ("code", "said"),
    [("r1_k4_s11_e1_i32_o16", "an odd kernel"), ("r0_k3_s11_e1_i32_o16", "0 layers"),
     ("r1_k3_s00_e1_i32_o16", "stride 0"), ("r1_k3_s11_e1_i32_o0", "0 filters"),
     ("r1_k3_s12_e1_i32_o16", "is not a block"), ("r1 k3", "is not a block"), ("", "no blocks"),
     ("r1_k3_s11_e0_i32_o16", "is not a block"), ("r1_k3_s11_e1_i32_o16_se0.123456789", "is not a block"),
     ("r999999999_k3_s11_e1_i32_o16", "at most 100 layers"), ("r1_k3_s11_e1_i32_o" + "9" * 5000, "is not a block"),
     ("r1_k3_s11_e1_i32_o16", "1 blocks"), (PUBLISHED["MnasNet-A1"].replace("s22_e6", "s22_e5"), "operation")],
)  # fmt: skip
def test_codes_outside_the_space_are_refused_with_a_reason(code, said):
    with pytest.raises(CodeError, match=said):
        SPACE.parse(code)


def test_blocks_that_do_not_fit_one_another_are_refused():
    with pytest.raises(CodeError, match="takes 24 channels, but gets 16"):
        SPACE.read("r1_k3_s11_e1_i32_o16 r1_k3_s11_e1_i24_o16")
    code = SMALL.format(SMALL.random(random.Random(0)))
    with pytest.raises(CodeError, match="strides"):
        SMALL.parse(code.replace("_s22_", "_s11_"))
    with pytest.raises(CodeError, match="close them"):
        SMALL.decode(SMALL.open())


@pytest.mark.parametrize("wrong", [{"depths": (1,)}, {"stem": 0}, {"dropout": 1.0}, {"strides": (10,) * 7}])
def test_impossible_skeletons_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        MnasNetSpace(**wrong)


def test_random_networks_of_every_operation_train():
    rng = random.Random(2)
    for operation in EXPANSIONS:
        answers = {f"block{n}/operation": operation for n in (1, 2, 3)}
        network = build(SMALL.decode(SMALL.complete(answers, rng)))
        network(torch.rand(2, 1, 8, 8)).sum().backward()
        assert all(weights.grad is not None for weights in network.parameters())
    assert Block.read("r2_k3_s11_c_i16_o16_pool").expansion == 0
    assert LAYERS == (-1, 0, 1)


# ---- the search ---------------------------------------------------------------------------------------------------


def test_accuracy_and_latency_are_its_objectives_and_their_product_its_reward():
    mnasnet = system("mnasnet")
    chosen = setup(mnasnet, "digits").having({"target": "2.0", "batch": "2"})
    assert chosen.strategy.name == mnasnet.front  # for several objectives it is the same strategy
    rng = random.Random(0)
    strategy = chosen.strategy.strategy(chosen.strategy.tools(chosen.space, rng), rng)
    individual = Individual(SMALL.random(rng))
    individual.fitness.weights = (1.0, -1.0)
    individual.fitness.values = (0.75, 4.0)
    assert strategy.reward(individual) == pytest.approx(0.75 * 2**-0.07)
    assert mnasnet.costs == ("latency",)
    individual.fitness = Fitness((0.75,))  # without a second objective the first is the reward
    assert strategy.reward(individual) == 0.75


def test_other_objectives_than_one_to_be_maximised_and_one_to_be_minimised_are_refused(tmp_path):
    three = {"data": "digits", "objectives": "accuracy,latency,parameters"}
    own = [{"evaluate": len, "objectives": {"one": one, "other": other}} for one, other in ((-1, 1), (1, 1))]
    for asked in (three, *own):
        with pytest.raises(UserError, match="one to be maximised, then one to be minimised"):
            evonas.search("mnasnet", **asked, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"target": 0}, {"above": 0.1}, {"below": 0.1}])
def test_settings_of_the_reward_out_of_their_range_are_refused(wrong, tmp_path):
    with pytest.raises(UserError, match=next(iter(wrong))):
        evonas.search("mnasnet", "digits", settings=wrong, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_search_measures_latency_without_being_asked(tmp_path):
    run = evonas.search(
        "mnasnet", data="digits", budget=4, settings={"batch": 2, "epochs": 1, "final.epochs": 1}, workers=1,
        executor="serial", out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert list(run.config.objectives) == ["accuracy", "latency"]
    assert all(record["measures"]["latency"] > 0 for record in run.records() if record["phase"] == "search")
