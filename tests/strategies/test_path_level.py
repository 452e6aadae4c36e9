"""Path-level EAS: what its encoder sees, what its actors decide, and that it learns."""

from dataclasses import replace
from random import Random

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.genet import DIGITS
from evonas.genomes.path_level import PathLevelSpace
from evonas.strategies.from_start import tangent
from evonas.strategies.path_level import PathLevel
from evonas.strategies.path_level_model import TreeCell, TreeController
from evonas.support.streams import stream

SPACE = PathLevelSpace("conv8-conv8-fc8", input_shape=(1, 8, 8))


def path_level(seed=0, space=SPACE, **settings):
    return PathLevel(space, rng=stream(seed, "path-level"), **settings)


def root(code):
    return SPACE.flow(SPACE.parse(code)).root


def controller(**settings):
    return TreeController(rng=Random(0), units=20, **settings)


# ---- the encoder ----------------------------------------------------------------------------------------------------


def weighted(cell):
    with torch.no_grad():
        for weight in cell.parameters():
            weight.fill_(0.1)
    return cell.double()


def test_a_node_of_a_tree_lstm_has_the_values_of_its_equations():
    """One unit, one input 1, all weights and biases 0.1; children (h, c) of (1, 2) and (3, 4).

    child-sum:  W x + b = 0.2; h = 4: i = o = sigma(0.6), u = tanh(0.6), f = sigma(0.3), sigma(0.5)
    ordered:    the same i, o and u; f = sigma(0.2 + 0.1 + 0.3) for both
    """
    x = torch.ones(1).double()
    states = [(torch.tensor([h]).double(), torch.tensor([c]).double()) for h, c in ((1, 2), (3, 4))]
    sigma = torch.sigmoid
    point = torch.tensor([0.3, 0.5, 0.6], dtype=torch.float64)
    gate, update = sigma(point[2]), torch.tanh(point[2])
    for children, c in (
        (None, gate * update + sigma(point[0]) * 2 + sigma(point[1]) * 4),
        (2, gate * update + sigma(point[2]) * 6),
    ):
        h, found = weighted(TreeCell(1, 1, children))(x, states)
        assert found.item() == pytest.approx(c.item())
        assert h.item() == pytest.approx((gate * torch.tanh(c)).item())


@torch.no_grad()
def test_the_order_of_branches_counts_in_a_concatenation_and_in_no_sum():
    made = controller().double()
    one, other = "{}(layer:sep3,layer:max3:conv1)", "{}(layer:max3:conv1,layer:sep3)"

    def difference(merge, *codes):
        states = [torch.cat(made.encode(root(code.format(merge)))[0]) for code in codes]
        return (states[0] - states[1]).abs().max().item()

    assert difference("add", one, other) < 1e-12
    assert difference("concat", one, other) > 1e-4
    same = "{}(layer:sep3,layer:sep3)"
    assert difference("concat", same, same) == 0
    assert difference("add", one, same) > 1e-4


@torch.no_grad()
def test_a_branch_is_told_apart_by_what_stands_behind_beside_and_before_it():
    made = controller()

    def state(code, place):
        tree = root(code)
        return made.state(tree, next(branch for branch in tree.edges() if branch.place == place))

    units, place = made.units, "+1"
    here = state("add(layer:sep3,layer)", place)
    behind, beside = state("add(layer:max3,layer)", place), state("add(layer:sep3,layer:conv1)", place)
    assert not torch.equal(here[:units], behind[:units])
    assert torch.equal(here[units:], behind[units:])  # from the root down nothing is seen of what is behind
    assert torch.equal(here[:units], beside[:units])
    assert not torch.equal(here[units:], beside[units:])
    deep, other = (state(f"layer:{edge}:sep3", "+then+then") for edge in ("conv1", "max3"))
    assert torch.equal(deep[:units], other[:units])
    assert not torch.equal(deep[units:], other[units:])


def test_a_layer_in_groups_is_split_and_not_copied():
    code = "concat(layer:sep3,layer)"
    copied, split = (torch.cat(controller(grouped=grouped).encode(root(code))[0]) for grouped in (False, True))
    assert not torch.equal(copied, split)


# ---- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learning", [True, False])
def test_hundreds_of_episodes_are_cells_and_never_the_start(learning):
    strategy = path_level(learning=learning, units=8)
    for _ in range(200):
        genome, decided = strategy.proposal()
        decisions = SPACE.decisions(genome)
        assert genome != SPACE.start_genome()
        if learning:
            assert [each.chosen[0] for each in decided] == list(genome)
            forced = [each for each, of in zip(decided, decisions, strict=True) if len(of.options) == 1]
            assert all(each.log_probability.item() == each.entropy.item() == 0 for each in forced)


def test_the_probabilities_of_all_options_sum_to_one():
    made, genome = controller(), ()
    for token in ("add", "3", "yes", "none", "sep3"):
        flow, decision = SPACE.flow(genome), SPACE.next(genome)
        scores = made.scores(flow.root, flow.open[-1][2], decision)
        assert len(scores) == len(decision.options)
        assert scores.exp().sum().item() == pytest.approx(1, rel=1e-5)
        genome += (token,)


def test_the_start_comes_first_and_its_reward_is_the_baseline():
    strategy = path_level(batch=2, evaluations=5, units=8)
    (start,) = strategy.generate(3)
    assert SPACE.format(start) == "layer"
    assert strategy.generate(3) == []
    start.id, start.fitness.values = 0, (0.8,)
    strategy.update([start])
    assert strategy.baseline == tangent(start) == pytest.approx(3.078, abs=1e-3)
    batch = strategy.generate(9)
    assert [(each.parents, each.operator) for each in batch] == [((0,), "path-level")] * 2
    assert batch[0].proposal["reward_baseline"] == strategy.baseline
    for each, accuracy in zip(batch, (0.5, 0.9), strict=True):  # rewards 1 and 6.314
        each.fitness.values = (accuracy,)
    strategy.update(batch)
    assert strategy.baseline == pytest.approx(0.05 * 3.078 + 0.95 * (1 + 6.314) / 2, abs=1e-3)


def test_the_gradient_is_clipped():
    strategy = path_level(units=8, largest_norm=1e-3)
    _, decided = strategy.episode()
    strategy._learn([(decided, 1000.0)])
    norm = sum(weight.grad.square().sum() for weight in strategy.controller.parameters() if weight.grad is not None)
    assert norm.sqrt().item() == pytest.approx(1e-3, rel=1e-2)


SHALLOW = replace(SPACE, depth=2)


def worth(individual):
    """Separable convolutions are worth something, and each edge costs."""
    edges = [branch.edge for branch in SHALLOW.flow(individual).root.edges()]
    separable = sum(edge.startswith("sep") for edge in edges)
    return min(max(0.4 + 0.1 * separable - 0.03 * len(edges), 0.05), 0.95)


def run(strategy, evaluations):
    """What all cells are worth."""
    values = []
    while len(values) < evaluations:
        given = strategy.generate(10)
        assert given
        for individual in given:
            individual.id = len(values)
            individual.fitness.values = (worth(individual),)
            values.append(individual.fitness.values[0])
        strategy.update(given)
    return values[1:]


@pytest.mark.slow
def test_it_comes_to_better_cells_than_uniform_decisions():
    ahead = []
    for seed in range(5):
        learned = run(path_level(seed, SHALLOW, units=20, evaluations=201), 201)
        uniform = run(path_level(seed, SHALLOW, learning=False, evaluations=201), 201)
        ahead.append(sum(learned[-50:]) / 50 - sum(uniform) / 200)
    assert min(ahead) > 0.03


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        (DIGITS, {}, "no cells that grow"),
        (SPACE, {"units": 0}, "units is 0"),
        (SPACE, {"largest_norm": 0}, "largest_norm 0"),
        (SPACE, {"batch": 0}, "batch is 0"),
        (SPACE, {"learning_rate": 0}, "learning_rate is 0"),
    ],
)
def test_other_spaces_and_settings_are_refused(space, settings, words):
    with pytest.raises(UserError, match=words):
        PathLevel(space, rng=Random(0), **settings)
