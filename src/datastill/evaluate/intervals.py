"""Confidence intervals for a score measured on held-out rows."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from datastill._typing import Float
from datastill.evaluate.means import crossed


class Measured(NamedTuple):
    """A score with the ends of its 95 % interval; NaN where they are not known."""

    value: float
    low: float
    high: float


NOT_MEASURED = Measured(np.nan, np.nan, np.nan)


def proportion(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper–Pearson (1934) interval for a proportion: at least the stated coverage for every n and p."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def of_errors(losses: Float[np.ndarray, "m n"]) -> Measured:
    """Return the accuracy with its interval, from the errors (0 or 1) of m seeds or draws on the same n rows.

    Where all seeds agree on every row, the draw of the rows is all there is to chance, and the interval is that of a
    proportion; otherwise it is that of `means.crossed`.
    """
    if not losses.size:
        return NOT_MEASURED
    right, n = 1 - np.asarray(losses, np.float64), losses.shape[1]
    mean = float(right.mean())
    if np.ptp(right, axis=0).max() == 0:
        return Measured(mean, *proportion(round(right[0].sum()), n))
    low, high = crossed(right).interval()
    return Measured(mean, max(low, 0.0), min(high, 1.0))


def of_squares(losses: Float[np.ndarray, "m n"], r2: float) -> Measured:
    """Return a mean R² with an interval by way of that of the mean squared error, both of m seeds or draws on n rows.

    An R² is 1 − error/spread; the spread of the held-out targets is taken as it is, and the interval of the error, from
    `means.crossed`, divided by it.
    """
    risk = crossed(losses)
    low, high = risk.interval()
    spread = (1 - r2) / risk.mean if risk.mean > 0 else 0.0
    return Measured(r2, r2 - spread * (high - risk.mean), min(r2 + spread * (risk.mean - low), 1.0))


def r_squared(y: np.ndarray, predicted: np.ndarray, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap over rows (1,000 draws) of R², averaged over the columns of y."""
    y, predicted = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (y, predicted))
    draw = np.random.default_rng(seed)
    scores = []
    for _ in range(1000):
        rows = draw.integers(len(y), size=len(y))
        scores.append(r2(y[rows], predicted[rows]))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(scores, [tail, 1 - tail])
    return float(low), float(high)


def r2(y: np.ndarray, predicted: np.ndarray) -> float:
    """1 − Σ(y − f)²/Σ(y − ȳ)² averaged over columns; NaN where y is constant."""
    y, predicted = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (y, predicted))
    spread = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    missed = np.sum((y - predicted) ** 2, axis=0)
    return float(np.mean(1 - missed / np.where(spread > 0, spread, np.nan)))
