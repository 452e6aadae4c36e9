import math
import re
from dataclasses import dataclass, replace

import pytest
import torch
from devices import agree, like
from safetensors.torch import load as load_weights

from evonas.data.sources import Source
from evonas.evaluation import Candidate, EvaluationError, Evaluator, Function, Job, Origin, Outcome
from evonas.evaluation.mean import Mean
from evonas.evaluation.training import AsTrained, Training
from evonas.genomes.genet import DIGITS
from evonas.network import build
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification
from evonas.training.train import evaluate

GENOME = DIGITS.parse("1-00/0-00-100")
TASK = ImageClassification(Source("digits")).identified()
TRAINED = Training(TASK, Recipe(epochs=1, batch_size=32, learning_rate=0.05), seed=1, objectives=("accuracy",))


def of(genome, space=DIGITS, **options):
    return Candidate(genome, space, **options)


@pytest.fixture
def trained(device):
    return replace(TRAINED, device=device)


def final(trained, genome, replicate=0):
    return replace(trained, final=True)(of(genome, keeps=True), replicate)


def test_fitness_is_validation_accuracy_after_training(trained):
    outcome = Job(trained, of(GENOME))()
    assert outcome.status == "full"
    assert 0.5 < outcome.values[0] <= 1
    assert (outcome.epochs, len(outcome.curve), outcome.weights) == (1, 1, None)
    assert outcome.curve[-1] == outcome.values[0]
    assert outcome.seconds > 0


def test_the_same_evaluation_gives_the_same_value_and_a_replicate_another(trained, device):
    values = [trained(of(GENOME), replicate).values for replicate in (0, 0, 1)]
    assert values[0] == like(values[1], device)
    assert len({trained.identity(of(GENOME)) for _ in range(2)}) == 1
    first, again, replicate = (load_weights(final(trained, GENOME, r).weights) for r in (0, 0, 1))
    assert all(agree(first[name], again[name], device) for name in first)
    assert not all(agree(first[name], replicate[name], device) for name in first)


def test_the_mean_of_several_trainings_is_one_evaluation(trained, device):
    off = None if device == "cpu" else 0.03
    twice = Mean(trained, 2)
    outcome, single = twice(of(GENOME)), [trained(of(GENOME), replicate) for replicate in (0, 1)]
    assert outcome.values == (pytest.approx((single[0].values[0] + single[1].values[0]) / 2, abs=off),)
    assert outcome.curve == outcome.values
    assert (outcome.epochs, outcome.status) == (2, "full")
    assert outcome.measures["accuracy"] == outcome.values[0]
    assert outcome.measures["parameters"] == single[0].measures["parameters"]
    later = sum(trained(of(GENOME), replicate).values[0] for replicate in (2, 3)) / 2
    assert twice(of(GENOME), 1).values == (pytest.approx(later, abs=off),)
    assert twice.identity(of(GENOME)) != trained.identity(of(GENOME))


def test_the_first_of_several_trainings_that_fails_is_the_outcome():
    asked = []

    @dataclass(frozen=True)
    class Second(Evaluator):
        """Fails the second time."""

        def identity(self, candidate):
            return "key"

        def __call__(self, candidate, replicate=0):
            asked.append(replicate)
            return Outcome.failure("nan", "why", epochs=1) if replicate == 1 else Outcome((0.5,), epochs=1, seconds=2.0)

    outcome = Mean(Second(), 4)(of(GENOME))
    assert asked == [0, 1]
    assert (outcome.failed, outcome.error, outcome.epochs, outcome.seconds) == (True, "nan: why", 2, 2.0)


def test_identity_is_graph_task_and_recipe():
    same_graph = DIGITS.parse("0-01/0-00-001")  # a chain of two in the first stage, of two in the second
    assert TRAINED.identity(of(GENOME)) == TRAINED.identity(of(same_graph))
    other_task = ImageClassification(Source("digits", seed=1)).identified()
    others = [
        TRAINED.identity(of(DIGITS.parse("1-01/0-00-100"))),
        replace(TRAINED, recipe=replace(TRAINED.recipe, epochs=2)).identity(of(GENOME)),
        replace(TRAINED, task=other_task).identity(of(GENOME)),
        replace(TRAINED, final=True).identity(of(GENOME)),
        TRAINED.identity(of(GENOME, replace(DIGITS, filters=(8, 8)))),
    ]
    assert len({TRAINED.identity(of(GENOME)), *others}) == 6


def test_a_final_evaluation_reads_the_test_part_and_brings_the_weights(trained, device):
    outcome = final(trained, GENOME)
    network = build(DIGITS.decode(GENOME).simplified())
    network.load_state_dict(load_weights(outcome.weights))
    test = ImageClassification(Source("digits")).splits(device).test
    found = evaluate(network.to(device=device, memory_format=torch.channels_last), test)
    assert found["accuracy"] == like(outcome.values[0], device)
    assert outcome.answers["predictions"].shape == (len(test), 10)
    assert outcome.curve == ()


def test_an_evaluation_leaves_the_number_of_threads_alone(trained):
    before = torch.get_num_threads()
    trained(of(GENOME))
    assert torch.get_num_threads() == before


def test_a_time_limit_is_a_recorded_failure(trained):
    outcome = Job(replace(trained, timeout_s=1e-6), of(GENOME))()
    assert outcome.failed
    assert outcome.values == ()
    assert outcome.error.startswith("time: over its time limit")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_recorded_failure(value):
    outcome = Job(Function(lambda genome: value), Candidate((1,)))()
    assert outcome.failed
    assert outcome.values == ()
    assert outcome.error.startswith("nan")


def test_an_exception_is_a_recorded_failure_with_its_traceback():
    def broken(genome):
        raise KeyError("no such layer")

    outcome = Job(Function(broken), Candidate((1,)))()
    assert outcome.failed
    assert "in broken" in outcome.error
    assert "no such layer" in outcome.error


def test_any_function_of_a_genome_is_an_evaluation():
    assert Job(Function(sum), Candidate((1, 0, 1)))().values == (2,)
    assert Job(Function(lambda genome: (0.5, 2.0), 2), Candidate((1,)))().values == (0.5, 2.0)
    assert Function(sum).identity(Candidate((1, 0))) != Function(sum).identity(Candidate((0, 1)))


@pytest.mark.parametrize(
    ("value", "count", "says"),
    [
        (None, 1, "returned None for (1, 0); return a number"),
        ("good", 1, "returned 'good' for (1, 0); return a number"),
        ((0.5, 2.0), 1, "returned (0.5, 2.0) for (1, 0); return a number"),
        (0.5, 2, "returned 0.5 for (1, 0); return 2 numbers, one for each objective"),
        ((1, 2, None), 3, "return 3 numbers"),
    ],
)
def test_an_evaluation_that_breaks_its_contract_is_an_error_and_no_failure_of_the_genome(value, count, says):
    with pytest.raises(EvaluationError, match=re.escape(says)):
        Job(Function(lambda genome: value, count), Candidate((1, 0)))()


def test_objectives_are_values_in_their_order_and_cost_nothing_more(trained, device):
    outcome = replace(trained, objectives=("accuracy", "parameters", "multiply_adds"))(of(GENOME))
    graph = DIGITS.decode(GENOME)
    assert outcome.values[0] == like(trained(of(GENOME)).values[0], device)
    assert outcome.values[1:] == (graph.parameters, graph.multiply_adds)
    assert set(outcome.measures) == {"accuracy", "balanced_accuracy", "macro_f1", "parameters", "multiply_adds"}
    assert outcome.values == tuple(outcome.measures[name] for name in ("accuracy", "parameters", "multiply_adds"))


def test_latency_is_a_measurement_in_milliseconds(trained):
    small, large = (
        replace(trained, objectives=("accuracy", "latency"))(of(DIGITS.parse(code))).values[1]
        for code in ("0-00/0-00-000", "1-11/1-11-111")
    )
    assert 0 < small < large < 1000


def test_weights_that_a_search_has_left_are_tested_as_they_are(trained, device):
    left = trained(of(GENOME, keeps=True))
    origin = Origin("left", left.weights, 0, 1)
    outcome = AsTrained(TASK, device)(of(GENOME, origin=origin))
    network = build(DIGITS.decode(GENOME).simplified(training=True))
    network.load_state_dict(load_weights(left.weights))
    expected = evaluate(network, TASK.splits("cpu").test)["accuracy"]
    assert outcome.values == (pytest.approx(expected, abs=0.01),)
    assert outcome.weights == left.weights


def test_a_profile_waits_for_the_device(trained):
    outcome = replace(trained, profile=True)(of(GENOME))
    assert {"build", "data", "forward", "backward", "optimizer", "evaluation"} <= set(outcome.profile)
    assert sum(outcome.profile.values()) == pytest.approx(outcome.seconds, rel=0.2)


def test_an_outcome_is_a_plain_value():
    assert Outcome((0.5,)) == Outcome((0.5,))
    assert Outcome.failure("nan", "x").status == "failed"
