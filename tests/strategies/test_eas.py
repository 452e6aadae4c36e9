"""EAS: its decisions are legal, masked ones count for nothing, and it learns."""

from dataclasses import replace
from math import log
from random import Random

import pytest
import torch

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.eas import EAS
from evonas.strategies.eas_model import CONV, FC, POOL, Layer, MetaController, blocks_of, layers_of
from evonas.strategies.from_start import tangent
from evonas.support.streams import stream
from evonas.systems.eas import SPACE

SMALL = replace(SPACE, start="conv4-pool-conv4-mean-fc8", widths=(4, 8, 12), sizes=(8, 16), edits=40,
                input_shape=(1, 8, 8))  # fmt: skip


def eas(space=SMALL, seed=0, **settings):
    return EAS(space, rng=stream(seed, "eas"), **settings)


def test_a_network_is_read_as_a_row_of_layers():
    graph = SMALL.decode(SMALL.parse("widen:conv1.conv:8 deepen:conv3.relu:5"))
    layers = layers_of(graph, SMALL.wider)
    assert [(layer.kind, layer.width, layer.kernel, layer.wider) for layer in layers] == [
        (CONV, 8, 3, "12"), (POOL, 0, 0, None), (CONV, 4, 3, "8"), (CONV, 4, 5, "8"), (POOL, 0, 0, None),
        (FC, 8, 0, "16"), (FC, 10, 0, None),
    ]  # fmt: skip
    assert [layer.behind for layer in layers] == ["conv1.relu", "", "conv3.relu", "conv3.relu_2", "", "fc5.relu", ""]
    assert blocks_of(layers) == [[0], [2, 3], [5]]


@pytest.mark.parametrize("learning", [True, False])
def test_hundreds_of_episodes_keep_to_the_widths_and_to_the_blocks(learning):
    strategy = eas(wider=2, deeper=2, learning=learning)
    for _ in range(300):
        texts, _ = strategy.episode()
        graph = SMALL.decode(SMALL.genome(texts))
        layers = layers_of(graph, SMALL.wider)
        assert all(layer.width in SMALL.widths for layer in layers if layer.kind == CONV)
        assert all(layer.width in SMALL.sizes for layer in layers[:-1] if layer.kind == FC)
        assert all(layer.kernel in (1, 3, 5) for layer in layers if layer.kind == CONV)
        assert layers[-1].width == 10
        assert sum(layer.kind != POOL for layer in layers) == 4 + 2


def layer(kind=CONV, wider="8", behind="a.relu"):
    return Layer(kind, 4, 3, "a.conv", behind, wider)


def controller():
    return MetaController((1, 3, 5), rng=Random(0), learning_rate=0.01)


def test_a_layer_that_cannot_become_wider_never_does_and_its_decision_counts_for_nothing():
    layers = [layer(), layer(wider=None), layer(POOL, None, "")]
    made = controller()
    assert not any(made.wider(layers).chosen[1] or made.wider(layers).chosen[2] for _ in range(50))
    one, other = (made.wider(layers, chosen) for chosen in ((True, False, False), (True, True, True)))
    assert one.log_probability.item() == other.log_probability.item()
    states, _ = made.encode(layers)
    p = torch.sigmoid(made.widen(states))[0].item()
    assert one.log_probability.item() == pytest.approx(log(p), rel=1e-5)


def test_a_kernel_is_not_asked_for_where_features_are():
    layers = [layer(), layer(POOL, None, ""), layer(FC)]
    made = controller()
    where = made.deeper(layers, (1, 0, 0))
    assert made.deeper(layers, (1, 0, 2)).log_probability.item() == where.log_probability.item()
    image = [made.deeper(layers, (0, 0, kernel)).log_probability.exp().item() for kernel in range(3)]
    assert sum(image) + where.log_probability.exp().item() == pytest.approx(1, rel=1e-5)  # no other place is legal


@pytest.mark.parametrize(
    ("accuracy", "reward"), [(0.5, 1.0), (0.8, 3.078), (0.9, 6.314), (0.95, 12.706), (0.96, 15.894), (0.99, 63.657)]
)
def test_the_reward_is_the_tangent_of_the_accuracy(accuracy, reward):
    individual = Individual()
    individual.fitness.values = (accuracy,)
    assert tangent(individual) == pytest.approx(reward, abs=6e-4)
    individual.fitness.values = (1.0,)
    assert 1000 < tangent(individual) < 10_000


def test_the_baseline_moves_with_a_batch_before_it_is_subtracted():
    strategy = eas()
    _, decided = strategy.episode()
    strategy._learn([(decided, 10.0)])
    assert strategy.baseline == pytest.approx(9.5)
    _, decided = strategy.episode()
    strategy._learn([(decided, 11.0), (decided, 13.0)])
    assert strategy.baseline == pytest.approx(11.875)


def run(strategy, worth, evaluations):
    """The rewards of all networks after the start."""
    values = []
    while len(values) < evaluations:
        given = strategy.generate(3)
        assert given
        for individual in given:
            individual.id = len(values)
            individual.fitness.values = (worth(individual),)
            values.append(individual.fitness.values[0])
        strategy.update(given)
    return values[1:]


def test_the_start_comes_first_and_all_others_come_from_it():
    strategy = eas(batch=4, evaluations=9)
    (start,) = strategy.generate(3)
    assert SMALL.format(start) == "start"
    assert strategy.generate(3) == []
    start.id, start.fitness.values = 0, (0.5,)
    strategy.update([start])
    batch = strategy.generate(3) + strategy.generate(3)
    assert len(batch) == 4  # no more before they are told
    assert all(each.parents == (0,) for each in batch)
    assert strategy.population == [start]
    for each in batch:
        each.fitness.values = () if each is batch[0] else (0.7,)
        strategy.update([each])
    assert strategy.baseline == pytest.approx(0.95 * tangent(batch[1]))  # without the one that failed
    assert len(strategy.generate(9)) == 4
    assert strategy.proposed == 9


def test_a_start_that_cannot_be_trained_ends_the_search():
    strategy = eas()
    (start,) = strategy.generate(1)
    start.fitness.values = ()
    strategy.update([start])
    assert strategy.generate(5) == []
    assert strategy.ended == "the start network could not be trained"


def worth(individual):
    """It rises with depth and width up to a limit of parameters."""
    graph = SMALL.decode(individual)
    layers = layers_of(graph, SMALL.wider)
    depth = sum(each.kind == CONV for each in layers)
    return 0.2 + 0.1 * depth + min(graph.parameters, 2500) / 10_000


@pytest.mark.slow
def test_it_comes_to_better_networks_than_uniform_edits():
    ahead = []
    for seed in range(5):
        space = replace(SMALL, kernels=(1, 3))
        learned = run(eas(space, seed, batch=5, wider=1, deeper=2, learning_rate=0.01, evaluations=201), worth, 201)
        uniform = run(eas(space, seed, batch=5, wider=1, deeper=2, learning=False, evaluations=101), worth, 101)
        ahead.append(sum(learned[-50:]) / 50 - sum(uniform[-50:]) / 50)
    assert min(ahead) > 0


def test_a_start_with_branches_and_another_space_are_refused():
    with pytest.raises(UserError, match="has several inputs"):
        EAS(replace(SMALL, start=""), rng=Random(0))
    from evonas.genomes.genet import DIGITS

    with pytest.raises(UserError, match="no edits"):
        EAS(DIGITS, rng=Random(0))
