"""Metrics are their definitions; the protocol's table is whole, is resumed, and survives a learner that fails."""

import os
import signal
import sys

import numpy as np
import pandas as pd
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


class Odd(ClassifierMixin, BaseEstimator):
    """A learner whose answers are what `answer` makes of the right number of zeros."""

    answer = staticmethod(lambda zeros: zeros)

    def fit(self, X, y):
        print("learning")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return type(self).answer(np.zeros(len(X), int))


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
    table = protocol(sets, ["logistic", "knn", "linear-svm"], held, seeds=2).table
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
    table = protocol({"two": lambda seed: two}, ["logistic"], held, seeds=1).table
    assert np.isfinite(table["log_loss"]).all()


def test_a_learner_that_fails_does_not_lose_the_others(classes):
    sets, held = classes
    judged = protocol(sets, ["test_protocol:Stubborn", "knn"], held, seeds=1)
    table = judged.table
    failed = table[table["learner"] != "knn"]
    assert failed["error"].tolist() == ["RuntimeError: I do not want to"] * 2
    assert table[table["learner"] == "knn"]["accuracy"].notna().all()
    assert ["losses" not in arrays for arrays in judged.arrays] == [True, False] * 2
    assert len(judged.of("all", "test_protocol:Stubborn")) == 0
    assert protocol(sets, ["test_protocol:Stubborn"], held, seeds=1).table["accuracy"].isna().all()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda zeros: zeros[:, None], "predicts an array of shape"),
        (lambda zeros: zeros[:1], "predicts an array of shape"),
        (lambda zeros: None, "predicts an array of shape"),
        (lambda zeros: zeros.astype(str), "classes that it was not given"),
        (lambda zeros: zeros + 7, "classes that it was not given"),
        (lambda zeros: sys.exit(0), "SystemExit"),
    ],
)
def test_answers_that_are_none_are_failures(answer, words, classes, monkeypatch, capsys):
    sets, held = classes
    monkeypatch.setattr(Odd, "answer", staticmethod(answer))
    table = protocol(sets, ["test_protocol:Odd", "knn"], held, seeds=1).table
    assert table[table["learner"] == "test_protocol:Odd"]["error"].str.contains(words).all()
    assert (table[table["learner"] == "knn"]["error"] == "").all()
    assert capsys.readouterr().out == ""


def test_an_edited_learner_is_another_one(classes, tmp_path, monkeypatch):
    sets, held = classes
    monkeypatch.syspath_prepend(tmp_path)
    source = "from sklearn.dummy import DummyClassifier\nclass Mine(DummyClassifier):\n    pass\n"
    (tmp_path / "edited_learner.py").write_text(source)
    protocol(sets, ["edited_learner:Mine"], held, seeds=1, folder=tmp_path / "rows")
    (tmp_path / "edited_learner.py").write_text(source + "# another\n")
    protocol(sets, ["edited_learner:Mine"], held, seeds=1, folder=tmp_path / "rows")
    assert len(list((tmp_path / "rows").iterdir())) == 4


def test_a_second_call_trains_nothing_and_other_data_trains_anew(classes, tmp_path, monkeypatch):
    sets, held = classes
    first = protocol(sets, ["knn"], held, seeds=2, folder=tmp_path)

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(protocol_module, "_judged", refuse)
    again = protocol(sets, ["knn"], held, seeds=2, folder=tmp_path)
    pd.testing.assert_frame_equal(again.table, first.table)
    for one, other in zip(first.arrays, again.arrays, strict=True):
        np.testing.assert_array_equal(one["losses"], other["losses"])
    more = protocol(sets, ["knn"], held, seeds=3, folder=tmp_path).table
    assert more["error"].tolist() == ["", "", "", "", "", "AssertionError: trained again"]
    other = protocol(sets, ["knn"], HeldOut(held.x[1:], held.y[1:]), seeds=1, folder=tmp_path).table
    assert (other["error"] != "").all()


def test_what_cannot_differ_between_seeds_is_trained_once(classes, monkeypatch):
    sets, held = classes
    trained = []
    real = protocol_module._judged

    def counted(examples, learner, seed, *rest):
        trained.append((len(examples.x), learner, seed))
        return real(examples, learner, seed, *rest)

    monkeypatch.setattr(protocol_module, "_judged", counted)
    judged = protocol(sets, ["knn", "forest", "krr"], held, seeds=3, labels=["soft", "hard"])
    by_set = [(n, learner) for n, learner, _ in trained]
    # All rows: knn once, the forest once a seed, krr once for each way with labels. Random rows: anew for each seed.
    expected = {(90, "knn"): 1, (90, "forest"): 3, (90, "krr"): 2, (9, "knn"): 3, (9, "forest"): 3, (9, "krr"): 6}
    assert {k: by_set.count(k) for k in set(by_set)} == expected
    assert len(judged.table) == 2 * 3 * 3 * 2
    assert judged.table["accuracy"].notna().all()
    assert judged.table["seed"].tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [0] * 6 + [1] * 6 + [2] * 6
    for i in range(len(judged.table)):
        assert 1 - judged.arrays[i]["losses"].mean() == pytest.approx(judged.table["accuracy"][i])


def test_a_set_that_takes_long_is_judged_once(classes):
    sets, held = classes
    table = protocol(sets, ["knn"], held, seeds=3, once={"all"}).table
    assert table["set"].tolist() == ["all", "random", "random", "random"]


def test_hard_labels_are_those_handed_out(classes):
    _, held = classes
    x, codes = held.x, held.y
    wrong = np.roll(np.eye(3), 1, axis=1)[codes] - 1 / 3
    sets = {"set": lambda seed: Examples(x, wrong, None, codes)}
    table = protocol(sets, ["knn", "krr"], held, seeds=1, labels=["soft", "hard"]).table
    score = table.set_index(["learner", "asked"])["accuracy"]
    assert score["knn", "soft"] == score["knn", "hard"] == 1
    assert score["krr", "hard"] == 1
    assert score["krr", "soft"] < 0.2
    assert table.set_index(["learner", "asked"])["labels"].to_dict() == {
        ("knn", "soft"): "hard",
        ("knn", "hard"): "hard",
        ("krr", "soft"): "soft",
        ("krr", "hard"): "hard",
    }


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_table(classes):
    sets, held = classes
    one, two = (protocol(sets, ["forest", "mlp"], held, seeds=1, jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.table.drop(columns="seconds"), two.table.drop(columns="seconds"))
    for a, b in zip(one.arrays, two.arrays, strict=True):
        np.testing.assert_array_equal(a["brier"], b["brier"])


class Fatal(ClassifierMixin, BaseEstimator):
    """A learner whose process is killed, as for want of memory."""

    def fit(self, X, y):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_process_is_said_and_what_was_finished_is_kept(classes, tmp_path):
    sets, held = classes
    with pytest.raises(InputError, match="2 processes side by side, one of which was killed"):
        protocol(sets, ["test_protocol:Fatal", "knn"], held, seeds=1, folder=tmp_path, jobs=2)


def test_a_memory_budget_lets_fewer_run_side_by_side_or_is_refused(classes):
    sets, held = classes
    process = protocol_module.PROCESS
    examples = [sets["all"](0)]
    assert [protocol_module._processes(4, m, held, examples) for m in (None, 10 * process, 5 * process // 2)] == [
        4,
        4,
        2,
    ]
    with pytest.raises(InputError, match=r"memory budget of 0\.5 GiB; expected at least 1\.0 GiB"):
        protocol(sets, ["knn"], held, memory=process // 2)
    with pytest.raises(InputError, match="0 jobs"):
        protocol(sets, ["knn"], held, jobs=0)


def test_regression():
    x, y = make_regression(120, 4, random_state=0)
    y = np.stack([y, -y], axis=1)
    sets = {"all": lambda seed: Examples(x[:80], y[:80]), "one": lambda seed: Examples(x[:80], y[:80, :1])}
    judged = protocol({"all": sets["all"]}, ["knn", "forest"], HeldOut(x[80:], y[80:], True), seeds=1)
    spread = np.var(y[80:], axis=0)[0]
    for arrays, r2 in zip(judged.arrays, judged.table["r2"], strict=True):
        assert 1 - arrays["losses"].mean() / spread == pytest.approx(r2, abs=1e-4)
    table = protocol({"one": sets["one"]}, ["boosting"], HeldOut(x[80:], y[80:, :1], True), seeds=1).table
    assert table["rmse"].notna().all()


def test_nothing_to_do_is_refused(classes):
    sets, held = classes
    for call in (
        lambda: protocol({}, ["knn"], held),
        lambda: protocol(sets, [], held),
        lambda: protocol(sets, ["knn"], held, seeds=0),
        lambda: protocol(sets, ["oracle"], held),
        lambda: protocol(sets, ["krr:oracle"], held),
        lambda: protocol(sets, ["knn"], held, labels="easy"),
    ):
        with pytest.raises(InputError, match="expected"):
            call()
