"""Predictors on values that are known, and on NAS-Bench-201's cells."""

import numpy as np
import pytest

from evonas.errors import UserError
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.genomes.nasbench101 import NASBench101Space
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasnet import NASNetSpace
from evonas.predictors import PREDICTORS, encodings, predictor_of
from evonas.predictors.encodings import Encoding
from evonas.predictors.linear import GaussianProcess, Ridge
from evonas.predictors.values import at_scores, normal_scores
from evonas.ranking import rank_correlation
from evonas.support.streams import stream

SPACE = NASBench201Space(cells=1, channels=4)
WORTH = {"none": 0, "skip_connect": 1, "nor_conv_1x1": 2, "nor_conv_3x3": 3, "avg_pool_3x3": 0.5}


def score(genome):
    """Effects of single decisions, and one of two together."""
    return sum(WORTH[op] for op in genome) + 4 * (genome[0] == genome[5] == "nor_conv_3x3")


def drawn(n, seed=0, space=SPACE):
    rng = stream(seed, "genomes")
    genomes = [space.random(rng) for _ in range(n)]
    return genomes, np.array([score(each) for each in genomes])


# ---- encodings ----------------------------------------------------------------------------------------------------


def test_rows_have_a_column_for_each_answer_and_each_two_of_them():
    encoding = Encoding("one-hot+pairs", SPACE)
    genomes = [("none",) * 6, ("none",) * 5 + ("skip_connect",)]
    rows = encoding.rows(genomes).toarray()
    assert rows.shape == (2, 6 + 15 + 1 + 5)  # the second one has a new answer, and a pair with each other one
    assert (rows != 0).sum(axis=1).tolist() == [6 + 15, 6 + 15]
    assert rows[0] @ rows[1] == pytest.approx(5 / 6 + 10 / 15)  # shares of equal answers, and of equal pairs
    assert np.allclose((rows**2).sum(axis=1), 2)


def test_decisions_that_are_not_asked_have_zeros():
    space = MetaQNNSpace()
    encoding = Encoding("one-hot", space)
    rng = stream(0, "genomes")
    genomes = [space.complete({}, rng) for _ in range(30)]
    rows = encoding.rows(genomes).toarray()
    assert (rows != 0).sum(axis=1).tolist() == [len(genome) for genome in genomes]
    assert len(set(map(len, genomes))) > 1


def test_columns_that_are_met_later_leave_the_others_where_they_were():
    encoding = Encoding("one-hot", SPACE)
    before = encoding.rows([("none",) * 6]).toarray()
    encoding.rows(drawn(20)[0])
    after = encoding.rows([("none",) * 6]).toarray()
    assert after.shape[1] > before.shape[1]
    assert (after[:, :6] == before).all()


def test_all_genomes_of_a_space_are_encoded_once():
    encoding, whole = Encoding("one-hot", SPACE), tuple(drawn(20)[0])
    first = encoding.rows(whole)
    assert encoding.rows(whole) is first
    assert (encoding.rows(list(whole)).toarray() == first.toarray()).all()


def test_pairs_are_numbered_as_they_are_met_and_their_number_is_foreseen():
    encoding = Encoding("one-hot+pairs", SPACE)
    assert encoding.ahead() == 6 * 5 + 15 * 25
    genomes = list(SPACE.genomes())
    some = encoding.rows(genomes[:1]).toarray()
    assert (encoding.rows(genomes).toarray()[:1, : some.shape[1]] == some).all()
    assert encoding.width == encoding.ahead()


def test_networks_on_more_columns_than_they_can_learn_from_are_refused_at_once():
    space = NASNetSpace()
    with pytest.raises(UserError, match=r"has about [\d,]+ columns in nasnet.*use encoding=one-hot"):
        predictor_of("bananas", "one-hot+pairs", space, seed=0)()
    predictor_of("bananas", "one-hot", space, seed=0)()


def test_counts_say_how_often_an_option_was_chosen_wherever_it_was():
    encoding = Encoding("counts", SPACE)
    genomes = [("none", "none", *("skip_connect",) * 4), (*("skip_connect",) * 4, "none", "none")]
    rows = encoding.rows([*genomes, ("none",) * 6]).toarray()
    assert (rows[0] == rows[1]).all()
    assert rows[0] @ rows[2] == pytest.approx(2 / 6)  # none at least once, and at least twice
    assert (rows != 0).sum(axis=1).tolist() == [6, 6, 6]


def test_paths_of_a_cell_leave_out_what_does_nothing():
    cell = ("nor_conv_3x3", "none", "skip_connect", "skip_connect", "avg_pool_3x3", "nor_conv_1x1")
    # 0 -> 3, 0 -> 1 -> 3, (0 -> 2 is none), 0 -> 1 -> 2 -> 3
    assert SPACE.paths(cell) == [(), ("nor_conv_3x3", "avg_pool_3x3"), ("nor_conv_3x3", "nor_conv_1x1")]


def test_paths_of_nasbench101_are_those_of_its_graph():
    space = NASBench101Space()
    matrix = [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    cell = space.genome(matrix, ["conv3x3-bn-relu", "maxpool3x3"])
    conv, pool = "conv3x3-bn-relu", "maxpool3x3"
    assert space.paths(cell) == [(conv,), (conv, pool), (pool,)]


@pytest.mark.parametrize(
    ("encoding", "space", "says"),
    [
        ("bits", SPACE, "no encoding 'bits'; use one-hot, pairs, counts, paths"),
        ("pairs+pairs", SPACE, "has a part twice"),
        ("paths", MetaQNNSpace(), "does not say what the paths of a cell are"),
        ("one-hot", LargeScaleSpace(), "not sequences of decisions"),
    ],
)
def test_an_encoding_that_a_space_does_not_have_is_refused(encoding, space, says):
    with pytest.raises(UserError, match=says):
        Encoding(encoding, space)


# ---- values -------------------------------------------------------------------------------------------------------


def test_normal_scores_are_quantiles_of_ranks_and_lead_back():
    values = np.array([0.1, 0.9, 0.5, 0.5])
    scores = normal_scores(values)
    assert scores.tolist() == pytest.approx([-1.1503, 1.1503, 0, 0], abs=1e-4)  # of 1/8, 7/8 and twice 1/2
    assert at_scores(scores, values).tolist() == pytest.approx(values.tolist())
    assert at_scores(np.array([9.0, -9.0]), values).tolist() == [0.9, 0.1]


# ---- linear models ------------------------------------------------------------------------------------------------


def test_a_gaussian_process_is_bayesian_regression_in_weight_space():
    """Rasmussen and Williams 2006, eq. 2.8 and 2.9: A = X'X / (s² noise) + I / s²; mean x A^-1 X'y / (s² noise)."""
    genomes, values = drawn(40)
    others, _ = drawn(25, seed=1)
    encoding = Encoding("one-hot+pairs", SPACE)
    encoding.rows(genomes + others)
    model = GaussianProcess(encoding)
    model.fit(genomes, values)
    x, z = encoding.rows(genomes).toarray(), encoding.rows(others).toarray()
    noise = model.scale * model.noise
    inverse = np.linalg.inv(x.T @ x / noise + np.eye(x.shape[1]) / model.scale)
    mean, std = model.predict(others)
    assert mean == pytest.approx(values.mean() + z @ inverse @ x.T @ (values - values.mean()) / noise)
    assert std == pytest.approx(np.sqrt(np.diag(z @ inverse @ z.T)))


def test_the_noise_has_the_largest_marginal_likelihood():
    from scipy.stats import multivariate_normal

    genomes, values = drawn(40)
    model = GaussianProcess(Encoding("one-hot", SPACE))
    model.fit(genomes, values)
    x = model.encoding.rows(genomes).toarray()

    def likelihood(noise):
        spread = x @ x.T + noise * np.eye(len(x))
        residuals = values - values.mean()
        scale = residuals @ np.linalg.solve(spread, residuals) / len(x)
        return multivariate_normal(cov=scale * spread).logpdf(residuals)

    assert model.noise == max(model.noises, key=likelihood)


def test_draws_of_a_gaussian_process_have_its_mean_and_covariance():
    genomes, values = drawn(30)
    others, _ = drawn(5, seed=1)
    model = GaussianProcess(Encoding("one-hot+pairs", SPACE))
    model.fit(genomes, values)
    rng = np.random.default_rng(0)
    found = np.stack([model.draw(others, rng) for _ in range(4000)])
    mean, std = model.predict(others)
    assert found.mean(axis=0) == pytest.approx(mean, abs=4 * std.max() / 4000**0.5)
    assert found.std(axis=0) == pytest.approx(std, rel=0.06)
    # jointly: two twins in all columns are one in every draw
    twice = model.draw([others[0], others[0]], rng)
    assert twice[0] == pytest.approx(twice[1])


def test_a_ridge_on_a_resample_is_the_ridge_on_repeated_rows():
    from sklearn.linear_model import Ridge as Theirs

    genomes, values = drawn(30)
    others, _ = drawn(10, seed=1)
    model = Ridge(Encoding("one-hot+pairs", SPACE), penalty=0.1)
    model.fit(genomes, values)
    found = model.draw(others, np.random.default_rng(5))
    again = np.random.default_rng(5).integers(30, size=30)
    rows = model.encoding.rows(genomes).toarray()[again]
    mean = values[again].mean()
    theirs = Theirs(alpha=0.1, fit_intercept=False, tol=1e-10).fit(rows, values[again] - mean)
    width = rows.shape[1]
    assert found == pytest.approx(mean + theirs.predict(model.encoding.rows(others).toarray()[:, :width]))


def test_a_ridge_predicts_as_a_gaussian_process_of_the_same_noise():
    genomes, values = drawn(30)
    others, _ = drawn(10, seed=1)
    ridge = Ridge(Encoding("one-hot+pairs", SPACE), penalty=0.1)
    process = GaussianProcess(Encoding("one-hot+pairs", SPACE), noises=(0.1,))
    for model in (ridge, process):
        model.fit(genomes, values)
    for one, other in zip(ridge.predict(others), process.predict(others), strict=True):
        assert one == pytest.approx(other)


def test_a_ridge_that_learns_of_more_genomes_is_one_that_learns_of_all_at_once():
    genomes, values = drawn(40)
    others, _ = drawn(10, seed=1)
    for before in (genomes[:30], genomes[5:20], [*genomes, genomes[0]]):
        grown, fresh = (Ridge(Encoding("one-hot+pairs", SPACE)) for _ in range(2))
        grown.fit(before, np.arange(len(before)))
        for model in (grown, fresh):
            model.fit(genomes, values)
        assert grown.products == pytest.approx(fresh.products)
        assert grown.predict(others)[0] == pytest.approx(fresh.predict(others)[0])


# ---- all of them --------------------------------------------------------------------------------------------------


def made(name, seed=0):
    return predictor_of(name, "one-hot+pairs", SPACE, seed=seed)()


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_ranks_what_it_has_not_seen(name):
    genomes, values = drawn(120)
    others, worth = drawn(200, seed=1)
    predictor = made(name)
    predictor.fit(genomes, normal_scores(values))
    mean, std = predictor.predict(others)
    assert mean.shape == std.shape == (200,)
    assert (std >= 0).all()
    assert std.any()
    assert rank_correlation(mean, worth) > 0.8


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_is_deterministic_and_forgets(name):
    genomes, values = drawn(40)
    others, _ = drawn(20, seed=1)
    one, again = made(name), made(name)
    one.fit(genomes[:30], normal_scores(values[:30]))
    one.fit(genomes, normal_scores(values))
    again.fit(genomes[:30], normal_scores(values[:30]))
    again.fit(genomes, normal_scores(values))
    for first, second in zip(one.predict(others), again.predict(others), strict=True):
        assert (first == second).all()
    draws = [each.draw(others, np.random.default_rng(3)) for each in (one, again)]
    assert (draws[0] == draws[1]).all()
    one.fit(genomes, -normal_scores(values))
    assert rank_correlation(one.predict(others)[0], again.predict(others)[0]) < -0.5


def test_an_unknown_predictor_is_refused():
    with pytest.raises(UserError, match="no predictor 'oracle'; predictors are gp, ridge"):
        predictor_of("oracle", "one-hot", SPACE, seed=0)


def test_rows_that_are_no_longer_used_are_forgotten_and_made_again(monkeypatch):
    """Hundreds of candidates come with each proposal in a large space, and most of them once."""
    monkeypatch.setattr(encodings, "REMEMBERED", 20)
    encoding, (genomes, _) = Encoding("one-hot+pairs", SPACE), drawn(60)
    kept = genomes[:10]
    first = encoding.rows(kept).toarray()
    for candidate in genomes[10:]:
        encoding.rows([*kept, candidate])
    assert len(encoding._known) == 20
    assert set(map(tuple, kept)) <= encoding._known.keys()
    assert (encoding.rows(kept).toarray()[:, : first.shape[1]] == first).all()
    whole = encoding.rows(genomes).toarray()
    assert (whole == encoding.rows(genomes).toarray()).all()


def test_a_gaussian_process_says_the_same_of_few_genomes_and_of_many():
    """The order of its matrix products depends on whether there are fewer genomes than columns."""
    model, (genomes, values) = GaussianProcess(Encoding("one-hot", SPACE)), drawn(40)
    model.fit(genomes, values)
    others, _ = drawn(100, seed=1)
    mean, std = model.predict(others)
    parts = [model.predict(others[start : start + 10]) for start in range(0, 100, 10)]
    assert np.concatenate([part for part, _ in parts]) == pytest.approx(mean)
    assert np.concatenate([part for _, part in parts]) == pytest.approx(std)
