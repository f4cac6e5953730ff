"""Labels: the same classes by every way, and whatever is none is refused in one line."""

import datetime
import warnings
from decimal import Decimal

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning

from datastill import Coreset, CoresetRegressor, load
from datastill._errors import InputError
from datastill.data.labels import (
    LONGEST_LABEL,
    check_classes,
    check_targets,
    class_values,
    guess_task,
    is_one_hot,
    plain,
)
from datastill.data.sharding import shards_of
from datastill.data.task import with_test
from datastill.features.names import named_map
from datastill.moments import collect_all, survey

files = hypothesis.settings(
    max_examples=15, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
words = st.text("abcdeyz", min_size=1, max_size=5)
values = st.one_of(
    st.lists(words, min_size=2, max_size=4, unique=True),
    st.lists(st.integers(-5, 99), min_size=2, max_size=4, unique=True),
    st.just([True, False]),
)


@st.composite
def labels(draw, rows=24):
    """(codes, classes) of some rows, every class among them."""
    classes = draw(values)
    codes = [*range(len(classes)), *draw(st.lists(st.integers(0, len(classes) - 1), min_size=rows, max_size=rows))]
    return np.array(codes), classes


DTYPES = (np.int8, np.int64, np.uint64, np.float16, np.float64, np.longdouble)


@hypothesis.given(labels(), st.sampled_from(DTYPES), st.sampled_from(["flat", "column", "deep", "one-hot"]))
def test_the_shape_and_the_type_of_whole_labels_do_not_matter(drawn, dtype, shape):
    codes, classes = drawn
    y = np.eye(len(classes), dtype=dtype)[codes] if shape == "one-hot" else codes.astype(dtype)
    y = {"column": y[:, None], "deep": y[..., None, None]}.get(shape, y) if shape != "one-hot" else y
    assert guess_task(y)[0] == "classification"
    np.testing.assert_array_equal(class_values(y), codes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataConversionWarning)
        np.testing.assert_array_equal(check_classes(y), codes)


@hypothesis.given(labels(), st.sampled_from([list, np.array, pd.Series, pd.Categorical, pd.array]))
def test_the_container_does_not_matter(drawn, container):
    codes, classes = drawn
    y = [classes[code] for code in codes]
    found = check_classes(container(y))
    assert found.tolist() == y and found.dtype.kind in "biU"


@pytest.mark.parametrize("way", ["npz", "csv", "parquet", "python"])
@files
@hypothesis.given(drawn=labels())
def test_every_way_gives_the_same_classes(tmp_path, way, drawn):
    codes, classes = drawn
    y, x = np.array([classes[code] for code in codes]), np.arange(2.0 * len(codes)).reshape(-1, 2)
    table, path = pd.DataFrame(x, columns=["a", "b"]).assign(label=y), tmp_path / f"data.{way}"
    if way == "npz":
        np.savez(path, x=x, y=y)
    elif way == "csv":
        table.to_csv(path, index=False)
    elif way == "parquet":
        table.to_parquet(path)
    target = "label" if way in ("csv", "parquet") else None
    found = class_values(y) if way == "python" else load(path, target=target).y
    np.testing.assert_array_equal(np.unique(found), np.unique(y))
    np.testing.assert_array_equal(found, y)
    if way != "python":
        parts = [shard.labels() for shard in shards_of([path], target, rows=5)]
        np.testing.assert_array_equal(np.concatenate(parts), y)


@pytest.mark.parametrize("shape", ["column", "one-hot", "flat"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_pass_and_a_split_take_columns_and_one_hot_rows_as_classes(tmp_path, shape, save, rng):
    codes = np.arange(90) % 3
    y = {"column": codes[:, None], "one-hot": np.eye(3)[codes], "flat": codes}[shape]
    save(tmp_path / "data.npz", x_train=rng.normal(size=(90, 4)), y_train=y, x_test=np.ones((9, 4)), y_test=y[:9])
    data = load(tmp_path / "data.npz")
    assert guess_task(data.y)[0] == "classification"
    split = with_test(data, 0, "classification")
    np.testing.assert_array_equal(split.y, codes)
    np.testing.assert_array_equal(split.y_test, codes[:9])
    shards = shards_of([tmp_path / "data.npz"], rows=20)
    for task in ("auto", "classification"):
        collected = collect_all(survey(shards, named_map("fourier:4"), task=task), shards)
        assert collected.recipe.source.task == "classification"
        assert collected.counts.tolist() == [30, 30, 30]
        assert ("one-hot" in " ".join(collected.recipe.reading.notes)) == (shape == "one-hot")
    targets = collect_all(survey(shards, named_map("fourier:4"), task="regression"), shards).recipe.source
    assert targets.outputs == (3 if shape == "one-hot" else 1)


def test_one_row_that_is_not_one_hot_makes_all_of_them_targets(tmp_path, rng):
    y = np.eye(3)[np.arange(90) % 3]
    y[70] = 0.5, 0.25, 0.25
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(90, 4)), y=y)
    shards = shards_of([tmp_path / "data.npz"], rows=20)
    assert survey(shards, named_map("fourier:4")).source.task == guess_task(load(tmp_path / "data.npz").y)[0]
    with pytest.raises(InputError, match=r"argmax|--task regression"):
        survey(shards, named_map("fourier:4"), task="classification")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.eye(3), True),
        (np.eye(3, dtype=bool), True),
        (np.eye(3)[:, :2], False),
        (np.ones((3, 1)), False),
        (np.ones((3, 2)), False),
        (np.eye(3) * 2, False),
        (np.eye(3) + 1e-9, False),
        (np.array([[0.5, 0.5]]), False),
        (np.zeros((0, 3)), False),
        (np.array([["1", "0"]]), False),
    ],
)
def test_one_hot_rows_are_told_from_others(y, expected):
    assert is_one_hot(y) is expected


def test_estimators_say_that_they_took_one_hot_rows_as_classes_and_regressors_leave_them(rng):
    codes = np.arange(30) % 3
    x, y = rng.normal(size=(30, 2)), np.eye(3)[codes]
    with pytest.warns(DataConversionWarning, match="one-hot"):
        found = Coreset(method="random", ipc=1, random_state=0).fit(x, y)
    assert found.classes_.tolist() == [0, 1, 2]
    assert CoresetRegressor(3, method="random", random_state=0).fit(x, y).y_support_.shape == (3, 3)
    with pytest.warns(DataConversionWarning):
        Coreset(method="random", ipc=1, random_state=0).fit(x, codes[:, None])


TODAY = datetime.date(2020, 1, 1)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.array([1, "a", 2], object), "several types, such as 1 and 'a'"),
        ([1, "a", 2], "several types"),
        (np.array([1, b"a"], object), "several types"),
        (np.array(["2020-01-01", "2021-01-01"], "M8[D]"), "datetime64"),
        (np.array([TODAY, TODAY], object), "type date"),
        (pd.to_datetime(["2020", "2021"]), "datetime64|Timestamp"),
        (pd.Series([(1, 2), (3, 4)]), "type tuple"),
        (pd.cut(np.arange(4), 2), "type Interval"),
        (np.array([1j, 2]), "complex"),
        (np.array([2**70, 1], object), "beyond 64 bits"),
        (["z" * (LONGEST_LABEL + 1), "a"], "1,001 characters"),
        (np.array(["z" * (LONGEST_LABEL + 1), "a"]), "1,001 characters"),
        (np.full((4, 2), 0.5), r"add up to 1: soft labels.*argmax"),
        (np.ones((4, 2)), "several ones"),
        (np.arange(8.0).reshape(4, 2), r"shape \(4, 2\)"),
        (np.array([0.5, 1.0]), "real-valued"),
        (np.array(["a", None], object), "missing, the first in row 1"),
        (pd.array([1, None], dtype="Int64"), "missing, the first in row 1"),
        (np.array(["a", "a"]), "1 class"),
    ],
)
def test_what_are_no_classes_is_refused_for_what_it_is(y, said):
    rows = np.arange(2.0 * len(y)).reshape(-1, 2)
    with pytest.raises(InputError, match=said) as caught:
        Coreset(method="random", ipc=1).fit(rows, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("y", [np.array(["a", "b"]), np.array(["2020"], "M8[Y]"), np.array([1j]), np.ones((2, 2, 2))])
def test_what_are_no_targets_is_refused(y):
    with pytest.raises(InputError, match="Got targets"):
        check_targets(y)


def test_a_long_label_costs_no_memory():
    y = np.array(["short"] * 20_000 + ["z" * 100_000], object)
    with pytest.raises(InputError, match="100,000 characters"):
        plain(y)


def test_decimals_are_numbers():
    assert check_targets(np.array([Decimal("1.5"), Decimal(2)], object)).tolist() == [1.5, 2]
    assert plain(np.array([Decimal(1), Decimal(2)], object)).tolist() == [1, 2]


def test_labels_that_differ_by_blanks_alone_are_one_class_in_files_and_said_of_arrays(tmp_path):
    y, x = np.array(["yes", "yes ", "no"] * 10), np.arange(60.0).reshape(30, 2)
    pd.DataFrame(x, columns=["a", "b"]).assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    pd.DataFrame(x, columns=["a", "b"]).assign(y=y).to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", x=x, y=y)
    for name in ("t.csv", "t.parquet", "t.npz"):
        target = None if name == "t.npz" else "y"
        data = load(tmp_path / name, target=target)
        assert sorted(set(data.y.tolist())) == ["no", "yes"]
        assert any("Blanks around" in note for note in data.reading.notes)
        shards = shards_of([tmp_path / name], target, rows=7)
        assert set(np.concatenate([shard.labels() for shard in shards]).tolist()) == {"no", "yes"}
        assert {label for shard in shards for _, part in shard.batches(4) for label in part.tolist()} == {"no", "yes"}
        if target is not None:
            notes = survey(shards, named_map("fourier:4"), target=target).reading.notes
            assert any("Blanks around" in note for note in notes)
    with pytest.warns(DataConversionWarning, match="blanks"):
        assert len(set(check_classes(y).tolist())) == 3


def test_soft_labels_are_named_as_that_where_the_task_is_told():
    task, why = guess_task(np.full((5, 4), 0.25))
    assert task == "regression" and "add up to 1" in why and "argmax" in why
