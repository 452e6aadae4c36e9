"""MetaQNN's chains and its Q-learning, against the paper's numbers and numbers worked by hand."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest
import torch

import evonas
from evonas import contract
from evonas.errors import UserError
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.metaqnn import AVERAGE, SOFTMAX, MetaQNNSpace
from evonas.individual import Individual
from evonas.network import build
from evonas.operations import Dropout
from evonas.space import CodeError, Decision, Open, Space
from evonas.strategies.q_learning import METAQNN_SCHEDULE, QLearning, Step, scaled
from evonas.systems.q_learning import q_learning
from evonas.systems.registry import chosen

SPACE = MetaQNNSpace()


# ---- the chains ---------------------------------------------------------------------------------------------------


def options(*prefix):
    return SPACE.next(prefix).options


def kinds(*prefix):
    return {option.partition("(")[0] for option in options(*prefix)}


def test_the_start_offers_neither_pooling_nor_fully_connected_layers():
    assert kinds() == {"C", SOFTMAX, AVERAGE}
    assert len(options()) == 4 * 3 + 2


def test_no_pooling_follows_a_pooling():
    assert "P" in kinds("C(64,3,1)")
    assert "P" not in kinds("C(64,3,1)", "P(2,2)")


def test_fully_connected_layers_come_where_the_map_is_small_and_grow_no_wider():
    to_seven = ("C(64,3,1)", "P(2,2)", "C(64,3,1)", "P(2,2)")  # 32 -> 15 -> 7
    assert "FC" not in kinds(*to_seven[:2])
    assert {"FC(512)", "FC(256)", "FC(128)"} <= set(options(*to_seven))
    assert options(*to_seven, "FC(256)") == ("FC(256)", "FC(128)", SOFTMAX)
    assert options(*to_seven, "FC(256)", "FC(128)") == (SOFTMAX,)


def test_a_filter_is_smaller_than_the_map():
    small = MetaQNNSpace(input_shape=(1, 5, 5))
    assert {option for option in small.next(()).options if option.startswith("C(64")} == {"C(64,1,1)", "C(64,3,1)"}


def test_at_the_longest_only_the_termination_is_left():
    assert options(*["C(64,1,1)"] * 18) == (SOFTMAX,)
    assert SPACE.next([*["C(64,1,1)"] * 18, SOFTMAX]) is None


def test_sizes_of_a_bin_look_alike_to_q_learning():
    one = ("C(64,3,1)", "P(2,2)", "C(64,3,1)", "P(2,2)", "C(64,1,1)")  # 7 pixels
    other = ("C(64,3,1)", "P(5,3)", "C(64,3,1)", "P(2,2)", "C(64,1,1)")  # 4 pixels
    assert SPACE.observe(one) == SPACE.observe(other)
    assert SPACE.next(one).state != SPACE.next(other).state


def test_by_bins_as_in_the_published_code_small_maps_take_fewer_layers():
    bins, differ = MetaQNNSpace(by_bin=True), 0
    for decision in SPACE.every_decision:
        binned = bins._layers(decision.state)
        assert set(binned) <= set(decision.options)
        differ += len(binned) < len(decision.options)
    assert (differ, len(SPACE.every_decision)) == (104, 715)
    to_seven = ("C(64,3,1)", "P(2,2)", "C(64,3,1)", "P(2,2)")
    assert "C(64,5,1)" in options(*to_seven)
    assert "C(64,5,1)" not in bins.next(to_seven).options
    third = SPACE.parse("C(128,3) C(128,1) C(512,5) P(2,2) C(128,3) P(2,2) C(64,3) C(64,5)")
    with pytest.raises(CodeError, match="layer8 takes one of"):
        bins.decisions(third)


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("C(512,5) C(256,3) C(256,5) C(256,3) P(5,3) C(512,3) C(512,5) P(2,2)", 11_263_754),
        ("C(128,1) C(512,3) C(64,1) C(128,3) P(2,2) C(256,3) P(2,2) C(512,3) P(3,2)", 2_193_354),
        ("C(128,3) C(128,1) C(512,5) P(2,2) C(128,3) P(2,2) C(64,3) C(64,5)", 2_456_586),
        ("C(256,3) C(256,3) P(5,3) C(256,1) C(128,3) P(2,2) C(128,3)", 1_126_154),
        ("C(64,3) C(128,3) P(5,3) C(256,3) P(3,2) FC(512) FC(128)", 1_617_930),
    ],
)
def test_the_published_networks_have_the_published_counts(code, parameters):
    """Table A1 of the paper: 11.26, 2.2, 2.46, 1.13 and 1.62 million."""
    graph = SPACE.decode(SPACE.parse(code))
    assert graph.parameters == parameters
    assert sum(weights.numel() for weights in build(graph).parameters()) == parameters


def test_dropout_grows_over_every_second_layer():
    code = "[C(64,3,1), C(64,3,1), P(2,2), C(64,3,1), P(2,2), FC(128), SM(10)]"
    graph = SPACE.decode(SPACE.parse(code))
    rates = [op.rate for node in graph.nodes for op in node.operations if isinstance(op, Dropout)]
    assert rates == pytest.approx([1 / 6, 2 / 6, 3 / 6])


def test_codes_are_written_as_in_the_paper_and_read_back():
    genome = ("C(512,5,1)", "P(2,2)", "C(64,1,1)", "P(2,2)", "FC(128)", SOFTMAX)
    assert SPACE.format(genome) == "[C(512,5,1), P(2,2), C(64,1,1), P(2,2), FC(128), SM(10)]"
    rng = random.Random(0)
    for _ in range(200):
        genome = SPACE.complete({}, rng)
        assert SPACE.parse(SPACE.format(genome)) == genome


@pytest.mark.parametrize(
    "code",
    ["D(3)", "C(64,3,1) and more", "P(2,2)", "C(64,7)", "C()", "FC(128)", "C(6 4,3,1)", "[C(64,3,1)", "C(٦٤,3,1)"],
)
def test_what_is_no_chain_is_refused(code):
    with pytest.raises(CodeError):
        SPACE.parse(code)
    with pytest.raises(CodeError, match="open"):
        SPACE.decode((Open(("C(64,3,1)",)), SOFTMAX))


def test_every_chain_can_be_trained():
    space, rng = MetaQNNSpace(longest=6, filters=(2, 4), dense=(8, 4), input_shape=(1, 8, 8)), random.Random(1)
    contract.check(space, random.Random(2))
    for _ in range(30):
        network = build(space.decode(space.complete({}, rng)))
        assert network(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    "settings", [{"longest": 0}, {"kernels": (2,)}, {"pools": (2,)}, {"input_shape": (3, 8, 9)}, {"outputs": 0}]
)
def test_skeletons_that_cannot_be_are_refused(settings):
    with pytest.raises(UserError):
        MetaQNNSpace(**settings)


# ---- the learning -------------------------------------------------------------------------------------------------

THREE = [Step(place, "this", ("this", "that")) for place in range(3)]


def learner(**settings):
    return QLearning(SPACE, rng=random.Random(0), **settings)


@pytest.mark.parametrize(
    ("rate", "accuracy", "values"),
    [
        (0.01, 0.9, [0.5000004, 0.50004, 0.504]),
        (0.5, 0.9, [0.55, 0.6, 0.7]),
        (0.5, 0.3, [0.5, 0.5, 0.4]),  # the other action of the next state keeps its 0.5
    ],
)
def test_the_table_after_one_trajectory_is_the_worked_one(rate, accuracy, values):
    strategy = learner(rate=rate)
    strategy.learn(THREE, accuracy)
    assert [strategy.value(place, "this") for place in range(3)] == pytest.approx(values, abs=1e-9)
    assert all(strategy.value(place, "that") == 0.5 for place in range(3))


def test_the_shaped_table_is_the_worked_one():
    """Block-QNN: T = 4, reward 0.8, so 0.2 for each decision but the last."""
    strategy = learner(rate=0.5, shaping=True)
    strategy.learn([Step(place, "this", ("this", "that")) for place in range(4)], 0.8)
    found = [strategy.value(place, "this") for place in range(4)]
    assert found[1:] == pytest.approx([0.6875, 0.675, 0.65])


def test_the_schedule_is_the_papers_over_different_genomes():
    strategy = learner()
    assert sum(count for _, count in METAQNN_SCHEDULE) == 2700
    for unique, epsilon in [(0, 1.0), (1499, 1.0), (1500, 0.9), (1800, 0.6), (2699, 0.1), (5000, 0.1)]:
        strategy.known = set(range(unique))
        assert strategy.epsilon == epsilon
    assert scaled(METAQNN_SCHEDULE, 27)[0] == (1.0, 15)
    assert sum(count for _, count in scaled(METAQNN_SCHEDULE, 100)) == 100


def test_with_an_epsilon_of_one_legal_tokens_are_uniform_and_with_zero_the_best_is_taken():
    explores = learner(schedule=[(1.0, 10**6)])
    first = Counter(individual[0] for individual in explores.generate(2800))
    assert set(first) == set(options())
    assert all(130 < count < 270 for count in first.values())  # 200 +- 5 standard deviations
    exploits = learner(schedule=[(0.0, 1)])
    exploits.values[SPACE.observe(())] = {"C(64,3,1)": 0.6}
    exploits.values[SPACE.observe(("C(64,3,1)",))] = {SOFTMAX: 0.7}
    assert {tuple(individual) for individual in exploits.generate(20)} == {("C(64,3,1)", SOFTMAX)}
    ties = learner(schedule=[(0.0, 1)])
    assert len({individual[0] for individual in ties.generate(200)}) == len(options())


def test_after_each_genome_as_many_are_replayed_as_are_asked_for():
    strategy = learner(replays=7)
    learnt = []
    strategy.learn = lambda trajectory, reward: learnt.append(reward)
    individuals = strategy.generate(3)
    for number, individual in enumerate(individuals):
        individual.fitness.values = (number / 10,)
    strategy.update(individuals[:2])
    assert len(learnt) == 2 * (1 + 7)
    strategy.update([Individual(individuals[2])])  # without a fitness: it failed
    assert learnt[2 * (1 + 7)] == 0.0  # as the worst so far
    assert set(learnt) <= {0.0, 0.1}


def test_in_the_papers_a_genome_is_learnt_by_replays_alone():
    strategy = learner(replays=7, at_once=False)
    learnt = []
    strategy.learn = lambda trajectory, reward: learnt.append(reward)
    (individual,) = strategy.generate(1)
    individual.fitness.values = (0.3,)
    strategy.update([individual])
    assert learnt == [0.3] * 7
    with pytest.raises(UserError, match="nothing would be learnt"):
        learner(replays=0, at_once=False)


@dataclass(frozen=True)
class Letters(Space):
    """Three letters of four. Its state is the prefix itself."""

    name = "letters"

    def next(self, prefix):
        return Decision(f"letter{len(prefix)}", ("a", "b", "c", "d"), prefix) if len(prefix) < 3 else None


def test_what_always_fails_is_not_chosen_for_ever():
    strategy = QLearning(Letters(), rng=random.Random(0), schedule=[(1.0, 50), (0.1, 1)], rate=0.1, distinct=False)
    proposed = []
    for _ in range(600):
        (individual,) = strategy.generate(1)
        proposed.append(individual)
        if "d" not in individual:
            # below the initial value, which what fails would keep
            individual.fitness.values = (0.2 + 0.05 * individual.count("a"),)
        strategy.update([individual])
    assert sum("d" in individual for individual in proposed[-100:]) < 30


def test_what_is_to_be_minimised_is_minimised():
    strategy = QLearning(Letters(), rng=random.Random(0), schedule=[(1.0, 99), (0.0, 1)], distinct=False, rate=0.2)
    for _ in range(200):
        (individual,) = strategy.generate(1)
        individual.fitness.weights = (-1.0,)
        individual.fitness.values = (individual.count("a") / 3,)
        strategy.update([individual])
    assert "a" not in individual


def additive(genome):
    """Around 0.5; each layer adds what it is worth, from -0.04 to 0.04, whatever stands beside it."""
    return 0.5 + sum(random.Random(token).uniform(-0.04, 0.04) for token in genome)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_an_additive_stub_learning_beats_chance_in_ten_of_ten_seeds():
    for seed in range(10):
        strategy = QLearning(SPACE, rng=random.Random(seed))
        rewards = {}  # of different genomes, in the order in which they were first proposed
        while len(rewards) < 2700:
            individuals = strategy.generate(1)
            individuals[0].fitness.values = (additive(individuals[0]),)
            rewards[tuple(individuals[0])] = individuals[0].fitness.values[0]
            strategy.update(individuals)
        first, last = list(rewards.values())[:1500], list(rewards.values())[-150:]
        assert sum(last) / len(last) > sum(first) / len(first)  # epsilon 1.0 and 0.1
        rng = random.Random(seed)
        chance = [additive(SPACE.complete({}, rng)) for _ in range(150)]  # each layer from the legal ones
        assert sum(last) / len(last) > sum(chance) / len(chance)


def test_a_space_without_decisions_and_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match="not sequences of decisions"):
        QLearning(LargeScaleSpace(), rng=random.Random(0))
    for settings in ({"rate": 0}, {"discount": 2}, {"replays": -1}, {"schedule": [(2.0, 3)]}, {"schedule": []}):
        with pytest.raises(UserError, match=next(iter(settings))):
            learner(**settings)
    for settings in ({"rate": 0}, {"discount": 2}, {"replays": -1}, {"evaluations": 0}):
        with pytest.raises(UserError, match=next(iter(settings))):
            q_learning(SPACE, rng=random.Random(0), **settings)


# ---- the system ---------------------------------------------------------------------------------------------------


def layers(genome):
    return len(genome) / 20


def searched(out, **options):
    return evonas.search("metaqnn", out=out, progress=False, workers=1, **{"evaluate": layers} | options)


def test_what_a_search_is_to_begin_with_comes_before_what_the_agent_writes(tmp_path):
    run = searched(tmp_path / "run", budget=6, init=["[C(8,3,1), C(8,3,1), SM]"])
    first, second, *_ = run.records()
    assert (first["genome"], first["operator"]) == (["C(8,3,1)", "C(8,3,1)", "SM"], "init")
    assert (second["operator"], second["proposal"]) == ("q_learning", {"epsilon": 1.0})
    assert (tmp_path / "run" / "plots" / "learning.png").exists()


def test_a_chain_that_breaks_a_limit_is_not_trained_and_teaches_nothing(tmp_path):
    run = searched(tmp_path / "run", budget=20, max_parameters=3000)
    assert all(run.space.decode(r["genome"]).parameters <= 3000 for r in run.records() if r["status"] == "full")


def test_the_schedule_is_that_of_the_budget_and_survives_a_resumption(tmp_path):
    run = searched(tmp_path / "run", budget=60)
    said = [record["proposal"]["epsilon"] for record in run.records() if record["phase"] == "search"]
    assert said[0] == 1.0
    assert said[-3:] == [0.1] * 3
    assert said.count(1.0) == round(60 * 1500 / 2700)
    assert run.config.settings["strategy.evaluations"] == 60
    longer = searched(tmp_path / "run", budget=70, resume=True)
    assert [record["genome"] for record in longer.records()[:60]] == [record["genome"] for record in run.records()[:60]]
    assert len([record for record in longer.records() if record["phase"] == "search"]) == 70


def test_limits_that_short_chains_keep_are_no_error(tmp_path):
    run = searched(tmp_path / "run", budget=5, max_parameters=300)
    assert len(run.records()) >= 5


def test_a_strategy_of_ones_own_that_writes_comes_after_what_the_search_begins_with(tmp_path):
    own = chosen("q-learning").planned(4).strategy  # (toolbox, rng) -> strategy
    run = searched(tmp_path / "run", budget=4, init=["[SM]"], strategy=own)
    assert [record["operator"] for record in run.records()[:2]] == ["init", "q_learning"]


def test_several_objectives_are_searched_by_nsga2_over_the_same_chains(tmp_path):
    objectives = {"layers": 1.0, "filters": -1.0}
    run = searched(tmp_path / "run", budget=25, objectives=objectives, evaluate=lambda genome: (len(genome), 1.0))
    drawn = [record["operator"] == "random" for record in run.records() if record["phase"] == "search"]
    assert drawn[:20] == [True] * 20  # its population
    assert not any(drawn[20:])
    assert not (tmp_path / "run" / "plots" / "learning.png").exists()
