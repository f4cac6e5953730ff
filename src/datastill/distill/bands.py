"""Bands that keep a set's values distributed as the data's: what trees need, and what makes rows look real.

A tree splits at single columns, wherever the classes of the set differ most, so a set whose columns are distributed
otherwise than the data's leads it astray. Of the k examples of a class, in every column, the r-th smallest value has to
lie between two quantiles of that class:

    Q((r − ½ − b)/k) ≤ z_(r) ≤ Q((r − ½ + b)/k)        r = 1 … k, Q at shares from ½/(1 + b)k to 1 − ½/(1 + b)k

With b = 1 the empirical distribution of the examples differs from the class's by about 1½/k at most, in the sense of
Kolmogorov and Smirnov, in every column of every class; with b = ∞ values are only kept within the range of
their class. For real targets all rows are one class.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from datastill._typing import Array, Float, Int
from datastill.data import sampling

TAIL = 0.5
"""Of an example: the share of rows beyond the first and the last quantile, where b is 0."""
MOST_ROWS = 5000
"""Of a class, whose quantiles are taken."""


class Bands(NamedTuple):
    """Bounds by rank.

    Attributes:
        low: (s, d) by class, then by rank within it.
        high: the same.
        first: (s,) where each example's class begins.
        size: (s,) examples of its class.
    """

    low: Float[Array, "s d"]
    high: Float[Array, "s d"]
    first: Int[Array, " s"]
    size: Int[Array, " s"]


def bands(
    z: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"], budget: Int[np.ndarray, " c"], width: float, seed: int
) -> Bands:
    """Bands of a set with so many examples of each class.

    Args:
        z: rows of the data.
        codes: their classes.
        budget: examples of each class.
        width: b, in examples.
        seed: of the rows that quantiles are taken of, where there are many.
    """
    low, high = [], []
    for c, (rows, k) in enumerate(zip(sampling.rows_of_classes(codes, len(budget)), budget, strict=True)):
        if not k:
            continue
        if len(rows) > MOST_ROWS:
            rows = np.sort(sampling.rng(seed, 31, c).choice(rows, MOST_ROWS, replace=False))
        ranks, tail = np.arange(k) + 0.5, TAIL / (1 + width)
        shares = np.clip(np.stack([ranks - width, ranks + width]), tail, k - tail) / k
        found = np.quantile(z[rows], shares, axis=0, method="inverted_cdf")
        low.append(found[0])
        high.append(found[1])
    return Bands(
        jnp.asarray(np.concatenate(low), jnp.float32),
        jnp.asarray(np.concatenate(high), jnp.float32),
        jnp.asarray(np.repeat(np.cumsum(budget) - budget, budget), jnp.int32),
        jnp.asarray(np.repeat(budget, budget), jnp.int32),
    )


def within(bands: Bands, z: Float[Array, "s d"]) -> Float[Array, "s d"]:
    """The nearest rows within the bands: each value is clipped to the band of its rank; equal values keep their order.

    Args:
        bands: of examples whose classes are in the same order.
        z: (s, d) examples.
    """
    own = jnp.arange(len(z), dtype=jnp.int32)

    def compared(number: Array, rank: Array) -> Array:
        """The ranks, once each example has met that of this number in its class."""
        other = jnp.minimum(bands.first + number, len(z) - 1)
        met = z[other]
        below = (met < z) | ((met == z) & (other < own)[:, None])
        return rank + (below & (number < bands.size)[:, None])

    # Sorting columns took fifty times as long.
    rank = jax.lax.fori_loop(0, bands.size.max(), compared, jnp.zeros(z.shape, jnp.int32))
    place = bands.first[:, None] + rank
    low, high = (jnp.take_along_axis(bound, place, axis=0) for bound in (bands.low, bands.high))
    return jnp.clip(z, low, high)
