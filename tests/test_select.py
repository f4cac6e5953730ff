"""Selectors pick what the obvious loops pick, within their guarantees, and say what each pick was worth."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from datastill._errors import InputError
from datastill.kernels import RBF, FullyConnected, Linear
from datastill.select import exchange, herding, k_center, mmd, sensitivity, similarity
from datastill.select.archetypes import archetypes
from datastill.select.difficulty import difficulty, hardest
from datastill.select.discrepancy import kernel_mean
from datastill.select.exemplars import exemplars
from datastill.select.greedy import maximise
from datastill.select.kmeans import groups, kmeans, kmedoids, nearest_to_centres
from datastill.select.neighbours import nearest
from datastill.select.selection import check_rows
from datastill.select.submodular import FacilityLocation, FeatureBased, LogDeterminant

seeds = given(seed=st.integers(0, 1000))


def distances(x):
    return np.linalg.norm(x[:, None] - x[None], axis=2)


def radius(x, indices):
    return distances(x)[:, indices].min(axis=1).max()


@seeds
def test_k_center_picks_as_the_obvious_loop(seed):
    x = np.random.default_rng(seed).standard_normal((40, 3)).astype(np.float32)
    found = k_center(x, 8, first=3)
    picks = [3]
    while len(picks) < 8:
        picks.append(int(distances(x)[:, picks].min(axis=1).argmax()))
    assert found.indices.tolist() == picks
    np.testing.assert_allclose(found.gains[1:], [radius(x, picks[:i]) for i in range(1, 8)], rtol=1e-5)
    assert np.isinf(found.gains[0])


def test_k_center_in_many_columns_picks_as_the_obvious_loop(rng):
    x = (rng.standard_normal((300, 5)) @ rng.standard_normal((5, 400)) + 0.1 * rng.standard_normal((300, 400))) + 50
    x = x.astype(np.float32)
    found = k_center(x, 40, first=0)
    picks, full = [0], distances(x.astype(np.float64))
    while len(picks) < 40:
        picks.append(int(full[:, picks].min(axis=1).argmax()))
    assert found.indices.tolist() == picks


@seeds
def test_k_center_is_within_twice_the_best_radius(seed):
    x = np.random.default_rng(seed).standard_normal((9, 2)).astype(np.float32)
    best = min(radius(x, list(subset)) for subset in itertools.combinations(range(9), 3))
    assert radius(x, k_center(x, 3, first=seed % 9).indices) <= 2 * best + 1e-5


@seeds
def test_k_center_weighs_by_nearest_rows_and_gains_fall(seed):
    x = np.random.default_rng(seed).standard_normal((50, 2)).astype(np.float32)
    found = k_center(x, 6)
    nearest = distances(x)[:, found.indices].argmin(axis=1)
    np.testing.assert_array_equal(found.weights, np.bincount(nearest, minlength=6))
    assert (np.diff(found.gains[1:]) <= 1e-6).all()


def test_k_center_of_repeated_rows_picks_each_once_and_then_copies():
    x = np.repeat(np.array([[0.0], [1.0], [5.0]], np.float32), 3, axis=0)
    found = k_center(x, 5, first=0)
    assert found.indices.tolist()[:3] == [0, 6, 3]
    assert found.gains[3:].tolist() == [0.0, 0.0]
    assert len(set(found.indices.tolist())) == 5
    assert found.weights.sum() == 9


def test_first_centres_are_kept_and_without_them_the_row_nearest_to_the_mean_is_first():
    x = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    assert k_center(x, 4, first=[7, 2]).indices.tolist()[:2] == [7, 2]
    assert k_center(x, 4).indices[0] == ((x - x.mean(axis=0)) ** 2).sum(axis=1).argmin()


@pytest.mark.parametrize("first", [30, -1, [1, 1], [0, 1, 2, 3, 4]])
def test_first_centres_must_be_rows(first):
    with pytest.raises(InputError, match="different row numbers"):
        k_center(np.zeros((30, 2), np.float32), 4, first=first)


@pytest.mark.parametrize("k", [0, 31])
def test_budgets_are_of_the_data(k):
    x = np.zeros((30, 2), np.float32)
    for select in (lambda: k_center(x, k), lambda: herding(x, k, Linear())):
        with pytest.raises(InputError, match="expected 1 to 30"):
            select()


@pytest.mark.parametrize("dense", [0, 8192], ids=["columns", "dense"])
@pytest.mark.parametrize("kernel", [RBF(), Linear(), FullyConnected(1)], ids=["rbf", "linear", "fc1"])
def test_herding_picks_as_the_obvious_loop(kernel, dense, rng, monkeypatch):
    monkeypatch.setattr(sys.modules["datastill.select.herding"], "DENSE_ROWS", dense)
    x = rng.standard_normal((40, 3))
    gram = np.asarray(kernel.resolve(x)(x))
    picks = []
    for _ in range(10):
        score = gram.mean(axis=1) - gram[:, picks].sum(axis=1) / (len(picks) + 1)
        score[picks] = -np.inf
        picks.append(int(score.argmax()))
    found = herding(x, 10, kernel)
    assert found.indices.tolist() == picks

    def squared(chosen):
        return gram.mean() - 2 * gram[:, chosen].mean() + gram[np.ix_(chosen, chosen)].mean()

    expected = [squared(picks[:i]) - squared(picks[: i + 1]) for i in range(1, 10)]
    np.testing.assert_allclose(found.gains[1:], expected, atol=1e-9)
    np.testing.assert_allclose(found.weights, 4.0)
    assert mmd(kernel.resolve(x), x, x[found.indices]) == pytest.approx(squared(picks) ** 0.5, abs=1e-6)


def test_herding_is_nearer_to_the_data_than_random_rows(rng):
    x = rng.standard_normal((300, 4))
    kernel = RBF().resolve(x)
    herded = mmd(kernel, x, x[herding(x, 20, kernel).indices])
    assert herded < min(mmd(kernel, x, x[rng.choice(300, 20, replace=False)]) for _ in range(20))


@pytest.mark.parametrize("kernel", [RBF(1.0), Linear()], ids=["rbf", "linear"])
def test_exchanges_bring_the_discrepancy_down_until_none_does(kernel, rng):
    x = rng.standard_normal((60, 3))
    start = rng.choice(60, 6, replace=False)
    found = exchange(x, start, kernel)
    assert len(set(found.indices.tolist())) == 6
    reached = mmd(kernel, x, x[found.indices])
    assert reached < mmd(kernel, x, x[start])
    for number, row in itertools.product(range(6), set(range(60)) - set(found.indices.tolist())):
        other = found.indices.copy()
        other[number] = row
        assert mmd(kernel, x, x[other]) >= reached - 1e-7
    none = exchange(x, start, kernel, sweeps=0)
    np.testing.assert_array_equal(none.indices, start)
    with pytest.raises(InputError, match="picks that repeat"):
        exchange(x, np.array([1, 1]), kernel)


@pytest.mark.parametrize("n", [50, 1000, 2500])
def test_the_kernel_mean_is_that_of_the_whole_matrix(n, rng):
    x = rng.standard_normal((n, 3))
    np.testing.assert_allclose(kernel_mean(RBF(1.0), x), oracles.rbf(x, x, 1.0).mean(axis=1), rtol=1e-10)


@seeds
def test_lightweight_probabilities_are_their_definition(seed):
    x = np.random.default_rng(seed).standard_normal((30, 3))
    square = np.sum((x - x.mean(axis=0)) ** 2, axis=1)
    np.testing.assert_allclose(sensitivity.lightweight(x), 1 / 60 + square / (2 * square.sum()), rtol=1e-9)
    np.testing.assert_allclose(sensitivity.lightweight(np.ones((5, 2))), 0.2)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_leverage_scores_are_their_definition(ridge, rng):
    x = rng.standard_normal((40, 4)) * [1, 2, 3, 0.1]
    second = x.T @ x
    expected = np.diag(x @ np.linalg.inv(second + ridge * np.trace(second) / 4 * np.eye(4)) @ x.T)
    np.testing.assert_allclose(sensitivity.leverage(x, ridge), expected, rtol=1e-8)
    if not ridge:
        assert sensitivity.leverage(x).sum() == pytest.approx(4)


def test_leverage_of_dependent_columns_adds_up_to_the_rank(rng):
    x = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 5))
    assert sensitivity.leverage(x).sum() == pytest.approx(2)


def test_leverage_from_a_sample_comes_near_and_finds_what_the_sample_lacks(rng):
    x = rng.standard_normal((4000, 5))
    x[:, 4] = 0
    x[1, 4] = 30  # the only row of its direction, and not in the sample
    exact, near = (sensitivity.leverage(x, 0.1, sampled) for sampled in (None, 400))
    others = np.arange(4000) != 1
    np.testing.assert_allclose(near[others], exact[others], rtol=0.25)
    assert near.argmax() == exact.argmax() == 1
    np.testing.assert_allclose(sensitivity.leverage(x, 0.1, 4000), exact)
    for ridge, sampled in ((0.0, 400), (0.1, 0)):
        with pytest.raises(InputError, match="with a sample"):
            sensitivity.leverage(x, ridge, sampled)


def test_weighted_draws_estimate_sums_without_bias(rng):
    x = rng.lognormal(size=(200, 1))
    scores = sensitivity.lightweight(x)
    estimates = []
    for seed in range(300):
        found = sensitivity.draw(scores, 20, seed)
        estimates.append(float(found.weights @ x[found.indices, 0]))
    assert np.mean(estimates) == pytest.approx(x.sum(), abs=4 * np.std(estimates) / 300**0.5)


@pytest.mark.parametrize("scores", [np.zeros(3), np.array([1.0, -1.0]), np.array([1.0, np.nan])])
def test_scores_must_be_probabilities_up_to_scale(scores):
    with pytest.raises(InputError, match="scores 0 or more"):
        sensitivity.draw(scores, 2)
    with pytest.raises(InputError, match="ridge=-1"):
        sensitivity.leverage(np.ones((2, 2)), -1)


PICKERS = {
    "k-center": lambda x: k_center(x, 4).indices,
    "k-medoids": lambda x: kmedoids(x, 4).indices,
    "rows nearest to means": lambda x: nearest_to_centres(x, 4).indices,
    "exemplars": lambda x: exemplars(x, 4).indices,
    "herding": lambda x: herding(x, 4, RBF()).indices,
    "exchange": lambda x: exchange(x, np.arange(4), RBF()).indices,
    "lightweight": lambda x: sensitivity.draw_distinct(sensitivity.lightweight(x), 4).indices,
    "facility location": lambda x: maximise(FacilityLocation(similarity.explained(x).similarity), 4).indices,
    "neighbours": lambda x: np.sort(nearest(x, 3), axis=1),
}
OTHERS = {
    "k-means": lambda x: kmeans(x, 4),
    "groups": lambda x: groups(x, 4),
    "archetypes": lambda x: archetypes(x, 4),
    "leverage": sensitivity.leverage,
    "kernel mean": lambda x: kernel_mean(RBF(1.0), x),
    "difficulty": lambda x: difficulty(x, np.arange(len(x)) % 2, "margin"),
    "feature-based": FeatureBased,
    "log-determinant": lambda x: LogDeterminant(x, RBF(1.0)),
    "similarity": lambda x: similarity.dense(x, RBF(1.0)),
    "hardest": lambda x: hardest(x[:, 0], 2),
}
any_picker = pytest.mark.parametrize("name", PICKERS)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [*PICKERS, *OTHERS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_not_finite_are_refused(name, wrong, dtype, rng):
    x = np.abs(rng.standard_normal((30, 2))).astype(dtype)
    x[13, 0] = wrong
    with pytest.raises(InputError, match=r"NaN|inf|finite"):
        {**PICKERS, **OTHERS}[name](x)


@any_picker
@given(
    seed=st.integers(0, 1000), factor=st.sampled_from([2.0**-20, 0.5, 1.0, 2.0**30]), shift=st.sampled_from([0, 4096])
)
@settings(max_examples=8)
def test_picks_do_not_change_when_all_rows_are_moved_and_scaled(name, seed, factor, shift):
    x = np.random.default_rng(seed).integers(-64, 64, (40, 3)) / 8 + np.random.default_rng(seed).random((40, 3)) / 4
    x = np.round(x * 2**10) / 2**10  # so that moving them rounds nothing
    np.testing.assert_array_equal(PICKERS[name](factor * (x + shift)), PICKERS[name](x))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.uint32, np.int64, np.float16])
def test_whole_numbers_become_floats_that_hold_them(dtype, rng):
    small = rng.integers(0, 2 if dtype == np.bool_ else 256, (40, 3)).astype(dtype)
    found = check_rows(small)
    assert found.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(found, small)
    large = rng.integers(0, 256, (40, 3)) + 2**50
    np.testing.assert_array_equal(
        k_center(check_rows(large), 5).indices, k_center(check_rows(large - 2**50), 5).indices
    )
    np.testing.assert_array_equal(kmedoids(check_rows(large), 5), kmedoids(check_rows(large - 2**50), 5))


@any_picker
def test_picks_do_not_change_with_the_order_of_columns_or_of_memory(name, rng):
    x = rng.standard_normal((40, 5))
    wanted = PICKERS[name](x)
    np.testing.assert_array_equal(PICKERS[name](np.asfortranarray(x)), wanted)
    np.testing.assert_array_equal(PICKERS[name](x[:, ::-1]), wanted)


def test_numbers_whose_squares_are_lost_are_refused(rng):
    for scale in (1e-200, 1e200):
        with pytest.raises(InputError, match="squares"):
            k_center(scale * rng.standard_normal((9, 2)), 2)
