"""Intervals cover as often as they say; the comparison gives every rival the same budget, labels and learner."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

import oracles
from datastill import CoresetRegressor, KIPRegressor, LabelSolve
from datastill.distill import kernel_objective
from datastill.evaluate import comparison, intervals
from datastill.evaluate.comparison import RANDOM_DRAWS, compare
from datastill.evaluate.constant import CONSTANT, with_constant
from datastill.evaluate.draws import PROPORTIONAL, RANDOM, draws_of, random_sets
from datastill.evaluate.judge import Judge
from datastill.evaluate.leaderboard import leaderboard
from datastill.evaluate.protocol import Examples, HeldOut, protocol
from datastill.evaluate.references import class_means, nearest_rows
from datastill.evaluate.scores import by_role, headline, verdict
from datastill.evaluate.verdicts import verdicts_of
from datastill.select.kmeans import kmeans_centres
from datastill.tuning import REGS


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


def test_draws_that_agree_on_every_row_are_one_draw():
    wrong = np.array([[1.0] * 43 + [0.0] * 407])
    found = intervals.of_errors(np.repeat(wrong, 5, axis=0))
    assert found == intervals.of_errors(wrong)
    assert found.value == pytest.approx(407 / 450)
    assert (found.low, found.high) == intervals.proportion(407, 450)


@given(seed=st.integers(0, 1000), m=st.integers(2, 6), n=st.integers(5, 60))
def test_the_spread_of_draws_widens_the_interval(seed, m, n):
    losses = (np.random.default_rng(seed).random((m, n)) < 0.3).astype(float)
    losses[1] = 1 - losses[0]  # so that draws differ
    found, half = intervals.of_errors(losses), oracles.graybill_wang(losses)
    assert found.value == pytest.approx(1 - losses.mean())
    assert found.low == pytest.approx(max(found.value - half, 0)) and found.high == pytest.approx(
        min(found.value + half, 1)
    )
    rows = losses.mean(axis=0).std(ddof=1) / n**0.5
    assert half > rows


def test_nothing_measured_has_no_interval():
    assert np.isnan(intervals.of_errors(np.zeros((0, 0)))).all()


def test_the_interval_of_r2_is_that_of_the_error_in_units_of_the_spread(rng):
    y = rng.standard_normal(300)
    draws = [y + noise * rng.standard_normal(300) for noise in (0.5, 0.6, 0.7)]
    losses = np.array([(y - found) ** 2 for found in draws])
    mean = np.mean([r2_score(y, found) for found in draws])
    found = intervals.of_squares(losses, mean)
    half = oracles.graybill_wang(losses) / y.var()
    assert found == pytest.approx((mean, mean - half, min(mean + half, 1)), rel=1e-6)
    assert intervals.of_squares(np.zeros((2, 9)), 1.0) == (1.0, 1.0, 1.0)


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
    scores, duel = compare(judge_of(model, *data), "ours", model.predict(X_test), budget, X, 0)
    assert [s.role for s in scores if s.role != "random"] == ["result", "other", "other", "all", "constant"]
    assert [s.name for s in scores[1:3]] == ["random rows, labels solved", "random rows, own labels"]
    assert [s.n_examples for s in scores] == [6, 6, 6, 6, 90, 0]
    assert scores[0].value == model.score(X_test, y_test)
    assert all(s.low <= s.value <= s.high for s in scores)
    assert all(s.metric == "accuracy" for s in scores)
    rival = by_role(scores, "random")
    assert rival.value == max(s.value for s in scores[1:3])
    assert duel.difference == pytest.approx(scores[0].value - rival.value)
    assert duel.gains.shape == (RANDOM_DRAWS, 60)
    assert len(np.unique(duel.gains, axis=0)) > 1  # the draws are not all the same
    assert duel.gains.mean() == pytest.approx(duel.difference)
    # The method here is random rows with solved labels; so is the rival, on other draws of the same kind.
    seeds = range(20)
    own = [LabelSolve(2, random_state=seed).fit(X, y).score(X_test, y_test) for seed in seeds]
    assert min(own) <= scores[1].value <= max(own)


def test_rivals_do_not_suffer_from_the_penalty_that_the_set_was_learned_with(rng):
    """Targets that are mostly noise: interpolated, as with the distiller's reg, random rows are worse than nothing."""
    X, X_test = rng.standard_normal((400, 3)), rng.standard_normal((300, 3))
    y, y_test = (rows[:, 0] + 2 * rng.standard_normal(len(rows)) for rows in (X, X_test))
    model = CoresetRegressor(100, method="random", kernel="rbf", random_state=0).fit(X, y)
    judge = judge_of(model, X, y, X_test, y_test)
    assert r2_score(y_test, model.predict(X_test)) < -0.5
    scores = {s.name: s for s in compare(judge, "ours", model.predict(X_test), np.array([100]), X, 0).scores}
    for name in ("random rows", "k-means centres", "all rows"):
        assert scores[name].value > 0
    assert scores["constant prediction (mean target)"].value == pytest.approx(0, abs=0.03)
    assert scores["constant prediction (mean target)"].value <= 0


def test_random_rows_of_unlike_classes_are_drawn_in_proportion_too(rng):
    y = np.array(["rare", "usual"])[(np.arange(400) % 10 > 0).astype(int)]
    X = rng.standard_normal((400, 3)) + (y == "rare")[:, None]
    model = LabelSolve(10, random_state=0).fit(X, y)
    scores, duel = compare(judge_of(model, X, y, X, y), "ours", model.predict(X), np.array([10, 10]), X, 0)
    names = [s.name for s in scores]
    assert names[1:5] == [
        f"{kind}, {how}" for kind in (RANDOM, PROPORTIONAL) for how in ("labels solved", "own labels")
    ]
    assert [s.n_examples for s in scores[1:5]] == [20] * 4
    rival = by_role(scores, "random")
    assert rival.value == max(s.value for s in scores[1:5])
    constant = by_role(scores, "constant")
    assert constant.value == 0.9
    sentence = verdict(scores, verdicts_of([duel])).sentence
    assert "NOT better than the constant prediction" in sentence or scores[0].value > 0.9


@given(counts=st.lists(st.integers(1, 200), min_size=2, max_size=5), each=st.integers(1, 4))
def test_draws_have_the_size_of_the_set_and_coincide_for_balanced_classes(counts, each):
    codes = np.repeat(np.arange(len(counts)), counts)
    budget = np.full(len(counts), each)
    found = draws_of(codes, budget)
    assert all(of.sum() == budget.sum() and (of >= 1).all() for of in found.values())
    np.testing.assert_array_equal(found[RANDOM], budget)
    if max(counts) <= 1.5 * min(counts) or each == 1:
        assert list(found) == [RANDOM]


def test_a_rival_whose_kernel_matrix_is_singular_has_no_figure_and_ends_nothing(data):
    X, y, X_test, y_test = data
    X, y = np.repeat(X[:3], 2, axis=0), np.repeat(y[:3], 2)
    model = LabelSolve(1, reg=0.0, kernel="linear", random_state=0).fit(X, y)
    scores, _ = compare(judge_of(model, X, y, X_test, y_test), "ours", model.predict(X_test), np.full(3, 3), X, 0)
    assert [s.role for s in scores] == ["result", "other", "random", "other", "all", "constant"]
    for score in (scores[1], scores[3]):  # their labels were to be solved without a penalty
        assert np.isnan(score.value)
        assert "no figure" in score.name
    assert all(np.isfinite(scores[i].value) for i in (0, 2, 4, 5))


def test_all_rows_are_kernel_ridge_regression_on_them_tuned_on_them(data):
    X, y, X_test, y_test = data
    model = LabelSolve(2, reg=1e-3, random_state=0).fit(X, y)
    scores, _ = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    x, x_test = ((rows - X.mean(axis=0)) / X.std(axis=0) for rows in (X, X_test))
    k_ss, vectors = oracles.dense(x, x)[1], oracles.centred_one_hot(np.unique(y, return_inverse=True)[1], 3)
    reg = min(REGS, key=lambda reg: np.mean(oracles.left_out(k_ss, vectors, reg) ** 2))
    said = oracles.predict(k_ss, oracles.dense(x_test, x)[1], vectors, reg)
    assert by_role(scores, "all").value == np.mean(model.classes_[said.argmax(axis=1)] == y_test)


def test_some_rows_with_labels_solved_on_all_are_not_called_all_rows(data, monkeypatch):
    X, y, X_test, _ = data
    monkeypatch.setattr(comparison, "EXACT_ROWS", 50)
    monkeypatch.setattr(comparison, "INDUCING_ROWS", 30)
    model = LabelSolve(2, random_state=0).fit(X, y)
    scores, _ = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert by_role(scores, "all") is None
    proxy = by_role(scores, "inducing")
    assert (proxy.name, proxy.n_examples) == ("30 rows with labels solved on all 90", 30)
    assert f"where 30 rows with labels solved on all 90 give {100 * proxy.value:.1f} %" in headline(
        "6 rows", scores, 90
    )


def test_under_a_dear_kernel_rivals_meet_fewer_rows_and_all_rows_are_not_measured(data, monkeypatch):
    X, y, X_test, _ = data
    model = LabelSolve(2, random_state=0).fit(X, y)
    monkeypatch.setattr(comparison, "WORK", 250.0)  # activations: none of all
    monkeypatch.setattr(kernel_objective, "LABEL_WORK", 250.0)  # 41 rows for 6
    monkeypatch.setattr(kernel_objective, "ROWS_PER_LABEL", 5)
    scores, _ = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert [s.name for s in scores[1:]] == [
        "random rows, labels solved on 41 rows",
        "random rows, own labels",
        "k-means centres, labels solved on 41 rows",
        "all rows (not measured: 13,500 pairs of rows)",
        "constant prediction (commonest class)",
    ]
    assert [np.isfinite(s.value) for s in scores] == [True, True, True, True, False, True]
    assert "where" not in headline("6 rows", scores, 90)
    monkeypatch.setattr(kernel_objective, "ROWS_PER_LABEL", 10)
    again, _ = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert again[1].name == "random rows, labels solved on 60 rows"
    monkeypatch.undo()
    whole, _ = compare(judge_of(model, *data), "ours", model.predict(X_test), np.full(3, 2), X, 0)
    assert whole[1].name == "random rows, labels solved"
    assert abs(whole[1].value - again[1].value) < 0.1  # the same rows, their labels solved on fewer


def test_regression_is_compared_in_r2(data):
    X, _, X_test, _ = data
    y, y_test = (rows @ np.arange(4.0) for rows in (X, X_test))
    model = KIPRegressor(5, max_iter=5, random_state=0).fit(X, y)
    scores, _ = compare(judge_of(model, X, y, X_test, y_test), "ours", model.predict(X_test), np.array([5]), X, 0)
    assert {s.metric for s in scores} == {"R²"}
    assert scores[0].value == pytest.approx(model.score(X_test, y_test))
    assert by_role(scores, "all").value > 0.9
    assert -0.1 < by_role(scores, "constant").value <= 0


def test_the_constant_prediction_stands_beside_every_learner(rng):
    codes = np.array([0] * 30 + [1] * 10)
    every = Examples(rng.standard_normal((40, 2)), oracles.centred_one_hot(codes, 2))
    held = HeldOut(rng.standard_normal((50, 2)), (np.arange(50) % 5 == 0).astype(int))
    judged = protocol({"all rows": lambda seed: every}, ("knn", "logistic"), held, 2)
    for known, answer in ((every, 0.8), (None, 0.8)):  # the commonest class is the same among the held-out rows
        found = leaderboard(with_constant(judged, known, held), {}, "all rows").set_index(["set", "learner"])
        for learner in ("knn", "logistic"):
            row = found.loc[(CONSTANT, learner)]
            assert row["mean"] == pytest.approx(answer) and row["low"] < answer < row["high"] and row["n"] == 0
    assert len(judged.table) == 4


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


def test_random_rows_of_other_seeds_are_other_rows(rng):
    codes = np.arange(60) % 3
    every = Examples(rng.standard_normal((60, 2)).astype(np.float32), np.eye(3)[codes] - 1 / 3, None, codes)
    for set_codes in (np.arange(6) % 3, None):
        few = Examples(every.x[:6], every.vectors[:6], None, set_codes)
        (drawn,) = random_sets(few, every).values()
        assert len({drawn(seed).x.tobytes() for seed in range(5)}) == 5
        assert drawn(3).x.tobytes() == drawn(3).x.tobytes()
