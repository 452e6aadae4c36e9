"""Path dropout: the whole supernet without random paths, in ghost batches (Bender et al. 2018)."""

from dataclasses import dataclass
from math import sqrt
from statistics import mean
from typing import ClassVar

import pytest
import torch
from benches import CELLS, SHAPE, SMALL, batch, bench
from devices import agree

import evonas
from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.genomes.blocks import BlockSpace
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.one_shot import OPERATIONS, OneShotSpace
from evonas.graph import INPUT, Draft
from evonas.network import build
from evonas.operations import Convolution, GlobalAveragePool, Linear
from evonas.recipe import Recipe
from evonas.space import Decision, Space
from evonas.supernets.path_dropout import PathDropout
from evonas.supernets.policy import one_epoch
from evonas.supernets.training import GivenBench, SupernetTraining
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

SPACE = OneShotSpace(3, 2, 2, input_shape=SHAPE)
RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05, weight_decay=0.1)
SEP3 = "block2/operation/sep3"
EXAMPLE = {1: (0.010, 0.99), 2: (0.100, 1.80), 4: (0.316, 2.74), 8: (0.562, 3.50)}  # of r = 0.01


@dataclass(frozen=True)
class Paths(Space):
    """Operations with so many paths into each, which are convolutions; zeros stand where they are all off."""

    name: ClassVar[str] = "paths"
    into: tuple[int, ...] = tuple(EXAMPLE)
    zeros: bool = True
    named: str = "node{}/{}"

    def next(self, prefix):
        names = [self.named.format(node, path) for node, paths in enumerate(self.into) for path in range(paths)]
        return Decision(names[len(prefix)], (False, True), len(prefix)) if len(prefix) < len(names) else None

    def decode(self, genome):
        on = {name: of[True] for name, of in self.choices(genome).items()}
        draft, x = Draft(SHAPE), INPUT
        for node, paths in enumerate(self.into):
            way = draft.node(f"node{node}/way", [x], Convolution(1)) if self.zeros else None
            made = [
                draft.candidate(f"node{node}/conv{path}", x, on[self.named.format(node, path)], Convolution(1))
                for path in range(paths)
            ]
            x = draft.node(f"node{node}/sum", [way, *made])
        draft.node("classifier", [x], GlobalAveragePool(), Linear(3))
        return draft.graph()


def policy(space=SPACE, **settings):
    return PathDropout(space, rng=stream(0, "policy"), **settings)


def training(device, space=SPACE, recipe=RECIPE):
    return SupernetTraining(space.decode(space.open()), bench(device, recipe))


def all_on(space=SPACE):
    return {decision.name: True for decision in space.decisions(space.open())}


class Always:
    """A generator that always draws the same number."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


# ---- what is dropped ----------------------------------------------------------------------------------------------


def test_the_more_paths_there_are_the_likelier_is_each_to_be_dropped():
    rates = list(policy(Paths(), dropped=0.01).rates.values())
    assert rates == pytest.approx([rate for rate, _ in EXAMPLE.values()], abs=5e-4)
    kept = [(1 - rate) * paths for rate, paths in zip(rates, EXAMPLE, strict=True)]
    assert kept == pytest.approx([expected for _, expected in EXAMPLE.values()], abs=5e-3)


def test_the_paths_of_one_shot_are_the_inputs_of_a_block_and_its_operations():
    found = policy(OneShotSpace(), dropped=0.05)
    assert {group: len(paths) for group, paths in found.paths.items()} == {
        f"block{block}/{group}": paths
        for block in (2, 3, 4, 5)
        for group, paths in (("input", block), ("operation", 7))
    }  # fmt: skip
    assert found.rates["block2/input"] == pytest.approx(0.22, abs=5e-3)
    assert found.rates["block2/operation"] == pytest.approx(0.65, abs=5e-3)


def test_all_paths_into_an_operation_are_dropped_as_often_as_is_said():
    chosen, draws, r = policy(dropped=0.05), 100_000, 0.05
    nothing = dict.fromkeys(chosen.paths, 0)
    for _ in range(draws):
        kept = chosen.draw(1.0)
        for group, paths in chosen.paths.items():
            nothing[group] += not any(kept[path] for path in paths)
    for group, count in nothing.items():
        assert abs(count / draws - r) < 3 * sqrt(r * (1 - r) / draws), group


def test_the_probability_of_each_path_rises_linearly_from_nothing():
    chosen = policy(dropped=0.1)
    for paths in chosen.paths.values():
        for share in (0.25, 0.5, 1.0):
            rate = share * 0.1 ** (1 / len(paths))
            chosen.draws = Always(rate)
            assert all(chosen.draw(share)[path] for path in paths)
            chosen.draws = Always(rate - 1e-9)
            assert not any(chosen.draw(share)[path] for path in paths)
        chosen.draws = Always(0.0)
        assert all(chosen.draw(0.0)[path] for path in paths)


def test_nothing_is_dropped_at_the_first_step_and_all_rates_are_reached_at_the_last(monkeypatch, device):
    chosen, trained, shares = policy(), training(device), []
    monkeypatch.setattr(chosen, "descend", lambda training, batch, share: shares.append(share) or torch.zeros(()))
    while trained.epochs < 3:
        chosen.epoch(trained)
        trained.epochs += 1
    assert len(shares) == 3 * trained.steps == 18
    assert shares == pytest.approx([step / 17 for step in range(18)])
    assert all(chosen.draw(shares[0]).values())


def test_with_nothing_to_drop_all_is_on():
    chosen = policy(dropped=0.0)
    assert all(chosen.draw(1.0) == all_on() for _ in range(20))


def test_all_cells_share_a_draw():
    supernet, chosen = build(SPACE.decode(SPACE.open())), policy(dropped=0.3)
    ran = []
    for name, module in supernet.named_modules():
        module.register_forward_hook(lambda _, given, output, name=name: ran.append(name) if output is not None else 0)
    found = set()  # the numbers of cells in which an operation ran, where a path leads through every cell
    for _ in range(10):
        kept = chosen.draw(1.0) | dict.fromkeys(("block2/input/0", "block2/input/1", "block2/operation/id"), True)
        ran.clear()
        supernet(torch.randn(4, *SHAPE), kept)
        for block, operation in ((block, operation) for block in (2, 3) for operation in OPERATIONS):
            cells = [cell for cell in range(3) if f"cell{cell}.block{block}.{operation}" in ran]
            assert cells == ([0, 1, 2] if kept[f"block{block}/operation/{operation}"] else [])
            found.add(len(cells))
    assert found == {0, 3}


def test_what_is_kept_is_not_scaled_up():
    supernet, kept, made = build(SPACE.decode(SPACE.open())), all_on() | {SEP3: False}, {}
    block = supernet.get_submodule("cell1.block2")
    for name in (*OPERATIONS, "sum"):
        getattr(block, name).register_forward_hook(lambda _, given, output, name=name: made.update({name: output}))
    supernet(torch.randn(4, *SHAPE), kept)
    assert made.pop("sep3") is None
    total = made.pop("sum")
    first, *others = made.values()
    for other in others:
        first = first + other
    assert torch.equal(total, first)


# ---- ghost batches ------------------------------------------------------------------------------------------------


def test_a_ghost_batch_has_the_statistics_of_its_own_images(monkeypatch, device):
    trained, images = training(device), batch(device, 16)
    twin = training(device)
    seen, outputs = [], trained.outputs
    monkeypatch.setattr(trained, "outputs", lambda inputs, route: seen.append(outputs(inputs, route)) or seen[-1])
    policy(ghost=8).descend(trained, images, 0.0)
    expected = [twin.outputs(images[0][half], all_on()) for half in (slice(8), slice(8, 16))]
    assert agree(torch.cat(seen), torch.cat(expected), device)
    assert not torch.allclose(torch.cat(seen), twin.outputs(images[0], all_on()), atol=1e-3)


@pytest.mark.parametrize("ghost", [16, 32])
def test_a_single_ghost_batch_is_a_plain_step(ghost, device):
    one, other, images = training(device), training(device), batch(device, 16)
    loss = policy(ghost=ghost).descend(one, images, 0.0)
    assert agree(loss, other.descend(images, all_on()), device)
    for name, weights in one.network.state_dict().items():
        assert agree(weights, other.network.state_dict()[name], device), name


def test_one_step_follows_the_mean_of_the_gradients_of_ghost_batches_with_draws_of_their_own(monkeypatch, device):
    trained, twin, images = training(device), training(device), batch(device, 24)
    routes = [all_on() | {path: False} for path in (SEP3, "block3/input/0", "block3/operation/id")]
    chosen, drawn, steps = policy(ghost=8), iter(routes), []
    monkeypatch.setattr(chosen, "draw", lambda share: next(drawn))
    monkeypatch.setattr(trained, "apply", lambda: steps.append(1))
    loss = chosen.descend(trained, images, 1.0)
    assert steps == [1]
    assert next(drawn, None) is None
    parts = zip(images[0].split(8), images[1].split(8), strict=True)
    mean = sum(twin.loss(part, route) for part, route in zip(parts, routes, strict=True)) / 3
    mean.backward()
    assert loss.item() == pytest.approx(mean.item(), rel=1e-5)
    for (name, one), other in zip(trained.network.named_parameters(), twin.network.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize(("count", "ghost", "sizes"), [(64, 32, [32, 32]), (20, 8, [10, 10]), (7, 8, [7])])
def test_a_batch_is_split_into_as_many_ghost_batches_as_there_may_be(count, ghost, sizes):
    images, targets = torch.randn(count, *SHAPE), torch.arange(count)
    parts = policy(ghost=ghost).ghosts((images, targets))
    assert [len(part) for part, _ in parts] == sizes
    assert torch.equal(torch.cat([part for part, _ in parts]), images)
    assert torch.equal(torch.cat([part for _, part in parts]), targets)


# ---- weights ------------------------------------------------------------------------------------------------------


def test_what_every_ghost_batch_drops_stays_unchanged_and_what_one_of_them_keeps_learns(monkeypatch, device):
    trained, chosen, images = training(device), policy(ghost=8), batch(device, 16)
    chosen.descend(trained, images, 0.0)  # from here on momentum would move all weights, as decay would
    without = [all_on() | {SEP3: False, "block3/operation/id": False, "block3/operation/max": True} for _ in "ab"]
    without[1] |= {"block3/operation/sep5": False}
    drawn = iter(without)
    monkeypatch.setattr(chosen, "draw", lambda share: next(drawn))
    before = {name: weights.detach().clone() for name, weights in trained.network.named_parameters()}
    chosen.descend(trained, images, 1.0)
    same = {name for name, weights in trained.network.named_parameters() if torch.equal(weights, before[name])}
    assert same == {name for name in before if ".block2.sep3." in name}
    assert len(same) == 3 * 8  # cells; two batch norms and four convolutions


def test_a_step_without_any_path_trains_the_classifier_alone(monkeypatch, device):
    trained, chosen = training(device), policy()
    monkeypatch.setattr(chosen, "draw", lambda share: dict.fromkeys(all_on(), False))
    chosen.descend(trained, batch(device), 1.0)
    learned = {name for name, weights in trained.network.named_parameters() if weights.grad is not None}
    assert {name.partition(".")[0] for name in learned} == {"classifier"}


def test_the_same_seed_trains_the_same_supernet_and_it_learns(device):
    weights = []
    for _ in range(2):
        trained, chosen = training(device), policy(ghost=8)
        losses = []
        while trained.epochs < 3:
            chosen.begin(trained.epochs, 3)
            losses.append(chosen.epoch(trained))
            trained.epochs += 1
        assert losses[1] < losses[0]
        weights.append(trained.network.state_dict())
    assert all(agree(one, other, device) for one, other in zip(*(each.values() for each in weights), strict=True))


# ---- spaces -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (CELLS, "asks for normal/2<-0, one of none, max_pool_3x3, "),
        (SMALL, "asks for 1<-0, one of none"),
        (BlockSpace(fixed=True, input_shape=(1, 8, 8)), "asks for stage1/layers"),
        (GeNetSpace(), "genet asks for stage1/1-2, one of 0, 1"),
        (Paths((2,), named="path{}-{}"), "asks for path0-0, one of False, True"),
        (Paths((2,), zeros=False), "the route needs node 'node0/sum' but leaves it without an input; let `decode`"),
    ],
)
def test_spaces_without_paths_that_may_all_be_dropped_are_refused(space, says):
    with pytest.raises(UserError, match=says):
        policy(space)


@pytest.mark.parametrize("wrong", [{"dropped": -0.1}, {"dropped": 1.0}, {"ghost": 1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        policy(**wrong)


# ---- as a system --------------------------------------------------------------------------------------------------


def test_one_shot_trains_a_supernet_draws_genomes_and_trains_the_best_alone(tmp_path):
    settings = {"epochs": 1, "space.channels": 2, "blocks": 2, "final.epochs": 1, "final.longest": 0, "ghost": 16}
    run = evonas.search(
        "one-shot", "digits", settings=settings, budget=4, workers=1, baseline=False, out=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    phases = [event["phase"] for event in run.events() if event["event"] == "asked"]
    assert phases == ["supernet", *["search"] * 4, "final"]
    told = {event["id"]: event for event in run.events() if event["event"] == "told"}
    assert [each["status"] for each in told.values()] == ["full", *["shared"] * 4, "full"]
    assert run.best.values["accuracy"] == max(each["values"][0] for each in list(told.values())[1:5])
    assert 0 <= run.best.trained().test <= 1


def judged(dropped):
    """Random genomes by the weights of a supernet that was trained with this rate, and everything at once."""
    digits = ImageClassification(Source("digits")).splits("cpu")
    recipe = Recipe(epochs=15, batch_size=64, learning_rate=0.1, schedule="constant", weight_decay=1e-4, crop=1)
    space = OneShotSpace(cells=3, channels=4, input_shape=SHAPE)
    drops = PathDropout(space, rng=stream(0, "policy"), dropped=dropped)
    training = SupernetTraining(
        space.decode(space.open()), GivenBench(digits.train, digits.validation, recipe), together=drops.together
    )
    for _ in range(recipe.epochs):
        one_epoch(drops, training)
    rng = stream(0, "genomes")
    values = [training.score(space.route(space.random(rng))) for _ in range(30)]
    return mean(values), max(values), training.score({decision.name: True for decision in drops.asked})


@pytest.mark.slow
def test_a_rate_that_is_too_low_or_too_high_is_seen_in_what_genomes_are_worth():
    """The study of the paper with constant rates: with next to no dropout genomes collapse, which everything at once
    does not show; with much, none of them gets far any more."""
    low, right, high = judged(1e-6), judged(0.1), judged(0.6)
    assert low[2] > 0.9
    assert low[0] < right[0] - 0.2
    assert right[2] - right[0] < low[2] - low[0] - 0.2
    assert high[1] < right[1]
    assert high[0] < right[0] - 0.1
