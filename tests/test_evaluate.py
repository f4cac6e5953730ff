"""Intervals cover as often as they say; the comparison gives every rival the same budget, labels and learner."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

import oracles
from datastill import KIPRegressor, LabelSolve
from datastill.distill import fit as distil
from datastill.evaluate import comparison, intervals
from datastill.evaluate.comparison import RANDOM_DRAWS, Judge, class_means, compare, nearest_rows
from datastill.evaluate.scores import headline
from datastill.select.kmeans import kmeans_centres


@given(n=st.integers(1, 60), share=st.floats(0, 1))
def test_clopper_pearson_equals_its_slow_twin(n, share):
    successes = round(share * n)
    found, expected = intervals.proportion(successes, n), oracles.clopper_pearson(successes, n)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0 <= found[0] <= successes / n <= found[1] <= 1


def test_clopper_pearson_covers(rng):
    inside = 0
    for successes in rng.binomial(50, 0.8, 400):
        low, high = intervals.proportion(int(successes), 50)
        inside += low <= 0.8 <= high
    assert inside / 400 >= 0.93


def test_no_rows_say_nothing():
    assert intervals.proportion(0, 0) == (0.0, 1.0)


def test_the_interval_of_a_mean_over_draws_covers(rng):
    inside = 0
    for _ in range(400):
        draws = rng.normal(0.8, 0.03, 5).clip(0, 1)  # each draw has its own accuracy on its own
        inside += np.less_equal(*_ends(rng.binomial(1000, draws) / 1000, 0.8)).all()
    assert inside / 400 >= 0.85  # five draws, normal quantile: a little short, never wildly


def _ends(scores, truth):
    low, high = intervals.mean_proportion(scores, 1000)
    return np.array([low, truth]), np.array([truth, high])


@given(seed=st.integers(0, 100), columns=st.sampled_from([1, 3]))
def test_r2_is_scikit_learns(seed, columns):
    draw = np.random.default_rng(seed)
    y = draw.standard_normal((20, columns))
    predicted = y + draw.standard_normal((20, columns))
    assert intervals.r2(y, predicted) == pytest.approx(r2_score(y, predicted))
    low, high = intervals.r_squared(y, predicted)
    assert low <= intervals.r2(y, predicted) <= high


def test_r2_of_a_constant_is_not_a_number():
    assert np.isnan(intervals.r2(np.ones(4), np.ones(4)))


@pytest.fixture(scope="module")
def data():
    """Rows and classes to learn from, and to be judged on."""
    draw = np.random.default_rng(0)
    y = np.array(["a", "b", "c"])[np.arange(150) % 3]
    X = draw.normal(size=(150, 4)) + 2 * np.eye(4)[np.arange(150) % 3]
    return X[:90], y[:90], X[90:], y[90:]


def judge_of(model, X, y, X_test, y_test):
    features = model.space_.encode_features
    return Judge(model.problem(), model.space_, model.labels_, model.targets(X, y), features(X_test), y_test)


def test_every_rival_has_the_budget_and_its_role(data):
    X, y, X_test, y_test = data
    model = LabelSolve(2, random_state=0).fit(X, y)
    budget = np.array([2, 2, 2])
    scores = compare(judge_of(model, *data), "ours", model.predict(X_test), budget, X, 0)
    assert [s.role for s in scores] == ["result", "random", "other", "other", "all"]
    assert [s.n_examples for s in scores] == [6, 6, 6, 6, 90]
    assert scores[0].value == model.score(X_test, y_test)
    assert all(s.low <= s.value <= s.high for s in scores)
    assert all(s.metric == "accuracy" for s in scores)
    # The method here is random rows with solved labels; so is the rival, on other draws of the same kind.
    seeds = range(20)
    own = [LabelSolve(2, random_state=seed).fit(X, y).score(X_test, y_test) for seed in seeds]
    assert min(own) <= scores[1].value <= max(own)


def test_a_rival_whose_kernel_matrix_is_singular_has_no_figure_and_ends_nothing(data):
    X, y, X_test, y_test = data
    X, y = np.repeat(X[:3], 2, axis=0), np.repeat(y[:3], 2)
    model = LabelSolve(1, reg=0.0, kernel="linear", random_state=0).fit(X, y)
    scores = compare(judge_of(model, X, y, X_test, y_test), "ours", model.predict(X_test), np.full(3, 3), X, 0)
    assert [s.role for s in scores] == ["result", "random", "other", "other", "all"]
    for score in scores[1:]:
        assert np.isnan(score.value)
        assert "no figure" in score.name
    assert np.isfinite(scores[0].value)


def test_all_rows_are_kernel_ridge_regression_on_them(data):
    X, y, X_test, y_test = data
    model = LabelSolve(2, reg=1e-3, random_state=0).fit(X, y)
    found = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)[-1].value
    x, x_test = ((rows - X.mean(axis=0)) / X.std(axis=0) for rows in (X, X_test))
    codes = np.unique(y, return_inverse=True)[1]
    vectors = oracles.predict(
        oracles.dense(x, x)[1], oracles.dense(x_test, x)[1], oracles.centred_one_hot(codes, 3), 1e-3
    )
    assert found == np.mean(model.classes_[vectors.argmax(axis=1)] == y_test)


def test_under_a_dear_kernel_rivals_meet_fewer_rows_and_all_rows_are_not_measured(data, monkeypatch):
    X, y, X_test, _ = data
    model = LabelSolve(2, random_state=0).fit(X, y)
    monkeypatch.setattr(comparison, "WORK", 250.0)  # activations: none of all
    monkeypatch.setattr(distil, "LABEL_WORK", 250.0)  # 41 rows for 6
    monkeypatch.setattr(distil, "ROWS_PER_LABEL", 5)
    scores = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert [s.name for s in scores[1:]] == [
        "random rows, labels solved on 41 rows",
        "random rows, own labels",
        "k-means centres, labels solved on 41 rows",
        "all rows (not measured: 13,500 pairs of rows)",
    ]
    assert [np.isfinite(s.value) for s in scores] == [True, True, True, True, False]
    assert "where" not in headline("6 rows", scores, 90)
    monkeypatch.setattr(distil, "ROWS_PER_LABEL", 10)
    again = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert again[1].name == "random rows, labels solved on 60 rows"
    monkeypatch.undo()
    whole = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert whole[1].name == "random rows, labels solved"
    assert abs(whole[1].value - again[1].value) < 0.1  # the same rows, their labels solved on fewer


def test_regression_is_compared_in_r2(data):
    X, _, X_test, _ = data
    y, y_test = (rows @ np.arange(4.0) for rows in (X, X_test))
    model = KIPRegressor(5, max_iter=5, random_state=0).fit(X, y)
    scores = compare(judge_of(model, X, y, X_test, y_test), "ours", model.predict(X_test), np.array([5]), X, 0)
    assert {s.metric for s in scores} == {"R²"}
    assert scores[0].value == pytest.approx(model.score(X_test, y_test))
    assert scores[-1].value > 0.9


def test_more_draws_of_random_rows_than_one():
    assert RANDOM_DRAWS >= 3


def test_the_nearest_row_is_of_the_same_class(rng):
    z, codes = rng.standard_normal((40, 3)), np.arange(40) % 2
    support, own = rng.standard_normal((5, 3)), np.array([0, 1, 1, 0, 1])
    found = nearest_rows(z, codes, support, own)
    for point, c, i in zip(support, own, found, strict=True):
        distances = np.where(codes == c, np.linalg.norm(z - point, axis=1), np.inf)
        assert i == distances.argmin()


def test_class_means_of_arrays_keep_their_dtype(rng):
    images = rng.integers(0, 255, (20, 3, 3)).astype(np.uint8)
    codes = np.arange(20) % 2
    found = class_means(images, codes, 2)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found[1], images[codes == 1].mean(axis=0), atol=0.5)


def test_class_means_of_tables_are_means_and_the_commonest_category():
    frame = pd.DataFrame({"size": [1, 3, 10, 20], "colour": ["red", "red", None, "blue"]})
    found = class_means(frame, np.array([0, 0, 1, 1]), 2)
    assert found["size"].tolist() == [2, 15]
    assert found["colour"].iloc[0] == "red"


@pytest.mark.parametrize("shape", [(60, 3), (60, 2, 2)])
def test_k_means_centres_are_grouped_by_class_and_near_it(shape, rng):
    codes = np.arange(60) % 2
    z = (rng.standard_normal(shape) + 10 * codes.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)
    centres = kmeans_centres(z, codes, np.array([3, 2]), 0)
    assert centres.shape == (5, *shape[1:])
    assert centres.dtype == z.dtype
    assert (centres.reshape(5, -1).mean(axis=1) > 5).tolist() == [False] * 3 + [True] * 2
    np.testing.assert_array_equal(centres, kmeans_centres(z, codes, np.array([3, 2]), 0))


def test_one_centre_is_the_mean_and_a_small_class_repeats_its_rows(rng):
    z, codes = rng.standard_normal((10, 2)), np.array([0] * 8 + [1] * 2)
    centres = kmeans_centres(z, codes, np.array([1, 3]), 0)
    np.testing.assert_allclose(centres[0], z[:8].mean(axis=0))
    assert {tuple(c) for c in centres[1:]} == {tuple(r) for r in z[8:]}


def test_repeated_rows_have_no_more_centres_than_there_are_rows():
    z = np.array([[0.0], [0.0], [0.0], [1.0]])
    assert set(kmeans_centres(z, np.zeros(4, int), np.array([3]), 0).ravel()) == {0.0, 1.0}
