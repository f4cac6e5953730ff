"""Surrogates: each is the learner that it stands for, has the right derivative, and bears the sets it will meet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import oracles
from datastill import krr
from datastill.distill.surrogates import (
    FAMILIES,
    KernelRegression,
    LargeMargin,
    Logistic,
    Neighbours,
    Pair,
    Ridge,
    families_of,
    losses,
    standardised,
    surrogates,
)
from datastill.distill.surrogates.panel import EVERY
from datastill.kernels import RBF, FullyConnected

CLASSES = 3
KERNEL = FullyConnected(depth=1)


def a_set(examples, columns, rng, classes=CLASSES):
    """Rows of a set, rows to predict, codes of the set, its label vectors."""
    codes = np.arange(examples) % classes
    centres = 2 * rng.normal(size=(classes, columns))
    s, t = centres[codes] + rng.normal(size=(examples, columns)), rng.normal(size=(20, columns))
    return s, t, codes, oracles.centred_one_hot(codes, classes)


def outputs(surrogate, s, t, y, sharp=0.0):
    with krr.float64(True):
        return np.asarray(surrogate.outputs(Pair(jnp.asarray(s), jnp.asarray(t)), jnp.asarray(y), jnp.asarray(sharp)))


EACH = {
    "krr": KernelRegression(kernel=KERNEL, reg=1e-2),
    "krr-scaled": KernelRegression(scaled=True, kernel=RBF(2.0), reg=0.1),
    "ridge": Ridge(),
    "logistic": Logistic(),
    "large-margin": LargeMargin(),
    "large-margin-rbf": LargeMargin(kernel=RBF(2.0)),
    "neighbours": Neighbours(),
    "neighbours-scaled": Neighbours(scaled=True),
}


def test_kernel_regression_is_kernel_ridge_regression(rng):
    s, t, _, y = a_set(9, 4, rng)
    expected = oracles.predict(oracles.dense(s, s)[1], oracles.dense(t, s)[1], y, 1e-2)
    np.testing.assert_allclose(outputs(EACH["krr"], s, t, y), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(outputs(EACH["krr"], s, t, y, np.log(3.0)), 3 * expected, rtol=1e-6, atol=1e-9)
    exact = KernelRegression(kernel=KERNEL, reg=1e-2, exact=True)
    np.testing.assert_allclose(outputs(exact, s, t, y, np.log(3.0)), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("columns", [4, 30])
def test_ridge_is_scikit_learns(columns, rng):
    s, t, _, y = a_set(12, columns, rng)
    expected = SklearnRidge(alpha=1.0).fit(s, y).predict(t)
    np.testing.assert_allclose(outputs(Ridge(exact=True), s, t, y), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("columns", [4, 30])
def test_logistic_regression_is_scikit_learns(columns, rng):
    s, t, codes, y = a_set(12, columns, rng)
    learner = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(s, codes)
    found = outputs(Logistic(steps=200_000, intercept=100.0), s, t, y)
    np.testing.assert_allclose(jax.nn.softmax(found, axis=1), learner.predict_proba(t), atol=2e-3)


@pytest.mark.parametrize("columns", [4, 30])
def test_large_margin_is_scikit_learns_linear_svm(columns, rng):
    s, t, codes, y = a_set(12, columns, rng)
    learner = LinearSVC(C=1.0, tol=1e-7, max_iter=1_000_000, random_state=0).fit(s, codes)
    np.testing.assert_allclose(outputs(LargeMargin(rounds=20), s, t, y), learner.decision_function(t), atol=1e-4)


@pytest.mark.parametrize("kernel", [None, RBF(2.0)], ids=["linear", "rbf"])
def test_large_margin_is_at_its_optimum(kernel, rng):
    s, _, codes, y = a_set(15, 3, rng)
    f = outputs(LargeMargin(kernel=kernel, rounds=20), s, s, y)
    k = s @ s.T + 1 if kernel is None else oracles.rbf(s, s, 2.0)
    signs = np.where(codes[:, None] == np.arange(CLASSES), 1.0, -1.0)
    # Where the gradient of ½ αᵀKα + C Σ max(0, 1 − σf)² is 0, α = 2C σ max(0, 1 − σf) gives f back.
    np.testing.assert_allclose(k @ (2 * signs * np.maximum(0, 1 - signs * f)), f, atol=1e-8)


@pytest.mark.parametrize("scaled", [False, True])
def test_sharp_neighbours_are_the_nearest(scaled, rng):
    s, t, codes, y = a_set(12, 4, rng)
    pair = standardised(Pair(jnp.asarray(s), jnp.asarray(t))) if scaled else Pair(s, t)
    seen = StandardScaler().fit(s) if scaled else None
    a, b = (seen.transform(s), seen.transform(t)) if seen else (s, t)
    found = outputs(Neighbours(scaled=scaled), np.asarray(pair.s), np.asarray(pair.t), y, 12.0)
    assert (found.argmax(axis=1) == KNeighborsClassifier(1).fit(a, codes).predict(b)).all()
    targets = rng.normal(size=(12, 2))
    soft = outputs(Neighbours(regression=True), np.asarray(pair.s), np.asarray(pair.t), targets, 12.0)
    np.testing.assert_allclose(soft, KNeighborsRegressor(1).fit(a, targets).predict(b), atol=1e-3)
    fixed = outputs(Neighbours(regression=True, fixed=12.0), np.asarray(pair.s), np.asarray(pair.t), targets, 0.0)
    np.testing.assert_array_equal(fixed, soft)


def test_neighbours_sum_the_votes_of_a_class(rng):
    s, t, codes, y = a_set(7, 3, rng)
    votes = np.exp(-2.0 * ((t[:, None] - s) ** 2).sum(axis=2) / 3)
    expected = np.log(np.stack([votes[:, codes == c].sum(axis=1) for c in range(CLASSES)], axis=1))
    np.testing.assert_allclose(outputs(Neighbours(), s, t, y, np.log(2.0)), expected, rtol=1e-9)


def test_the_standardiser_is_scikit_learns(rng):
    s, t = rng.normal(3, 2, size=(6, 4)), rng.normal(size=(5, 4))
    s[:, 1] = 7.0
    learner = StandardScaler().fit(s)
    with krr.float64(True):
        found = standardised(Pair(jnp.asarray(s), jnp.asarray(t)))
    np.testing.assert_allclose(found.s, learner.transform(s), atol=1e-12)
    np.testing.assert_allclose(found.t, learner.transform(t), atol=1e-12)


def loss_of(surrogate, y, t, y_t, regression=False):
    def loss(s):
        pair = Pair(s, jnp.asarray(t))
        return losses([surrogate], jnp.asarray([0.3]), pair, jnp.asarray(y), jnp.asarray(y_t), regression)[0]

    return loss


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("columns", [3, 12])
def test_gradients_are_those_of_differences(name, columns, rng):
    s, t, _, y = a_set(6, columns, rng)
    hot = np.eye(CLASSES)[rng.integers(0, CLASSES, len(t))]
    with krr.float64(True):
        loss = loss_of(EACH[name], y, t, hot)
        found = np.asarray(jax.grad(loss)(jnp.asarray(s)))
        expected = oracles.difference(lambda x: float(loss(jnp.asarray(x))), s)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("case", ["one row a class", "repeated rows", "constant columns", "equal rows", "far rows"])
def test_odd_sets_have_finite_losses_and_gradients(name, case, rng):
    s, t, _, y = a_set(3 if case == "one row a class" else 6, 5, rng)
    s, t = s.astype(np.float32), t.astype(np.float32)
    if case == "repeated rows":
        s[3:] = s[:3]
    if case == "constant columns":
        s[:, :3] = 1.0
    if case == "equal rows":
        s[:] = s[0]
    if case == "far rows":
        s[0] *= 1e4
    hot = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, len(t))]
    with krr.float64(True):
        value, gradient = jax.value_and_grad(loss_of(EACH[name], y.astype(np.float32), t, hot))(jnp.asarray(s))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_losses_of_targets_are_half_their_squared_errors(rng):
    s, t, _, _ = a_set(8, 4, rng)
    y, y_t = rng.normal(size=(8, 2)), rng.normal(size=(20, 2))
    with krr.float64(True):
        found = float(loss_of(Ridge(exact=True, scaled=False), y, t, y_t, regression=True)(jnp.asarray(s)))
    missed = SklearnRidge().fit(s, y).predict(t) - y_t
    assert found == pytest.approx(0.5 * (missed**2).sum(axis=1).mean())


def test_families_are_those_of_the_learners():
    assert families_of(None) == EVERY == families_of(["sklearn.naive_bayes:GaussianNB"])
    assert families_of(["net:dsa"]) == families_of(["net"]) == ("network", "convolutional")
    assert families_of(["logistic"]) == ("ridge", "logistic")
    assert families_of(["knn", "mlp"]) == ("network-scaled", "neighbours", "trees")
    assert families_of(["forest"]) == tuple(name for name in EVERY if name != "convolutional")
    assert families_of(["krr:fc1"]) == families_of(["krr"])
    assert {family for known in FAMILIES.values() for family in known} == set(EVERY)


@pytest.mark.parametrize("regression", [False, True])
def test_every_learner_has_surrogates(regression):
    for name in [*FAMILIES, None]:
        families = families_of(None if name is None else [name])
        assert surrogates(families, 20, 5, 2, regression)
    dear = surrogates(EVERY, 600, 784, 100, False)
    assert not any(isinstance(member, LargeMargin) for member in dear)


@pytest.mark.parametrize("columns", [4, 30])
@pytest.mark.parametrize("name", ["ridge", "logistic", "large-margin"])
def test_weights_are_scikit_learns(name, columns, rng):
    s, t, codes, y = a_set(12, columns, rng)
    weights = rng.uniform(0.2, 2, size=12)
    weights /= weights.mean()
    pair = Pair(*(jnp.asarray(a) for a in (s, t, weights)))
    surrogate, learner, given = {
        "ridge": (Ridge(exact=True), SklearnRidge(), y),
        "logistic": (Logistic(steps=200_000, intercept=100.0), LogisticRegression(tol=1e-10, max_iter=10_000), codes),
        "large-margin": (LargeMargin(rounds=20), LinearSVC(tol=1e-7, max_iter=1_000_000, random_state=0), codes),
    }[name]
    learner.fit(s, given, sample_weight=weights)
    with krr.float64(True):
        found = np.asarray(surrogate.outputs(pair, jnp.asarray(y), jnp.asarray(0.0)))
    if name == "logistic":
        np.testing.assert_allclose(jax.nn.softmax(found, axis=1), learner.predict_proba(t), atol=2e-3)
    else:
        expected = learner.predict(t) if name == "ridge" else learner.decision_function(t)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not np.allclose(outputs(surrogate, s, t, y), found)
