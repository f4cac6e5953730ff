"""Every selector by name: budgets are kept, rows are of their class, guesses at the data hold, seeds decide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, make_blobs
from sklearn.svm import SVC

from datastill import KIP, Coreset, CoresetRegressor, KIPRegressor, LabelSolve, SupportSet
from datastill._errors import InputError
from datastill.evaluate.queries import query_errors
from datastill.kernels import RBF, FullyConnected
from datastill.select import methods, sensitivity
from datastill.select.archetypes import archetypes, project_to_simplex
from datastill.select.difficulty import EPOCHS, MEASURES, difficulty, hardest
from datastill.select.kmeans import groups, kmeans, kmedoids, nearest_to_centres
from datastill.select.methods import METHODS, MIXERS, SUBMODULAR, Candidates, choose

each = pytest.mark.parametrize("method", METHODS)
REAL = [m for m in METHODS if m not in MEASURES]


@pytest.fixture(scope="module")
def blobs():
    x, codes = make_blobs([40, 25, 10], 4, random_state=0)
    return x.astype(np.float32), codes


def candidates(x, codes):
    return Candidates(x, np.eye(3, dtype=np.float32)[codes], codes, FullyConnected(1))


@each
def test_budgets_are_kept_class_by_class(method, blobs):
    x, codes = blobs
    budget = np.array([5, 3, 2])
    found = choose(method, candidates(x, codes), budget, 0)
    assert len(found.weights) == len(found.gains) == 10
    assert (found.weights >= 0).all()
    if method in MIXERS:
        assert found.indices is None
        mixture = found.mixture.toarray()
        np.testing.assert_allclose(mixture.sum(axis=1), 1)
        assert (mixture >= 0).all()
        for row, c in zip(mixture, np.repeat([0, 1, 2], budget), strict=True):
            assert set(codes[row > 0].tolist()) == {c}
    else:
        assert found.mixture is None
        np.testing.assert_array_equal(np.bincount(codes[found.indices]), budget)
        assert len(set(found.indices.tolist())) == 10
    assert (found.value is not None) == (method in SUBMODULAR)
    if found.bound is not None:
        assert 0 < found.value <= found.bound


@each
def test_a_seed_decides(method, blobs):
    x, codes = blobs
    one, two = (choose(method, candidates(x, codes), np.array([3, 3, 3]), 5) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)
    if one.indices is not None:
        np.testing.assert_array_equal(one.indices, two.indices)


@each
def test_every_row_can_be_chosen_and_copies_do_no_harm(method, blobs):
    x, codes = blobs
    everything = choose(method, candidates(x, codes), np.bincount(codes), 0)
    assert np.isfinite(everything.weights).all()
    if everything.indices is not None:
        np.testing.assert_array_equal(np.sort(everything.indices), np.arange(len(x)))
    same = np.zeros((30, 4), np.float32)
    copies = choose(method, candidates(same, np.repeat([0, 1, 2], 10)), np.array([4, 1, 2]), 0)
    assert np.isfinite(copies.weights).all()


@each
def test_the_estimator_keeps_the_budget_and_saves(method, blobs, tmp_path):
    x, codes = blobs
    names = np.array(["ant", "bee", "cow"])[codes]
    found = Coreset({"ant": 4, "bee": 0.2, "cow": 1}, method=method, kernel="rbf", random_state=0).fit(x, names)
    assert found.y_support_.tolist() == ["ant"] * 4 + ["bee"] * 5 + ["cow"]
    assert found.predict(x).shape == (75,)
    if method in MIXERS:
        assert not hasattr(found, "sample_indices_")
        for label in set(names):
            assert (found.X_support_[found.y_support_ == label] <= x[names == label].max(axis=0) + 1e-5).all()
    else:
        np.testing.assert_array_equal(found.X_support_, x[found.sample_indices_])
        np.testing.assert_array_equal(found.y_support_, names[found.sample_indices_])
        assert {e.family for e in found.query_errors_} == {"cluster cost", "ridge loss", "kernel mean"}
    found.support_set_.save(tmp_path)
    loaded = SupportSet.load(tmp_path)
    np.testing.assert_array_equal(loaded.weights, found.weights_)
    assert len(loaded.provenance["selection"]["gains"]) == 10


@pytest.mark.parametrize("method", REAL)
def test_regression(method):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((120, 3))
    y = np.stack([x.sum(axis=1), x[:, 0]], axis=1)
    found = CoresetRegressor(15, method=method, kernel="rbf", random_state=0).fit(x, y)
    assert found.y_support_.shape == (15, 2)
    assert found.predict(x).shape == (120, 2)
    if method in MIXERS:
        np.testing.assert_allclose(found.y_support_[:, 0], found.X_support_.sum(axis=1), atol=1e-4)
    else:
        np.testing.assert_allclose(found.y_support_, y[found.sample_indices_], atol=1e-6)
    fraction = CoresetRegressor(0.1, method=method, kernel="rbf", random_state=0).fit(x, y)
    assert len(fraction.X_support_) == 12


def test_stratified_takes_from_every_part_of_the_targets():
    y = np.random.default_rng(0).permutation(100).astype(float)
    found = CoresetRegressor(10, method="stratified", random_state=0).fit(y[:, None] * [1, -1], y)
    np.testing.assert_array_equal(np.sort(y[found.sample_indices_]) // 10, np.arange(10))


def test_budgets_in_all_are_spread(blobs):
    x, codes = blobs
    balanced = Coreset(n_support=15, method="random", random_state=0).fit(x, codes)
    np.testing.assert_array_equal(np.bincount(balanced.y_support_), [5, 5, 5])
    share = Coreset(n_support=0.2, method="random", allocation="proportional", random_state=0).fit(x, codes)
    np.testing.assert_array_equal(np.bincount(share.y_support_), [7, 5, 3])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "best"}, "method='best'"),
        ({"ipc": 11}, "budget of 11 rows for class number 2, which has 10"),
        ({"ipc": 0}, "ipc=0; expected 1 or more"),
        ({"ipc": 1.5}, "ipc=1.5; expected 1 or more, or a fraction"),
        ({"ipc": {"0": 3, "1": 2}}, "one for every class; try adding or dropping 2"),
        ({"ipc": {0: 3, 1: 2, 2: "many"}}, "ipc='many'"),
        ({"ipc": 3, "allocation": "fair"}, "allocation='fair'"),
        ({"ipc": 3, "method": "graph-cut", "optimiser": "fast"}, "optimiser='fast'"),
        ({"n_support": 2}, "n_support=2; expected 3 or more"),
    ],
)
def test_bad_settings_are_refused(settings, words, blobs):
    with pytest.raises(InputError, match=words):
        Coreset(**settings).fit(*blobs)


@pytest.mark.parametrize(
    ("kind", "n_support"),
    [
        (CoresetRegressor, 0),
        (CoresetRegressor, -1),
        (CoresetRegressor, 1.5),
        (CoresetRegressor, 101),
        (KIPRegressor, 0),
    ],
)
def test_bad_budgets_are_refused_in_regression(kind, n_support):
    with pytest.raises(InputError, match=f"Got (n_support={n_support}|a budget of {n_support})"):
        kind(n_support).fit(np.arange(100.0)[:, None], np.arange(100.0))


@pytest.mark.parametrize("method", MEASURES)
def test_methods_that_need_classes_are_refused_in_regression(method):
    with pytest.raises(InputError, match="needs classes"):
        CoresetRegressor(3, method=method).fit(np.arange(10.0)[:, None], np.arange(10.0))


@pytest.mark.parametrize("init", ["kcenter", "kmeans", "facility-location", "archetypes"])
def test_distillation_may_start_from_any_of_them(init, blobs):
    x, codes = blobs
    found = LabelSolve(2, init=init, random_state=0).fit(x, codes)
    chosen = Coreset(2, method=init, kernel="fc1", random_state=0).fit(x, codes)
    np.testing.assert_allclose(found.X_support_, chosen.X_support_, rtol=1e-5)
    started = KIP(2, init=init, max_iter=3, random_state=0).fit(x, codes)
    np.testing.assert_allclose(started.snapshots_[0][1], chosen.X_support_, rtol=1e-3, atol=1e-3)


def test_kmeans_is_better_than_random_rows():
    x, y = load_digits(return_X_y=True)
    scores = {m: Coreset(2, method=m, random_state=0).fit(x[:1000], y[:1000]).score(x[1000:], y[1000:]) for m in
              ("random", "kmeans", "kmedoids", "facility-location", "herding")}  # fmt: skip
    assert all(scores[m] > scores["random"] for m in scores if m != "random")


def test_kmedoids_are_rows_of_least_cost_near_the_best(rng):
    x = np.concatenate([rng.standard_normal((20, 2)) + c for c in ([0, 0], [9, 0], [0, 9])])
    found = kmedoids(x, 3)
    assert sorted(found.indices // 20) == [0, 1, 2]
    distance = ((x[:, None] - x) ** 2).sum(axis=2)
    for medoid in found.indices:
        own = np.arange(20) + medoid // 20 * 20
        assert medoid == own[distance[np.ix_(own, own)].sum(axis=1).argmin()]
    np.testing.assert_array_equal(found.weights, 20)
    snapped = nearest_to_centres(x, 3)
    assert distance[:, found.indices].min(axis=1).sum() <= distance[:, snapped.indices].min(axis=1).sum() + 1e-9


def test_archetypes_of_a_triangle_are_its_corners(rng):
    corners = np.array([[0.0, 0], [4, 0], [0, 3]])
    inside = rng.dirichlet([1, 1, 1], 100) @ corners
    x = np.concatenate([inside, corners])
    found = archetypes(x, 3)
    made = found.mixture @ x
    order = [int(np.argmin(np.linalg.norm(made - c, axis=1))) for c in corners]
    np.testing.assert_allclose(made[order], corners, atol=0.15)
    assert found.explained > 0.99
    assert found.weights.sum() == pytest.approx(103)
    np.testing.assert_allclose(archetypes(x, 1).mixture @ x, [x.mean(axis=0)])


def test_archetypes_lie_farther_out_than_means(rng):
    x = rng.standard_normal((200, 5))
    made = archetypes(x, 4).mixture @ x
    means = choose("kmeans", Candidates(x, x[:, :1], None, RBF()), np.array([4]), 0).mixture @ x
    assert np.linalg.norm(made, axis=1).mean() > np.linalg.norm(means, axis=1).mean()


def test_the_projection_on_the_simplex_is_the_nearest_point(rng):
    v = rng.standard_normal((20, 4)) * 3
    p = project_to_simplex(v)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p >= 0).all()
    others = rng.dirichlet(np.ones(4), 500)
    for row, point in zip(v, p, strict=True):
        assert np.linalg.norm(row - point) <= np.linalg.norm(others - row, axis=1).min() + 1e-12


@pytest.mark.parametrize("measure", MEASURES)
def test_rows_between_classes_are_the_hardest(measure):
    x, codes = make_blobs([200, 200], 2, centers=[[-3, 0], [3, 0]], cluster_std=1.6, random_state=0)
    scores = difficulty(x, codes, measure)
    between = abs(x[:, 0]) < 1
    assert scores[between].mean() > scores[~between].mean()
    picks = hardest(scores, 10).indices
    np.testing.assert_array_equal(scores[picks], np.sort(scores)[::-1][:10])


def test_rows_that_are_never_right_are_forgotten_most(blobs):
    x, codes = blobs
    wrong = codes.copy()
    wrong[np.flatnonzero(codes == 0)[0]] = 1
    scores = difficulty(x / x.std(), wrong, "forgetting")
    assert scores[np.flatnonzero(codes == 0)[0]] == EPOCHS
    with pytest.raises(InputError, match="measure='loss'"):
        difficulty(x, codes, "loss")


def test_distinct_draws_estimate_sums_without_bias(rng):
    x = rng.lognormal(size=(200, 1))
    scores = sensitivity.lightweight(x)
    estimates = []
    for seed in range(400):
        found = sensitivity.draw_distinct(scores, 20, seed)
        assert len(set(found.indices.tolist())) == 20
        estimates.append(float(found.weights @ x[found.indices, 0]))
    assert np.mean(estimates) == pytest.approx(x.sum(), abs=4 * np.std(estimates) / 400**0.5)
    np.testing.assert_allclose(sensitivity.draw_distinct(scores, 200).weights, 1)


def test_queries_on_all_rows_have_no_error_and_coresets_beat_what_ignores_the_data(rng):
    x = np.concatenate([rng.standard_normal((480, 4)), rng.standard_normal((20, 4)) + 8]).astype(np.float32)
    y = x[:, :2]
    every = query_errors(x, y, np.arange(500), np.ones(500), RBF())
    assert all(e.worst < 1e-5 and e.queries == 50 for e in every)

    def cost_error(choose_rows):
        return np.mean([query_errors(x, y, *choose_rows(seed), RBF(), 10)[0].mean for seed in range(20)])

    uniform = cost_error(lambda s: (np.random.default_rng(s).choice(500, 40, replace=False), np.full(40, 12.5)))
    drawn = cost_error(lambda s: sensitivity.draw_distinct(sensitivity.lightweight(x), 40, s)[:2])
    first = cost_error(lambda s: (np.arange(40), np.full(40, 12.5)))
    assert drawn < uniform < first


def test_queries_are_their_definition(rng):
    x = rng.standard_normal((30, 2)).astype(np.float32)
    chosen, weights = np.array([3, 8]), np.array([20.0, 10.0])
    found = {e.family: e for e in query_errors(x, x, chosen, weights, RBF(1.0), 1, seed=4)}
    point = x[np.random.default_rng([4, 12]).choice(30, 10, replace=False)]
    cost = ((x[:, None] - point) ** 2).sum(axis=2).min(axis=1)
    assert found["cluster cost"].worst == pytest.approx(abs(weights @ cost[chosen] - cost.sum()) / cost.sum(), rel=1e-4)


def test_large_data_is_compared_by_neighbours(monkeypatch, blobs):
    monkeypatch.setattr(methods, "DENSE_ROWS", 20)
    x, codes = blobs
    found = choose("facility-location", candidates(x, codes), np.array([4, 4, 4]), 0)
    assert found.bound is None
    assert found.value > 0
    monkeypatch.setattr(methods, "EXEMPLAR_ROWS", 20)
    for method in SUBMODULAR:
        found = choose(method, candidates(x, codes), np.array([4, 4, 4]), 0)
        assert found.value <= found.bound * (1 + 1e-6)


def test_sparse_rows_give_what_dense_ones_give(blobs):
    x, codes = blobs
    rows = np.where(x > 0, x, 0)
    dense, sparse = (Coreset(3, method="kmedoids", random_state=0).fit(r, codes) for r in (rows, csr_array(rows)))
    np.testing.assert_array_equal(dense.sample_indices_, sparse.sample_indices_)
    np.testing.assert_array_equal(dense.predict(rows), sparse.predict(csr_array(rows)))
    with pytest.raises(InputError, match="GiB"):
        Coreset(3).fit(csr_array((100, 2**40 // 100), dtype=np.float32), np.arange(100) % 2)


def test_another_learner_can_use_the_weights(blobs):
    x, codes = blobs
    found = Coreset(4, method="lightweight", random_state=0).fit(x, codes)
    machine = SVC().fit(found.X_support_, found.y_support_, sample_weight=found.weights_)
    assert machine.score(x, codes) > 0.8


@pytest.mark.parametrize("method", methods.SEEDLESS)
def test_no_seed_changes_the_seedless(method, blobs):
    one, two = (choose(method, candidates(*blobs), np.array([5, 3, 2]), seed) for seed in (0, 7))
    np.testing.assert_array_equal(one.indices, two.indices)


def test_kmeans_with_targets_groups_rows_whose_targets_are_alike():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(200, 4)).astype(np.float32), np.repeat([-1.0, 1.0], 100)[:, None].astype(np.float32)
    rows = Candidates(x, y, None, RBF())
    plain, both = (choose(m, rows, np.array([2]), 0).mixture @ y for m in ("kmeans", "kmeans-targets"))
    np.testing.assert_allclose(np.sort(both.ravel()), [-1, 1], atol=0.35)
    assert np.abs(plain).max() < 0.3
    classes = Candidates(x, y, np.zeros(200, int), RBF())
    means = [choose(m, classes._replace(y=np.ones_like(y)), np.array([3]), 0).mixture @ x for m in
             ("kmeans", "kmeans-targets")]  # fmt: skip
    np.testing.assert_allclose(means[0], means[1], atol=1e-5)


REPRESENT = ("kmeans-nearest", "kmedoids", "kcenter", *SUBMODULAR, "kmeans", "kmeans-targets", "archetypes")
"""Methods whose weights are the numbers of rows that each example represents."""
DRAWN = ("lightweight", "leverage")


@each
@given(seed=st.integers(0, 1000), classes=st.integers(1, 3))
@settings(max_examples=5)
def test_weights_add_up_to_the_rows_of_each_class(method, seed, classes):
    draw = np.random.default_rng(seed)
    codes = np.sort(np.concatenate([np.arange(classes), np.arange(classes), draw.integers(classes, size=30)]))
    x = draw.standard_normal((len(codes), 3)).astype(np.float32)
    rows = Candidates(x, np.eye(classes, dtype=np.float32)[codes], codes, RBF())
    budget = np.minimum(np.bincount(codes), draw.integers(1, 6, classes))
    found = choose(method, rows, budget, seed)
    assert (found.weights >= 0).all()
    if method not in DRAWN:
        sums = np.bincount(np.repeat(np.arange(classes), budget), found.weights)
        np.testing.assert_allclose(sums, np.bincount(codes))


@pytest.mark.parametrize("kernel", [RBF(), FullyConnected(1)], ids=["rbf", "fc1"])
@pytest.mark.parametrize("method", REPRESENT)
def test_weights_of_representatives_are_the_sizes_of_groups_far_apart(method, kernel):
    sizes, draw = [80, 10, 30], np.random.default_rng(0)
    corners = 4 * np.eye(3)
    group = np.repeat([0, 1, 2], sizes)
    x = (draw.normal(0, 0.05, (120, 3)) + corners[group]).astype(np.float32)
    found = choose(method, Candidates(x, x, None, kernel), np.array([3]), 0)
    made = x[found.indices] if found.mixture is None else found.mixture @ x
    own = ((made[:, None] - corners) ** 2).sum(axis=2).argmin(axis=1)
    if len(set(own)) == 3:
        np.testing.assert_allclose(found.weights, np.array(sizes)[own], atol=3 if method == "archetypes" else 1e-9)
    else:  # what favours dense regions takes two of one
        assert method in ("saturated-coverage", "graph-cut", "feature-based", "log-determinant")
        for c in set(own):
            assert found.weights[own == c].sum() >= sizes[c]


def test_weights_of_drawn_rows_add_up_in_expectation():
    x = np.random.default_rng(0).lognormal(size=(60, 2)).astype(np.float32)
    rows = Candidates(x, x, None, RBF())
    for method in DRAWN:
        sums = [choose(method, rows, np.array([20]), seed).weights.sum() for seed in range(200)]
        assert np.mean(sums) == pytest.approx(60, abs=4 * np.std(sums) / 200**0.5)


def test_every_kmeans_centre_has_rows_also_beside_a_sentinel_and_far_from_the_origin(rng):
    x = rng.choice([0.0, 1.0, 2.0, 3.0], 400) + rng.normal(0, 0.02, 400)
    x[:8] = 1e6
    found = groups(x[:, None], 5)
    centres = [x[found == c].mean() for c in range(5)]
    np.testing.assert_allclose(np.sort(centres), [0, 1, 2, 3, 1e6], atol=0.02)
    near = rng.standard_normal((300, 3))
    for far in (1e4, 1e8):
        there = kmeans(near + far, 10) - far
        np.testing.assert_allclose(np.sort(there, axis=0), np.sort(kmeans(near, 10), axis=0), atol=1e-5)
    copies = groups(np.zeros((6, 2)), 4)
    assert (np.bincount(copies, minlength=4) > 0).all()
    few = np.repeat(np.array([[0.0], [5.0]]), 10, axis=0)
    assert (np.bincount(groups(few, 8), minlength=8) > 0).all()
