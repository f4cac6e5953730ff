"""Bands: what they allow, that going back to them is a projection, and that they are those of the data."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastill.distill import bands

CODES = np.repeat([0, 1], [300, 200])


def rows(rng):
    return np.column_stack([rng.normal(CODES, 1.0), rng.integers(0, 4, len(CODES)) + 5.0 * CODES])


def by_hand(limits, z):
    """Each value clipped to the band of its rank, a class and a column at a time."""
    out, codes = np.array(z), np.asarray(limits.first)
    for c in np.unique(codes):
        own = np.flatnonzero(codes == c)
        for j in range(z.shape[1]):
            order = own[np.argsort(z[own, j], kind="stable")]
            out[order, j] = np.clip(z[order, j], limits.low[own, j], limits.high[own, j])
    return out


def test_values_go_to_the_band_of_their_rank(rng):
    limits = bands.bands(rows(rng), CODES, np.array([4, 3]), 1.0, 0)
    z = rng.normal(0, 5, size=(7, 2)).astype(np.float32)
    np.testing.assert_allclose(bands.within(limits, jnp.asarray(z)), by_hand(limits, z))


def test_bounds_are_quantiles_of_the_class(rng):
    x = rows(rng)
    limits = bands.bands(x, CODES, np.array([4, 1]), 0.5, 0)
    ordered = np.sort(x[CODES == 0], axis=0)
    for r in range(4):
        low, high = max(r / 4, 1 / 12), min((r + 1) / 4, 11 / 12)
        np.testing.assert_allclose(limits.low[r], ordered[int(np.ceil(300 * low)) - 1], rtol=1e-6)
        np.testing.assert_allclose(limits.high[r], ordered[int(np.ceil(300 * high)) - 1], rtol=1e-6)
    assert set(np.asarray(limits.low)[:, 1]) <= set(x[:, 1])  # values that occur


@given(st.integers(0, 2**31), st.sampled_from([0.5, 1.0, 3.0]))
def test_going_back_is_a_projection(seed, width):
    draw = np.random.default_rng(seed)
    limits = bands.bands(rows(draw), CODES, np.array([5, 2]), width, 0)
    z = draw.normal(0, 4, size=(7, 2)).astype(np.float32)
    inside = np.asarray(bands.within(limits, jnp.asarray(z)))
    np.testing.assert_array_equal(bands.within(limits, jnp.asarray(inside)), inside)
    # No other allowed point is nearer: here, none of those that a random one goes back to.
    other = np.asarray(bands.within(limits, jnp.asarray(draw.normal(0, 4, size=(7, 2)).astype(np.float32))))
    assert ((inside - z) ** 2).sum() <= ((other - z) ** 2).sum() + 1e-6


def test_the_set_is_distributed_as_the_class(rng):
    x = rows(rng)[:, :1]
    k = 10
    limits = bands.bands(x, CODES, np.array([k, k]), 1.0, 0)
    z = np.asarray(bands.within(limits, jnp.asarray(rng.normal(0, 9, size=(2 * k, 1)), jnp.float32)))
    for c in (0, 1):
        own, data = np.sort(z[c * k : (c + 1) * k, 0]), x[c == CODES, 0]
        places = np.concatenate([own, data])
        apart = np.abs(
            np.searchsorted(own, places, side="right") / k - np.mean(data[None] <= places[:, None], axis=1)
        ).max()
        assert apart <= 2.0 / k + 0.02  # (½ + b + ½)/k, and the steps of the data's own distribution


def test_a_class_without_examples_has_no_band(rng):
    limits = bands.bands(rows(rng), CODES, np.array([0, 3]), 1.0, 0)
    assert limits.low.shape == (3, 2)
    assert np.asarray(limits.first).tolist() == [0, 0, 0] and np.asarray(limits.size).tolist() == [3, 3, 3]


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_one_example_lies_in_the_middle_of_its_class(width, rng):
    x = rows(rng)
    limits = bands.bands(x, CODES, np.array([1, 1]), width, 0)
    z = np.asarray(bands.within(limits, jnp.full((2, 2), 99.0)))
    share = 0.75 if width else 0.5
    expected = [np.quantile(x[c == CODES], share, axis=0, method="inverted_cdf") for c in (0, 1)]
    np.testing.assert_allclose(z, expected, rtol=1e-6)


def test_an_infinite_width_keeps_values_in_the_range_of_their_class(rng):
    x = rows(rng)
    limits = bands.bands(x, CODES, np.array([2, 3]), np.inf, 0)
    for c, own in ((0, slice(0, 2)), (1, slice(2, 5))):
        np.testing.assert_allclose(
            limits.low[own], np.tile(x[c == CODES].min(axis=0), (len(limits.low[own]), 1)), rtol=1e-6
        )
        np.testing.assert_allclose(
            limits.high[own], np.tile(x[c == CODES].max(axis=0), (len(limits.low[own]), 1)), rtol=1e-6
        )
