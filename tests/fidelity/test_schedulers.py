from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from evonas.comparison.replay import Comparison, Stored, replay
from evonas.curves.model import Curve, Forecast
from evonas.curves.statistics import LastValue
from evonas.errors import UserError
from evonas.evaluation import Candidate
from evonas.evaluation.stored import StoredCurves
from evonas.fidelity.asha import Promotion, Stopping
from evonas.fidelity.forecasting import Forecasted, Forecasting, looks_of
from evonas.fidelity.halving import Hyperband, SuccessiveHalving
from evonas.fidelity.median import MedianRule
from evonas.fidelity.pieces import Pieces
from evonas.fidelity.scheduler import Trial, Whole, rungs
from evonas.ranking import rank_correlation
from evonas.systems.registry import SCHEDULERS, scheduler


def trial(id, *values, **others):
    return Trial(id, len(values), values, **others)


def finished(id, value, epochs):
    return Trial(id, epochs, (value,) * epochs)


# ---- rungs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "eta", "epochs", "expected"),
    [
        (4, 3, 40, [4, 12, 36, 40]),
        (5, 2, 40, [5, 10, 20, 40]),
        (1, 3, 40, [1, 3, 9, 27, 40]),
        (1, 3, 81, [1, 3, 9, 27, 81]),
        (1, 1.2, 5, [1, 2, 3, 4, 5]),
        (3, 3, 3, [3]),
    ],
)
def test_budgets_of_rungs_grow_by_eta_up_to_the_whole(least, eta, epochs, expected):
    assert rungs(least, eta, epochs) == expected


@pytest.mark.parametrize(("least", "eta", "match"), [(0, 3, "least is 0"), (41, 3, "40 epochs"), (1, 1, "eta is 1")])
def test_rungs_that_cannot_be_are_refused(least, eta, match):
    with pytest.raises(UserError, match=match):
        rungs(least, eta, 40)


# ---- Hyperband ----------------------------------------------------------------------------------------------------


def test_brackets_of_hyperband_are_those_of_the_papers_algorithm():
    brackets = [Hyperband(81).bracket(number) for number in range(5)]
    assert [list(zip(b.sizes, b.budgets, strict=True)) for b in brackets] == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


def test_the_other_published_form_has_the_numbers_of_the_papers_table():
    hyperband = Hyperband(81, published="table")
    assert [hyperband.bracket(number).sizes[0] for number in range(5)] == [81, 27, 9, 6, 5]


def test_brackets_come_over_and_over_and_their_number_is_exact():
    assert Hyperband(243).s_max == 5, "log_3 243 is 4.999... in floating point"
    assert Hyperband(40).s_max == 3
    assert Hyperband(9).bracket(0).sizes == Hyperband(9).bracket(3).sizes


# ---- successive halving -------------------------------------------------------------------------------------------


def test_of_a_bracket_the_best_go_on_together_and_the_others_stop():
    halving = SuccessiveHalving(9, eta=3, least=1)
    assert [halving.begin(id) for id in range(9)] == [1] * 9
    assert [halving.report(trial(id, id / 10)) for id in range(8)] == [[]] * 8
    assert halving.next() is None, "one is still missing"
    assert halving.report(trial(8, 0.8)) == [0, 1, 2, 3, 4, 5]
    assert [halving.next() for _ in range(4)] == [(8, 3), (7, 3), (6, 3), None]
    assert halving.open == {6, 7, 8}
    assert halving.report(trial(7, 0, 0, 0.9)) == []
    assert halving.report(trial(8, 0, 0, 0.8)) == []
    assert halving.report(trial(6, 0, 0, 0.7)) == [6, 8]
    assert halving.next() == (7, 9)
    assert halving.report(finished(7, 0.9, 9)) == [7]
    assert not halving.open


def test_a_worker_that_would_wait_begins_with_the_next_bracket():
    halving = SuccessiveHalving(9, eta=3, least=3)
    for id in range(6):
        halving.begin(id)
    for id in (3, 4, 5):  # the second bracket is decided first
        told = halving.report(finished(id, id / 10, 3))
    assert told == [3, 4]
    assert halving.next() == (5, 9)


def test_a_bracket_that_nobody_fills_is_decided_as_it_is():
    halving = SuccessiveHalving(9, eta=3, least=1)
    assert halving.close() is None
    for id in range(7):
        halving.begin(id)
        halving.report(trial(id, id / 10))
    assert halving.close() == [0, 1, 2, 3, 4]
    assert [halving.next(), halving.next()] == [(6, 3), (5, 3)]
    assert halving.close() is None, "they are on their way"


def test_of_equal_trainings_those_go_on_that_were_asked_for_first():
    halving = SuccessiveHalving(9, eta=3, least=3, candidates=3)
    for id in range(3):
        halving.begin(id)
    for id in (2, 1, 0):
        halving.report(finished(id, 0.5, 3))
    assert halving.next() == (0, 9)


def test_where_all_of_a_rung_fail_its_bracket_is_over():
    halving = SuccessiveHalving(9, eta=3, least=3, candidates=3)
    for id in range(3):
        halving.begin(id)
    assert [halving.report(Trial(id, failed=True)) for id in range(3)] == [[0], [1], [2]]
    assert halving.next() is None
    assert halving.close() is None
    assert not halving.open


# ---- ASHA ---------------------------------------------------------------------------------------------------------


def test_asha_promotes_the_best_of_a_rung_as_soon_as_enough_have_reached_it():
    asha = Promotion(9, eta=3, least=1)
    assert [asha.begin(id) for id in range(3)] == [1] * 3
    assert asha.report(trial(0, 0.5)) == [0]
    assert asha.report(trial(1, 0.6)) == [1]
    assert asha.next() is None
    assert asha.report(trial(2, 0.1)) == [2], "it is not it that is promoted"
    assert asha.next() == (1, 3)
    assert asha.next() is None, "it is promoted once"
    assert asha.report(trial(3, 0.5)) == [3], "the best of four is promoted already"
    assert asha.report(trial(4, 0.9)) == [], "now that is another one"
    assert asha.next() == (4, 3)
    assert asha.report(trial(5, 0.2)) == [5], "the best two of six have both been promoted"
    assert asha.next() is None


def test_a_training_that_is_promoted_at_once_is_not_told_of_before():
    asha = Promotion(9, eta=3, least=1)
    asha.report(trial(0, 0.1))
    asha.report(trial(1, 0.2))
    assert asha.report(trial(2, 0.3)) == []
    assert asha.next() == (2, 3)


def test_the_highest_rung_is_looked_at_first():
    asha = Promotion(9, eta=2, least=2)
    for id in range(4):
        asha.report(trial(id, 0.0, id / 10))
    assert [asha.next(), asha.next()] == [(3, 4), (2, 4)]
    asha.report(trial(2, 0, 0, 0, 0.3))
    asha.report(trial(3, 0, 0, 0, 0.2))
    asha.report(trial(4, 0, 0.9))
    asha.report(trial(5, 0, 0.9))
    assert asha.next() == (2, 8)
    assert asha.next() == (4, 4)


def test_what_failed_or_came_to_its_end_is_not_open():
    asha = Promotion(9, eta=3, least=3)
    asha.report(Trial(0, failed=True))
    asha.report(trial(1, 0, 0, 0.5))
    asha.report(trial(2, 0, 0, 0.4))
    assert asha.next() == (1, 9)
    assert asha.open == {1, 2}
    assert asha.report(finished(1, 0.6, 9)) == [1]
    assert asha.open == {2}


def test_the_stopping_variant_never_pauses():
    asha = Stopping(9, eta=3, least=1)
    assert asha.begin(0) == 1
    assert asha.report(trial(0, 0.5)) == [], "the first one goes on"
    assert asha.next() == (0, 3)
    assert asha.report(trial(1, 0.4)) == [1]
    assert asha.report(trial(2, 0.6)) == []
    assert asha.next() == (2, 3)
    assert asha.report(trial(3, 0.55)) == [3]
    assert asha.open == {0, 2}


# ---- the median rule ----------------------------------------------------------------------------------------------


def test_what_is_below_the_median_of_running_averages_stops():
    rule = MedianRule(4, grace=2, every=1, least=3)
    for id, values in enumerate([(0.2, 0.4, 0.5, 0.6), (0.4, 0.6, 0.7, 0.8), (0.1, 0.1, 0.1, 0.1)]):
        assert rule.begin(id) == 2
        assert rule.report(trial(id, *values)) == [id]
    assert rule.report(trial(3, 0.1, 0.29)) == [3], "the averages up to 2 are .3, .5 and .1"
    assert rule.report(trial(4, 0.31, 0.2)) == [], "its best value counts"
    assert rule.next() == (4, 3)


def test_nothing_stops_before_enough_came_to_their_end():
    rule = MedianRule(3, grace=1, least=2)
    rule.report(finished(0, 0.9, 3))
    assert rule.report(trial(1, 0.1)) == []
    rule.report(Trial(2, failed=True))
    assert rule.report(trial(3, 0.1)) == [], "a failure is no training that has come to its end"


# ---- schedulers by a curve model ----------------------------------------------------------------------------------


def forecasting(**settings):
    settings = {"looks": [2], "confidence": 0.95, "least": 1, "most": 4} | settings
    return Forecasting(4, LastValue(), **settings)


def looked_at(rule, id, mean, exceeds, *values):
    return rule.report(trial(id, *values, forecast=(mean, 0.1, exceeds)))


def test_a_training_stops_where_it_will_probably_not_surpass_the_best():
    rule = forecasting()
    rule.report(finished(0, 0.8, 4))
    assert looked_at(rule, 1, 0.6, 0.04, 0.5, 0.5) == [1]
    assert looked_at(rule, 2, 0.7, 0.06, 0.5, 0.5) == []


@pytest.mark.parametrize(
    ("best", "values", "forecast"),
    [
        (None, (0.1, 0.1), (0.2, 0.1, 0.0)),  # nothing to surpass
        (0.8, (0.1, 0.1), None),  # the model abstains
        (0.8, (0.9, 0.1), (0.2, 0.1, 0.0)),  # it was above the best already
        (0.8, (0.1, 0.1), (1.2, 0.1, 0.0)),  # no accuracy
        (0.8, (0.1, 0.1), (-0.2, 0.1, 0.0)),
    ],
)
def test_whatever_is_in_doubt_goes_on(best, values, forecast):
    rule = forecasting()
    if best is not None:
        rule.report(finished(0, best, 4))
    assert rule.report(trial(1, *values, forecast=forecast)) == []


def test_what_is_stopped_has_its_forecast_as_fitness_or_its_last_value():
    stopped = trial(1, 0.1, 0.2, forecast=(0.4, 0.1, 0.0))
    assert forecasting().judged(stopped) == 0.4
    assert forecasting(predicted=False).judged(stopped) is None
    assert forecasting().judged(replace(stopped, forecast=None)) is None


def test_a_forecast_knows_what_was_known_when_the_training_was_handed_out():
    rule = forecasting(least=2, most=8)

    def job_of(id):
        wrapped = rule.wrapped("job", id)
        return (len(wrapped.curves), wrapped.threshold) if isinstance(wrapped, Forecasted) else wrapped

    rule.begin(0)
    assert job_of(0) == "job"
    for id in (1, 2):
        rule.report(finished(id, id / 10, 4))
    rule.begin(3)
    for id in (4, 5):
        rule.report(finished(id, id / 10, 4))
    rule.begin(6)
    assert job_of(0) == "job", "it was handed out before anything had come to its end"
    assert job_of(3) == (2, 0.2)
    assert job_of(6) == (4, 0.5)


def test_what_a_model_remarks_is_the_warning_of_the_outcome():
    class Remarking(LastValue):
        said: tuple = ()

        def predict(self, curve):
            self.said = ("Its fit is a poor one.",)
            return super().predict(curve)

        def remarks(self):
            return self.said

    class Job:
        limit_s, evaluator = None, StoredCurves(curves().curves, 9)

        def __call__(self):
            return self.evaluator(Candidate((3,), epochs=4))

    known = tuple(curves().curves[5:])
    first = Forecasted(Job(), Remarking(), known, 9, 0.5)()
    assert first.warning == "Its fit is a poor one."
    assert first.forecast[0] == first.curve[-1]
    assert Forecasted(Job(), LastValue(), known, 9, 0.5)().warning is None


def test_a_model_learns_from_the_first_trainings_then_from_twice_as_many():
    rule = forecasting(least=2, most=7)
    learnt = []
    for id in range(12):
        rule.begin(id)
        wrapped = rule.wrapped("job", id)
        learnt.append(len(wrapped.curves) if isinstance(wrapped, Forecasted) else 0)
        rule.report(finished(id, 0.1, 4))
    assert learnt == [0, 0, 2, 2, 4, 4, 4, 4, 7, 7, 7, 7]


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"confidence": 0}, "confidence is 0"), ({"margin": -1}, "margin -1"), ({"least": 0}, "least is 0"),
     ({"least": 5, "most": 4}, "most 4")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings, match):
    with pytest.raises(UserError, match=match):
        forecasting(**settings)


def test_looks_are_shares_of_the_schedule():
    assert looks_of(20, 0.2, 0.1) == [4, 6, 8, 10, 12, 14, 16, 18]
    assert looks_of(4, 0.1, 0.1) == [2, 3], "one epoch has no difference to learn from"
    with pytest.raises(UserError, match="first is 0"):
        looks_of(20, 0, 0.1)


# ---- by name ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_is_made_by_its_name_and_says_what_it_is(name):
    made = scheduler(name, 40)
    assert 1 <= made.begin(0) <= 40
    assert made.epochs == 40


@pytest.mark.parametrize(
    ("text", "match"),
    [("ahsa", "did you mean asha"), ("asha:etta=3", "no setting 'etta'"), ("asha:eta=x", "a number"),
     ("asha:variant=both", "promotion, or stopping"), ("halving:candidates=2", "at least eta"),
     ("hyperband:published=no", "algorithm, or table"), ("median:grace=0", "grace is 0")],
)  # fmt: skip
def test_a_scheduler_that_cannot_be_is_refused(text, match):
    with pytest.raises(UserError, match=match):
        scheduler(text, 40)


# ---- on stored curves ---------------------------------------------------------------------------------------------


def curves(count=27, epochs=9, seed=0):
    rng = Random(seed)
    ends = [rng.random() for _ in range(count)]
    return Stored.of("curves", [Curve(tuple(end * (1 - 0.9**epoch) for epoch in range(1, 1 + epochs))) for end in ends])


def test_whole_trainings_cost_everything_and_lose_nothing():
    found = replay(curves(), Whole(9), Random(0))
    assert (found.epochs, found.regret, found.full) == (27 * 9, 0.0, 27)
    assert found.rank == pytest.approx(1)
    assert found.kept


def test_successive_halving_costs_what_its_rungs_say():
    found = replay(curves(), SuccessiveHalving(9), Random(0))
    assert found.epochs == 3 * (9 * 1 + 3 * 2 + 1 * 6)
    assert found.full == 3
    assert found.kept, "curves that never cross are ranked by their first value"


def test_what_is_lost_by_stopping_early_is_the_regret():
    late = Stored.of("late", [Curve((0.0, 0.0, 0.9)), Curve((0.1, 0.2, 0.3)), Curve((0.2, 0.3, 0.5))])
    found = replay(late, SuccessiveHalving(3, eta=3, least=1, candidates=3), Random(0))
    assert found.regret == pytest.approx(0.4)
    assert not found.kept
    assert found.full == 1


def test_forecasts_are_held_against_what_came():
    rule = Forecasting(9, LastValue(least_for_std=2), looks=[3], confidence=0.9, least=5, most=10)
    found = replay(curves(), rule, Random(0))
    assert found.errors
    assert found.epochs < 27 * 9
    comparison = Comparison(curves(), {"rule": [replace(found, errors=(0.0, 1.0, 3.0, -9.0))]}, 27)
    assert comparison.to_json()["rules"]["rule"]["covered"] == 0.5


def test_an_order_is_drawn_and_the_same_for_the_same_seed():
    orders = {tuple(replay(curves(), Stopping(9, eta=3, least=1), Random(seed)).errors) for seed in range(3)}
    costs = Counter(replay(curves(), Stopping(9, eta=3, least=1), Random(seed)).epochs for seed in range(6))
    assert len(costs) > 1
    assert orders == {()}
    assert replay(curves(), Stopping(9, eta=3, least=1), Random(4)) == replay(
        curves(), Stopping(9, eta=3, least=1), Random(4)
    )


def test_only_complete_curves_can_be_replayed():
    some = [*curves(3).curves, Curve((0.1, 0.2))]
    found = Stored.of("some", some, [1.0, 2.0, 3.0, 4.0])
    assert (found.curves, found.seconds, found.left_out) == (some[:3], [1.0, 2.0, 3.0], 1)
    with pytest.raises(UserError, match="some has 1 curves of 9 epochs; give at least two complete"):
        Stored.of("some", some[2:])


def test_a_rank_correlation_of_equal_values_is_none():
    assert rank_correlation([1, 1, 1], [1, 2, 3]) != rank_correlation([1, 1, 1], [1, 2, 3])
    assert rank_correlation([1, 2, 3], [2, 4, 9]) == 1
    assert Forecast(0.5, 0.1).exceeds(0.5) == 0.5


# ---- in pieces ----------------------------------------------------------------------------------------------------


def test_trainings_in_pieces_all_come_to_their_end_the_least_far_first():
    pieces = Pieces(20, 3)
    assert [pieces.begin(id) for id in (0, 1)] == [3, 3], "an eighth of the schedule, rounded up"
    assert pieces.report(finished(0, 0.1, 3)) == []
    assert pieces.next() is None, "the third one has not begun"
    assert pieces.begin(2) == 3
    assert pieces.next() == (0, 6)
    assert pieces.report(finished(0, 0.1, 6)) == []
    assert pieces.report(finished(1, 0.1, 3)) == []
    assert [pieces.next(), pieces.next(), pieces.next()] == [(1, 6), (0, 9), None]
    assert pieces.open == {0, 1, 2}
    assert pieces.report(Trial(2, failed=True)) == [2]
    assert pieces.report(finished(1, 0.1, 18)) == []
    assert pieces.next() == (1, 20)
    assert pieces.report(finished(1, 0.1, 20)) == [1]
    assert pieces.open == {0}


def test_pieces_go_on_where_fewer_begin_than_were_to():
    pieces = Pieces(8, 2)
    pieces.begin(0)
    assert pieces.report(finished(0, 0.1, 1)) == []
    assert pieces.next() is None
    assert pieces.close() == []
    assert pieces.next() == (0, 2)
    assert pieces.close() is None
