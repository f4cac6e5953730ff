"""A comparison judges what it says: baselines, teachers, kernels of their own, and what is kept is not made again."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes, load_digits

from datastill import Coreset, Dataset, SupportSet
from datastill._errors import InputError
from datastill.certify import FULL
from datastill.data.task import with_test
from datastill.evaluate.constant import CONSTANT
from datastill.evaluate.leaderboard import Baselines
from datastill.learners import named_learner
from datastill.learners.training import label_vectors, train
from datastill.workflows.compare import ComparisonSettings, Encoded, compare


class Angry(ClassifierMixin, BaseEstimator):
    """A learner that leaves."""

    def fit(self, X, y):
        raise SystemExit("I quit")


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return with_test(Dataset("digits", x[:600], y[:600]), 0, "classification")


def test_random_rows_stand_beside_every_method_with_labels_of_the_same_kind(digits, tmp_path):
    entrants = ComparisonSettings(("kmeans", "kip:rbf", "random"), (1, 2), ("krr", "knn"), seeds=2, steps=3)
    found = compare(digits, "classification", entrants, tmp_path)
    assert found.baselines == {
        **{f"kmeans {n}": Baselines(f"random {n}", f"random {n}") for n in (1, 2)},
        **{f"label-solve:rbf {n}": Baselines(f"random {n}", f"random {n}") for n in (1, 2)},
        **{f"kip:rbf {n}": Baselines(f"random {n}", f"label-solve:rbf {n}") for n in (1, 2)},
    }
    table = found.judged.table
    counts = table.groupby("set", sort=False).size()
    assert counts[FULL] == 2
    assert counts[CONSTANT] == 2
    assert set(counts.drop([FULL, CONSTANT])) == {4}
    rival = found.standings.set_index(["set", "learner"])["rival"]
    assert rival["kip:rbf 1", "krr"] == "label-solve:rbf 1"
    assert rival["kip:rbf 1", "knn"] == "random 1"
    saved = SupportSet.load(tmp_path / "sets" / "kip_rbf-2-1")
    assert "RBF" in saved.provenance["kernels"][0]
    # Random rows are those of the estimator with that seed, in the space of all training rows.
    expected = Coreset(2, method="random", random_state=1).fit(digits.x, digits.y)
    np.testing.assert_array_equal(SupportSet.load(tmp_path / "sets" / "random-2-1").x, expected.X_support_)
    known = Encoded.of(digits, "classification")
    estimator = train(named_learner("knn"), known.space.encode(expected.X_support_), expected.soft_labels_).estimator
    score = np.mean(estimator.predict(known.held.x) == known.held.y)
    own = table[(table["set"] == "random 2") & (table["learner"] == "knn") & (table["seed"] == 1)]
    assert own["accuracy"].item() == score
    assert len(json.loads((tmp_path / "standings.json").read_text())["standings"]) == len(found.standings)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), table)


def test_what_is_kept_is_not_made_again_and_other_settings_make_it_anew(digits, tmp_path, monkeypatch):
    entrants = ComparisonSettings(("kmeans", "kip"), (1,), ("knn",), seeds=1, steps=3, teacher="logistic")
    first = compare(digits, "classification", entrants, tmp_path)
    for kind in ("Coreset", "KIP", "LabelSolve"):
        monkeypatch.setattr(f"datastill.estimators.{kind}.fit", lambda *_: pytest.fail("made again"))
    monkeypatch.setattr("datastill.workflows.compare.train", lambda *_: pytest.fail("taught again"))
    again = compare(digits, "classification", entrants, tmp_path)
    pd.testing.assert_frame_equal(first.standings, again.standings)
    with pytest.raises(pytest.fail.Exception, match="made again"):
        compare(digits, "classification", ComparisonSettings(("kip",), (1,), ("knn",), 1, steps=4), tmp_path)


def test_a_teacher_labels_every_set_as_it_predicts(digits, tmp_path):
    entrants = ComparisonSettings(("kmeans",), (2,), ("krr", "knn"), seeds=1, teacher="logistic")
    found = compare(digits, "classification", entrants, tmp_path)
    taught = "kmeans 2, labelled by a teacher"
    assert found.baselines[taught] == Baselines(*["random 2, labelled by a teacher"] * 2)
    known = Encoded.of(digits, "classification")
    teacher = train(named_learner("logistic"), known.every.x, known.every.vectors).estimator
    x = known.space.encode(SupportSet.load(tmp_path / "sets" / "kmeans-2-0").x)
    estimator = named_learner("krr").fit(x, label_vectors(teacher, x, 10).astype(np.float32))
    own = found.standings.set_index(["set", "learner"]).loc[(taught, "krr"), "mean"]
    assert own == pytest.approx(np.mean(estimator.predict(known.held.x) == known.held.y), abs=0.01)


def test_robust_scores_need_hard_labels_too(digits, tmp_path):
    entrants = ComparisonSettings(("kip",), (1,), ("krr", "knn"), seeds=1, steps=3, robust=True)
    found = compare(digits, "classification", entrants, tmp_path)
    assert set(found.standings["asked"]) == {"soft", "hard"}
    scores = found.robustness.set_index(["set", "learner"])
    assert set(scores.index) == {(s, k) for s in ("label-solve 1", "kip 1") for k in ("krr", "knn")}
    assert scores["lrs"].between(0, 1).all()
    means = found.standings.set_index(["set", "learner", "asked"])["mean"]
    assert scores.loc[("kip 1", "krr"), "hlr"] == pytest.approx(
        means[FULL, "krr", "hard"] - means["kip 1", "krr", "hard"]
    )


def test_regression_with_a_teacher(tmp_path):
    x, y = load_diabetes(return_X_y=True)
    data = with_test(Dataset("diabetes", x, y), 0, "regression")
    entrants = ComparisonSettings(("kmeans",), (8,), ("krr", "forest"), seeds=2, teacher="forest")
    found = compare(data, "regression", entrants, tmp_path)
    assert found.judged.metric == "r2"
    assert found.standings["mean"].notna().all()
    assert (found.judged.table["labels"] == "targets").all()


def test_a_folder_is_not_mixed_with_another_task_or_a_run_and_damage_is_mended(tmp_path):
    x, y = load_digits(return_X_y=True)
    data = with_test(Dataset("digits", x[:400], y[:400]), 0, "classification")
    entrants = ComparisonSettings(("kmeans",), (5,), ("knn",), seeds=2)
    as_targets = compare(data, "regression", entrants, tmp_path / "one").standings
    compare(data, "classification", entrants, tmp_path / "two")
    again = compare(data, "regression", entrants, tmp_path / "two").standings
    pd.testing.assert_frame_equal(as_targets, again)
    for path in [*(tmp_path / "two" / "rows").iterdir(), tmp_path / "two" / "sets" / "kmeans-5-0" / "manifest.json"]:
        path.write_bytes(path.read_bytes()[:40])
    pd.testing.assert_frame_equal(as_targets, compare(data, "regression", entrants, tmp_path / "two").standings)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(InputError, match="holds a run"):
        compare(data, "classification", entrants, tmp_path / "run")


def test_nothing_is_guaranteed_where_test_rows_were_seen(digits, tmp_path):
    entrants = ComparisonSettings(("kmeans",), (1,), ("knn",), seeds=1)
    leaky = replace(digits, x_test=np.concatenate([digits.x_test, digits.x[:2]]))
    leaky = replace(leaky, y_test=np.concatenate([digits.y_test, digits.y[:2]]))
    for data, seen in ((digits, False), (leaky, True)):
        compare(data, "classification", entrants, tmp_path / str(seen))
        page = (tmp_path / str(seen) / "report.html").read_text()
        assert (f"2 of {len(data.y_test)} test rows equal a training row" in page) == seen
        assert ("With probability at least 95" in page) != seen


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"methods": ("magic",)}, "the method 'magic'"),
        ({"methods": ("kip:magic",)}, "magic"),
        ({"learners": ("oracle",)}, "oracle"),
        ({"learners": ()}, "at least one"),
        ({"teacher": "oracle"}, "oracle"),
        ({"labels": "easy"}, "labels='easy'"),
        ({"budgets": (0,)}, "Got a budget of 0; expected 1 to"),
        ({"budgets": (1, 100)}, "Got a budget of 100; expected 1 to"),
        ({"teacher": "test_compare:Angry"}, "the teacher test_compare:Angry, which failed"),
    ],
)
def test_bad_entrants_are_refused(digits, change, words, tmp_path):
    base = {"methods": ("random",), "budgets": (1,), "learners": ("knn",), "seeds": 1}
    with pytest.raises(InputError, match=words):
        compare(digits, "classification", ComparisonSettings(**{**base, **change}), tmp_path)
