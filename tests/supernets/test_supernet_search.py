"""Searches that train a supernet: what holds for every policy."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from benches import (
    BLOCKS,
    CELLS,
    CHAIN,
    LAYERS,
    MASKS,
    POLICIES,
    RECIPE,
    SHAPE,
    SMALL,
    SPACES,
    batch,
    bench,
    judged,
    policy,
    prepared,
    run,
)
from devices import agree, like
from torch import nn

import evonas
from evonas.errors import RunError, UserError
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.network import extract
from evonas.space import Open
from evonas.supernets.darts import DARTS
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.search import CHECKPOINT, SupernetSearch
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import stream
from evonas.systems.registry import setup, system
from evonas.training import checkpoint

OWN = [  # spaces of their own form
    ("fbnet", LAYERS), ("proxylessnas", BLOCKS), ("mask-connect", MASKS), ("das", CHAIN),
]  # fmt: skip
PARTIAL = [("pc-darts", replace(SMALL, partial=2)), ("pc-darts", replace(CELLS, channels=8, partial=4))]

ANYWHERE = [kind for kind in POLICIES if kind not in ("pc-darts", *dict(OWN))]


def pairs(spaces, partial):
    """A test for each policy on each space; those on whole DARTS cells are slow tests."""
    for kind, space in [(kind, space) for kind in ANYWHERE for space in spaces] + partial + OWN:
        name = f"{kind} on {space.name}{' with every edge' * getattr(space, 'every', False)}"
        yield pytest.param(kind, space, id=name, marks=[pytest.mark.slow] * isinstance(space, DARTSSpace))


kind_and_space = pytest.mark.parametrize(("kind", "space"), list(pairs(SPACES, PARTIAL)))
of_gates = pytest.mark.parametrize(
    ("kind", "space"), [each for each in pairs(SPACES, PARTIAL) if each.values[0] != "das"]
)
every_kind = pytest.mark.parametrize(("kind", "space"), list(pairs([SMALL], PARTIAL[:1])))
NOT_ASKED = {f"controller.{name}.weight" for name in ("earlier", "current", "attention")}  # where nothing points


# ---- every policy on every space ------------------------------------------------------------------------------------


@kind_and_space
def test_every_policy_searches_every_space_that_can_be_opened(kind, space, device):
    search = prepared(SupernetSearch(policy(kind, space)), device)
    before = {name: tensor.clone() for name, tensor in search.policy.state_dict().items()}
    found = run(search)
    assert len(found) == RECIPE.epochs
    on_the_way = kind != "snas"  # whose result is the best epoch's
    assert [each.provisional for each in found] == [on_the_way, on_the_way, False]
    for each in found:
        space.decode(tuple(each))
        outcome = judged(search, each)
        assert outcome.status == "shared"
        assert 0 <= outcome.values[0] <= 1
    losses = [each.proposal["loss"] for each in found]
    assert losses[-1] < losses[0]
    changed = [name for name, tensor in search.policy.state_dict().items() if not torch.equal(tensor, before[name])]
    assert {name for name, _ in search.policy.named_parameters()} <= set(changed) | NOT_ASKED


@of_gates
def test_networks_are_their_routes_through_the_supernet_to_the_bit(kind, space, device):
    search = prepared(SupernetSearch(policy(kind, space)), device)
    (derived,) = (tuple(each) for each in run(search, 1))
    supernet = search.training.network.eval()
    x = torch.randn(2, *SHAPE, device=device)
    with torch.inference_mode():
        for genome in (derived, *(space.random(stream(seed, "route")) for seed in range(99))):
            alone = extract(supernet, space.decode(genome))
            alone.to(device=device, memory_format=torch.channels_last)  # as the supernet is
            assert agree(supernet(x, space.route(genome)), alone(x), device), space.format(genome)


@every_kind
def test_the_same_seed_gives_the_same_search_and_another_one_does_not(kind, space, device):
    def alphas(seed):
        search = prepared(SupernetSearch(policy(kind, space, seed)), device)
        run(search, 2)
        return next(search.policy.parameters()).detach().clone()

    assert agree(alphas(0), alphas(0), device)
    assert not agree(alphas(0), alphas(1), device)


@every_kind
def test_a_search_that_goes_on_from_its_checkpoint_equals_one_that_never_stopped(kind, space, tmp_path, device):
    whole = prepared(SupernetSearch(policy(kind, space)), device)
    expected = run(whole)
    first = prepared(SupernetSearch(policy(kind, space)), device, tmp_path)
    run(first, 1)
    first.generate(1)  # an epoch that nobody was told of
    second = prepared(SupernetSearch(policy(kind, space)), device, tmp_path)
    found = run(second)
    assert [list(each) for each in found] == [list(each) for each in expected]
    if device == "cpu":
        assert [each.proposal for each in found] == [each.proposal for each in expected]
    for name, tensor in whole.policy.state_dict().items():
        assert agree(tensor, second.policy.state_dict()[name], device), name
    for name, tensor in whole.training.network.state_dict().items():
        assert agree(tensor, second.training.network.state_dict()[name], device), name


@pytest.mark.parametrize("statistics", ["batch", "running", "recalibrated"])
@pytest.mark.parametrize("space", SPACES[:4], ids=lambda space: space.name)
def test_what_a_route_is_worth_does_not_hang_on_what_was_judged_before(space, statistics, device):
    search = prepared(SupernetSearch(policy("darts", space), statistics=statistics), device)
    run(search, 1)
    training = search.training
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    a, b = (space.route(space.random(stream(seed, "judged"))) for seed in (1, 2))
    values = [training.score(route) for route in (a, b, a)]
    assert values[0] == like(values[2], device)
    for name, tensor in training.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_statistics_taken_anew_are_those_of_the_route(device):
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device), statistics="recalibrated")
    for norm in training.norms:
        norm.running_var.fill_(1e6)  # of routes that have nothing to do with it
    route = SMALL.route(("nor_conv_3x3",) * 6)
    recalibrated = training.score(route)
    training.statistics = "batch"
    assert abs(recalibrated - training.score(route)) < 0.15
    alone = extract(training.network, SMALL.decode(("nor_conv_3x3",) * 6))
    assert all(norm.running_var.min() > 1e5 for norm in alone.modules() if isinstance(norm, nn.BatchNorm2d))


def test_a_step_on_a_hard_route_leaves_other_weights_and_their_momentum_alone(device):
    training = SupernetTraining(CELLS.decode(CELLS.open()), bench(device))
    a, b = (CELLS.route(CELLS.random(stream(seed, "steps"))) for seed in (1, 2))
    some = batch(device)
    training.descend(some, a)
    before = {name: tensor.clone() for name, tensor in training.network.named_parameters()}
    training.descend(some, b)
    moved = {name for name, tensor in training.network.named_parameters() if not torch.equal(tensor, before[name])}
    with_gradient = {name for name, tensor in training.network.named_parameters() if tensor.grad is not None}
    assert moved <= with_gradient
    assert with_gradient < set(before)


@pytest.mark.parametrize("kind", ["darts", "darts 2nd", "snas", "gdas"])
def test_half_open_genomes_are_searched_where_they_are_open(kind, device):
    fixed = SMALL.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
    narrowed = Open(("none", "nor_conv_3x3"))
    genome = (narrowed, *fixed[1:])
    chosen = policy(kind, SMALL, genome=genome)
    assert [decision.name for decision in chosen.asked] == ["1<-0"]
    search = prepared(SupernetSearch(chosen), device)
    found = run(search)[-1]
    assert tuple(found[1:]) == fixed[1:]
    assert found[0] in narrowed.options
    boxes = (search.evaluator(None).draws(None, stream(seed, "random")) for seed in range(20))
    drawn = {tuple(box.individual()) for box in boxes}  # what random search may draw beside it
    assert drawn == {(option, *fixed[1:]) for option in narrowed.options}


def test_an_evolved_genome_initialises_alpha(device):
    wanted = SMALL.random(stream(5, "wanted"))
    search = prepared(SupernetSearch(policy("darts", SMALL)), device, first=[wanted])
    assert SMALL.likeliest(search.policy.weights()) == wanted
    best = [max(of.values()) for of in search.policy.weights().values()]
    assert best == pytest.approx([0.75] * 6, abs=0.01)
    bits = GeNetSpace((3, 4), (4, 6))
    wanted = bits.random(stream(5, "wanted"))
    search = prepared(SupernetSearch(policy("darts", bits, initial=1e-9)), device, first=[wanted])
    assert bits.likeliest(search.policy.weights()) == wanted
    with pytest.raises(UserError, match="at most one"):
        prepared(SupernetSearch(policy("darts", bits)), device, first=[wanted, wanted])


def test_recipes_by_which_a_policy_cannot_learn_are_refused(device):
    with pytest.raises(UserError, match="nesterov=False"):
        prepared(SupernetSearch(policy("darts 2nd", SMALL)), device, recipe=replace(RECIPE, nesterov=True))
    with pytest.raises(UserError, match="leave some in which alpha learns"):
        prepared(SupernetSearch(PCDARTS(SMALL, rng=stream(0, "pc"), beginning=3)), device)


@pytest.mark.parametrize("kind", ["darts", "gdas"])
def test_what_has_no_supernet_is_refused(kind):
    with pytest.raises(UserError, match="not sequences of decisions"):
        policy(kind, LargeScaleSpace())
    with pytest.raises(UserError, match="nothing of the genome is open"):
        policy(kind, SMALL, genome=("none",) * 6)
    with pytest.raises(UserError, match="call `prepare` first"):
        SupernetSearch(policy(kind, SMALL)).generate(1)


def test_a_space_that_decodes_without_gates_is_refused(device):
    class Deaf(NASBench201Space):
        name = "deaf"

        def decode(self, genome):
            return super().decode(("skip_connect",) * 6)

    with pytest.raises(UserError, match="without gates"):
        prepared(SupernetSearch(DARTS(Deaf(4, 1, SHAPE), rng=stream(0, "x"))), device)


@pytest.mark.parametrize(("kind", "fits"), [("darts", False), ("gdas", True)])
def test_a_supernet_over_the_limit_of_memory_is_refused_before_it_is_built(kind, fits, device):
    space = DARTSSpace(8, 16, search=True, input_shape=SHAPE)
    limited = replace(bench(device), memory=100 * 2**20)
    if fits:
        SupernetSearch(policy(kind, space)).prepare(limited)
    else:
        with pytest.raises(UserError, match=r"about \d+ MiB to train in batches of 24, over the limit of 100"):
            SupernetSearch(policy(kind, space)).prepare(limited)


def test_a_loss_that_is_not_finite_ends_the_search_with_advice(device):
    recipe = replace(RECIPE, learning_rate=1e12, clip_norm=0, momentum=0)
    with pytest.raises(RunError, match="lower learning_rate"):
        run(prepared(SupernetSearch(policy("darts", SMALL)), device, recipe=recipe))


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, device):
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"supernet\.checkpoint is damaged: .*; restore the original"):
        prepared(SupernetSearch(policy("darts", SMALL)), device, tmp_path)


@pytest.mark.parametrize("space", [CELLS, replace(CELLS, every=True), SMALL], ids=lambda space: space.name)
def test_weights_made_of_a_genome_derive_it(space):
    for seed in range(20):
        genome = space.random(stream(seed, "round trip"))
        weights = {
            d.name: {o: 0.9 if o == t else 0.01 for o in d.options}
            for d, t in zip(space.decisions(space.open()), genome, strict=True)
        }
        assert space.likeliest(weights) == genome


# ---- as a run -------------------------------------------------------------------------------------------------------


def searched(tmp_path, device, **options):
    return evonas.search(
        replace(SMALL, outputs=10),
        "digits",
        strategy=lambda toolbox, rng: SupernetSearch(DARTS(toolbox.space, rng=rng)),
        settings={"epochs": 2, "batch_size": 128, "final.epochs": 1},
        out=tmp_path / "run",
        executor="serial",
        workers=1,
        device=device,
        progress=False,
        **options,
    )


def test_a_run_keeps_each_epochs_genome_and_trains_the_last(tmp_path, device):
    run = searched(tmp_path, device, baseline=True)
    records = [record for record in run.records() if record["phase"] == "search"]
    assert [record["status"] for record in records] == ["shared", "shared"]
    assert [record.get("provisional", False) for record in records] == [True, False]
    assert run.best.id == records[-1]["id"]
    assert run.summary["winner"]["code"] == records[-1]["code"]
    assert run.summary["ended_because"] == "2 epochs of the supernet"
    assert run.summary["random_search"]["test_accuracy"] is not None
    assert set(records[0]["proposal"]["weights"]) == {f"{t}<-{s}" for t in (1, 2, 3) for s in range(t)}
    assert run[records[0]["id"]].graph.parameters > 0  # and can be trained like any other
    assert (run.directory / "plots" / "relaxation.png").exists()


def test_a_supernet_is_not_trained_for_what_it_cannot_do(tmp_path):
    for options, why in (({"objectives": "accuracy,parameters"}, "several objectives"), ({"inherit": True}, "inherit")):
        with pytest.raises(UserError, match=why):
            evonas.search("darts", "digits", out=tmp_path / "refused", **options)
    with pytest.raises(UserError, match="multiple of twice partial"):
        evonas.search("pc-darts", "digits", settings={"channels": 4}, out=tmp_path / "refused")
    space = system("darts").preset("digits").space
    codes = [space.format(space.random(stream(seed, "first"))) for seed in (1, 2)]  # longer than the name of a file
    with pytest.raises(UserError, match="at most one"):
        evonas.search("darts", "digits", init=codes, out=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UserError, match="several objectives"):
        searched(tmp_path, "cpu", objectives="accuracy,parameters")


@pytest.mark.parametrize("name", ["darts", "snas", "gdas", "pc-darts", "p-darts", "i-darts", "data", "enas"])
def test_every_preset_of_a_system_has_its_supernet(name):
    for preset in system(name).presets:
        found = setup(system(name), preset)
        strategy = found.strategy.strategy(found.strategy.tools(found.space, stream(0, name)), stream(0, name))
        assert strategy.policy.space.search
        assert getattr(strategy.policy.space, "partial", 1) == (4 if name == "pc-darts" else 1)
        strategy.policy.check(found.search)


WRONG = [
    ("darts", {"supernet_layers": -1}, "supernet_layers is -1"),
    ("darts", {"supernet_channels": -1}, "supernet_channels -1; use at least 0"),
    ("darts", {"alpha_rate": 0}, "rate of alpha is 0"),
    ("darts", {"alpha_decay": -1}, "decay -1"),
    ("snas", {"resource": -1}, "resource is -1"),
    ("snas", {"cold": 0}, "cold 0"),
    ("snas", {"cold": 1.5}, "cold 1.5"),
    ("gdas", {"cold": 0}, "cold 0"),
    ("gdas", {"hot": 0.05}, "hot is 0.05"),
    ("pc-darts", {"supernet_partial": 0}, "supernet_partial is 0; use at least 1"),
    ("pc-darts", {"beginning": -1}, "beginning is -1; use at least 0"),
    ("p-darts", {"depths": "3,5"}, "depths is (3, 5)"),
    ("p-darts", {"dropped": "5,1"}, "dropped is (5, 1)"),
    ("p-darts", {"skip_dropout": "0,0.4,1"}, "dropout is (0.0, 0.4, 1.0)"),
    ("p-darts", {"skips": -1}, "skips -1"),
    ("p-darts", {"supernet_channels": -1}, "supernet_channels -1; use at least 0"),
    ("p-darts", {"epochs": 4}, "4 epochs are not shared equally by 3 stages"),
    ("i-darts", {"pairs": 0}, "pairs is 0; use 1 to 14"),
    ("i-darts", {"alpha_rate": 0}, "rate of alpha is 0"),
    ("data", {"cold": 0}, "cold 0"),
    ("data", {"hot": 0.5}, "hot is 0.5"),
    ("data", {"distance": -1}, "distance -1"),
    ("data", {"exact": True}, "use darts-sets with exact=False"),
    ("enas", {"entropy": -1}, "entropy is -1"),
    ("enas", {"skip_weight": -1}, "skip_weight -1"),
    ("enas", {"steps": 0}, "steps is 0"),
    ("enas", {"samples": 0}, "samples 0"),
    ("enas", {"candidates": 0}, "candidates 0"),
    ("enas", {"units": 0}, "units is 0"),
    ("enas", {"controller_rate": 0}, "rate 0"),
    ("enas", {"temperature": 0}, "temperature"),
    ("enas", {"tanh": 0}, "tanh"),
    ("enas", {"operation_tanh": 0}, "tanh"),
    ("enas", {"decay": 1}, "decay 1"),
    ("enas", {"skips": 0}, "skips 0"),
    ("enas", {"skips": 1}, "skips 1"),
]


@pytest.mark.parametrize(("name", "settings", "why"), WRONG)
def test_settings_out_of_their_range_are_refused_before_anything_is_written(name, settings, why, tmp_path):
    with pytest.raises(UserError, match=re.escape(why)):
        evonas.search(name, "digits", settings=settings, out=tmp_path / "refused", progress=False)
    assert not (tmp_path / "refused").exists()


SCRIPT = """
import sys
import evonas
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.supernets.enas import ENAS
from evonas.supernets.gdas import GDAS
from evonas.supernets.search import SupernetSearch

POLICIES = {"enas": lambda space, rng: ENAS(space, rng=rng, steps=5), "gdas": lambda space, rng: GDAS(space, rng=rng)}

if __name__ == "__main__":
    make = POLICIES[sys.argv[2]]
    evonas.search(
        NASBench201Space(4, 1, (1, 8, 8)), "digits",
        strategy=lambda toolbox, rng: SupernetSearch(make(toolbox.space, rng)),
        settings={"epochs": 12, "batch_size": 64, "final.epochs": 1},
        out=sys.argv[1], resume=True, executor="serial", workers=1, progress=False,
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gdas", "enas"])
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_alphas(tmp_path, kind):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def policy_of(name):
        return checkpoint.read(tmp_path / name / CHECKPOINT, "")["policy"]["policy"]

    subprocess.run([sys.executable, script, tmp_path / "whole", kind], check=True)
    draws = stream(0, "kills")
    for _ in range(6):
        process = subprocess.Popen([sys.executable, script, tmp_path / "cut", kind])
        time.sleep(draws.uniform(4, 9))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, script, tmp_path / "cut", kind], check=True)
    expected, found = policy_of("whole"), policy_of("cut")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
