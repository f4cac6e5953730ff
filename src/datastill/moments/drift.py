"""Drift between the rows of two moments, measured from the moments alone."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from datastill._errors import InputError
from datastill.moments import triangle
from datastill.moments.record import Moments


class Drift(NamedTuple):
    """Between two sets of rows.

    Attributes:
        mmd: ‖μ_a − μ_b‖, μ the mean of φ: the maximum mean discrepancy under the map's kernel.
        ratio: mmd² over what it is on average when both sets are drawn from one distribution; 1 is no drift.
        p: the probability of an mmd so large, or larger, if they are.
        classes: total variation distance between the shares of the classes, 0 to 1; 0 in regression.
    """

    mmd: float
    ratio: float
    p: float
    classes: float


def drift(a: Moments, b: Moments) -> Drift:
    """The drift between the rows of a and those of b, which have none in common.

    Without drift mmd² has mean e = (1/n_a + 1/n_b) tr Σ and variance v = 2 (1/n_a + 1/n_b)² tr Σ², with Σ the
    covariance of φ over the rows of both; p is the tail of v/2e · χ² with 2e²/v degrees of freedom, which has these
    two (Satterthwaite, 1946).

    Raises:
        InputError: for moments of different maps or preprocessing, or of no rows.

    Source: Gretton et al. (2012), "A kernel two-sample test".
    """
    a.source.require_same(b.source)
    if not (a.count and b.count):
        raise InputError(f"Got moments of {a.count:g} and {b.count:g} rows; expected some of both.")
    n = a.count + b.count
    mean = (a.first + b.first) / n
    covariance = triangle.full((a.second.sum(axis=0) + b.second.sum(axis=0)) / n) - np.outer(mean, mean)
    size = 1 / a.count + 1 / b.count
    expected = size * max(float(np.trace(covariance)), np.finfo(float).tiny)
    variance = 2 * size**2 * max(float(np.sum(covariance**2)), np.finfo(float).tiny)
    square = float(np.sum((a.first / a.count - b.first / b.count) ** 2))
    p = float(stats.chi2.sf(square * 2 * expected / variance, 2 * expected**2 / variance))
    shares = a.counts / a.count - b.counts / b.count
    return Drift(square**0.5, square / expected, p, float(np.abs(shares).sum() / 2))
