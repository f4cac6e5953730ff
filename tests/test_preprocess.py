"""The space of learning: what goes in comes back, and what is learned stays within the data's range."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracles
from datastill._errors import InputError
from datastill.data.archive import pack, unpack
from datastill.preprocess import encoder, labels
from datastill.preprocess.affine import Ranges, Whiten
from datastill.preprocess.tables import TableCoder

DTYPES = ["bool", "uint8", "int8", "uint16", "int32", "int64", "float16", "float32", "float64"]
SHAPES = [(5, 3), (5, 2, 3), (5, 2, 2, 3)]


@st.composite
def arrays(draw):
    """Vectors and images of every dtype."""
    dtype, shape = np.dtype(draw(st.sampled_from(DTYPES))), draw(st.sampled_from(SHAPES))
    if dtype.kind == "b":
        return draw(hnp.arrays(dtype, shape))
    if dtype.kind == "f":
        return draw(hnp.arrays(dtype, shape, elements=st.floats(-1000, 1000, width=16)))
    bounds = np.iinfo(dtype)
    return draw(hnp.arrays(dtype, shape, elements=st.integers(max(bounds.min, -(10**5)), min(bounds.max, 10**5))))


def columns(n):
    """Columns of n rows, of every kind a table may have."""
    texts = st.text("ab ✓,'\"0.", max_size=4)

    def of(elements, dtype):
        return st.lists(elements, min_size=n, max_size=n).map(lambda values: pd.Series(values, dtype=dtype))

    return st.one_of(
        of(st.integers(-1000, 1000), "int64"),
        of(st.integers(0, 255), "uint8"),
        of(st.integers(-1000, 1000) | st.none(), "Int64"),
        of(st.floats(-1000, 1000, width=32) | st.just(np.nan), "float64"),
        of(st.floats(-1000, 1000, width=16), "float32"),
        of(st.floats(-10, 10, width=16) | st.none(), "Float64"),
        of(st.booleans(), "bool"),
        of(st.booleans() | st.none(), "boolean"),
        of(texts, "str"),
        of(texts | st.none(), "str"),
        of(texts | st.none(), "object"),
        of(st.sampled_from(["x", 1, 2.5, True, None]), "object"),
        of(st.sampled_from(["low", "high"]) | st.none(), "category").filter(lambda column: column.notna().any()),
        of(st.integers(0, 3), "category"),
    )


frames = (
    st.integers(2, 6)
    .flatmap(
        lambda n: st.dictionaries(st.text("abc", max_size=3) | st.integers(0, 9), columns(n), min_size=1, max_size=5)
    )
    .map(pd.DataFrame)
)


def through_json(state):
    """A state as it comes back from a file."""
    described, tensors = pack(state)
    return unpack(json.loads(json.dumps(described)), tensors)


def same_arrays(found, x):
    assert found.dtype == x.dtype
    if x.dtype.kind == "f":
        exact = x.astype(np.float64)
        step = np.finfo(x.dtype).eps * np.abs(exact) + 1e-6 * (np.ptp(exact) + 1e-30)
        assert (np.abs(found.astype(np.float64) - exact) <= step).all()
    else:
        np.testing.assert_array_equal(found, x)


@given(x=arrays(), preprocessing=st.sampled_from(["standardise", "none"]))
def test_arrays_come_back(x, preprocessing):
    made = encoder.fit_encoder(x, preprocessing)
    z = made.encode(x)
    assert z.dtype == np.float32
    assert z.shape == x.shape
    same_arrays(made.decode(z), x)
    again = encoder.from_state(through_json(encoder.state(made)))
    np.testing.assert_array_equal(again.encode(x), z)
    np.testing.assert_array_equal(again.decode(z), made.decode(z))
    np.testing.assert_array_equal(again.clip(z), made.clip(z))


@given(x=arrays(), seed=st.integers(0, 100))
def test_decoded_values_stay_within_the_data(x, seed):
    made = encoder.fit_encoder(x)
    z = 10 * np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32)
    found = made.decode(np.asarray(made.clip(z))).astype(np.float64)
    axes = 0 if x.ndim == 2 else tuple(range(min(x.ndim, 3)))
    low, high = (f(x, axis=axes).astype(np.float64) for f in (np.min, np.max))
    slack = 0 if x.dtype.kind in "biu" else 1e-6 * (np.abs(low) + np.abs(high))
    slack = slack + (1e-3 * (np.abs(low) + np.abs(high)) if x.dtype == np.float16 else 0)
    assert (found >= low - slack).all()
    assert (found <= high + slack).all()


@given(table=frames)
def test_tables_come_back(table):
    made = encoder.fit_encoder(table)
    found = made.decode(made.encode(table))
    pd.testing.assert_frame_equal(found, table, rtol=1e-5, atol=1e-3, check_column_type=False)
    again = encoder.from_state(through_json(encoder.state(made)))
    pd.testing.assert_frame_equal(again.decode(again.encode(table)), found, check_column_type=False)


@given(table=frames, seed=st.integers(0, 100))
def test_any_numbers_within_range_are_a_table_of_the_same_kind(table, seed):
    made = encoder.fit_encoder(table)
    z = 3 * np.random.default_rng(seed).standard_normal(made.encode(table).shape).astype(np.float32)
    found = made.decode(np.asarray(made.clip(z)))
    assert list(found.columns) == list(table.columns)
    for name in table.columns:
        values, known = found[name].dropna(), table[name].dropna()
        if pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name]):
            assert values.empty or known.empty or values.min() >= known.min() - 1e-3
            assert values.empty or known.empty or values.max() <= known.max() + 1e-3
        else:
            assert set(values) <= set(known)


@given(table=frames, seed=st.integers(0, 100))
def test_settled_numbers_are_those_of_the_rows_they_are_handed_out_as(table, seed):
    made = encoder.fit_encoder(table)
    z = np.asarray(made.clip(np.random.default_rng(seed).standard_normal((6, made.columns)).astype(np.float32)))
    handed_out = made.encode(made.decode(z))
    np.testing.assert_allclose(made.straight_through_round(z), handed_out, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(made.straight_through_round(handed_out), handed_out, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_settled_numbers_is_straight_through():
    made = encoder.fit_encoder(pd.DataFrame({"n": [1, 2, 5], "kind": ["a", "b", "a"]}))
    z = np.array([[0.2, 0.4, 0.6]], np.float32)
    slope = jax.grad(lambda z: jnp.sum(made.straight_through_round(z) * np.array([[1.0, 2.0, 3.0]])))(z)
    np.testing.assert_array_equal(slope, [[1, 2, 3]])
    assert np.abs(np.asarray(made.straight_through_round(z)) - z).max() > 0.1


def test_arrays_settle_as_they_are(rng):
    x = rng.normal(size=(5, 3))
    made = encoder.fit_encoder(x)
    np.testing.assert_array_equal(made.straight_through_round(made.encode(x)), made.encode(x))


def test_standardised_columns_have_mean_0_and_spread_1(rng):
    x = rng.standard_normal((3000, 3)) * [1, 100, 1e-3] + [0, 1e4, 5]
    z = encoder.fit_encoder(x).encode(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)


def test_images_are_standardised_by_channel(rng):
    x = rng.standard_normal((50, 4, 5, 3)) * [1, 10, 100] + [0, 5, -50]
    scaling = encoder.fit_encoder(x).scaling
    np.testing.assert_allclose(scaling.mean, x.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(scaling.scale, x.std(axis=(0, 1, 2)), rtol=1e-9)


@given(x=hnp.arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_ranges_are_those_of_numpy(x):
    ranges = Ranges.of(x)
    np.testing.assert_allclose(ranges.mean, x.mean(axis=0), rtol=1e-9, atol=1e-9)
    unit = np.abs(x).max() or 1.0  # NumPy's squares of very small numbers are 0
    np.testing.assert_allclose(ranges.std / unit, (x / unit).std(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(ranges.low, x.min(axis=0))
    np.testing.assert_array_equal(ranges.high, x.max(axis=0))


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, -1e9, 1e-300])
def test_constant_columns_are_kept_as_they_are(value, rng):
    x = np.column_stack([np.full(2000, value), rng.standard_normal(2000)])
    made = encoder.fit_encoder(x)
    z = made.encode(x)
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(z[:, 0], 0)
    np.testing.assert_array_equal(made.decode(np.asarray(made.clip(z + 7)))[:, 0], value)


def test_out_of_range_values_are_kept_as_floats_when_asked():
    x = np.array([[0, 10], [255, 20]], np.uint8)
    made = encoder.fit_encoder(x)
    z = made.encode(x)
    outside = made.decode(z + 1, in_range=False)
    assert outside.dtype == np.float32
    assert outside.max() > 255
    assert made.decode(z + 1).max() == 255  # clipped to the dtype rather than wrapped around
    assert made.decode(z.astype(np.float64) + 1, in_range=True).dtype == np.uint8


@pytest.mark.parametrize("preprocessing", ["zca", "zca-unit-norm"])
def test_zca_is_its_slow_twin_and_has_an_inverse(preprocessing, rng):
    x = rng.integers(0, 256, (40, 3, 3, 2)).astype(np.uint8)
    made = encoder.fit_encoder(x, preprocessing)
    z = made.encode(x).astype(np.float64)
    if preprocessing == "zca-unit-norm":
        flat = oracles.rows(z)
        centred = flat - flat.mean(axis=1, keepdims=True)
        z = (centred / np.linalg.norm(centred, axis=1, keepdims=True)).reshape(x.shape)
    expected = (oracles.rows(z) @ oracles.zca(z)).reshape(x.shape)
    features = made.encode_features(x)
    assert oracles.relative(features, expected) < 1e-5
    assert oracles.relative(made.from_features(features), z) < 1e-5
    again = encoder.from_state(through_json(encoder.state(made)))
    np.testing.assert_array_equal(again.encode_features(x), features)
    same_arrays(again.decode(again.encode(x)), x)


def test_zca_whitens(rng):
    z = (rng.standard_normal((5000, 4)) @ rng.standard_normal((4, 4))).astype(np.float32).reshape(-1, 2, 2)
    white = oracles.rows(Whiten.fit(z, reg=1e-6).forward(jnp.asarray(z)))
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(4), atol=1e-2)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_whitening_leaves_equal_images_as_they_are(unit_norm):
    z = np.zeros((5, 2, 2, 3), np.float32)
    found = Whiten.fit(z, unit_norm=unit_norm)
    np.testing.assert_allclose(found.matrix, np.eye(12), atol=1e-6)
    np.testing.assert_allclose(found.inverse_matrix, np.eye(12), atol=1e-6)


@pytest.mark.parametrize("preprocessing", ["standardise", "zca", "zca-unit-norm"])
def test_features_have_a_finite_gradient_at_flat_images(preprocessing, rng):
    x = rng.standard_normal((20, 2, 2, 1)).astype(np.float32)
    made = encoder.fit_encoder(x, preprocessing)
    slope = jax.grad(lambda z: jnp.sum(made.features(z) ** 2))(jnp.zeros((2, 2, 2, 1)))
    assert np.isfinite(slope).all()


def test_unknown_preprocessing_and_zca_of_vectors_are_named(rng):
    x = rng.standard_normal((4, 2))
    with pytest.raises(InputError, match="preprocess='whiten'; expected one of standardise, zca"):
        encoder.fit_encoder(x, "whiten")
    with pytest.raises(InputError, match="not images"):
        encoder.fit_encoder(x, "zca")


def test_a_missing_number_has_an_indicator_and_the_median():
    table = pd.DataFrame({"a": [1.0, np.nan, 3.0, 100.0], "b": [1, 2, 3, 4]})
    np.testing.assert_array_equal(TableCoder.fit(table).encode(table), [[1, 0, 1], [3, 1, 2], [3, 0, 3], [100, 0, 4]])


def test_a_category_that_training_did_not_have_is_all_zero():
    coder = TableCoder.fit(pd.DataFrame({"a": ["x", "y"]}))
    np.testing.assert_array_equal(coder.encode(pd.DataFrame({"a": ["y", "new", None]})), [[0, 1], [0, 0], [0, 0]])


def test_columns_are_found_by_name():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    coder = TableCoder.fit(table)
    np.testing.assert_array_equal(coder.encode(table[["b", "a"]].assign(more=1)), coder.encode(table))


@pytest.mark.parametrize(
    ("train", "test", "fragment"),
    [
        ({"a": [1, 2], "b": [1, 2]}, {"a": [1, 2]}, r"without the columns \['b'\]"),
        ({"a": [1.0, 2.0]}, {"a": ["1", "two"]}, "'two' in the numeric column 'a'"),
        ({"a": [1.0, np.inf]}, None, "infinite or above 1e\\+100 in the column 'a'"),
        ({"a": pd.to_datetime(["2020-01-01", "2020-01-02"])}, None, "column 'a' of type datetime64"),
        ({"a": [1j, 2j]}, None, "column 'a' of type complex"),
        ({"a": [str(i) for i in range(1001)]}, None, "1001 different values in the text column 'a'"),
    ],
)
def test_columns_that_cannot_be_used_are_named(train, test, fragment):
    with pytest.raises(InputError, match=fragment):
        TableCoder.fit(pd.DataFrame(train)).encode(pd.DataFrame(test))


def test_repeated_column_names_are_named():
    with pytest.raises(InputError, match=r"repeated column names \['a'\]"):
        TableCoder.fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))


CLASSES = [
    np.array([3, -1, 3, 7]),
    np.array(["b", "a", "b", "ç"]),
    np.array([True, False, True]),
    np.array([0.0, 1.0, 2.0]),
    np.array([0, 255], np.uint8),
]


@pytest.mark.parametrize("y", CLASSES, ids=lambda y: str(y.dtype))
def test_classes_come_back(y):
    coded = labels.ClassLabels.fit(y)
    vectors = coded.encode(y)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, oracles.centred_one_hot(coded.codes(y), len(np.unique(y))), atol=1e-7)
    np.testing.assert_allclose(vectors.sum(axis=1), 0, atol=1e-6)
    again = labels.from_state(through_json(labels.state(coded)))
    for each in (coded, again):
        found = each.decode(vectors.astype(np.float64))
        np.testing.assert_array_equal(found, y)
        assert found.dtype.kind == y.dtype.kind


def test_unseen_labels_are_named():
    coded = labels.ClassLabels.fit(np.array(["a", "b"]))
    with pytest.raises(InputError, match="does not have: 'c'; expected some of 'a', 'b'"):
        coded.encode(np.array(["a", "c"]))


@given(y=hnp.arrays(np.float64, st.sampled_from([(4,), (4, 1), (4, 3)]), elements=st.floats(-1e6, 1e6)))
def test_targets_come_back(y):
    coded = labels.TargetScaler.fit(y)
    vectors = coded.encode(y)
    assert vectors.shape == (4, 1 if y.ndim == 1 else y.shape[1])
    again = labels.from_state(through_json(labels.state(coded)))
    for each in (coded, again):
        found = each.decode(vectors)
        assert found.shape == y.shape
        np.testing.assert_allclose(found, y, atol=1e-6 * (np.abs(y).max() + 1e-30))


def test_targets_are_standardised_and_a_constant_one_is_0(rng):
    y = np.column_stack([rng.standard_normal(100) * 5 + 3, np.full(100, 2.0)])
    vectors = labels.TargetScaler.fit(y).encode(y)
    np.testing.assert_allclose([vectors[:, 0].mean(), vectors[:, 0].std()], [0, 1], atol=1e-5)
    np.testing.assert_array_equal(vectors[:, 1], 0)
    with pytest.raises(InputError, match="3 columns; expected 2"):
        labels.TargetScaler.fit(y).encode(rng.standard_normal((4, 3)))


@pytest.mark.parametrize("how", ["zca", "zca-unit-norm", "standardise"])
def test_no_rows_are_no_features(how, rng):
    found = encoder.fit_encoder(rng.normal(size=(9, 3, 2)), how)
    none = np.zeros((0, 3, 2), np.float32)
    assert found.features(none).shape == found.from_features(none).shape == none.shape
    assert found.encode_features(none).shape == none.shape


@pytest.mark.parametrize("dtype", ["uint8", "int8", "Int8"])
def test_integers_of_a_table_that_leave_their_range_are_floats(dtype):
    found = encoder.fit_encoder(pd.DataFrame({"a": pd.Series([0, 100, 120], dtype=dtype)}))
    outside = np.array([[-9.0], [9.0]], np.float32)
    values = found.decode(outside, in_range=False)["a"]
    assert values.dtype == np.float64
    assert values[0] < -128 and values[1] > 255
    inside = found.decode(found.encode(pd.DataFrame({"a": [100]})))["a"]
    assert inside.dtype == dtype and inside[0] == 100


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1.0, 1e99])
def test_targets_are_standardised_at_any_scale(scale, rng):
    y = rng.normal(size=50) * scale
    known = labels.TargetScaler.fit(y)
    z = known.encode(y)
    assert z.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(known.decode(z), y, rtol=1e-5)
