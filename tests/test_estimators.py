"""The estimators: scikit-learn's and imbalanced-learn's contracts, what `fit` leaves, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import Pipeline
from sklearn.base import RegressorMixin, clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import oracles
from datastill import (
    KIP,
    RCIG,
    RFAD,
    Coreset,
    CoresetRegressor,
    FRePo,
    KIPRegressor,
    LabelSolve,
    LabelSolveRegressor,
    NetworkKIP,
    SupportSet,
    _memory,
)
from datastill._errors import DatastillWarning, InputError
from datastill.distill import kernel_objective
from datastill.distill.label_solve import label_solve
from datastill.kernels import RBF, FullyConnected
from datastill.preprocess import encoder as encoders
from datastill.preprocess import labels as label_maps
from datastill.preprocess.augment import Augmentation

QUICK = {"max_iter": 5, "random_state": 0}
CLASSIFIERS = (KIP, LabelSolve)
REGRESSORS = (KIPRegressor, LabelSolveRegressor)


def quick(kind, *budget, **settings):
    """An estimator that is fitted in a moment."""
    return kind(*budget, **{**(QUICK if kind in (KIP, KIPRegressor) else {"random_state": 0}), **settings})


CONVENTIONAL = [
    quick(KIP, 2),
    quick(LabelSolve, 2),
    quick(Coreset, 2),
    quick(KIPRegressor, 9),
    quick(LabelSolveRegressor, 10),
    quick(CoresetRegressor, 10),
]


def expected_failures(estimator):
    rounding = "the kernel block is float32, whose last bit depends on how rows are batched"
    few = "it fits 10 rows and their own targets, which explain less than half the variance of this check's data"
    failures = {"check_methods_subset_invariance": rounding} if isinstance(estimator, RegressorMixin) else {}
    return failures | ({"check_regressors_train": few} if isinstance(estimator, CoresetRegressor) else {})


@parametrize_with_checks(CONVENTIONAL, expected_failed_checks=expected_failures)
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


OF_IMAGES = (NetworkKIP, RFAD, FRePo, RCIG)
WITHOUT_ROWS = {
    *("check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types", "check_estimator_repr"),
    *("check_no_attributes_set_in_init", "check_estimators_unfitted", "check_mixin_order", "check_fit1d"),
    *("check_do_not_raise_errors_in_init_or_set_params", "check_parameters_default_constructible"),
    *("check_get_params_invariance", "check_set_params", "check_requires_y_none", "check_supervised_y_no_nan"),
    *("check_complex_data", "check_estimators_empty_data_messages", "check_fit2d_1sample"),
    *("check_classifiers_one_label", "check_classifiers_regression_target"),
}
"""Checks that hold for estimators of images, too; all others fit them to vectors."""


def on_vectors(kind):
    """An estimator of images that says of itself that it takes vectors, without which no check would be made."""

    def tags(self):
        found = kind.__sklearn_tags__(self)
        found.input_tags.two_d_array = True
        return found

    return type(kind.__name__, (kind,), {"__sklearn_tags__": tags, "__module__": __name__})(2, max_iter=1)


class FitsVectors(dict):
    """An expected failure for each check but those."""

    def __bool__(self):
        return True

    def __contains__(self, name):
        return name not in WITHOUT_ROWS

    def __getitem__(self, name):
        return "it takes images, and the check has vectors"


@parametrize_with_checks([on_vectors(kind) for kind in OF_IMAGES], expected_failed_checks=lambda _: FitsVectors())
def test_scikit_learn_conventions_of_estimators_of_images(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_estimators_of_images_say_that_they_take_no_vectors(kind):
    tags = get_tags(kind(2))
    assert tags.input_tags.three_d_array and not tags.input_tags.two_d_array and not tags.input_tags.sparse


@pytest.fixture(scope="module")
def digits():
    """1,000 digits to learn from and 797 to be judged on, as images."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8).astype(np.uint8)
    return images[:1000], y[:1000], images[1000:], y[1000:]


@pytest.fixture(scope="module")
def blobs():
    """Two classes of 40 vectors each, by name."""
    draw = np.random.default_rng(0)
    y = np.array(["cat", "dog"])[np.arange(80) % 2]
    return draw.normal(size=(80, 3)) + 2.5 * (y == "dog")[:, None], y


@pytest.fixture(scope="module")
def people():
    """A table with numbers, whole numbers, categories and missing values, its classes and a real target."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "height": draw.normal(170, 10, 90).round(1),
            "children": draw.integers(0, 5, 90),
            "town": pd.Categorical(draw.choice(["Köln", "Bonn", "Trier"], 90)),
            "member": draw.random(90) < 0.5,
        }
    )
    frame.loc[::7, "height"] = np.nan
    return frame, np.where(frame["children"] > 2, "many", "few"), 10.0 * frame["children"] + draw.normal(0, 0.5, 90)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fc1", "rbf"])
def test_one_learned_digit_a_class_beats_ten_real_ones(kernel, digits):
    X, y, X_test, y_test = digits
    learned = KIP(1, kernel=kernel, max_iter=150, random_state=0).fit(X, y).score(X_test, y_test)
    rows = [LabelSolve(1, kernel=kernel, random_state=seed).fit(X, y).score(X_test, y_test) for seed in range(5)]
    assert learned > max(rows) + 0.1
    assert learned > 0.85


def test_images_come_back_as_images(digits):
    X, y, X_test, _ = digits
    kip = quick(KIP, 1).fit(X, y)
    assert kip.X_support_.shape == (10, 8, 8)
    assert kip.X_support_.dtype == np.uint8
    assert kip.X_support_.max() <= X.max()
    np.testing.assert_array_equal(kip.y_support_, np.arange(10))
    np.testing.assert_array_equal(kip.classes_, np.arange(10))
    assert kip.soft_labels_.shape == (10, 10)
    assert kip.predict(X_test[:3]).shape == (3,)
    assert not hasattr(kip, "sample_indices_")


def test_label_solve_hands_out_real_rows(digits):
    X, y, *_ = digits
    solved = LabelSolve(3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(solved.X_support_, X[solved.sample_indices_])
    np.testing.assert_array_equal(solved.y_support_, y[solved.sample_indices_])
    assert np.bincount(solved.y_support_).tolist() == [3] * 10


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_predictions_are_those_of_kernel_ridge_regression_on_the_support(kind, blobs):
    X, y = blobs
    model = quick(kind, 2, reg=1e-3).fit(X, y)
    x, x_s = (((rows - X.mean(axis=0)) / X.std(axis=0)) for rows in (X, model.X_support_))
    k_ss, k_ts = oracles.dense(x_s, x_s)[1], oracles.dense(x, x_s)[1]
    vectors = oracles.predict(k_ss, k_ts, model.soft_labels_, 1e-3)
    np.testing.assert_allclose(model.predict_vectors(X), vectors, atol=1e-4)
    np.testing.assert_array_equal(model.predict(X), np.array(["cat", "dog"])[vectors.argmax(axis=1)])


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_labels_of_the_rows_that_are_handed_out_are_the_best_ones(kind, whole, blobs):
    X, y = blobs
    X = np.round(2 * X).astype(int) if whole else X  # examples are rounded first, labels solved on what they are then
    model = quick(kind, 2, reg=1e-3).fit(X, y)
    assert model.X_support_.dtype == X.dtype
    x, x_s = (((rows - X.mean(axis=0)) / X.std(axis=0)) for rows in (X, model.X_support_))
    blocks = oracles.dense(x_s, x_s)[1], oracles.dense(x, x_s)[1]
    y_t = (y[:, None] == model.classes_) - 0.5
    expected = oracles.label_solve(*blocks, y_t, 1e-3, model.ridge)
    np.testing.assert_allclose(model.soft_labels_, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [*CLASSIFIERS, *REGRESSORS])
def test_tables_come_back_as_tables(kind, people):
    frame, classes, target = people
    model = quick(kind, 3).fit(frame, classes if kind in CLASSIFIERS else target)
    found = model.X_support_
    assert found.dtypes.to_dict() == frame.dtypes.to_dict()
    assert set(found["town"].dropna()) <= {"Köln", "Bonn", "Trier"}
    assert found["children"].between(0, 4).all()
    assert found["height"].dropna().between(frame["height"].min() - 1e-6, frame["height"].max() + 1e-6).all()
    assert list(model.feature_names_in_) == list(frame.columns)
    assert len(model.predict(frame[:4])) == 4


@pytest.mark.parametrize("kind", REGRESSORS)
def test_several_targets_keep_their_units(kind):
    X, y = load_diabetes(return_X_y=True)
    targets = np.column_stack([y, 1000 - 3 * y])
    model = quick(kind, 30).fit(X[:300], targets[:300])
    assert model.y_support_.shape == (30, 2)
    assert model.score(X[300:], targets[300:]) > 0.3
    found = model.predict(X[300:])
    np.testing.assert_allclose(found[:, 1], 1000 - 3 * found[:, 0], rtol=1e-3)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_resampling_in_a_pipeline(kind, blobs):
    X, y = blobs
    X_s, y_s = quick(kind, 4).fit_resample(X, y)
    assert X_s.shape == (8, 3)
    assert sorted(y_s) == ["cat"] * 4 + ["dog"] * 4
    pipeline = Pipeline([("distil", quick(kind, 4)), ("model", LogisticRegression())]).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    assert pipeline[-1].n_features_in_ == 3
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.7


def test_settings_are_searched_as_any_others(blobs):
    search = GridSearchCV(quick(KIP, 1), {"kernel": ["fc1", "linear"], "learn_labels": [True, False]}, cv=2)
    assert search.fit(*blobs).best_score_ > 0.8
    assert clone(search.best_estimator_).get_params()["max_iter"] == 5


@pytest.mark.parametrize("kind", [*CLASSIFIERS, *REGRESSORS])
def test_a_seed_decides_everything(kind, blobs):
    X, y = blobs
    y = y if kind in CLASSIFIERS else X @ np.arange(3.0)
    one, two, other = (quick(kind, 3, random_state=seed).fit(X, y) for seed in (1, 1, 2))
    assert one.X_support_.tobytes() == two.X_support_.tobytes()
    assert one.soft_labels_.tobytes() == two.soft_labels_.tobytes()
    assert one.X_support_.tobytes() != other.X_support_.tobytes()


@settings(max_examples=10)
@given(order=st.permutations(["zebra", "ant", "bee"]))
def test_the_order_of_labels_is_said_and_kept(order):
    draw = np.random.default_rng(0)
    y = np.array(order)[np.arange(30) % 3]
    X = draw.normal(size=(30, 2)) + 4 * np.array([[0, 0], [0, 3], [3, 0]])[np.arange(30) % 3]
    model = LabelSolve(2, random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["ant", "bee", "zebra"]
    assert model.support_set_.classes.tolist() == ["ant", "bee", "zebra"]
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize(
    "labels",
    [[-1, 1], [0.0, 1.0], [2, 7], [True, False], ["", "no"], [np.int8(-5), np.int8(5)], ["1", "02"]],
    ids=repr,
)
def test_labels_of_any_kind_come_back_as_they_were(labels, blobs):
    X, _ = blobs
    y = np.array(labels)[np.arange(80) % 2]
    model = quick(KIP, 1).fit(X, y)
    assert set(model.y_support_) == set(y)
    assert model.predict(X).dtype == model.classes_.dtype
    assert model.score(X, y) > 0.8


def test_constant_columns_are_carried_along(blobs):
    X, y = blobs
    X = np.column_stack([X, np.full(80, 7.0)])
    found = quick(KIP, 1).fit(X, y).X_support_
    np.testing.assert_allclose(found[:, -1], 7.0)


def test_learned_points_stay_in_range_unless_told_otherwise(blobs):
    X, y = blobs
    inside = quick(KIP, 1, learning_rate=3.0).fit(X, y).X_support_
    assert (inside >= X.min(axis=0) - 1e-5).all() and (inside <= X.max(axis=0) + 1e-5).all()
    outside = quick(KIP, 1, learning_rate=3.0, keep_range=False).fit(X, y).X_support_
    assert (outside < X.min(axis=0)).any() or (outside > X.max(axis=0)).any()


def test_corrupted_coordinates_are_never_learned(digits):
    X, y, *_ = digits
    few, more = (KIP(1, max_iter=n, corruption=0.6, random_state=0).fit(X, y).X_support_ for n in (1, 8))
    same = (few == more).reshape(10, -1).sum(axis=1)
    assert (same >= round(0.6 * 64)).all()
    assert not (same == 64).any()


@pytest.mark.parametrize("learn_labels", [True, "gradient", False])
@pytest.mark.parametrize("kernel", ["fc1", "fc1,rbf", RBF(), [FullyConnected(2), "linear"]])
def test_labels_and_kernels_combine(learn_labels, kernel, blobs):
    X, y = blobs
    model = quick(KIP, 2, kernel=kernel, learn_labels=learn_labels).fit(X, y)
    assert model.score(X, y) > 0.9
    if learn_labels is False:
        np.testing.assert_allclose(np.sort(model.soft_labels_, axis=1), [[-0.5, 0.5]] * 4)


@pytest.mark.parametrize("learn_labels", [True, "gradient"])
def test_under_a_dear_kernel_last_labels_meet_fewer_rows_than_those_of_label_solve(learn_labels, blobs, monkeypatch):
    X, y = blobs
    met = []

    def counted(kernels, x_s, batches, *penalties):
        batches = list(batches)
        met.append(sum(len(x) for x, *_ in batches))
        return label_solve(kernels, x_s, batches, *penalties)

    monkeypatch.setattr(kernel_objective, "label_solve", counted)
    monkeypatch.setattr(kernel_objective, "LABEL_WORK", 1.0)
    monkeypatch.setattr(kernel_objective, "ROWS_PER_LABEL", 5)
    assert quick(KIP, 2, learn_labels=learn_labels).fit(X, y).score(X, y) > 0.9
    assert met == [20] * (1 if learn_labels is True else 2)
    quick(LabelSolve, 2).fit(X, y)
    assert met[-1] == len(X) > 20


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_any_set_may_be_the_start(kind, blobs):
    X, y = blobs
    given_rows = quick(kind, init=(X[:5], y[:5])).fit(X, y)
    assert len(given_rows.X_support_) == 5
    again = quick(kind, init=given_rows.support_set_).fit(X, y)
    assert len(again.X_support_) == 5
    noise = quick(kind, 2, init="noise").fit(X, y)
    assert len(noise.X_support_) == 4


def test_a_start_with_no_steps_is_kept(blobs):
    X, y = blobs
    found = KIP(init=(X[:5], y[:5]), max_iter=0, random_state=0).fit(X, y)
    np.testing.assert_allclose(found.X_support_, X[:5], rtol=1e-5)


def test_rare_classes_count_when_asked(blobs):
    draw = np.random.default_rng(2)
    y = np.array([0] * 190 + [1] * 10)
    X = draw.normal(size=(200, 2)) + 1.2 * y[:, None]
    plain, fair = (
        LabelSolve(5, kernel="rbf", random_state=0, class_balanced=balanced).fit(X, y) for balanced in (False, True)
    )
    recall = [np.mean(model.predict(X)[y == 1] == 1) for model in (plain, fair)]
    assert recall[1] > recall[0]


def test_augmentation_is_for_images_and_changes_the_result(digits):
    X, y, *_ = digits
    plain = quick(KIP, 1).fit(X, y)
    for how in ("shift=1", Augmentation(shift=1)):
        shifted = quick(KIP, 1, augment=how).fit(X, y)
        assert shifted.X_support_.tobytes() != plain.X_support_.tobytes()


def test_wide_rows_are_learned_in_a_subspace_and_judged_in_full(digits):
    X, y, X_test, y_test = digits
    wide = np.repeat(np.repeat(X, 4, axis=1), 4, axis=2)
    model = quick(KIP, 2).fit(wide, y)
    assert model.learns_in_subspace(32 * 32)
    assert not model.learns_in_subspace(100)
    assert model.X_support_.shape == (20, 32, 32)
    assert model.score(np.repeat(np.repeat(X_test, 4, axis=1), 4, axis=2), y_test) > 0.6
    few = quick(KIP, 2, components=5, keep_range=False).fit(X, y)
    residual = few.space_.encode(few.X_support_).reshape(20, -1)
    assert np.linalg.matrix_rank(residual, tol=1e-3) <= 5


def test_a_checkpoint_of_other_settings_is_not_resumed(blobs, tmp_path):
    X, y = blobs
    path = tmp_path / "checkpoint"
    quick(KIP, 1, checkpoint=path, max_iter=3).fit(X, y)
    resumed, fresh = (quick(KIP, 1, checkpoint=where).fit(X, y) for where in (path, None))
    assert resumed.X_support_.tobytes() == fresh.X_support_.tobytes()


def test_a_checkpoint_is_resumed_whatever_gave_the_seed(blobs, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    done = quick(KIP, 1, checkpoint=path, random_state=np.random.RandomState(3)).fit(*blobs)
    monkeypatch.setattr("datastill.distill.loop._validate", lambda *_: pytest.fail("learned again"))
    again = quick(KIP, 1, checkpoint=path, random_state=np.random.RandomState(3)).fit(*blobs)
    assert again.X_support_.tobytes() == done.X_support_.tobytes()


def test_a_start_may_be_lists(blobs):
    X, _ = blobs
    start = (X[:2].tolist(), ["cat", "dog"])
    assert quick(KIP, None, init=start, max_iter=0).fit(*blobs).X_support_.shape == (2, X.shape[1])


def test_what_is_saved_is_what_was_fitted(people, tmp_path):
    frame, classes, _ = people
    model = quick(KIP, 2).fit(frame, classes)
    model.support_set_.save(tmp_path / "run")
    loaded = SupportSet.load(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.x, model.X_support_)
    np.testing.assert_array_equal(loaded.soft_labels, model.soft_labels_)
    space = encoders.from_state(loaded.preprocessing["space"])
    np.testing.assert_array_equal(space.encode_features(frame), model.space_.encode_features(frame))
    labels = label_maps.from_state(loaded.preprocessing["labels"])
    np.testing.assert_array_equal(labels.encode(classes), model.labels_.encode(classes))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["provenance"]["settings"]["ipc"] == 2
    assert manifest["provenance"]["n_train"] == 90


REFUSED = {
    "NaN": (lambda X, y: (np.where(np.arange(3) == 1, np.nan, X), y), r"NaN, the first at \[0, 1\]"),
    "infinity": (lambda X, y: (np.where(np.arange(3) == 2, np.inf, X), y), "inf"),
    "numbers whose squares overflow": (lambda X, y: (X * 1e200, y), r"as large as \de\+200"),
    "one class": (lambda X, y: (X, np.full(len(X), "cat")), "1 class"),
    "real-valued labels": (lambda X, y: (X, X[:, 0]), "KIPRegressor"),
    "missing labels": (lambda X, y: (X, np.where(np.arange(len(X)) == 3, None, y)), "first in row 3"),
    "fewer labels than rows": (lambda X, y: (X, y[:-1]), "80 rows in X and 79 in y"),
    "no labels": (lambda X, y: (X, None), "requires y"),
    "one row": (lambda X, y: (X[:1], y[:1]), "at least 2 rows"),
    "no rows": (lambda X, y: (X[:0], y[:0]), "0 sample"),
    "no columns": (lambda X, y: (X[:, :0], y), "0 feature"),
    "text in an array": (lambda X, y: (np.full((80, 3), "a"), y), "could not convert|Unable to convert|dtype"),
    "objects": (lambda X, y: (np.array([[X[0], 1]] * 80, dtype=object), y), "object array"),
    "a table with repeated names": (
        lambda X, y: (pd.DataFrame(X, columns=["a", "a", "b"]), y),
        "repeated column names",
    ),
    "a table with dates": (lambda X, y: (pd.DataFrame({"a": pd.to_datetime(["2026-01-01"] * 80)}), y), "datetime"),
    "complex numbers": (lambda X, y: (X + 1j, y), "omplex"),
    "two label columns": (lambda X, y: (X, np.column_stack([y, y])), r"shape \(80, 2\)"),
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("case", REFUSED)
def test_data_that_cannot_be_used_are_refused_in_one_line(kind, case, blobs):
    spoil, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        quick(kind, 2).fit(*spoil(*blobs))
    assert "\n" not in str(caught.value)


SETTINGS = {
    "ipc=0": ({"ipc": 0}, "ipc=0"),
    "both budgets": ({"ipc": 1, "n_support": 4}, "exactly one"),
    "fewer points than classes": ({"n_support": 1}, "n_support=1"),
    "negative reg": ({"reg": -1.0}, "reg=-1.0"),
    "negative ridge": ({"ridge": -1.0}, "ridge"),
    "reg that is text": ({"reg": "small"}, "reg='small'"),
    "unknown kernel": ({"kernel": "magic"}, "magic"),
    "unknown preprocessing": ({"preprocess": "wash"}, "wash"),
    "whitening of vectors": ({"preprocess": "zca"}, "not images"),
    "unknown start": ({"init": "zeros"}, "zeros"),
    "start of another shape": ({"init": (np.zeros((2, 5)), ["cat", "dog"])}, r"\(5,\)"),
    "start with NaN": ({"init": (np.full((2, 3), np.nan), ["cat", "dog"])}, "init with 6 entries that are NaN"),
    "start without labels": ({"init": (np.zeros((2, 3)), ["cat"])}, "2 rows and 1 labels"),
    "start with strange labels": ({"init": (np.zeros((1, 3)), ["cow"])}, "cow"),
}
KIP_SETTINGS = {
    "no batch": ({"batch_size": 0}, "batch_size=0"),
    "negative steps": ({"max_iter": -1}, "max_iter=-1"),
    "no patience": ({"patience": 0}, "patience=0"),
    "all rows held out": ({"validation_fraction": 1.0}, "validation_fraction"),
    "unknown labels": ({"learn_labels": "hard"}, "learn_labels='hard'"),
    "all noise": ({"corruption": 1.0}, "corruption=1.0"),
    "augmented vectors": ({"augment": "flip"}, "not images"),
    "too many components": ({"components": 10}, "components=10"),
    "components and noise": ({"components": 2, "corruption": 0.5}, "corruption"),
}


@pytest.mark.parametrize(
    ("kind", "case"), [*((kind, c) for kind in CLASSIFIERS for c in SETTINGS), *((KIP, c) for c in KIP_SETTINGS)]
)
def test_settings_that_cannot_be_used_are_refused_in_one_line(kind, case, blobs):
    wrong, message = (SETTINGS | KIP_SETTINGS)[case]
    with pytest.raises(InputError, match=message) as caught:
        quick(kind, **wrong).fit(*blobs)
    assert "\n" not in str(caught.value)


def test_a_budget_above_a_class_is_refused_by_selection_and_cut_by_learning(blobs):
    X, y = blobs
    with pytest.raises(InputError, match="which has 40"):
        LabelSolve(41).fit(X, y)
    with pytest.raises(InputError, match="82 examples for 80 rows"):
        quick(KIP, 41).fit(X, y)
    few = np.concatenate([np.flatnonzero(y == "cat"), np.flatnonzero(y == "dog")[:3]])
    with pytest.warns(DatastillWarning, match=r"fewer examples: dog \(3\)"):
        made = quick(KIP, 5).fit(X[few], y[few])
    assert np.unique(made.y_support_, return_counts=True)[1].tolist() == [5, 3]
    assert made.support_set_.provenance["short"] == {"dog": 3}


def test_without_a_budget_small_classes_get_half_their_rows(blobs):
    X, y = blobs
    few = np.concatenate([np.flatnonzero(y == "cat"), np.flatnonzero(y == "dog")[:8]])
    for made in (quick(KIP).fit(X[few], y[few]), Coreset(method="random", random_state=0).fit(X[few], y[few])):
        assert np.unique(made.y_support_, return_counts=True)[1].tolist() == [10, 4]
    assert len(Coreset(method="random", n_support=0.5, random_state=0).fit(X, y).X_support_) == 40


TEST_ROWS = {
    "another width": (lambda frame: frame.to_numpy()[:, :2], "DataFrame"),
    "a missing column": (lambda frame: frame.drop(columns="town"), "town"),
    "columns in another order": (lambda frame: frame[frame.columns[::-1]], "order|feature names"),
    "text for numbers": (lambda frame: frame.assign(children="three"), "three"),
}


@pytest.mark.parametrize("case", TEST_ROWS)
def test_rows_to_predict_must_be_like_those_learned_from(case, people):
    frame, classes, _ = people
    spoil, message = TEST_ROWS[case]
    model = LabelSolve(2, random_state=0).fit(frame, classes)
    with pytest.raises(InputError, match=message) as caught:
        model.predict(spoil(frame))
    assert "\n" not in str(caught.value)


def test_categories_that_training_never_saw_are_predicted_all_the_same(people):
    frame, classes, _ = people
    model = LabelSolve(2, random_state=0).fit(frame, classes)
    strange = frame.assign(town="Aachen")
    assert set(model.predict(strange)) <= {"few", "many"}


@pytest.mark.parametrize("kind", REGRESSORS)
@pytest.mark.parametrize(
    ("y", "message"),
    [(np.array(["a"] * 80), "numbers"), (np.full(80, np.nan), "NaN"), (np.zeros((80, 1, 1)), "shape")],
    ids=["text", "NaN", "three axes"],
)
def test_targets_that_are_no_numbers_are_refused(kind, y, message, blobs):
    with pytest.raises(InputError, match=message):
        quick(kind, 5).fit(blobs[0], y)


def test_more_rows_than_memory_are_refused_with_the_numbers(blobs, monkeypatch):
    monkeypatch.setattr(_memory, "memory_present", lambda: 100)
    with pytest.raises(InputError, match=r"80 rows of 3 numbers.*GiB"):
        quick(KIP, 1).fit(*blobs)


def test_a_second_fit_forgets_the_first(digits):
    X, y = digits[0], digits[1]
    selector = Coreset(2, method="random", random_state=0).fit(X, y)
    assert len(selector.sample_indices_) == 20
    selector.set_params(method="kmeans").fit(X, y)
    assert not hasattr(selector, "sample_indices_") and selector.support_set_.indices is None
