"""Confidence intervals for a score measured on held-out rows."""

import math

import numpy as np
from scipy import stats


def proportion(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper–Pearson (1934) interval for a proportion: at least the stated coverage for every n and p."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def mean_proportion(proportions: np.ndarray, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Normal interval for the mean over draws of a proportion measured on the same n rows.

    The variance is that of the test rows, p(1 − p)/n, plus that of the mean over the draws.
    """
    p = float(np.mean(proportions))
    draws = np.var(proportions, ddof=1) / len(proportions) if len(proportions) > 1 else 0.0
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(p * (1 - p) / n + draws)
    return max(0.0, p - half), min(1.0, p + half)


def mean_score(scores: np.ndarray, n: int, classes: bool) -> tuple[float, float, float]:
    """(mean, low, high), 95 %, of accuracies, or of R², of several draws on the same n rows; one R² has no interval."""
    mean, m = float(scores.mean()), len(scores)
    if classes:
        return mean, *mean_proportion(scores, n)
    half = float(stats.t.ppf(0.975, m - 1) * scores.std(ddof=1) / m**0.5) if m > 1 else math.nan
    return mean, mean - half, mean + half


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
