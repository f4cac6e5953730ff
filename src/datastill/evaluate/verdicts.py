"""Whether each set is better than random rows for each learner, in words, corrected for how many are asked.

    d_si = loss of random rows − loss of the set, seed s, held-out row i      D = mean of d
    var D = var_s(mean_i d_si)/m + var_i(mean_s d_si)/n                        t = D / √(var D)

Seeds and held-out rows are crossed, and both are chance: the first term is that of the sets and learners, the second
that of the rows. The sum counts their interaction twice, so it errs on the safe side. Degrees of freedom are those of
Satterthwaite. p-values are Holm's over all comparisons, so that with probability 1 − α none of the verdicts "better"
and "worse" is wrong.

Source: Satterthwaite (1946), "An approximate distribution of estimates of variance components"; Holm (1979), "A simple
sequentially rejective multiple test procedure".
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from datastill._typing import Float

BETTER, WORSE, UNCLEAR = "better than random", "worse than random", "not distinguishable from random"


class Estimate(NamedTuple):
    """A mean over seeds and held-out rows.

    Attributes:
        mean: NaN where nothing was measured.
        error: its standard error.
        freedom: its degrees of freedom.
    """

    mean: float
    error: float
    freedom: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """(low, high), by Student's t."""
        if not np.isfinite(self.mean):
            return np.nan, np.nan
        half = stats.t.ppf((1 + confidence) / 2, self.freedom) * self.error
        return float(self.mean - half), float(self.mean + half)

    @property
    def p(self) -> float:
        """Of the hypothesis that the true mean is 0, two-sided; 1 where nothing was measured."""
        if not np.isfinite(self.mean):
            return 1.0
        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.freedom))


def crossed(values: Float[np.ndarray, "m n"]) -> Estimate:
    """The mean of values by seed and held-out row, as a draw of both.

    Args:
        values: m seeds by n rows.
    """
    if not values.size:
        return Estimate(np.nan, np.nan, np.nan)
    values = np.asarray(values, np.float64)
    parts = [(values.mean(axis=axis), len(values.mean(axis=axis))) for axis in (1, 0)]
    terms = [(a.var(ddof=1) / k, k - 1) for a, k in parts if k > 1 and np.ptp(a) > 0]
    mean, n = float(values.mean()), values.shape[1]
    if not terms:  # all values are equal: as uncertain as a draw of n whose deviation is their mean
        return Estimate(mean, abs(mean) / n**0.5, max(n - 1, 1))
    variance = sum(v for v, _ in terms)
    freedom = variance**2 / sum(v**2 / k for v, k in terms)
    return Estimate(mean, float(np.sqrt(variance)), float(freedom))


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
