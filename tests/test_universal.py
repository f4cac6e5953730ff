"""One set for many learners: what is judged and kept, what the set looks like, how it goes on, and what is refused."""

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.special
from joblib import Parallel, delayed
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

import oracles
from datastill import SupportSet, Universal, UniversalRegressor
from datastill._errors import InputError
from datastill.distill import loop, pool, universal
from datastill.distill.kernel_objective import Targets
from datastill.distill.surrogates import KernelRegression, Neighbours
from datastill.estimators import universal as estimators
from datastill.evaluate.choice import Chooser
from datastill.evaluate.protocol import Examples, HeldOut, examples_of, judged_row
from datastill.features.conv import RandomConv
from datastill.kernels import FullyConnected
from datastill.learners import named_learner
from datastill.preprocess.encoder import fit_encoder

N = 150
FAST = {"learners": ("knn",), "max_iter": 8, "random_state": 0}
PANEL = ("krr", "logistic", "linear-svm", "rbf-svm", "knn", "forest", "mlp")


def expected_failures(estimator):
    few = "it predicts by kernel ridge regression on 4 examples, which explain less than half of this check's data"
    return {"check_regressors_train": few} if isinstance(estimator, UniversalRegressor) else {}


@parametrize_with_checks(
    [
        Universal(2, learners=("knn",), max_iter=4, random_state=0),
        UniversalRegressor(4, learners=("knn",), max_iter=4, validation_fraction=0.5, random_state=0),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    """Numbers, whole numbers, a category and gaps; three classes, and a target."""
    draw = np.random.default_rng(0)
    codes = np.arange(N) % 3
    frame = pd.DataFrame(
        {
            "height": (170 + 8 * codes + draw.normal(0, 5, N)).round(1),
            "children": draw.integers(0, 3, N) + codes,
            "town": np.array(["Bonn", "Trier", "Ulm"])[(codes + (draw.random(N) < 0.2)) % 3],
        }
    )
    frame.loc[::9, "height"] = np.nan
    return frame, np.array(["a", "b", "c"])[codes], codes + frame["children"].to_numpy() + draw.normal(0, 0.1, N)


@pytest.fixture(scope="module")
def fitted(table):
    return Universal(3, **FAST).fit(table[0], table[1])


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8).astype(np.uint8), y


def test_the_best_mean_is_kept_and_all_are_told(fitted):
    results, choice = fitted.results_, fitted.support_set_.provenance["choice"]
    assert {"kmeans", "random"} < set(results.index) and len(results) == 3
    np.testing.assert_allclose(results["mean"], results.drop(columns="mean").mean(axis=1))
    assert (np.diff(results["mean"]) <= 0).all()
    assert choice["chosen"] == results.index[0]
    assert choice["means"] == pytest.approx(results["mean"].to_dict())
    assert choice["held_rows"] == N // 5 and choice["failed"] == {}
    assert fitted.support_set_.provenance["n_train"] == N


def test_values_are_of_the_kind_that_the_table_holds(fitted, table):
    assert set(fitted.X_support_["town"]) <= set(table[0]["town"])
    assert fitted.X_support_["children"].dtype == table[0]["children"].dtype
    assert fitted.X_support_["children"].between(0, 4).all()
    known = fitted.X_support_["height"].dropna()
    np.testing.assert_allclose(known, known.round(1))
    assert sorted(fitted.y_support_) == sorted(["a", "b", "c"] * 3)
    assert fitted.support_set_.weights is None
    agreement = fitted.classes_[fitted.soft_labels_.argmax(axis=1)]
    assert (agreement == fitted.y_support_).all()  # labels are hard


def test_the_scores_are_those_of_learners_on_held_out_rows(rng):
    x, codes = rng.normal(size=(N, 3)) + 6 * np.eye(3)[np.arange(N) % 3], np.arange(N) % 3
    model = Universal(2, **FAST).fit(x, codes)
    # On rows this far apart, 1-NN is nearly the same on the held-out rows and on all.
    on_all = named_learner("knn").fit(model.X_support_, model.y_support_).score(x, codes)
    assert model.results_["knn"].iloc[0] == pytest.approx(on_all, abs=0.08)
    assert model.score(x, codes) > 0.9


def test_rows_that_decide_are_not_learned_from(table):
    model = Universal(2, init="random", max_iter=0, learners=("knn",), random_state=3).fit(*table[:2])
    assert model.results_.index.tolist() == ["random"]
    assert table[0].iloc[model.sample_indices_].reset_index(drop=True).equals(model.X_support_)
    assert (table[1][model.sample_indices_] == model.y_support_).all()
    assert (model.support_set_.indices == model.sample_indices_).all()


@pytest.mark.slow
def test_a_set_teaches_every_learner_more_than_its_start_and_than_random_rows(digits):
    x, y = digits
    model = Universal(3, learners=PANEL, max_iter=160, random_state=0).fit(x[::2], y[::2])
    assert model.results_.index[0].startswith("learned")
    learned, start, random = (model.results_.loc[name] for name in (model.results_.index[0], "kmeans", "random"))
    assert learned["mean"] > start["mean"] + 0.02
    assert (learned.drop("mean") > random.drop("mean") + 0.04).all()
    for name in ("logistic", "forest", "rbf-svm"):  # on rows that had no part in it
        taught, by_rows = (
            named_learner(name).fit(a.reshape(len(a), -1), b).score(x[1::2].reshape(-1, 64), y[1::2])
            for a, b in (
                (model.X_support_, model.y_support_),
                (x[::2][model_rows(y[::2])], y[::2][model_rows(y[::2])]),
            )
        )
        assert taught > by_rows + 0.05


def model_rows(y):
    """Three random rows of each class."""
    draw = np.random.default_rng(1)
    return np.concatenate([draw.choice(np.flatnonzero(y == c), 3, replace=False) for c in np.unique(y)])


@pytest.mark.slow
def test_one_example_a_class_reproduces_logistic_regression_on_all_rows():
    """Izzo and Zou (2023): few rows can reproduce a generalised linear model."""
    x, x_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    model = Universal(1, learners=("logistic",), random_state=0).fit(x, y)
    few = named_learner("logistic").fit(model.X_support_, model.y_support_)
    whole = named_learner("logistic").fit(x, y)
    assert len(model.X_support_) == 10
    assert np.mean(few.predict(x_test) == whole.predict(x_test)) > 0.95
    assert few.score(x_test, y_test) > whole.score(x_test, y_test) - 0.03


@pytest.mark.slow
def test_four_examples_reproduce_ridge_regression_on_all_rows():
    x, x_test, y, y_test = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    model = UniversalRegressor(4, learners=("logistic",), random_state=0).fit(x, y)
    few = named_learner("logistic", True).fit(model.X_support_, model.y_support_)
    whole = named_learner("logistic", True).fit(x, y)
    assert np.corrcoef(few.predict(x_test), whole.predict(x_test))[0, 1] > 0.98
    assert few.score(x_test, y_test) > whole.score(x_test, y_test) - 0.03


def test_images_have_few_grey_levels_in_their_range(digits):
    model = Universal(2, init="kmeans", **FAST).fit(digits[0][:300], digits[1][:300])
    assert model.X_support_.dtype == np.uint8 and model.X_support_.max() <= 16
    assert len(np.unique(model.X_support_)) <= 9
    assert model.snapshots_[-1][1].shape == model.X_support_.shape


def test_targets_are_learned_within_their_range(table):
    model = UniversalRegressor(6, **FAST).fit(table[0], table[2])
    assert {"kmeans-targets", "kmeans", "random"} < set(model.results_.index)
    assert len(model.support_set_) == 6
    assert model.y_support_.min() >= table[2].min() - 1e-5 and model.y_support_.max() <= table[2].max() + 1e-5
    both = np.column_stack([table[2], -table[2]])
    assert UniversalRegressor(6, **FAST).fit(table[0], both).y_support_.shape == (6, 2)


def test_a_class_of_few_rows_gets_as_many_examples_as_it_has(table):
    rare = np.concatenate([np.flatnonzero(table[1] != "c"), np.flatnonzero(table[1] == "c")[:4]])
    with pytest.warns(UserWarning, match="fewer rows"):
        model = Universal(6, **FAST).fit(table[0].iloc[rare], table[1][rare])
    counts = dict(zip(*np.unique(model.y_support_, return_counts=True), strict=True))
    assert counts["a"] == counts["b"] == 6 and 1 <= counts["c"] <= 4


def stopped(monkeypatch, when, check=lambda state: None):
    """The numbers of the steps that loops take from now on.

    Ctrl-C comes before a step at which `when` holds of them; `check` is called with the first state of every loop.
    """
    steps, real = [], loop.run

    def stopping(state, step, *rest, **named):
        check(state)

        def counted(state, number):
            steps.append(number)
            if when(steps):
                raise KeyboardInterrupt
            return step(state, number)

        return real(state, counted, *rest, **named)

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(loop, "SAVINGS_BETWEEN", 0)
    monkeypatch.setattr(universal.loop, "run", stopping)
    return steps


def test_equal_seeds_give_equal_sets_and_a_resumed_run_the_same_bits(table, tmp_path, monkeypatch):
    file = tmp_path / "run.safetensors"
    whole = Universal(2, **FAST).fit(*table[:2])
    again = Universal(2, checkpoint=file, **FAST)
    steps = stopped(monkeypatch, lambda steps: len(steps) == 7)
    with pytest.raises(KeyboardInterrupt):
        again.fit(*table[:2])
    done = len(steps)
    again.fit(*table[:2])
    assert again.X_support_.equals(whole.X_support_)
    assert again.results_.equals(whole.results_)
    assert again.history_[1:] == whole.history_[1:]
    ways = len(whole._ways())
    assert len(steps) - done == (2 * ways if ways > 1 else 0) + 8 - (done - 1)


def test_with_networks_a_resumed_run_ends_in_the_same_bits(digits, tmp_path, monkeypatch):
    X, y, *_ = digits
    given = {"max_iter": 30, "band": None, "learning_rate": 0.05, "random_state": 0}
    whole = Universal(1, **given).fit(X, y)
    assert whole.choice_["learners"] == ["knn"]
    again = Universal(1, checkpoint=tmp_path / "run.safetensors", **given)

    def with_networks(state):
        assert state.pool is not None

    # Before step 20 a network was trained.
    steps = stopped(monkeypatch, lambda steps: steps[-1] == 20 and steps.count(20) == 1, with_networks)
    with pytest.raises(KeyboardInterrupt):
        again.fit(X, y)
    again.fit(X, y)
    assert steps.count(19) == 1 and steps.count(20) == 2 and steps[-1] == 29
    np.testing.assert_array_equal(again.X_support_, whole.X_support_)
    assert again.history_[1:] == whole.history_[1:]


def test_it_goes_on_from_a_given_set(table):
    start = Universal(2, **FAST).fit(*table[:2]).support_set_
    model = Universal(init=start, **FAST).fit(*table[:2])
    assert "the given set" in model.results_.index
    assert len(model.support_set_) == 6
    shuffled = SupportSet(start.x.iloc[::-1].reset_index(drop=True), start.y[::-1], classes=start.classes)
    assert sorted(Universal(init=shuffled, **FAST).fit(*table[:2]).y_support_) == sorted(start.y)


def test_for_some_learners_their_surrogates_and_no_bands(table):
    assert {way.band for way in Universal(learners=("logistic",))._ways()} == {None}
    assert {way.band for way in Universal(learners=("forest",))._ways()} == {1.0, np.inf}
    assert {way.band for way in Universal()._ways()} == {1.0, np.inf}
    assert len(Universal(band=2, learning_rate=0.1)._ways()) == 1
    model = Universal(1, learners=("logistic",), max_iter=20, random_state=0).fit(*table[:2])
    assert list(model.results_.columns) == ["logistic", "mean"]


def test_it_predicts_after_pickling(fitted, table):
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.predict(table[0]) == fitted.predict(table[0])).all()


class Broken(type(named_learner("knn")[-1])):
    """A learner that raises."""

    def fit(self, X, y):
        raise RuntimeError("no")


def chooser(learners, **settings):
    draw = np.random.default_rng(0)
    y = np.arange(60) % 3
    return Chooser(learners, HeldOut(draw.normal(size=(60, 2)) + 5 * np.eye(3)[y][:, :2], y), **settings)


SET = Examples(np.array([[5, 0], [0, 5], [0, 0]], np.float32), np.eye(3) - 1 / 3, None, np.arange(3))


def test_a_learner_that_raises_or_never_ends_is_named_and_left_out(tmp_path, monkeypatch):
    (tmp_path / "slow_learners.py").write_text(
        "import time\nfrom sklearn.neighbors import KNeighborsClassifier\n"
        "class Endless(KNeighborsClassifier):\n    def fit(self, X, y):\n        time.sleep(600)\n"
        "class Raising(KNeighborsClassifier):\n    def fit(self, X, y):\n        raise RuntimeError('no such luck')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    judge = chooser(("slow_learners:Raising", "knn", "slow_learners:Endless"), seconds=8.0)
    scores = judge.scores(SET)
    assert list(scores) == ["knn"] and scores["knn"] > 0.9
    assert "no such luck" in judge.failed["slow_learners:Raising"]
    assert "more than 8 seconds" in judge.failed["slow_learners:Endless"]
    assert judge.mean(scores) == scores["knn"]
    assert list(judge.scores(SET)) == ["knn"]  # they have no further part


def test_processes_of_joblib_run_after_a_strangers_learner_had_one_of_its_own():
    judge = chooser(("sklearn.tree:DecisionTreeClassifier",))
    assert judge.scores(SET)["sklearn.tree:DecisionTreeClassifier"] > 0.8
    assert Parallel(n_jobs=2, backend="loky")(delayed(abs)(i) for i in (-1, -2)) == [1, 2]


def test_a_learner_that_cannot_be_trained_on_the_start_is_left_out_and_said(table):
    learners = ("knn", "sklearn.calibration:CalibratedClassifierCV")  # needs five rows of a class
    model = Universal(1, learners=learners, max_iter=4, random_state=0).fit(*table[:2])
    choice = model.support_set_.provenance["choice"]
    assert choice["learners"] == ["knn"] and "Calibrated" in next(iter(choice["failed"]))
    assert "mean" in model.results_ and not model.results_["mean"].isna().any()


def test_when_no_learner_can_be_trained_it_is_said(table):
    with pytest.raises(InputError, match="none of which could be trained"):
        Universal(1, learners=("sklearn.calibration:CalibratedClassifierCV",), random_state=0).fit(*table[:2])


@pytest.mark.parametrize(
    ("model", "rows", "message"),
    [
        (Universal(1), 4, "more rows"),
        (Universal(1, validation_fraction=0), N, "validation_fraction=0"),
        (Universal(2, learners=("oracle",)), N, "oracle"),
        (Universal(2, learners="logistic"), N, "learners='logistic'"),
        (Universal(2, learners=()), N, "learners=()"),
        (Universal(2, band=-1), N, "band=-1"),
        (Universal(2, corruption=1.0), N, "corruption=1.0"),
        (Universal(2, corruption=0.5, band=1), N, "corruption=0.5 with band=1"),
        (Universal(2, learning_rate=-1), N, "learning_rate=-1"),
        (Universal(2, max_iter=-1), N, "max_iter=-1"),
        (Universal(2, init="nowhere"), N, "init='nowhere'"),
        (Universal(0), N, "ipc"),
        (Universal(500), N, "budget of 1,500 examples"),
    ],
    ids=[
        *("few", "fraction", "learner", "text", "none", "band", "noise", "noise in bands", "rate", "steps", "init"),
        *("budget", "large"),
    ],
)
def test_what_cannot_be_used_is_refused(model, rows, message, table):
    with pytest.raises(InputError, match=re.escape(message)):
        model.set_params(random_state=0).fit(table[0].iloc[:rows], table[1][:rows])


def test_very_wide_rows_are_refused(rng):
    with pytest.raises(InputError, match=r"rows of 20,001 numbers.*fewer columns"):
        Universal(1, random_state=0).fit(rng.normal(size=(20, 20_001)), np.arange(20) % 2)


def test_targets_that_do_not_vary_are_refused(table):
    with pytest.raises(InputError, match="tell sets apart"):
        UniversalRegressor(2, random_state=0).fit(table[0], np.ones(N))


def problem_of(x, **settings):
    members = (KernelRegression(kernel=FullyConnected(depth=1)), Neighbours(scaled=True))
    return universal.Problem(members, fit_encoder(x), **settings)


def test_steps_bring_the_loss_down_and_keep_within_the_range(rng):
    y = np.arange(200) % 2
    x = rng.normal(size=(200, 4)) + 2 * y[:, None]
    problem = problem_of(x)
    z = problem.space.encode(x)
    advance = universal.step(problem)
    hot = np.eye(2, dtype=np.float32)[y]
    state = universal.init(problem, z[:2] + 0.5, hot[:2] - 0.5)
    values = []
    for _ in range(20):
        state, value = advance(state, jnp.asarray(z), jnp.asarray(hot), jnp.arange(2), 0.1)
        values.append(float(value))
    assert values[-1] < values[0]
    assert (np.asarray(state.learned["z"]) <= problem.space.high + 1e-6).all()
    assert (np.asarray(state.learned["z"]) >= problem.space.low - 1e-6).all()
    np.testing.assert_array_equal(state.y, hot[:2] - 0.5)  # classes stay


def test_the_loss_of_a_step_is_the_mean_over_surrogates_and_the_network(digits):
    X, y, *_ = digits
    space, hot = fit_encoder(X), np.eye(10, dtype=np.float32)[y]
    nets = pool.Nets((RandomConv(4, 2),), size=2, at_once=1, every=5, trained=2, oldest=4, targets=50)
    z, codes = space.encode(X), np.arange(10)
    targets = Targets(z, hot)
    members = (KernelRegression(kernel=FullyConnected(depth=1)), Neighbours(scaled=True))
    problem = universal.Problem(members, space, nets=nets)
    start = z[[np.flatnonzero(y == c)[0] for c in codes]], (np.eye(10) - 0.1).astype(np.float32)
    state, advance = universal.init(problem, *start, pool.filled(nets, targets, 0)), universal.step(problem)
    given = jnp.asarray(z[:100]), jnp.asarray(hot[:100]), jnp.arange(10), 0.0
    alone = float(advance(state, *given)[1])
    formulas, drawn = pool.drawn(nets, state.pool, 0, 0)
    both = float(advance(state, *given, None, formulas, drawn)[1])
    weights, phi, y_t = jax.tree.map(lambda a: a[0], drawn)
    phi_s = np.asarray(formulas[0].block(weights, jnp.asarray(start[0])), np.float64)
    phi, y_t = np.asarray(phi), np.asarray(y_t)
    alpha = np.linalg.solve(oracles.regularise(phi_s @ phi_s.T, universal.NETWORK_REG), start[1])
    logits = np.e**universal.NETWORK_SHARP * phi @ phi_s.T @ alpha
    own = np.mean(scipy.special.logsumexp(logits, axis=1) - np.sum(y_t * logits, axis=1))
    assert both == pytest.approx((2 * alone + own) / 3, rel=1e-4)


def test_images_are_learned_under_networks_and_other_rows_are_not():
    assert estimators._nets((8, 8), 20).maps[0].depth == 3
    assert estimators._nets((2, 9, 3), 20).maps[0].depth == 1
    for row, examples in (((64,), 20), ((1, 64), 20), ((100, 100, 3), 600)):
        assert estimators._nets(row, examples) is None


def test_of_a_large_set_a_step_trains_on_all_examples_of_some_classes():
    codes = np.repeat(np.arange(300), 10)
    (some, classes), (others, _) = (universal._some(3000, codes, 0, number) for number in (0, 1))
    assert len(some) == universal.at_once(3000, 300) == 10 * universal.CLASSES_AT_ONCE
    np.testing.assert_array_equal(some, np.flatnonzero(np.isin(codes, classes)))
    assert not np.array_equal(some, others)
    np.testing.assert_array_equal(
        universal._some(1000, np.arange(1000), 0, 0)[0], universal._some(1000, np.arange(1000), 0, 0)[1]
    )
    cut, classes = universal._some(2000, np.repeat(np.arange(5), 400), 0, 0)
    assert len(cut) == universal.AT_ONCE and len(classes) == 4
    assert universal._some(1000, codes[:1000], 0, 0)[1] is None


def test_some_classes_at_a_time_teach_all_of_them(digits, monkeypatch):
    monkeypatch.setattr(universal, "CLASSES_AT_ONCE", 4)
    x, y = digits[0].reshape(len(digits[0]), -1), digits[1]
    model = Universal(2, learners=("knn", "logistic"), max_iter=80, init="random", random_state=0).fit(x, y)
    start, learned = model.results_.loc["random"], model.results_.drop("random").iloc[0]
    assert (learned > start + 0.1).all()


def test_where_two_classes_do_not_fit_a_step_trains_on_some_of_each():
    codes = np.repeat(np.arange(4), [1750, 250, 250, 250])
    some, classes = universal._some(2500, codes, 0, 0)
    assert len(some) == universal.AT_ONCE and (np.diff(some) > 0).all() and classes is None
    assert (np.abs(np.bincount(codes[some]) / np.bincount(codes) - 0.6) < 0.02).all()
    rare = np.concatenate([np.zeros(2499, int), [1]])
    assert all(2499 in universal._some(2500, rare, 0, number)[0] for number in range(5))
    assert universal._some(30, None, 0, 0)[0].tolist() == list(range(30))
    assert len(universal._some(2500, None, 0, 0)[0]) == universal.AT_ONCE


@pytest.mark.parametrize("learners", [("knn",), ("knn", "forest")])
def test_noise_is_never_learned(learners, digits):
    X, y, *_ = digits
    few, more = (
        Universal(1, learners=learners, max_iter=n, init="kmeans", corruption=0.6, random_state=0).fit(X, y)
        for n in (1, 12)
    )
    same = (few.X_support_ == more.X_support_).reshape(10, -1).sum(axis=1)
    assert (same >= round(0.6 * 64)).all()
    assert not (same == 64).all()


def test_row_weights_are_learned_for_learners_that_take_them(table, tmp_path):
    given = {"learners": ("logistic", "knn"), "row_weights": True, "band": None, "random_state": 0}
    model = Universal(3, max_iter=30, init="kmeans", **given).fit(*table[:2])
    assert "learned" in model.choice_["chosen"]
    assert model.weights_.shape == (9,)
    assert model.weights_.mean() == pytest.approx(1, rel=1e-5)
    assert model.weights_.min() > 0 and np.ptp(model.weights_) > 1e-3
    model.support_set_.save(tmp_path / "set")
    loaded = SupportSet.load(tmp_path / "set")
    np.testing.assert_array_equal(loaded.weights, model.weights_)
    held = HeldOut(model.space_.encode_features(table[0]), model.labels_.codes(table[1]), False)
    judged = judged_row(
        examples_of(loaded, model.space_, model.labels_), "logistic", {"seed": 0, "asked": "hard"}, held
    )
    assert judged[0]["weighted"]
