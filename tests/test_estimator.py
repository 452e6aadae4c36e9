"""`evonas.NASClassifier` on pictures, beside scikit-learn's own checks (`test_estimator_checks`)."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import evonas

ROWS, DIGITS = load_digits(n_class=3, return_X_y=True)
ROWS, DIGITS = ROWS[:160], DIGITS[:160]
PICTURES = ROWS.reshape(-1, 8, 8)
LEARNT, ASKED = slice(0, 120), slice(120, 160)
SETTINGS = {"channels": 6, "stages": 2, "epochs": 2, "batch_size": 32, "final.batch_size": 32, "final.epochs": 15}


def classifier(**given):
    return evonas.NASClassifier(**{"budget": 2, "settings": SETTINGS, "random_state": 0} | given)


@pytest.fixture(scope="module")
def fitted():
    return classifier().fit(PICTURES[LEARNT], DIGITS[LEARNT])


def test_pictures_that_it_has_not_seen_are_put_into_their_classes(fitted):
    assert fitted.score(PICTURES[ASKED], DIGITS[ASKED]) >= 0.9
    shares = fitted.predict_proba(PICTURES[ASKED])
    assert shares.shape == (40, 3)
    assert shares.sum(1) == pytest.approx(np.ones(40))
    assert list(fitted.classes_) == [0, 1, 2]


def test_rows_with_a_shape_are_the_same_as_pictures_with_or_without_channels(fitted):
    known = fitted.predict_proba(PICTURES[ASKED])
    flat = classifier(image_shape=(8, 8)).fit(ROWS[LEARNT], DIGITS[LEARNT])
    assert np.array_equal(flat.predict_proba(ROWS[ASKED]), known)
    assert (flat.n_features_in_, fitted.n_features_in_) == (64, 8)
    deep = classifier().fit(PICTURES[LEARNT, ..., None], DIGITS[LEARNT])
    assert np.array_equal(deep.predict_proba(PICTURES[ASKED, ..., None]), known)


def test_channels_come_last():
    colour = np.stack([PICTURES, 16 - PICTURES], -1)
    found = classifier(image_shape=(8, 8, 2)).fit(colour[LEARNT].reshape(120, -1), DIGITS[LEARNT])
    assert found.network_.meta["graph"].input_shape == (2, 8, 8)
    assert found.mean_ == pytest.approx(colour[LEARNT].mean((0, 1, 2)), rel=0.1)  # all but the test part
    assert found.score(colour[ASKED].reshape(40, -1), DIGITS[ASKED]) >= 0.8


def test_the_network_is_a_module_that_gives_the_logits_of_the_probabilities(fitted):
    images = (torch.tensor(PICTURES[ASKED, None], dtype=torch.float32) - fitted.mean_.item()) / fitted.std_.item()
    with torch.no_grad():
        found = fitted.network_(images).softmax(1).numpy()
    assert isinstance(fitted.network_, torch.nn.Module)
    assert found == pytest.approx(fitted.predict_proba(PICTURES[ASKED]), abs=1e-5)


def test_the_order_of_the_samples_changes_nothing(fitted):
    order = np.random.default_rng(1).permutation(120)
    again = classifier().fit(PICTURES[LEARNT][order], DIGITS[LEARNT][order])
    assert np.array_equal(again.predict_proba(PICTURES[ASKED]), fitted.predict_proba(PICTURES[ASKED]))
    other = classifier(random_state=1).fit(PICTURES[LEARNT], DIGITS[LEARNT])
    assert not np.array_equal(other.predict_proba(PICTURES[ASKED]), fitted.predict_proba(PICTURES[ASKED]))


def test_a_generator_gives_each_fit_a_seed_of_its_own():
    generator = np.random.RandomState(0)
    one, two = (classifier(random_state=generator).fit(PICTURES[LEARNT], DIGITS[LEARNT]) for _ in range(2))
    assert one.summary_["seed"] != two.summary_["seed"]


def test_weights_of_classes_are_weights_of_their_samples():
    many = classifier(class_weight={0: 3.0, 1: 1.0, 2: 0.5}).fit(PICTURES[LEARNT], DIGITS[LEARNT])
    each = classifier().fit(PICTURES[LEARNT], DIGITS[LEARNT], np.array([3.0, 1.0, 0.5])[DIGITS[LEARNT]])
    assert np.array_equal(many.predict_proba(PICTURES[ASKED]), each.predict_proba(PICTURES[ASKED]))


def test_what_has_the_larger_weight_is_said_where_samples_contradict_each_other():
    x = np.repeat(PICTURES[LEARNT], 2, axis=0)
    y = np.tile(["often", "seldom"], 120)  # of the same pictures
    for heavy in ("often", "seldom"):
        found = classifier(validation=0.3).fit(x, y, np.where(y == heavy, 9.0, 1.0))
        assert (found.predict(PICTURES[ASKED]) == heavy).all()


def test_a_pickled_one_says_the_same_in_another_process_after_its_run_is_deleted(tmp_path):
    names = np.array(["nought", "one", "two"])[DIGITS]
    found = classifier().fit(PICTURES[LEARNT], names[LEARNT])  # in a run directory that is gone by now
    (tmp_path / "it.pickle").write_bytes(pickle.dumps(found))
    np.savez(tmp_path / "asked.npz", x=PICTURES[ASKED], shares=found.predict_proba(PICTURES[ASKED]))
    code = """
import pickle, numpy as np
found, known = pickle.load(open("it.pickle", "rb")), np.load("asked.npz")
assert np.array_equal(found.predict_proba(known["x"]), known["shares"])
print(*sorted(set(found.predict(known["x"]))), found.network_.training)
assert pickle.loads(pickle.dumps(found)).network_.meta["graph"] == found.network_.meta["graph"]
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["nought", "one", "two", "False"], done.stderr


def test_each_fit_leaves_its_run_where_it_is_wanted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "fit-1").mkdir(parents=True)  # of another process, it may be
    model = classifier(out="runs", budget=1).fit(PICTURES[LEARNT], DIGITS[LEARNT])
    assert model.directory_.resolve() == tmp_path / "runs" / "fit-2"
    assert (model.directory_ / "report.html").exists()
    assert model.run_.summary == model.summary_
    assert model.run_.best.code == model.code_
    model.set_params(out=None).fit(PICTURES[LEARNT], DIGITS[LEARNT])
    assert [each.name for each in tmp_path.iterdir()] == ["runs"]
    with pytest.raises(AttributeError, match="give it an `out`"):
        _ = model.run_
    with pytest.raises(NotFittedError):
        _ = classifier().run_


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_pipeline_and_a_grid_search_take_it(n_jobs):
    model = make_pipeline(StandardScaler(), classifier(image_shape=(8, 8)))
    grid = GridSearchCV(model, {"nasclassifier__budget": [1, 2]}, cv=2, n_jobs=n_jobs)
    grid.fit(ROWS[LEARNT], DIGITS[LEARNT])
    assert grid.score(ROWS[ASKED], DIGITS[ASKED]) >= 0.8
    found = grid.best_estimator_["nasclassifier"]
    assert found.summary_["evaluations"] == grid.best_params_["nasclassifier__budget"]


def test_another_system_with_its_settings_is_searched():
    small = {"population": 2, "epochs": 1, "final.epochs": 4}
    found = classifier(system="genet", settings=small, max_parameters="20k").fit(PICTURES[LEARNT], DIGITS[LEARNT])
    assert found.summary_["system"] == "genet"
    assert found.summary_["winner"]["parameters"] <= 20_000
    assert found.predict_proba(PICTURES[:1]) == pytest.approx(found.predict_proba(PICTURES)[:1], abs=1e-9)


def test_bytes_are_kept_and_give_what_floats_give(fitted):
    longer = SETTINGS | {"final.epochs": 30}
    small = classifier(settings=longer).fit(PICTURES[LEARNT].astype(np.uint8), DIGITS[LEARNT])
    assert small.predict_proba(PICTURES[ASKED]) == pytest.approx(small.predict_proba(PICTURES[ASKED].astype(np.uint8)))
    assert small.score(PICTURES[ASKED], DIGITS[ASKED]) >= 0.9


def test_what_cannot_be_used_is_an_error_that_says_so(fitted):
    with pytest.raises(ValueError, match=r"64 features, but an image_shape of \(7, 9\) has 63"):
        classifier(image_shape=(7, 9)).fit(ROWS, DIGITS)
    with pytest.raises(ValueError, match=r"shape \(160, 8, 8\); give \(N, \*\(4, 16\)\)"):
        classifier(image_shape=(4, 16)).fit(PICTURES, DIGITS)
    with pytest.raises(ValueError, match=r"has the shape \(1, 1, 1, 8, 8\); give \(N, F\)"):
        classifier().fit(PICTURES[None, None, :1], [0])
    with pytest.raises(ValueError, match="got 1 class"):
        classifier().fit(PICTURES, np.zeros(160))
    with pytest.raises(ValueError, match="one of each class"):
        classifier().fit(PICTURES[:2], [0, 1])
    with pytest.raises(ValueError, match="weights from 0 on"):
        classifier().fit(PICTURES, DIGITS, -np.ones(160))
    with pytest.raises(ValueError, match="share between 0 and 1"):
        classifier(test=0).fit(PICTURES, DIGITS)
    with pytest.raises(evonas.UserError, match="did you mean channels"):
        classifier(settings={"chanels": 3}).fit(PICTURES, DIGITS)
    with pytest.raises(ValueError, match=r"pictures \(C, H, W\) of \(1, 8, 7\), but NASClassifier was fitted with"):
        fitted.predict(PICTURES[:, :, :7])


def test_few_samples_are_learnt_from_with_a_warning_that_nothing_was_tested():
    with pytest.warns(UserWarning, match="4 different samples are too few for a test part"):
        found = classifier().fit([[0.0, 1.0], [0.0, 1.1], [5.0, 1.0], [5.0, 1.1]], ["a", "a", "b", "b"])
    assert set(found.predict([[0.0, 1.0], [5.0, 1.0]])) <= {"a", "b"}


def test_scikit_learn_is_not_loaded_before_it_is_used():
    code = "import sys, evonas, evonas.api; assert 'sklearn' not in sys.modules; evonas.NASClassifier(); print('well')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "well\n"


@pytest.mark.slow
@pytest.mark.parametrize("random_state", [0, 1, 2])
def test_a_minute_is_enough_for_the_digits(random_state):
    rows, digits = load_digits(return_X_y=True)
    some, others, theirs, wanted = train_test_split(rows, digits, stratify=digits, random_state=random_state)
    model = evonas.NASClassifier(image_shape=(8, 8), budget="60s", random_state=random_state).fit(some, theirs)
    assert model.score(others, wanted) >= 0.96
