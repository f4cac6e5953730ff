"""Learners by name or import path, and what they make of soft labels and weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs, make_regression
from sklearn.linear_model import LogisticRegression

from datastill import krr, tuning
from datastill._errors import InputError
from datastill.kernels import RBF
from datastill.learners import LEARNERS, kernel_ridge, named_learner
from datastill.learners.named import is_random, takes_weights
from datastill.learners.training import label_vectors, probabilities, train, train_regressor


@pytest.fixture(scope="module")
def blobs():
    x, codes = make_blobs([60, 60, 60], 3, random_state=0)
    return x, (np.eye(3) - 1 / 3)[codes], codes


def test_kernel_ridge_takes_label_vectors_as_they_are(blobs):
    x, vectors, _ = blobs
    soft = vectors + 0.1 * np.random.default_rng(0).standard_normal(vectors.shape)
    found = train(named_learner("krr:rbf"), x, soft, learned=True)
    assert found.labels == "soft"
    x = x.astype(np.float32)
    kernel = RBF().resolve(x)
    expected = krr.predict(kernel, x, x, krr.fit(kernel, x, soft, 1e-6))
    np.testing.assert_array_equal(found.estimator.predict(x), expected.argmax(axis=1))
    targets = train_regressor(named_learner("krr", regression=True), x, soft)
    assert targets.estimator.predict(x).shape == soft.shape


def test_kernel_ridge_learns_from_very_many_rows_through_some_of_them(monkeypatch):
    x, codes = make_blobs([500] * 3, 5, random_state=0, cluster_std=5)
    vectors = (np.eye(3) - 1 / 3)[codes]
    whole = named_learner("krr:rbf").fit(x, vectors)
    monkeypatch.setattr(kernel_ridge, "MOST_ROWS", 1000)
    monkeypatch.setattr(kernel_ridge, "INDUCING_ROWS", 300)
    monkeypatch.setattr(tuning, "BATCH", 400)
    some = named_learner("krr:rbf").fit(x, vectors)
    assert len(some.rows_) == 300
    random = named_learner("krr:rbf").fit(x[:300], vectors[:300])
    x_test, test = make_blobs([1000] * 3, 5, random_state=0, cluster_std=5)
    accuracy = {name: np.mean(k.predict(x_test) == test) for name, k in (("some", some), ("random", random))}
    assert accuracy["some"] > accuracy["random"] + 0.01
    assert accuracy["some"] > np.mean(whole.predict(x_test) == test) - 0.02
    targets = named_learner("krr:rbf", regression=True).fit(x, vectors)
    np.testing.assert_allclose(targets.predict(x_test), some.scores(x_test))


@pytest.mark.parametrize("name", [*LEARNERS, "sklearn.naive_bayes:GaussianNB"])
def test_each_learner_learns_classes(name, blobs):
    x, vectors, codes = blobs
    found = train(named_learner(name, seed=1), x, vectors)
    assert found.labels == "hard"
    assert not found.weighted
    assert np.mean(found.estimator.predict(x) == codes) > 0.9


@pytest.mark.parametrize("name", LEARNERS)
def test_each_learner_learns_from_one_row_of_each_class(name, blobs):
    x, vectors, codes = blobs
    rows = [int(np.argmax(codes == c)) for c in range(3)]
    found = train(named_learner(name), x[rows], vectors[rows])
    assert set(found.estimator.predict(x)) <= {0, 1, 2}


@pytest.mark.parametrize("name", LEARNERS)
def test_many_classes_with_one_row_each_are_learned_in_silence(name):
    x = np.eye(26)
    train(named_learner(name), x, np.eye(26) - 1 / 26)


@pytest.mark.parametrize("name", [*LEARNERS, "sklearn.linear_model:Lasso"])
def test_each_learner_learns_targets(name):
    x, y = make_regression(80, 4, random_state=0)
    found = train_regressor(named_learner(name, regression=True), x, y / y.std(), np.ones(80))
    assert found.labels == "targets"
    assert found.estimator.predict(x).shape == (80,)
    assert found.weighted == takes_weights(named_learner(name, regression=True))


@given(seed=st.integers(0, 1000))
def test_probabilities_are_distributions_and_give_classes_back(seed):
    draw = np.random.default_rng(seed)
    vectors = draw.standard_normal((20, 4)) * 2
    p = probabilities(vectors)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p >= 0).all()
    np.testing.assert_array_equal(p.argmax(axis=1), vectors.argmax(axis=1))
    codes = draw.integers(4, size=9)
    np.testing.assert_allclose(probabilities((np.eye(4) - 1 / 4)[codes]), np.eye(4)[codes], atol=1e-12)
    np.testing.assert_array_equal(probabilities(np.array([[-3.0, -2.0]])), [[0, 1]])


def test_expanded_labels_are_fitted_as_a_mixture(blobs):
    x, _, _ = blobs
    half = np.tile(np.array([0.5, 0.5, 0.0]) - 1 / 3, (len(x), 1))
    found = train(named_learner("logistic"), x, half, labels="expanded")
    assert found.labels == "expanded"
    np.testing.assert_allclose(found.estimator.predict_proba(x), 0.5, atol=0.02)
    assert train(named_learner("knn"), x, half, labels="expanded").labels == "hard"


def test_hard_labels_expanded_are_hard_labels(blobs):
    x, vectors, _ = blobs
    one, two = (train(LogisticRegression(), x, vectors, labels=labels) for labels in ("soft", "expanded"))
    np.testing.assert_allclose(one.estimator.coef_, two.estimator.coef_, atol=1e-4)


def test_weights_count_rows(blobs):
    x, vectors, _ = blobs
    weights = np.random.default_rng(0).integers(1, 4, len(x))
    repeated = np.repeat(np.arange(len(x)), weights)
    weighted = train(LogisticRegression(C=1e6, max_iter=5000), x, vectors, weights.astype(float))
    copies = train(LogisticRegression(C=1e6, max_iter=5000), x[repeated], vectors[repeated])
    assert weighted.weighted
    np.testing.assert_allclose(weighted.estimator.predict_proba(x), copies.estimator.predict_proba(x), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "regression", "words"),
    [
        ("oracle", False, "expected one of krr, logistic"),
        ("no.such:Thing", False, "cannot be made"),
        ("sklearn.svm:Nothing", False, "cannot be made"),
        ("sklearn.linear_model:Lasso", False, "no classifier"),
        ("sklearn.naive_bayes:GaussianNB", True, "no regressor"),
        ("sklearn.multiclass:OneVsRestClassifier", False, "cannot be made"),
        ("collections:Counter", False, "expected a scikit-learn estimator"),
    ],
)
def test_bad_names_are_refused(name, regression, words):
    with pytest.raises(InputError, match=words):
        named_learner(name, regression)


def test_unknown_ways_with_labels_are_refused(blobs):
    with pytest.raises(InputError, match="labels='easy'"):
        train(LogisticRegression(), blobs[0], blobs[1], labels="easy")


@pytest.mark.parametrize("name", ["krr", "logistic", "linear-svm"])
def test_a_teacher_labels_as_it_predicts(name, blobs):
    x, vectors, codes = blobs
    rows = np.flatnonzero(codes != 1)
    teacher = train(named_learner(name), x[rows], vectors[rows]).estimator
    found = label_vectors(teacher, x, 3)
    assert found.shape == (len(x), 3)
    predicted = teacher.predict(x)
    assert np.mean(found.argmax(axis=1) == predicted) == 1
    if name != "krr":
        np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-9)
        assert (found[:, 1] <= -1 / 3 + 1e-9).all()


def test_learners_say_whether_chance_is_in_them():
    said = {name: is_random(named_learner(name, seed=3)) for name in ("krr", *LEARNERS)}
    assert [name for name, chance in said.items() if chance] == ["linear-svm", "forest", "boosting", "mlp"]
