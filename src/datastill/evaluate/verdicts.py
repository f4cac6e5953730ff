"""Whether each set is better than random rows for each learner, in words, corrected for how many are asked.

    d_si = loss of random rows − loss of the set, seed s, held-out row i      D = mean of d
    var D = var_s(mean_i d_si)/m + var_i(mean_s d_si)/n                        t = D / √(var D)

Seeds and held-out rows are crossed, and both are chance: the first term is that of the sets and learners, the second
that of the rows. The sum counts their interaction twice, and the degrees of freedom are the fewer of the two, so it
errs on the safe side. One seed says nothing of the draw of a set, one row nothing of rows: then p = 1. p-values are
Holm's over all comparisons, so that with probability 1 − α none of the verdicts "better" and "worse" is wrong.

A variance over five seeds is hardly known, and a table has many of them, so they lend each other strength:

    ṽ = (d₀ s₀² + d v)/(d₀ + d)      with d₀ + d degrees of freedom, d = m − 1

with s₀² and d₀ estimated from how the v of all comparisons differ; where they differ as much as chance alone would let
equal ones, d₀ is large.

Source: Holm (1979), "A simple sequentially rejective multiple test procedure"; Smyth (2004), "Linear models and
empirical Bayes methods for assessing differential expression in microarray experiments", section 6.2.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from datastill._typing import Float

BETTER, WORSE, UNCLEAR = "better than random", "worse than random", "not distinguishable from random"


MOST_FREEDOM = 100.0
LEAST_VARIANCES = 5


class Prior(NamedTuple):
    """What is known of a variance over seeds before it is measured.

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
        error: its standard error; from one seed, that of the rows alone.
        freedom: its degrees of freedom; 0 when there is one row.
    """

    mean: float
    error: float
    freedom: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """(low, high), by Student's t."""
        if not np.isfinite(self.mean) or self.freedom < 1:
            return np.nan, np.nan
        half = stats.t.ppf((1 + confidence) / 2, self.freedom) * self.error
        return float(self.mean - half), float(self.mean + half)

    @property
    def p(self) -> float:
        """Of the hypothesis that the true mean is 0, two-sided; 1 where nothing was measured."""
        if not np.isfinite(self.mean) or self.freedom < 1:
            return 1.0
        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))


def crossed(values: Float[np.ndarray, "m n"], prior: Prior = NOTHING) -> Estimate:
    """The mean of values by seed and held-out row, as a draw of both.

    Args:
        values: m seeds by n rows.
        prior: of the variance over seeds.
    """
    if not values.size:
        return Estimate(np.nan, np.nan, np.nan)
    values = np.asarray(values, np.float64)
    (m, n), mean = values.shape, float(values.mean())
    rows = values.mean(axis=0)
    spread = rows.var(ddof=1) / n if n > 1 else 0.0
    if np.ptp(values) == 0:  # as uncertain as a draw of n whose deviation is their mean
        spread = mean**2 / n
    if m == 1:
        return Estimate(mean, float(spread**0.5), float(n - 1))
    freedom = prior.freedom + m - 1
    seeds = (prior.freedom * prior.variance + (m - 1) * values.mean(axis=1).var(ddof=1)) / freedom
    return Estimate(mean, float((seeds / m + spread) ** 0.5), float(min(freedom, n - 1)))


def prior_of(variances: Float[np.ndarray, " k"], freedom: int) -> Prior:
    """s₀² and d₀ from sample variances of one number of degrees of freedom d, by the moments of their logarithms.

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


def in_words(differences: Float[np.ndarray, " k"], p: Float[np.ndarray, " k"], alpha: float = 0.05) -> list[str]:
    """The verdict on each difference (more is better), given corrected p-values."""
    clear = p < alpha
    return np.select([clear & (differences > 0), clear], [BETTER, WORSE], UNCLEAR).tolist()


def holm(p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """p-values corrected for their number: the i-th smallest times n − i + 1, none below that of a smaller one."""
    order = np.argsort(p)
    scaled = np.minimum(p[order] * np.arange(len(p), 0, -1), 1)
    out = np.empty(len(p))
    out[order] = np.maximum.accumulate(scaled)
    return out
