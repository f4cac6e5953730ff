"""Importance sampling with guarantees: rows drawn in proportion to what they may contribute to a query's answer.

A row drawn with probability p_i has weight 1/(k p_i), so every weighted sum over the drawn rows estimates that over all
rows without bias, and queries (cluster costs, squared errors) have about the same answer on both.
"""

import numpy as np
import scipy.linalg

from datastill._errors import InputError
from datastill._typing import Float
from datastill.data import sampling
from datastill.select.selection import Selection, check_budget, check_rows

BATCH = 4096
"""Rows that are worked on at once: they stay in a processor's cache between one step and the next."""


def lightweight(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Probabilities for k-means: ½ uniform, ½ in proportion to the squared distance from the mean.

        p_i = 1/(2n) + ‖x_i − x̄‖² / (2 Σ_j ‖x_j − x̄‖²)

    Raises:
        InputError: for rows that are not finite.

    Source: Bachem, Lucic, Krause (2018), arXiv:1702.08248, algorithm 1.
    """
    x = check_rows(x)
    total = np.zeros(x.shape[1])
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH] - x[0]
        total += np.ones(len(rows), x.dtype) @ rows
    mean = (x[0] + total / len(x)).astype(x.dtype)
    square = np.empty(len(x))
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH] - mean
        square[start : start + BATCH] = np.einsum("nd,nd->n", rows, rows)
    spread = square.sum()
    return 0.5 / len(x) + 0.5 * (square / spread if spread > 0 else np.full(len(x), 1 / len(x)))


def leverage(x: Float[np.ndarray, "n d"], ridge: float = 0.0, sampled: int | None = None) -> Float[np.ndarray, " n"]:
    """Ridge leverage scores ℓ_i = x_iᵀ (XᵀX + n·ridge·m·I)⁺ x_i, m the mean diagonal of XᵀX/n.

    They lie in [0, 1] and add up to the effective dimension; probabilities are in proportion to them.

    Args:
        x: rows.
        ridge: as a fraction of the mean diagonal; 0 gives the leverage scores of least squares.
        sampled: estimate XᵀX from about this many rows, evenly spaced, instead of all: draws stay unbiased, since any
            probabilities do. A direction that none of them has gets a large score, given a ridge above 0.

    Raises:
        InputError: for a negative ridge, a sample without a ridge, or rows that are not finite.

    Source: Drineas et al. (2012), arXiv:1109.3843; Alaoui, Mahoney (2015), arXiv:1411.0306, definition 1; Cohen et al.
    (2015), arXiv:1408.5099 (from a uniform sample).
    """
    if not ridge >= 0 or (sampled is not None and not (ridge > 0 and sampled >= 1)):
        raise InputError(f"Got ridge={ridge} and sampled={sampled}; expected ridge 0 or more, above 0 with a sample.")
    x = check_rows(x)
    stride = 1 if sampled is None else max(len(x) // sampled, 1)
    second = np.zeros((x.shape[1],) * 2)
    for start in range(0, len(x), BATCH * stride):
        rows = x[start : start + BATCH * stride : stride]
        second += rows.T @ rows
    second *= len(x) / len(range(0, len(x), stride))
    values, vectors = scipy.linalg.eigh(second)
    lengths = np.maximum(values, 0) + ridge * np.trace(second) / len(second)
    kept = lengths > len(x) * np.finfo(x.dtype).eps * lengths[-1] * (ridge == 0)
    root = vectors[:, kept] / np.sqrt(lengths[kept])
    root, scores = root.astype(x.dtype), np.empty(len(x))
    for start in range(0, len(x), BATCH):
        rows = x[start : start + BATCH] @ root
        scores[start : start + BATCH] = np.einsum("nd,nd->n", rows, rows)
    return scores


def draw(scores: Float[np.ndarray, " n"], k: int, seed: int = 0) -> Selection:
    """k independent draws, with repeats, in proportion to the scores; weights 1/(k p_i).

    Raises:
        InputError: for no draws, or scores that are negative, not finite or all 0.
    """
    _check(scores, k)
    p = scores / scores.sum()
    indices = sampling.rng(seed, 9).choice(len(p), k, p=p)
    return Selection(indices, 1 / (k * p[indices]), np.full(k, np.nan))


def draw_distinct(scores: Float[np.ndarray, " n"], k: int, seed: int = 0) -> Selection:
    """k different rows, each more likely the larger its score, whose weighted sums are unbiased as those of `draw` are.

        keep the k largest p_i/u_i, u_i uniform;   weight max(1, τ/p_i),   τ the (k + 1)-th largest p_i/u_i

    Rows of score 0 are taken only where no others are left. With k = n every weight is 1.

    Raises:
        InputError: as `draw`, and for k above n.

    Source: Duffield, Lund, Thorup (2007), "Priority sampling for estimation of arbitrary subset sums".
    """
    check_budget(k, len(scores))
    _check(scores, k)
    p = scores / scores.sum()
    priority = p / (1 - sampling.rng(seed, 9).random(len(p)))
    order = np.argsort(-priority, kind="stable")
    threshold = priority[order[k]] if k < len(p) else 0.0
    indices = order[:k]
    weights = np.maximum(1, threshold / np.maximum(p[indices], np.finfo(float).tiny))
    return Selection(indices, weights, np.full(k, np.nan))


def _check(scores: np.ndarray, k: int) -> None:
    if k < 1 or not np.isfinite(scores).all() or scores.min() < 0 or scores.sum() <= 0:
        raise InputError(
            f"Got k={k} and scores of sum {scores.sum()}; expected k 1 or more, scores 0 or more, not all 0."
        )
