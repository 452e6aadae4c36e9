"""NAS-RL: anchors and counts as the sheet of the paper works them, its schedule, and a controller that points."""

import math
import random
from dataclasses import replace

import pytest
import torch

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.nas_rl import NASRLSpace
from evonas.network import build
from evonas.recipe import DIGITS_RECIPE
from evonas.space import CodeError, Open
from evonas.strategies.controllers import Recurrent
from evonas.strategies.reinforce import Reinforce
from evonas.systems.nas_rl import growing
from evonas.systems.registry import chosen, setup, system
from evonas.tasks.classification import ImageClassification

FOUR = NASRLSpace(lengths=(4,))
CHAIN = "3x3-24 | 3x3-24 | 3x3-24 <1 | 3x3-24 <3"


def inputs(graph):
    return {node.name: [edge.source for edge in node.inputs] for node in graph.nodes}


def test_anchors_decide_inputs_and_what_nobody_takes_goes_into_the_classifier():
    genome = FOUR.parse(CHAIN)
    assert [FOUR.route(genome)[f"layer4/skip{earlier}"] for earlier in (1, 2, 3)] == [0, 0, 1]
    found = inputs(FOUR.decode(genome))
    assert found["layer2/main"] == ["input"]
    assert found["layer3/main"] == ["layer1/main"]
    assert found["layer4/main"] == ["layer3/main"]
    assert found["classifier"] == ["layer2/main", "layer4/main"]


@pytest.mark.parametrize("layers", [1, 4, 15])
def test_a_genome_has_three_tokens_a_layer_and_one_for_each_pair(layers):
    space = NASRLSpace(lengths=(layers,))
    assert len(space.random(random.Random(0))) == 3 * layers + layers * (layers - 1) // 2
    assert space.count() == 64**layers * 2 ** (layers * (layers - 1) // 2)
    strided = replace(space, strides=(1, 2, 3))
    assert strided.count() == 576**layers * 2 ** (layers * (layers - 1) // 2)


def test_inputs_are_concatenated_and_smaller_maps_surrounded_by_zeros():
    space = NASRLSpace(lengths=(3,), strides=(1, 2), input_shape=(3, 9, 9))
    graph = space.decode(space.parse("3x3/1x1-24 | 3x3/2x1-36 <1 | 1x1/1x1-48 <1,2"))
    assert graph.shapes["layer2/main"] == (36, 5, 9)
    assert graph.shapes["layer3/padded2"] == (36, 9, 9)
    assert inputs(graph)["layer3/main"] == ["layer1/main", "layer3/padded2"]
    network = build(graph).eval()
    seen = {}
    network.get_submodule("layer3.main").register_forward_hook(lambda module, x, y: seen.update(x=x[0]))
    network.get_submodule("layer2.main").register_forward_hook(lambda module, x, y: seen.update(small=y))
    with torch.no_grad():
        network(torch.rand(2, 3, 9, 9))
    assert torch.equal(seen["x"][:, 24:, 2:7], seen["small"])
    assert not seen["x"][:, 24:, :2].any()
    assert not seen["x"][:, 24:, 7:].any()


def test_fixed_poolings_halve_the_map_behind_their_layers():
    space = NASRLSpace(lengths=(3,), pools=(1, 2), input_shape=(3, 8, 8))
    graph = space.decode(space.parse("3x3-24 | 3x3-24 <1 | 3x3-24 <2"))
    assert [graph.shapes[f"layer{n}/main"][1:] for n in (1, 2, 3)] == [(4, 4), (2, 2), (2, 2)]


@pytest.mark.parametrize(
    "space", [FOUR, NASRLSpace(), NASRLSpace(lengths=(2, 3), strides=(1, 2)), NASRLSpace(lengths=(3,), strides=(2,))]
)
def test_codes_round_trip(space):
    rng = random.Random(1)
    for _ in range(30):
        genome = space.random(rng)
        assert space.parse(space.format(genome)) == genome


def test_the_papers_39_layers_are_counted_and_drawn():
    space = NASRLSpace(lengths=(39,), pools=(13, 24), filters=(24, 36))
    assert space.count() == (4 * 4 * 2) ** 39 * 2 ** (39 * 38 // 2)
    assert len(space.layers(space.random(random.Random(0)))) == 39


def test_random_search_has_each_number_of_layers_as_often_as_the_search():
    baseline, rng, space = system("nas-rl").baseline, random.Random(0), setup(system("nas-rl"), "digits").space
    assert (baseline.name, baseline.strategy) == ("random_search", "random")
    using = chosen(baseline.strategy, baseline.toolbox)
    layers = [individual[0] for individual in using.strategy(using.tools(space, rng), rng).generate(400)]
    assert all(70 < layers.count(number) < 130 for number in space.lengths)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("3x3-24 | 3x3-24", "2 layers"),
        ("3x3-24 | 3x3-24 | three | 3x3-24", "'three' is not a layer"),
        ("3x3-24 | 3x3-24 <2 | 3x3-24 | 3x3-24", "layer 2 takes layer 2"),
        ("3x3-24 | 3x3-24 <, | 3x3-24 | 3x3-24", "'3x3-24 <,' is not a layer"),
        ("3x3-24 | 3x3-24 <1 1 | 3x3-24 | 3x3-24", "'3x3-24 <1 1' is not a layer"),
        ("3x3-24 | 3x3-24 <¹ | 3x3-24 | 3x3-24", "'3x3-24 <¹' is not a layer"),
        ("3x3/2x2-24 | 3x3-24 | 3x3-24 | 3x3-24", "strides"),
        ("2x3-24 | 3x3-24 | 3x3-24 | 3x3-24", "layer1/height"),
    ],
)
def test_codes_outside_the_space_are_refused_by_place(code, said):
    with pytest.raises(CodeError, match=said):
        NASRLSpace(lengths=(4, 6)).parse(code)


def test_open_tokens_and_impossible_skeletons_are_refused():
    with pytest.raises(CodeError, match="close them"):
        FOUR.decode((Open((1, 3)), *FOUR.parse(CHAIN)[1:]))
    for space in (FOUR, NASRLSpace()):
        with pytest.raises(CodeError, match="close them"):
            space.decode(space.open())
    for wrong in ({"lengths": ()}, {"kernels": (2,)}, {"filters": (0,)}, {"strides": (1, 1)}, {"outputs": 0},
                  {"pools": (0,)}, {"pools": (24,)}, {"pools": ("1",)}):  # fmt: skip
        with pytest.raises(UserError, match=next(iter(wrong))):
            NASRLSpace(**wrong)


# ---- the controller -----------------------------------------------------------------------------------------------


def recurrent(space, seed=0, **settings):
    return Recurrent(space, rng=random.Random(seed), units=5, initial=0.8, **settings)


def test_skips_are_the_sigmoids_of_the_anchors():
    """P(j is an input of i) = sigmoid(v tanh(W_prev h_j + W_curr h_i)), h after the filters of a layer were read."""
    controller = recurrent(FOUR)
    (episode,) = controller.sample(1)
    decisions = FOUR.decisions(episode.genome)
    tokens = [controller.numbers[d.kind, token] for d, token in zip(decisions, episode.genome, strict=True)]
    with torch.no_grad():
        h, _ = controller.lstm(controller.embedding(torch.tensor([[0, *tokens[:-1]]]).T))
        names = [decision.name for decision in decisions]
        anchors = {layer: h[names.index(f"layer{layer}/filters") + 1, 0] for layer in (1, 2, 3)}
        anchors[4] = h[names.index("layer4/skip1"), 0]
        for place, name in enumerate(names):
            if "/skip" in name:
                layer, earlier = int(name[5]), int(name[-1])
                seen = controller.earlier(anchors[earlier]) + controller.current(anchors[layer])
                taken = torch.sigmoid(controller.attention(torch.tanh(seen)))[0].item()
                p = taken if episode.genome[place] else 1 - taken
                assert math.exp(episode.log_probabilities[place].item()) == pytest.approx(p, abs=1e-5)


def test_skips_of_a_layer_are_drawn_independently_of_one_another():
    controller = recurrent(NASRLSpace(lengths=(3,), kernels=(1,), filters=(24,)))
    both = {}  # skips of the third layer, of genomes alike in the second's
    for episode in controller.sample(400):
        *_, second, _, _, _, one, two = episode.genome
        both.setdefault((second, one), set()).add(round(episode.log_probabilities[-1].exp().item() if two else
                                                        1 - episode.log_probabilities[-1].exp().item(), 5))  # fmt: skip
    for second in (0, 1):
        assert len(both[second, 0] | both[second, 1]) == 1


def test_what_is_drawn_step_by_step_is_what_all_steps_at_once_say():
    controller = recurrent(NASRLSpace(lengths=(2, 4)), layers=2)
    episodes = controller.sample(12)
    found = controller.likelihood(episodes).log_probabilities
    for row, episode in zip(found, episodes, strict=True):
        assert torch.allclose(row[: len(episode.genome)], episode.log_probabilities, atol=1e-5)
        assert not row[len(episode.genome) :].any()


def test_layers_of_any_depth_are_scored_by_the_same_weights():
    controller = recurrent(NASRLSpace(lengths=(2, 4)))
    kinds = {kind for kind, _ in controller.numbers}
    assert kinds == {"layers", "height", "width", "filters", "skip"}


def test_what_is_begun_is_no_choice():
    space = NASRLSpace(lengths=(2, 3, 4))
    controller = recurrent(space)
    episodes = controller.sample(6, [(2,), (3,), (4,)] * 2)
    assert [episode.genome[0] for episode in episodes] == [2, 3, 4] * 2
    assert not any(episode.log_probabilities[0] for episode in episodes)
    with pytest.raises(CodeError, match="prefix has 5"):
        controller.sample(1, [(5,)])


# ---- the search ---------------------------------------------------------------------------------------------------


def test_the_number_of_layers_grows_by_two_every_1600_samples():
    begin = growing(NASRLSpace(), 12_800)
    assert [begin(number) for number in (0, 1599, 1600, 3199, 3200)] == [(6,), (6,), (8,), (8,), (10,)]
    assert begin(11_200) == begin(12_799) == begin(20_000) == (20,)
    assert growing(FOUR, 100)(50) == ()


def test_a_search_begins_with_few_layers_and_ends_with_many():
    found, rng = setup(system("nas-rl"), "digits").having({"evaluations": 40}), random.Random(0)
    strategy = found.strategy.strategy(found.strategy.tools(found.space, rng), rng)
    lengths = []
    for _ in range(8):
        individuals = strategy.generate()
        lengths += [individual[0] for individual in individuals]
        for individual in individuals:
            individual.fitness.values = (0.5,)
        strategy.update(individuals)
    assert lengths == [3] * 10 + [4] * 10 + [5] * 10 + [6] * 10


def test_the_reward_is_the_cube_of_the_best_of_the_last_epochs():
    assert system("nas-rl").preset("cifar10").search.best_of == 5
    space = NASRLSpace(lengths=(2,), filters=(8, 16), input_shape=(1, 8, 8))
    recipe = replace(
        DIGITS_RECIPE, epochs=5, learning_rate=1.0, schedule="constant", best_of=4
    )  # so high that it jumps about
    task, genome = ImageClassification(Source("digits")), space.parse("3x3-8 | 3x3-8 <1")
    outcomes = [
        Training(task, recipe, seed=seed, objectives=("accuracy",))(Candidate(genome, space)) for seed in range(4)
    ]
    assert all(outcome.values[0] == max(outcome.curve[-4:]) for outcome in outcomes)
    assert any(outcome.values[0] > outcome.curve[-1] for outcome in outcomes)  # which of them, differs between CPUs


def test_reinforce_finds_the_layers_of_a_table():
    """On three layers with a reward of their own: 0.2 for each 3x3 and for each skip to the layer before."""
    space = NASRLSpace(lengths=(3,), kernels=(1, 3), filters=(24, 36))

    def reward(genome):
        route = space.route(genome)
        square = sum(route[f"layer{n}/height"] == route[f"layer{n}/width"] == 3 for n in (1, 2, 3))
        return 0.2 * (square + route["layer2/skip1"] + route["layer3/skip2"])

    uniform = [reward(space.random(random.Random(seed))) for seed in range(500)]
    for seed in range(3):
        strategy = Reinforce(Recurrent(space, rng=random.Random(seed), units=20), batch=8, learning_rate=0.02)
        last = []
        for _ in range(60):
            individuals = strategy.generate()
            for individual in individuals:
                individual.fitness.values = (reward(individual),)
            strategy.update(individuals)
            last = (last + [individual.fitness.values[0] for individual in individuals])[-80:]
        assert sum(last) / len(last) > sum(uniform) / len(uniform) + 0.15
