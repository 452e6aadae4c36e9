"""What every strategy keeps to on every space whose genomes are sequences of decisions."""

import math
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import pytest
import torch

from evonas.evaluation import Function
from evonas.executors import Serial
from evonas.genomes.block_qnn import BlockQNNSpace
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.edits import EditSpace
from evonas.genomes.genet import DIGITS
from evonas.genomes.hierarchical import HierarchicalSpace
from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.genomes.mnasnet import MnasNetSpace
from evonas.genomes.nas_rl import NASRLSpace
from evonas.genomes.nasbench101 import NASBench101Space
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.genomes.nasnet import COMBINATIONS, NASNET, NASNetSpace
from evonas.genomes.nsga_net import NSGANetSpace
from evonas.genomes.path_level import PathLevelSpace
from evonas.genomes.with_recipe import with_recipe
from evonas.operators.by_decision import one_change_toolbox
from evonas.run.budget import Budget
from evonas.run.journal import Journal
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.support.streams import stream
from evonas.systems.registry import STRATEGIES, chosen, setup, system

SPACES = {
    space.name: space
    for space in (
        DIGITS, NASBench101Space(), NASBench201Space(), NASBenchMacroSpace(),
        NASNetSpace(operations=NASNET, combinations=COMBINATIONS), DARTSSpace(), HierarchicalSpace(), NSGANetSpace(),
        MetaQNNSpace(), BlockQNNSpace(longest=12), NASRLSpace(lengths=(3, 5)), MnasNetSpace(),
        EditSpace("conv4-pool-conv4-fc8", 3, input_shape=(1, 8, 8)),
        PathLevelSpace("conv8-conv8-fc8", depth=2, input_shape=(1, 8, 8)),
        with_recipe(NASRLSpace(lengths=(3, 5)), learning_rate=(0.05, 0.02), flip=(False, True)),
        with_recipe(EditSpace("conv4-pool-conv4-fc8", 3, input_shape=(1, 8, 8)), batch_size=(32, 64)),
    )
}  # fmt: skip
CONTENDERS = [
    "random", "aging:population=6,sample=3", "local", "nsga2:population=4", "reinforce",
    "reinforce:controller=independent", "ppo", "q-learning", "tournament:population=4",
    "growing-tournament:population=4,share=0.5", "nsga-net:population=4", "mnasnet:batch=4,units=10",
    "genet:population=4", "guided:initial=4,candidates=20,trust=-1",
    "nao:initial=6,seeds=2,new=4,epochs=1,units=4", "mcts", "spos:population=4,parents=2",
    "hill-climbing:steps=3,neighbours=5",
]  # fmt: skip
ELSEWHERE = {
    "nas-rl", "eas", "path-level", "block-qnn", "pnas", "dpp-net",  # search their own spaces alone: below
    "n2n",  # searches its own space alone: test_n2n_policies.py
    "darts", "snas", "gdas", "pc-darts", "enas", "gdas-nsas",  # train by themselves: tests/supernets
    "fbnet", "proxylessnas", "mask-connect", "das", "p-darts", "i-darts", "data",  # so do these
    "preferred", "given",  # go by what a supernet's policy has learnt: tests/supernets
    "sampling",  # is random search
    "smallest-first", "largest-first",  # have an order that no seed decides: test_by_size.py
}  # fmt: skip
EVALUATIONS = 16
QUICK = (
    "nasbench201",
    "nasnet",
    "metaqnn",
    "nas-rl",
    "edits",
    "path-level",
    "nas-rl with recipe",
)  # fixed, wide, ragged, pointing, endless
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SPACES]


class InOneProcess(Serial):
    """Trusts what was in flight when a search was cut: else each costs a process of its own."""

    def submit_alone(self, fn, /, *args, **kwargs):
        return self.submit(fn, *args, **kwargs)


def made(text, space, seed=0):
    rng = stream(seed, "strategy")
    using = chosen(text, one_change_toolbox).planned(EVALUATIONS)
    return using.strategy(using.tools(space, rng), rng)


def worth(genome):
    """A number between 0 and 1 that depends on nothing but the genome."""
    return int(blake2b(repr(tuple(genome)).encode(), digest_size=4).hexdigest(), 16) / 2**32


def state(strategy):
    """What it has learnt, to the bit."""
    if network := getattr(strategy, "controller", None) or getattr(strategy, "model", None):
        return {name: weights.clone() for name, weights in network.state_dict().items()}
    return getattr(strategy, "values", getattr(strategy, "nodes", {}))


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        for key, value in one.items()
    )


def disorderly(strategy, seed, workers=7):
    """Genomes in the order of proposal; they are told late, in any order, one in five as a failure."""
    rng, flying, proposed = random.Random(seed), [], []
    while len(proposed) < EVALUATIONS:
        new = strategy.generate(rng.randrange(1, workers + 1 - len(flying)))
        assert new or flying  # whoever proposes nothing waits for something
        flying += new
        proposed += [tuple(individual) for individual in new]
        rng.shuffle(flying)
        told, flying = flying[: len(flying) // 2 + 1], flying[len(flying) // 2 + 1 :]
        for individual in told:
            if rng.random() < 0.8:
                individual.fitness.values = (worth(individual),)
        strategy.update(told)
    return proposed


def test_every_strategy_is_held_to_the_contract():
    assert {text.partition(":")[0] for text in CONTENDERS} | ELSEWHERE == set(STRATEGIES)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("text", CONTENDERS)
def test_genomes_are_legal_and_the_seed_decides_them_whatever_the_order_of_updates(text, name):
    space = SPACES[name]
    one, again = made(text, space), made(text, space)
    proposed = disorderly(one, 1)
    for genome in proposed:
        space.decisions(genome)  # raises where a token is not legal
    assert disorderly(again, 1) == proposed
    assert same(state(one), state(again))
    assert disorderly(made(text, space, seed=1), 1) != proposed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", CONTENDERS)
def test_a_search_cut_anywhere_is_replayed_to_the_bit(text, name, tmp_path):
    space, path = SPACES[name], tmp_path / "journal.jsonl"

    def search():
        journal = Journal(path, space.to_json(), clock=time.monotonic)
        phase = Phase("search", made(text, space), Function(worth))
        Loop(journal, InOneProcess(), 1).run(phase, Budget(EVALUATIONS))
        journal.close()
        return [tuple(individual) for individual in phase.asked], state(phase.strategy)

    cut_and_compare(search, path, random.Random(name + text))


def cut_and_compare(search, path, rng):
    """A search that is killed while it writes a line of its journal ends as if it had not been."""
    genomes, learnt = search()
    lines = path.read_bytes().splitlines(keepends=True)
    cut = rng.randrange(1, len(lines))
    path.write_bytes(b"".join(lines[:cut]) + lines[cut][: len(lines[cut]) // 2])
    again, known = search()
    assert again == genomes
    assert same(known, learnt)


LEARNING = ("nas-rl", "nasnet", "mnasnet", "metaqnn", "block-qnn", "pnas", "dpp-net")
SHORT = {"batch": 4, "smallest": 8, "beam": 4, "evaluations": EVALUATIONS}


@pytest.mark.parametrize("name", LEARNING)
def test_the_search_of_a_learning_system_is_replayed_to_the_bit(name, tmp_path):
    """With its own settings: NAS-RL's schedule of layers, MnasNet's product of two objectives, shaped rewards."""
    path, found = tmp_path / "journal.jsonl", setup(system(name), "digits")
    found = found.having({key: value for key, value in SHORT.items() if f"strategy.{key}" in found.settings()})
    weights = (1.0, -1.0) if system(name).front else (1.0,)

    def search():
        rng = stream(0, "search")
        strategy = found.strategy.strategy(found.strategy.tools(found.space, rng), rng)
        journal = Journal(path, found.space.to_json(), clock=time.monotonic)
        phase = Phase("search", strategy, Function(values, len(weights)), weights=weights)
        Loop(journal, InOneProcess(), 1).run(phase, Budget(EVALUATIONS))
        journal.close()
        return [tuple(individual) for individual in phase.asked], state(strategy)

    def values(genome):
        return (worth(genome), 0.1 + worth(genome[::-1]))[: len(weights)]

    cut_and_compare(search, path, random.Random(name))


KILLED = """
import os, random, signal, sys

import evonas
from evonas.genomes.nas_rl import NASRLSpace
from evonas.strategies.controllers import Recurrent
from evonas.strategies.reinforce import Reinforce

space, calls = NASRLSpace(lengths=(3, 5)), 0
strategy = Reinforce(Recurrent(space, rng=random.Random(0), units=8), batch=3, learning_rate=0.1)


def evaluate(genome):
    global calls
    calls += 1
    if sys.argv[1] == "kill" and calls == 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(token == 3 for token in genome) / len(genome)


run = evonas.search(space, evaluate=evaluate, strategy=strategy, budget=18, executor="serial", workers=1,
                    out=sys.argv[2], resume=True, progress=False)
print([record["code"] for record in run.records() if record["phase"] == "search"])
print([weights.tolist() for weights in strategy.controller.state_dict().values()])
"""


@pytest.mark.slow
def test_a_controller_whose_process_was_killed_has_the_same_weights_after_all(tmp_path):
    def started(how, out):
        return subprocess.run([sys.executable, "-c", KILLED, how, out], cwd=tmp_path, capture_output=True, text=True)

    assert started("kill", "killed").returncode == -signal.SIGKILL
    resumed, whole = started("on", "killed"), started("on", "whole")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout
    assert len(whole.stdout) > 1000


@pytest.mark.parametrize("text", CONTENDERS)
def test_a_search_with_workers_and_failures_replays_what_it_was_told(text, tmp_path):
    """Out of order, with failures and rejections: what is in the journal leads to the same strategy."""
    space, path = SPACES["nasbench201"], tmp_path / "journal.jsonl"

    def fitness(genome):
        time.sleep(worth(genome) / 50)
        return math.nan if worth(genome) < 0.2 else worth(genome)

    def search():
        journal = Journal(path, space.to_json(), clock=time.monotonic)
        phase = Phase("search", made(text, space), Function(fitness),
                    rejects=lambda candidate: "too good" * (worth(candidate.genome) > 0.8))  # fmt: skip
        with ThreadPoolExecutor(4) as pool:
            Loop(journal, pool, 4).run(phase, Budget(30))
        journal.close()
        return [tuple(individual) for individual in phase.asked], state(phase.strategy)

    genomes, learnt = search()
    again, known = search()  # from the journal alone
    assert again == genomes
    assert same(known, learnt)
