"""Numbers far from the origin, or very small or large, give what others give, or are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastill import Coreset, CoresetRegressor, KIPRegressor
from datastill._errors import InputError
from datastill.preprocess.affine import Ranges
from datastill.preprocess.distances import centred, median_square
from datastill.preprocess.encoder import fit_encoder

METHODS = ("kmeans", "kmedoids", "kmeans-nearest", "kcenter", "facility-location", "herding", "random")


@pytest.mark.parametrize("shape", [(40, 3), (40, 4, 4), (40, 4, 4, 2)])
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-150, 1.0, 1e99])
def test_ranges_are_those_of_numbers_near_1_at_every_scale(shape, scale, rng):
    x = rng.standard_normal(shape) + 2
    for there, here in zip(Ranges.of(scale * x), Ranges.of(x), strict=True):
        np.testing.assert_allclose(there / scale, here, rtol=1e-9)


def test_a_column_of_small_numbers_is_standardised_beside_others(rng):
    x = rng.standard_normal((50, 2)) * [1e-200, 1]
    z = fit_encoder(x).encode(x)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(fit_encoder(x).decode(z), x, rtol=1e-4)


@given(
    method=st.sampled_from(METHODS),
    power=st.sampled_from([-664, -300, -3, 0, 7, 300]),
    shift=st.sampled_from([0.0, 1024.0, 2.0**27]),
    seed=st.integers(0, 100),
)
@settings(max_examples=20)
def test_a_standardised_choice_does_not_change_when_rows_are_moved_and_scaled(method, power, shift, seed):
    draw = np.random.default_rng(seed)
    x = np.round(draw.standard_normal((60, 3)) * 2**12) / 2**12  # so that moving them rounds nothing
    target = x[:, 0]
    made = [
        CoresetRegressor(5, method=method, kernel="rbf", random_state=0).fit(rows, target)
        for rows in (x, 2.0**power * (x + shift))
    ]
    np.testing.assert_allclose(made[1].X_support_ / 2.0**power - shift, made[0].X_support_, atol=1e-5)
    np.testing.assert_allclose(made[1].weights_, made[0].weights_)


@pytest.mark.parametrize("method", ["kmeans", "kmedoids", "kmeans-nearest", "kmeans-targets"])
def test_a_sentinel_does_not_take_the_centres_of_the_others(method, rng):
    x = rng.choice([0.0, 1.0, 2.0, 3.0], 400) + rng.normal(0, 0.02, 400)
    x[:8] = 1e6
    found = CoresetRegressor(5, method=method, random_state=0).fit(x[:, None], x)
    assert (found.weights_ > 0).all()
    np.testing.assert_allclose(np.sort(found.X_support_.ravel()), [0, 1, 2, 3, 1e6], atol=0.15)


@pytest.mark.parametrize("method", ["kmeans", "kmedoids", "kcenter", "facility-location"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_whole_numbers_are_chosen_from_as_floats_are(method, dtype, rng):
    x = rng.integers(0, 256, (60, 3))
    whole, real = (
        Coreset(3, method=method, kernel="rbf", preprocess="none", random_state=0).fit(rows, np.arange(60) % 2)
        for rows in (x.astype(dtype), x.astype(np.float64))
    )
    np.testing.assert_array_equal(whole.weights_, real.weights_)
    np.testing.assert_allclose(whole.X_support_, real.X_support_, atol=0.5)


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1e8), (1e-200, 0.0), (1e99, 0.0), (1e-9, 1.0)])
def test_what_float32_does_not_hold_is_refused_unless_it_is_standardised(factor, shift, rng):
    x = factor * rng.standard_normal((60, 2)) + shift
    with pytest.raises(InputError, match=r"float32 holds.*standardise"):
        CoresetRegressor(5, preprocess="none", random_state=0).fit(x, np.arange(60.0))
    KIPRegressor(5, max_iter=2, random_state=0).fit(x, np.arange(60.0))


def test_columns_that_do_not_vary_may_be_as_large_as_they_like(rng):
    x = np.column_stack([rng.standard_normal(60), np.full(60, 1e12)])
    assert len(CoresetRegressor(5, preprocess="none", kernel="rbf", random_state=0).fit(x, x[:, 0]).X_support_) == 5


@given(shift=st.sampled_from([0.0, 1e4, 1e8]), seed=st.integers(0, 100))
def test_centred_rows_keep_their_differences(shift, seed):
    x = np.random.default_rng(seed).standard_normal((30, 3)) + shift
    rows, middle = centred(x)
    assert rows.dtype == np.float64
    assert np.abs(rows).max() < 10
    np.testing.assert_allclose(rows + middle, x, rtol=1e-15, atol=1e-14)
    np.testing.assert_array_equal(centred(x, "float32")[0].dtype, np.float32)


def test_the_median_distance_counts_rows_near_each_other_beside_a_sentinel(rng):
    x = np.concatenate([rng.choice([0.0, 1e-4], 90), [1e2] * 3])[:, None]
    assert median_square(x) == pytest.approx(1e-8, rel=1e-6)
