"""Estimate a mean over seeds and held-out rows, both of which are chance, with an interval and a p-value.

    A = var_s(mean_i v_si)/m,  ν_A = m − 1          B = var_i(mean_s v_si)/n,  ν_B = n − 1
    half-width² = t²(ν_A)·A + t²(ν_B)·B             p solves (mean)² = t²_{1−p/2}(ν_A)·A + t²_{1−p/2}(ν_B)·B

for values v of m seeds by n rows. Each variance is multiplied by the quantile of its own degrees of freedom, so two
seeds make the part of the seeds uncertain and leave the part of the rows alone. A + B counts the interaction of seeds
and rows twice, on the safe side. Satterthwaite's degrees of freedom of A + B make intervals too short where A and B
are alike and m is 2 (`docs/decisions/0035-verdicts-and-rivals.md`).

A variance over five seeds is hardly known, and a table has many of them, so they lend each other strength:

    ṽ = (d₀ s₀² + d v)/(d₀ + d)      with d₀ + d degrees of freedom, d = m − 1

with s₀² and d₀ estimated from how the v of all comparisons differ; where they differ as much as chance alone would let
equal ones, d₀ is large.

Source: Graybill and Wang (1980), "Confidence intervals on nonnegative linear combinations of variances"; Satterthwaite
(1946), "An approximate distribution of estimates of variance components"; Smyth (2004), "Linear models and empirical
Bayes methods for assessing differential expression in microarray experiments", section 6.2.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from datastill._typing import Float

MOST_FREEDOM = 100.0
LEAST_VARIANCES = 5
LEAST_P = 1e-100


class Prior(NamedTuple):
    """A variance over seeds as it is known before it is measured.

    Attributes:
        variance: s₀².
        freedom: d₀, the seeds that this knowledge is worth.
    """

    variance: float
    freedom: float


NOTHING = Prior(0.0, 0.0)


class Estimate(NamedTuple):
    """A mean over seeds and held-out rows.

    Attributes:
        mean: NaN where nothing was measured.
        seeds: A, the variance of the mean that is owed to the seeds; 0 for one seed.
        rows: B, the variance that is owed to the rows.
        seed_freedom: ν_A, with what a prior adds; 0 for one seed.
        row_freedom: ν_B; 0 when there is one row.
    """

    mean: float
    seeds: float
    rows: float
    seed_freedom: float
    row_freedom: float

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return float((self.seeds + self.rows) ** 0.5)

    @property
    def measured(self) -> bool:
        """True where there are enough rows for a statement."""
        return bool(np.isfinite(self.mean) and self.row_freedom >= 1)

    def half(self, tail: float) -> float:
        """Return the half-width of the interval with probability `tail` on either side."""
        squares = special.stdtrit(self.row_freedom, tail) ** 2 * self.rows
        if self.seeds > 0:
            squares += special.stdtrit(self.seed_freedom, tail) ** 2 * self.seeds
        return float(squares**0.5)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return (low, high); NaN where nothing was measured."""
        if not self.measured:
            return np.nan, np.nan
        half = self.half((1 - confidence) / 2)
        return float(self.mean - half), float(self.mean + half)

    @property
    def p(self) -> float:
        """The two-sided p-value of a true mean of 0; 1 where nothing was measured."""
        if not self.measured or self.mean == 0:
            return 1.0
        if self.half(LEAST_P / 2) <= abs(self.mean):
            return LEAST_P
        p = optimize.brentq(lambda x: self.half(np.exp(x) / 2) - abs(self.mean), np.log(LEAST_P), 0.0)
        return float(np.exp(p))


def crossed(values: Float[np.ndarray, "m n"], prior: Prior = NOTHING) -> Estimate:
    """Estimate the mean of values by seed and held-out row, as a draw of both.

    Args:
        values: m seeds by n rows.
        prior: of the variance over seeds.
    """
    if not values.size:
        return Estimate(np.nan, np.nan, np.nan, np.nan, np.nan)
    values = np.asarray(values, np.float64)
    (m, n), mean = values.shape, float(values.mean())
    rows = values.mean(axis=0).var(ddof=1) / n if n > 1 else 0.0
    if np.ptp(values) == 0:  # as uncertain as a draw of n whose deviation is their mean
        rows = mean**2 / n
    if m == 1:
        return Estimate(mean, 0.0, float(rows), 0.0, float(n - 1))
    freedom = prior.freedom + m - 1
    seeds = (prior.freedom * prior.variance + (m - 1) * values.mean(axis=1).var(ddof=1)) / freedom
    return Estimate(mean, float(seeds / m), float(rows), float(freedom), float(n - 1))


def prior_of(variances: Float[np.ndarray, " k"], freedom: int) -> Prior:
    """Estimate s₀² and d₀ from sample variances with d degrees of freedom each, by the moments of their logarithms.

        e = ln v − ψ(d/2) + ln(d/2)       ψ'(d₀/2) = var e − ψ'(d/2)       ln s₀² = mean e + ψ(d₀/2) − ln(d₀/2)

    Args:
        variances: v; those that are 0 are left out, and fewer than five tell nothing.
        freedom: d.
    """
    v = variances[variances > 0]
    if len(v) < LEAST_VARIANCES or freedom < 1:
        return NOTHING
    half = freedom / 2
    e = np.log(v) - special.digamma(half) + np.log(half)
    excess = e.var(ddof=1) - special.polygamma(1, half)
    if excess <= special.polygamma(1, MOST_FREEDOM / 2):
        d = MOST_FREEDOM
    else:
        d = 2 * optimize.brentq(lambda x: special.polygamma(1, x) - excess, 1e-6, MOST_FREEDOM / 2)
    return Prior(float(np.exp(e.mean() + special.digamma(d / 2) - np.log(d / 2))), float(d))
