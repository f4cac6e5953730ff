"""Submodular objectives are what their equations say, and greedy comes as near to the best set as it promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array, issparse

from datastill._errors import InputError
from datastill.kernels import RBF, FullyConnected, Linear
from datastill.select import exemplars as exemplars_module
from datastill.select import similarity
from datastill.select.exemplars import exemplars
from datastill.select.greedy import OPTIMISERS, maximise, optimum_bound
from datastill.select.neighbours import nearest
from datastill.select.sieve import sieve
from datastill.select.submodular import (
    FacilityLocation,
    FeatureBased,
    GraphCut,
    LogDeterminant,
    SaturatedCoverage,
)

seeds = given(seed=st.integers(0, 1000))
N = 9


def alike(seed, n=N, sparse=False):
    draw = np.random.default_rng(seed)
    s = draw.random((n, n)).astype(np.float32)
    s = (s + s.T) / 2
    if sparse:
        s[draw.random((n, n)) < 0.5] = 0
        s = np.maximum(s, s.T)
        return csc_array(s)
    return s


def whole(s):
    return np.asarray(s.toarray() if issparse(s) else s, np.float64)


def twins(seed, sparse=False):
    """Objectives beside the obvious formula of a set."""
    s = alike(seed, sparse=sparse)
    full = whole(s)
    x = np.random.default_rng(seed).random((N, 4))
    rows = csr_array(x * (x > 0.3)) if sparse else x
    features = whole(rows)
    gram = whole(np.asarray(RBF(1.0)(x)))
    return {
        "facility location": (FacilityLocation(s), lambda a: full[:, a].max(axis=1).sum()),
        "saturated coverage": (
            SaturatedCoverage(s, 0.8),
            lambda a: np.minimum(full[:, a].sum(axis=1), 0.8 * full.sum(axis=1)).sum(),
        ),
        "graph cut": (GraphCut(s), lambda a: 2 * full[:, a].sum() - full[np.ix_(a, a)].sum()),
        "feature-based": (FeatureBased(rows, "log"), lambda a: np.log1p(features[a].sum(axis=0)).sum()),
        "log-determinant": (
            LogDeterminant(x, RBF(1.0), 0.2),
            lambda a: np.linalg.slogdet(np.eye(len(a)) + gram[np.ix_(a, a)] / 0.2)[1],
        ),
    }


NAMES = list(twins(0))
each = pytest.mark.parametrize("name", NAMES)
kinds = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])


@each
@kinds
@seeds
def test_values_are_their_definition(name, sparse, seed):
    objective, formula = twins(seed, sparse)[name]
    picks = np.random.default_rng(seed).permutation(N)[:4].tolist()
    for size in range(1, 5):
        assert objective.value(picks[:size]) == pytest.approx(formula(picks[:size]), rel=1e-4, abs=1e-5)


@each
@kinds
@seeds
def test_gains_fall_as_the_set_grows_and_are_not_negative(name, sparse, seed):
    objective, _ = twins(seed, sparse)[name]
    order = np.random.default_rng(seed).permutation(N)
    state = objective.start()
    last = objective.gains(state, order)
    for number, pick in enumerate(order):
        objective.add(state, int(pick))
        gains = objective.gains(state, order[number + 1 :])
        assert (gains <= last[number + 1 :] + 1e-5).all()
        assert (gains >= -1e-5).all()
        last[number + 1 :] = gains


@each
@seeds
def test_greedy_is_within_its_guarantee_and_the_bound_holds(name, seed):
    objective, formula = twins(seed)[name]
    best = max(formula(list(a)) for a in itertools.combinations(range(N), 3))
    found = maximise(objective, 3, "naive")
    assert found.gains.sum() >= (1 - 1 / np.e) * best - 1e-5
    assert found.gains.sum() == pytest.approx(formula(found.indices.tolist()), rel=1e-4)
    assert optimum_bound(objective, found.indices) >= best - 1e-4
    assert optimum_bound(objective, np.array([0, 1, 2, 3, 4]), 3) >= best - 1e-4


@each
@kinds
@seeds
def test_lazy_picks_what_naive_picks(name, sparse, seed):
    objective, _ = twins(seed, sparse)[name]
    naive, lazy = (maximise(objective, 5, optimiser) for optimiser in ("naive", "lazy"))
    np.testing.assert_allclose(naive.gains, lazy.gains, rtol=1e-5, atol=1e-6)


@each
@seeds
def test_sampling_everything_is_naive_and_lazier_is_stochastic(name, seed):
    objective, _ = twins(seed)[name]
    naive = maximise(objective, 4, "naive")
    for optimiser in ("stochastic", "lazier"):
        everything = maximise(objective, 4, optimiser, seed, epsilon=1e-9)
        np.testing.assert_allclose(everything.gains, naive.gains, rtol=1e-5, atol=1e-6)
    few = [maximise(objective, 4, optimiser, seed, epsilon=0.5) for optimiser in ("stochastic", "lazier")]
    np.testing.assert_allclose(few[0].gains, few[1].gains, rtol=1e-5, atol=1e-6)
    assert len(set(few[0].indices.tolist())) == 4


def test_stochastic_greedy_comes_near_on_many_rows(rng):
    x = rng.standard_normal((400, 3))
    objective = FacilityLocation(similarity.dense(x, RBF()))
    naive = maximise(objective, 20).gains.sum()
    for optimiser in ("stochastic", "lazier"):
        assert maximise(objective, 20, optimiser, epsilon=0.1).gains.sum() > 0.9 * naive


def test_ties_go_to_the_first_row():
    s = np.ones((6, 6), np.float32)
    for optimiser in OPTIMISERS:
        assert maximise(FacilityLocation(s), 1, optimiser, epsilon=1e-9).indices.tolist() == [0]
    assert maximise(FacilityLocation(s), 3).gains.tolist() == [6, 0, 0]
    assert maximise(FacilityLocation(s), 3).indices.tolist() == [0, 1, 2]


def test_the_bound_certifies_more_than_the_worst_case(rng):
    x = rng.standard_normal((300, 2))
    medoid, s = similarity.explained(x)
    for objective, first in ((FacilityLocation(s), [medoid]), (FacilityLocation(similarity.dense(x, RBF())), [])):
        found = maximise(objective, 15, first=first)
        assert 0.75 < found.gains.sum() / optimum_bound(objective, found.indices) <= 1


def square_distances(x, kernel):
    if kernel is None:
        return whole(((x[:, None] - x) ** 2).sum(axis=2))
    gram = whole(np.asarray(kernel.resolve(x)(x.astype(np.float64))))
    return np.diag(gram)[:, None] + np.diag(gram) - 2 * gram


@pytest.mark.parametrize("kernel", [None, Linear(), RBF(), FullyConnected(1)], ids=["none", "linear", "rbf", "fc1"])
def test_explained_is_its_definition(kernel, rng, monkeypatch):
    monkeypatch.setattr(similarity, "TILE", 16)
    monkeypatch.setattr(similarity, "BLOCK", 500)
    x = rng.standard_normal((50, 6)).astype(np.float32) + 3
    distance = square_distances(x, kernel)
    medoid, s = similarity.explained(x, kernel)
    assert medoid == distance.sum(axis=0).argmin()
    expected = np.maximum(distance[:, [medoid]] - distance, 0)
    np.testing.assert_allclose(whole(s), expected, atol=1e-4 * distance.max())


@pytest.mark.parametrize("kernel", [None, FullyConnected(1)], ids=["euclidean", "fc1"])
def test_exemplars_are_those_of_the_dense_matrix(kernel, rng):
    x = rng.standard_normal((80, 3)).astype(np.float32)
    distance = square_distances(x, kernel)
    dense = FacilityLocation(distance.max() - distance)
    medoid, s = similarity.explained(x, kernel)
    exact, ours = maximise(dense, 9, "naive"), maximise(FacilityLocation(s), 9, first=[medoid])
    np.testing.assert_array_equal(exact.indices, ours.indices)
    np.testing.assert_allclose(exact.gains[1:], ours.gains[1:], rtol=1e-3)
    cost = distance[:, ours.indices].min(axis=1).sum()
    assert ours.gains.sum() == pytest.approx(distance[:, medoid].sum() - cost, rel=1e-4)


@pytest.mark.parametrize("screened", [1, 8, 100])
def test_screened_exemplars_are_those_of_greedy_when_the_sample_is_everything(screened, rng, monkeypatch):
    monkeypatch.setattr(exemplars_module, "SCREENED", screened)
    monkeypatch.setattr(exemplars_module, "TILE", 64)
    x = rng.standard_normal((300, 5)).astype(np.float32) + 2
    medoid, s = similarity.explained(x)
    exact, found = maximise(FacilityLocation(s), 30, first=[medoid]), exemplars(x, 30)
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_allclose(found.gains, exact.gains, rtol=1e-3, atol=1e-3)
    nearest_pick = square_distances(x, None)[:, found.indices].argmin(axis=1)
    np.testing.assert_array_equal(found.weights, np.bincount(nearest_pick, minlength=30))


def test_exemplars_from_samples_and_components_come_near_greedy(rng, monkeypatch):
    for name, value in (("SAMPLE", 200), ("SCREENED", 10), ("COMPONENTS", 20)):
        monkeypatch.setattr(exemplars_module, name, value)
    x = rng.standard_normal((900, 15)) @ rng.standard_normal((15, 60)) + 0.2 * rng.standard_normal((900, 60))
    x = x.astype(np.float32)
    medoid, s = similarity.explained(x)
    for k in (5, 60):
        exact, found = maximise(FacilityLocation(s), k, first=[medoid]), exemplars(x, k)
        assert found.gains.sum() > 0.97 * exact.gains.sum()
        assert found.gains.sum() == pytest.approx(FacilityLocation(s).value(found.indices), rel=1e-4)
        assert len(set(found.indices.tolist())) == k


def test_exemplars_of_copies_and_of_everything():
    x = np.repeat(np.array([[0.0], [1.0], [5.0]], np.float32), 4, axis=0)
    found = exemplars(x, 12)
    np.testing.assert_array_equal(np.sort(found.indices), np.arange(12))
    assert found.gains.sum() == pytest.approx(((x - x[found.indices[0]]) ** 2).sum())


def test_more_rows_than_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(similarity, "MEMORY", 100)
    with pytest.raises(InputError, match="expected at most 5 rows; try exemplars"):
        similarity.explained(np.zeros((6, 2), np.float32))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_first_picks_are_kept(optimiser):
    objective = FacilityLocation(alike(0))
    found = maximise(objective, 5, optimiser, first=[7, 2])
    assert found.indices[:2].tolist() == [7, 2]
    assert len(set(found.indices.tolist())) == 5
    assert found.gains.sum() == pytest.approx(objective.value(found.indices), rel=1e-5)


def test_neighbours_hold_the_kernel_of_the_nearest(rng):
    x = rng.standard_normal((80, 3)).astype(np.float32)
    s = whole(similarity.neighbours(x, RBF(1.0), 7))
    assert ((s > 0).sum(axis=1) == 7).all()
    distance = ((x[:, None] - x) ** 2).sum(axis=2)
    for i in range(80):
        near = np.argsort(distance[i])[:7]
        np.testing.assert_allclose(s[i, near], np.exp(-distance[i, near] / 2), atol=1e-4)


def test_nearest_among_cells_finds_most_of_them_and_itself_first(rng):
    x = (rng.standard_normal((2000, 3)) + 5 * rng.integers(0, 3, (2000, 1))).astype(np.float32)
    exact, found = nearest(x, 8), nearest(x, 8, exact_rows=100)
    for near in (exact, found):
        np.testing.assert_array_equal(near[:, 0], np.arange(2000))
        assert all(len(set(row.tolist())) == 8 for row in near)
    recall = np.mean([len(set(a.tolist()) & set(b.tolist())) / 8 for a, b in zip(exact, found, strict=True)])
    assert recall > 0.9


def test_nearest_of_copies_has_the_row_itself():
    x = np.zeros((50, 2), np.float32)
    np.testing.assert_array_equal(nearest(x, 3)[:, 0], np.arange(50))
    assert nearest(x, 3, exact_rows=10).shape == (50, 3)


@pytest.mark.parametrize("make", ["facility", "features"])
def test_sieve_reaches_its_share_of_the_best_in_one_pass(make, rng):
    x = rng.random((300, 4))
    sample = x[::3]

    def objective(batch):
        return FacilityLocation(np.asarray(RBF(0.3)(sample, batch))) if make == "facility" else FeatureBased(batch)

    whole_set = objective(x)
    greedy = maximise(whole_set, 8)
    found = sieve((x[i : i + 50] for i in range(0, 300, 50)), 8, objective)
    assert len(found.indices) <= 8
    assert found.gains.sum() == pytest.approx(whole_set.value(found.indices), rel=1e-4)
    assert found.gains.sum() > 0.5 * greedy.gains.sum()
    assert (np.diff(found.indices) > 0).all()
    batches = sieve([x], 8, objective)
    assert batches.gains.sum() > 0.5 * greedy.gains.sum()


def test_bad_settings_are_refused(rng):
    s = alike(0)
    for make, words in (
        (lambda: FacilityLocation(-s), "0 or more"),
        (lambda: FacilityLocation(np.full((3, 3), np.nan)), "not finite"),
        (lambda: FacilityLocation(s[0]), "expected \\(rows, candidates\\)"),
        (lambda: SaturatedCoverage(s, 0), "alpha=0"),
        (lambda: GraphCut(s, -1), "weight=-1"),
        (lambda: GraphCut(s[:, :4]), "symmetric"),
        (lambda: GraphCut(np.triu(s)), "symmetric"),
        (lambda: FeatureBased(s, "cube"), "concave='cube'"),
        (lambda: FeatureBased(-s), "0 or more"),
        (lambda: LogDeterminant(rng.random((4, 2)), RBF(), 0), "noise=0"),
        (lambda: maximise(FacilityLocation(s), 3, "fast"), "optimiser='fast'"),
        (lambda: maximise(FacilityLocation(s), 3, "lazier", epsilon=0), "epsilon=0"),
        (lambda: maximise(FacilityLocation(s), N + 1), "expected 1 to 9"),
        (lambda: maximise(FacilityLocation(s), 3, first=[1, 1]), "first=\\[1, 1\\]"),
        (lambda: maximise(FacilityLocation(s), 3, first=[N]), "different candidates"),
        (lambda: optimum_bound(GraphCut(s, 1.0), np.array([0, 1])), "not monotone"),
        (lambda: exemplars(s, 10), "expected 1 to 9"),
        (lambda: nearest(s, 0), "k=0 neighbours"),
        (lambda: sieve([s], 2, lambda batch: LogDeterminant(batch, RBF())), "LogDeterminant for a stream"),
        (lambda: sieve([], 2, FeatureBased), "without rows"),
        (lambda: sieve([s], 0, FeatureBased), "k=0"),
    ):
        with pytest.raises(InputError, match=words):
            make()
