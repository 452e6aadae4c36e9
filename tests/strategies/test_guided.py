"""Search guided by a predictor: what it proposes, when it trusts, and that it finds more than others."""

import statistics

import numpy as np
import pytest

from evonas.errors import UserError
from evonas.evaluation import Decoder, Function
from evonas.evaluation.limits import Guard, Limits
from evonas.executors import Serial
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.individual import Individual, judge
from evonas.operators.by_decision import one_change_toolbox, without_operators
from evonas.predictors import PREDICTORS, predictor_of
from evonas.predictors.predictor import Predictor
from evonas.predictors.values import normal_scores
from evonas.run.budget import Budget
from evonas.run.journal import Journal, Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.strategies import guided as module
from evonas.strategies.guided import Guided, expected_improvement, thompson, upper_bound
from evonas.strategies.random_search import RandomSearch
from evonas.support.streams import stream
from evonas.systems import registry

SPACE = NASBench201Space(cells=1, channels=4)
WORTH = {"none": 0, "skip_connect": 1, "nor_conv_1x1": 2, "nor_conv_3x3": 3, "avg_pool_3x3": 0.5}


def score(genome):
    return sum(WORTH[op] for op in genome) + 4 * (genome[0] == genome[5] == "skip_connect")


BEST = max(map(score, SPACE.genomes()))


def guided(seed=0, space=SPACE, **settings):
    rng = stream(seed, "guided")
    return Guided(one_change_toolbox(space, rng=rng), rng=rng, **settings)


def run(strategy, evaluations, worth=score):
    asked = []
    for number in range(evaluations):
        (individual,) = strategy.generate(1)
        individual.id = number
        judge(individual, (worth(individual),))
        strategy.update([individual])
        asked.append(individual)
    return asked


def queries(strategy, most=400):
    for number in range(1, most + 1):
        (individual,) = strategy.generate(1)
        individual.id = number
        judge(individual, (score(individual),))
        strategy.update([individual])
        if score(individual) == BEST:
            return number
    return most


@pytest.mark.parametrize("acquisition", ["ucb", "thompson", "ei", "mean"])
def test_it_finds_the_best_of_15625_cells_in_a_fraction_of_what_random_search_needs(acquisition):
    needed = [queries(guided(seed, acquisition=acquisition)) for seed in range(3)]
    assert statistics.median(needed) < 60

    def random(seed):
        rng = stream(seed, "random")
        return RandomSearch(one_change_toolbox(SPACE, rng=rng))

    assert statistics.median(queries(random(seed)) for seed in range(5)) > 100


def test_in_a_large_space_candidates_are_mutants_and_random_ones(monkeypatch):
    monkeypatch.setattr(module, "ENUMERABLE", 100)
    needed = [queries(guided(seed, candidates=100)) for seed in range(5)]
    assert statistics.median(needed) < 80
    made = {individual.operator for individual in run(guided(candidates=100), 60)}
    assert "mut_one_decision" in made
    assert "enumerated" not in made


def test_no_genome_is_proposed_twice_while_there_are_new_ones():
    asked = run(guided(), 80)
    assert len(set(map(tuple, asked))) == 80


def test_proposals_say_what_was_predicted_in_the_units_of_the_fitness():
    asked = run(guided(trust=-1), 100)
    assert not any(individual.proposal for individual in asked[:10])
    said = [individual for individual in asked if individual.proposal]
    assert len(said) > 80
    for individual in said:
        assert individual.proposal["low"] <= individual.proposal["predicted"] <= individual.proposal["high"]
    found = [score(individual) for individual in said[20:]]
    errors = [abs(each.proposal["predicted"] - worth) for each, worth in zip(said[20:], found, strict=True)]
    assert statistics.fmean(errors) < statistics.stdev(found)


def test_predictions_of_what_is_minimised_have_its_sign():
    strategy = guided(trust=-1)
    for number in range(40):
        (individual,) = strategy.generate(1)
        individual.id = number
        judge(individual, (score(individual),), (-1.0,))
        strategy.update([individual])
    assert 0 <= individual.proposal["predicted"] < 5
    assert score(individual) < 3


def test_results_in_another_order_lead_to_the_same_proposals():
    one, other = guided(), guided()
    for strategy, order in ((one, 1), (other, -1)):
        for start in range(0, 60, 6):
            given = strategy.generate(6)
            for number, individual in enumerate(given, start):
                individual.id = number
                judge(individual, (score(individual),))
            for individual in given[::order]:
                strategy.update([individual])
    assert one.generate(3) == other.generate(3)


class Useless(Predictor):
    """Predicts noise."""

    def fit(self, genomes, values):
        self.rng = np.random.default_rng(len(genomes))

    def predict(self, genomes):
        return self.rng.standard_normal(len(genomes)), np.ones(len(genomes))


def test_a_predictor_that_does_not_rank_is_not_used():
    strategy = guided(initial=30, trust=0.7)
    strategy.make = Useless
    strategy.predictor = Useless()
    asked = run(strategy, 120)
    assert not any(individual.proposal for individual in asked)
    assert {individual.operator for individual in asked[30:]} == {"mut_one_decision"}
    assert strategy.correlation < 0.5
    assert all(individual.parents for individual in asked[30:])


def test_the_trust_is_that_of_what_was_not_learnt_from():
    """A predictor that remembers, and knows nothing else, ranks what it has seen perfectly."""

    class Memory(Useless):
        def fit(self, genomes, values):
            super().fit(genomes, values)
            self.seen = {tuple(genome): value for genome, value in zip(genomes, values, strict=True)}

        def predict(self, genomes):
            mean, std = super().predict(genomes)
            return np.array([self.seen.get(tuple(g), m) for g, m in zip(genomes, mean, strict=True)]), std

    genomes = [SPACE.random(stream(0, n)) for n in range(100)]
    values = np.array([score(genome) for genome in genomes])
    memory = Memory()
    memory.fit(genomes, values)
    assert memory.predict(genomes)[0].tolist() == values.tolist()
    assert abs(module._cross_validated(Memory, genomes, values)) < 0.3


def test_partial_trainings_are_learnt_from_as_if_they_had_come_as_far_as_the_furthest():
    strategy = guided()
    given = strategy.generate(4)
    for number, (individual, value) in enumerate(zip(given, (None, 0.3, 0.4, 0.5), strict=True)):
        individual.id, individual.fidelity = number, 1.0 if number == 0 else 0.25
        judge(individual, () if value is None else (value,))
    strategy.update(given)
    assert (strategy.known, strategy.failed) == (given[1:], [given[0]])
    assert strategy._values.tolist() == [0.3, 0.4, 0.5]
    given[3].fidelity = 1.0
    judge(given[3], (0.7,))
    strategy.revise([given[3]])
    assert strategy._values.tolist() == pytest.approx([0.5, 0.6, 0.7]), "it has grown by 0.2, and so would the others"


def test_the_parents_of_candidates_are_the_best_as_far_as_they_would_be_trained():
    strategy = guided(space=NASBench201Space(cells=1, channels=4), parents=1, initial=3)
    given = strategy.generate(3)
    for number, (individual, fidelity, value) in enumerate(zip(given, (1.0, 1.0, 0.1), (0.5, 0.6, 0.55), strict=True)):
        individual.id, individual.fidelity = number, fidelity
        judge(individual, (value,))
    given[1].fidelity = 0.1
    judge(given[1], (0.4,))
    strategy.update(given)
    given[1].fidelity = 1.0
    judge(given[1], (0.6,))
    strategy.revise([given[1]])
    assert strategy._values.argmax() == 2, "0.55 after a tenth of the training is more than 0.6 at its end"


def test_what_always_fails_is_not_proposed_again_and_again():
    """Cells that begin with the operation that seems best fail, each of them."""
    strategy = guided(trust=-1)
    failures = []
    for number in range(80):
        (individual,) = strategy.generate(1)
        individual.id = number
        fails = individual[0] == "nor_conv_3x3"
        failures.append(fails)
        judge(individual, () if fails else (score(individual),))
        strategy.update([individual])
    assert sum(failures[:10]) > 0
    assert sum(failures[40:]) < 4


def test_a_batch_is_chosen_of_one_fit():
    strategy = guided(batch=5, trust=-1)
    fits = []
    fit = strategy.predictor.fit
    strategy.predictor.fit = lambda genomes, values: (fits.append(len(genomes)), fit(genomes, values))
    run(strategy, 30)
    assert fits == [10, 15, 20, 25]


def test_a_space_that_is_exhausted_is_proposed_again():
    space = NASBench201Space(cells=1, channels=4)
    strategy = guided(space=space, trust=-1)
    run(strategy, 12)
    strategy.proposed.update(space.genomes())
    (individual,) = strategy.generate(1)
    assert tuple(individual) in strategy.proposed


def test_limits_are_kept_where_all_genomes_are_candidates():
    rng = stream(0, "guided")
    box = one_change_toolbox(SPACE, rng=rng)
    decoder = Decoder(SPACE)
    limits = Limits(parameters=sorted(decoder.graph(SPACE.random(rng)).parameters for _ in range(21))[10])
    Guard(decoder, limits).decorate(box)
    asked = run(Guided(box, rng=rng, trust=-1), 30)
    assert not any(limits.broken_by(decoder.graph(tuple(individual))) for individual in asked)
    free = run(guided(trust=-1), 30)
    assert any(limits.broken_by(decoder.graph(tuple(individual))) for individual in free)


def test_a_killed_search_goes_on_to_the_same_trajectory(tmp_path):
    def search(evaluations, path):
        phase = Phase("search", guided(), Function(lambda genome: (float(score(genome)),)), SPACE)
        with Journal(path, SPACE.to_json()) as journal:
            Loop(journal, Serial(), 1).run(phase, Budget(evaluations=evaluations))
        return [(tuple(individual), individual.proposal) for individual, _ in phase.told()]

    whole = search(40, tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(lines[: len(lines) // 2]))
    assert search(40, tmp_path / "cut.jsonl") == whole


def test_acquisitions_of_worked_values():
    class Known(Predictor):
        def fit(self, genomes, values): ...

        def predict(self, genomes):
            return np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0])

    improvement = expected_improvement(Known(), [0, 1, 2], 1.0, 0.5, None)
    assert improvement.tolist() == pytest.approx([0.0833, 0.3989, 1.0], abs=1e-4)  # phi(1) - (1 - Phi(1)), phi(0), 1
    assert upper_bound(Known(), [0, 1, 2], 1.0, 0.5, None).tolist() == [0.5, 1.5, 2]


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_a_draw_of_thompson_is_spread_about_the_mean_by_so_much_of_the_belief(predictor):
    genomes = [SPACE.random(stream(0, number)) for number in range(40)]
    model = predictor_of(predictor, "one-hot", SPACE, seed=0)()
    model.fit(genomes[:30], normal_scores(np.array([score(genome) for genome in genomes[:30]])))
    mean = model.predict(genomes)[0]
    assert model.mean(genomes) == pytest.approx(mean)
    whole, half, none = (thompson(model, genomes, 1.0, spread, np.random.default_rng(0)) for spread in (1.0, 0.5, 0.0))
    assert whole == pytest.approx(model.draw(genomes, np.random.default_rng(0)))
    assert half - mean == pytest.approx((whole - mean) / 2)
    assert none == pytest.approx(mean)
    assert np.ptp(whole - mean) > 0.1


@pytest.mark.parametrize("name", ["bananas", "npenas", "bayesian"])
def test_published_searches_are_settings(name):
    chosen = registry.chosen(f"guided:preset={name}", one_change_toolbox)
    rng = stream(0, "guided")
    phase = Phase("search", chosen.strategy(chosen.tools(SPACE, rng), rng), Function(lambda g: (score(g),)), SPACE)
    Loop(Unwritten(), Serial(), 1).run(phase, Budget(evaluations=24))
    assert sum(bool(individual.proposal) for individual, _ in phase.told()) > 5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"initial": 0}, "use at least 1"),
        ({"trust": 2}, "trust is 2, and no rank correlation is above 1"),
        ({"spread": -1}, "spread is -1; use 0 or more"),
        ({"acquisition": "luck"}, "acquisition is 'luck'; use thompson, ei, ucb, mean"),
        ({"predictor": "oracle"}, "no predictor 'oracle'"),
        ({"encoding": "bits"}, "no encoding 'bits'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        guided(**settings)


def test_a_space_without_decisions_is_refused():
    rng = stream(0, "guided")
    with pytest.raises(UserError, match="not sequences of decisions"):
        Guided(without_operators(LargeScaleSpace(), rng=rng), rng=rng)


def test_an_individual_of_a_user_without_an_id_is_learnt_from():
    strategy = guided()
    individual = Individual(SPACE.random(stream(0, "x")))
    judge(individual, (1.0,))
    strategy.update([individual])
    assert strategy.known == [individual]


def test_bounds_of_what_is_minimised_are_in_order_and_predictions_have_the_unit_of_the_value_whatever_its_weight():
    said = []
    for weight in (-1.0, -0.01):
        strategy = guided(trust=-1)
        for number in range(30):
            (individual,) = strategy.generate(1)
            individual.id = number
            judge(individual, (score(individual),), (weight,))
            strategy.update([individual])
        said.append(individual.proposal)
        assert said[-1]["low"] < said[-1]["predicted"] < said[-1]["high"]
    assert said[0] == pytest.approx(said[1])


def test_all_networks_that_a_search_begins_with_are_proposed_before_candidates_are_drawn(monkeypatch):
    monkeypatch.setattr(module, "ENUMERABLE", 100)
    rng = stream(0, "guided")
    box, first = one_change_toolbox(SPACE, rng=rng), [Individual(SPACE.random(stream(1, n))) for n in range(20)]
    waiting, draw = list(first), box.individual
    box.register("individual", lambda: waiting.pop(0) if waiting else draw())
    asked = run(Guided(box, rng=rng, initial=5, trust=-1).begin_with(first), 25)
    assert asked[:20] == first


def test_a_candidate_that_breaks_the_limits_is_decoded_once():
    rng, seen = stream(0, "guided"), []
    box = one_change_toolbox(SPACE, rng=rng)
    box.register("fits", lambda genome: seen.append(tuple(genome)) or genome[0] == "none")
    run(Guided(box, rng=rng, trust=-1), 30)
    assert len(seen) == len(set(seen)) > 20


def test_a_space_of_one_genome_has_no_other_child():
    space = GeNetSpace(stages=(1,), filters=(4,))
    asked = run(guided(space=space, initial=1), 8, worth=lambda genome: 0.5)
    assert len(set(map(tuple, asked))) == 1
