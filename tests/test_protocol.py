"""Metrics are their definitions; the protocol's table is whole, is resumed, and survives a learner that fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_blobs, make_regression
from sklearn.metrics import balanced_accuracy_score, log_loss

from datastill._errors import InputError
from datastill.evaluate import metrics
from datastill.evaluate import protocol as protocol_module
from datastill.evaluate.protocol import Examples, HeldOut, protocol


class Stubborn(ClassifierMixin, BaseEstimator):
    """A learner that never learns."""

    def fit(self, X, y):
        raise RuntimeError("I do not\nwant to")


@pytest.fixture
def classes():
    x, codes = make_blobs([90, 60, 30], 4, random_state=0)
    order = np.random.default_rng(0).permutation(180)
    x, codes = x[order], codes[order]
    vectors = (np.eye(3) - 1 / 3)[codes]
    sets = {
        "all": lambda seed: Examples(x[:90], vectors[:90]),
        "random": lambda seed: Examples(*(a[np.random.default_rng(seed).choice(90, 9)] for a in (x, vectors))),
    }
    return sets, HeldOut(x[90:], codes[90:])


@given(seed=st.integers(0, 1000))
def test_metrics_of_classes_are_their_definitions(seed):
    draw = np.random.default_rng(seed)
    codes, p = draw.integers(3, size=50), draw.dirichlet(np.ones(3), 50)
    found = metrics.of_classes(codes, p.argmax(axis=1)) | metrics.of_probabilities(codes, p)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(codes, p.argmax(axis=1)))
    assert found["log_loss"] == pytest.approx(log_loss(codes, p, labels=[0, 1, 2]))
    assert found["brier"] == pytest.approx(
        np.mean([np.sum((q - np.eye(3)[c]) ** 2) for q, c in zip(p, codes, strict=True)])
    )
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (p.max(axis=1) > low) & (p.max(axis=1) <= low + 1 / 15)
        if inside.any():
            total += inside.mean() * abs((p.argmax(axis=1) == codes)[inside].mean() - p.max(axis=1)[inside].mean())
    assert found["ece"] == pytest.approx(total, abs=1e-9)


def test_certain_and_right_is_perfect():
    codes = np.array([0, 1, 2, 1])
    found = metrics.of_classes(codes, codes) | metrics.of_probabilities(codes, np.eye(3)[codes])
    assert found == {"accuracy": 1, "balanced_accuracy": 1, "log_loss": 0, "brier": 0, "ece": 0}


def test_metrics_of_targets(rng):
    y, f = rng.standard_normal((40, 2)), rng.standard_normal((40, 2))
    found = metrics.of_targets(y, f)
    assert found["rmse"] == pytest.approx(np.mean([np.sqrt(np.mean((y[:, i] - f[:, i]) ** 2)) for i in (0, 1)]))
    assert found["mae"] == pytest.approx(np.mean(abs(y - f)))
    assert metrics.of_targets(y, y)["r2"] == 1


def test_the_table_has_a_row_for_each_set_learner_and_seed(classes):
    sets, held = classes
    table = protocol(sets, ["logistic", "knn", "linear-svm"], held, seeds=2)
    assert len(table) == 12
    assert set(table.columns) >= {"set", "learner", "seed", "n", "accuracy", "balanced_accuracy", "seconds", "error"}
    assert (table["error"] == "").all()
    assert table[table["learner"] == "logistic"]["log_loss"].notna().all()
    assert table[table["learner"] == "linear-svm"]["log_loss"].isna().all()
    assert table[table["set"] == "all"]["accuracy"].mean() >= table[table["set"] == "random"]["accuracy"].mean()
    assert table[table["set"] == "all"].groupby("learner")["accuracy"].nunique().max() == 1


def test_a_set_without_one_of_the_classes_still_gets_probabilities(classes):
    _, held = classes
    two = Examples(np.array([[0.0] * 2, [1.0] * 2]), (np.eye(3) - 1 / 3)[[0, 2]])
    held = HeldOut(held.x[:, :2], held.y)
    table = protocol({"two": lambda seed: two}, ["logistic"], held, seeds=1)
    assert np.isfinite(table["log_loss"]).all()


def test_a_learner_that_fails_does_not_lose_the_others(classes):
    sets, held = classes
    table = protocol(sets, ["test_protocol:Stubborn", "knn"], held, seeds=1)
    failed = table[table["learner"] != "knn"]
    assert failed["error"].tolist() == ["RuntimeError: I do not want to"] * 2
    assert table[table["learner"] == "knn"]["accuracy"].notna().all()
    assert protocol(sets, ["test_protocol:Stubborn"], held, seeds=1)["accuracy"].isna().all()


def test_a_second_call_trains_nothing_and_other_data_trains_anew(classes, tmp_path, monkeypatch):
    sets, held = classes
    first = protocol(sets, ["knn"], held, seeds=2, folder=tmp_path)

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(protocol_module, "_judged", refuse)
    again = protocol(sets, ["knn"], held, seeds=2, folder=tmp_path)
    assert again.to_dict() == first.to_dict()
    more = protocol(sets, ["knn"], held, seeds=3, folder=tmp_path)
    assert more["error"].tolist() == ["", "", "AssertionError: trained again"] * 2
    other = protocol(sets, ["knn"], HeldOut(held.x[1:], held.y[1:]), seeds=1, folder=tmp_path)
    assert (other["error"] != "").all()


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_table(classes):
    sets, held = classes
    one, two = (protocol(sets, ["forest", "mlp"], held, seeds=1, jobs=jobs) for jobs in (1, 2))
    assert one.drop(columns="seconds").to_dict() == two.drop(columns="seconds").to_dict()


def test_regression():
    x, y = make_regression(120, 4, random_state=0)
    y = np.stack([y, -y], axis=1)
    sets = {"all": lambda seed: Examples(x[:80], y[:80]), "one": lambda seed: Examples(x[:80], y[:80, :1])}
    table = protocol({"all": sets["all"]}, ["knn", "forest"], HeldOut(x[80:], y[80:], True), seeds=1)
    assert table["r2"].notna().all()
    table = protocol({"one": sets["one"]}, ["boosting"], HeldOut(x[80:], y[80:, :1], True), seeds=1)
    assert table["rmse"].notna().all()


def test_nothing_to_do_is_refused(classes):
    sets, held = classes
    for call in (
        lambda: protocol({}, ["knn"], held),
        lambda: protocol(sets, [], held),
        lambda: protocol(sets, ["knn"], held, seeds=0),
        lambda: protocol(sets, ["oracle"], held),
        lambda: protocol(sets, ["krr:oracle"], held),
        lambda: protocol(sets, ["knn"], held, labels="soft"),
    ):
        with pytest.raises(InputError, match="expected"):
            call()
