"""Upper confidence bounds on a mean from n independent losses: what a certificate rests on.

Each holds with probability at least 1 − δ over the draw of the losses, for any n ≥ 1 and any distribution on the range
that it names. None assumes normality.
"""

import numpy as np
from scipy import optimize, stats

from datastill._errors import InputError
from datastill._typing import Float

CAP = 0.5
"""Of the largest bet that cannot lose everything; Waudby-Smith and Ramdas take ½ or ¾."""


def clopper_pearson(errors: int, n: int, delta: float) -> float:
    """The largest risk under which `errors` or fewer of n would be seen with probability δ: exact for 0–1 losses.

        P(Binomial(n, p) ≤ errors) = δ

    Args:
        errors: number of losses that are 1.
        n: number of losses.
        delta: probability that the bound fails.

    Source: Clopper, Pearson (1934), one-sided.
    """
    _check(n, delta)
    if not 0 <= errors <= n:
        raise InputError(f"Got {errors} errors of {n}; expected 0 to {n}.")
    return 1.0 if errors == n else float(stats.beta.ppf(1 - delta, errors + 1, n - errors))


def empirical_bernstein(losses: Float[np.ndarray, " n"], delta: float) -> float:
    """mean + √(2 V ln(2/δ)/n) + 7 ln(2/δ)/(3 (n − 1)), V the sample variance, for losses in [0, 1]; at most 1.

    Source: Maurer, Pontil (2009), arXiv:0907.3740, theorem 4.
    """
    losses = _checked(losses, delta)
    n = len(losses)
    if n == 1:
        return 1.0
    log = np.log(2 / delta)
    return float(min(losses.mean() + np.sqrt(2 * losses.var(ddof=1) * log / n) + 7 * log / (3 * (n - 1)), 1.0))


def betting(losses: Float[np.ndarray, " n"], delta: float) -> float:
    """The least m that a bettor against "the mean is m or more" has not yet refuted, for losses in [0, 1].

        K(m) = Π_i (1 + λ_i(m) (m − x_i)) ≥ 1/δ   refutes m;      λ_i(m) = min(√(2 ln(1/δ) / (n σ̂²_{i−1})), ½/(1 − m))

    σ̂²_{i−1} is the running variance of the losses before i, so that the bets are predictable and K is a test
    supermartingale. Adapts to small variance as empirical Bernstein does, with far smaller constants. The losses count
    in the order given, which must not depend on their values.

    Source: Waudby-Smith, Ramdas (2024), "Estimating means of bounded random variables by betting", arXiv:2010.09686,
    section 4, one-sided.
    """
    losses = _checked(losses, delta)
    n = len(losses)
    counts = np.arange(1, n + 1)
    means = (0.5 + losses.cumsum()) / (counts + 1)
    variances = (0.25 + ((losses - means) ** 2).cumsum()) / (counts + 1)
    bets = np.sqrt(2 * np.log(1 / delta) / (n * np.concatenate([[0.25], variances[:-1]])))

    def capital(m: float) -> float:
        """ln K(m) − ln 1/δ: negative until m is refuted."""
        sizes = np.minimum(bets, CAP / max(1 - m, 1e-12))
        return float(np.log1p(sizes * (m - losses)).sum() + np.log(delta))

    return 1.0 if capital(1.0) < 0 else float(optimize.brentq(capital, 0.0, 1.0, xtol=1e-9))


def gap(small: Float[np.ndarray, " n"], full: Float[np.ndarray, " m"], delta: float) -> tuple[float, float]:
    """(low, high): an interval for E[small − full], from the losses of two predictors on the same rows.

    Holds the true difference with probability 1 − δ (δ/2 on each side, by betting on the paired differences). With
    ε = max(|low|, |high|), the small set is then an ε-approximation of the data for this learner and this loss.

    Args:
        small: losses in [0, 1] of what was learned from the small set.
        full: losses in [0, 1] of what was learned from everything, in the same order.
        delta: probability that the interval fails.

    Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050, definition 1 (ε-approximation).
    """
    small, full = _checked(small, delta), _checked(full, delta)
    if len(small) != len(full):
        raise InputError(f"Got {len(small)} and {len(full)} losses; expected those of the same rows.")
    share = (small - full + 1) / 2
    return 1 - 2 * betting(1 - share, delta / 2), 2 * betting(share, delta / 2) - 1


def _check(n: int, delta: float) -> None:
    if n < 1 or not 0 < delta < 1:
        raise InputError(f"Got {n} losses and delta={delta}; expected at least 1 loss and 0 < delta < 1.")


def _checked(losses: np.ndarray, delta: float) -> np.ndarray:
    losses = np.asarray(losses, np.float64)
    _check(len(losses), delta)
    if not (np.isfinite(losses).all() and losses.min() >= 0 and losses.max() <= 1):
        raise InputError(
            f"Got losses from {losses.min()} to {losses.max()}; expected finite ones in [0, 1]; try dividing by their "
            "range."
        )
    return losses
