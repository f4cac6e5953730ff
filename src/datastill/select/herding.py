"""Kernel herding: rows whose mean in feature space follows the data's.

    μ(x) = 1/n Σ_j k(x, x_j)        pick t+1 maximises  μ(x) − 1/(t+1) Σ_{picks s} k(x, x_s)

Source: Chen, Welling, Smola (2010), arXiv:1203.3472, eq. (8).
"""

import numpy as np

from datastill._typing import Float
from datastill.gram import tiled
from datastill.kernels.base import Kernel
from datastill.select.selection import Selection, check_budget

BATCH = 2048


def herding(x: Float[np.ndarray, "n *d"], k: int, kernel: Kernel) -> Selection:
    """k rows, each picked so that the kernel mean of all picks comes nearest to that of the data.

    Args:
        x: rows as the kernel sees them.
        k: how many.
        kernel: any kernel; settings left to the data are filled in from `x`.

    Returns:
        Distinct rows with equal weights that add up to n. Gains are the fall of the squared MMD between picks and data
        (NaN for the first): negative where a pick made it worse. Of equally good rows the first is picked.

    Raises:
        InputError: for a budget outside 1 … n.
    """
    check_budget(k, len(x))
    kernel = kernel.resolve(x)
    mean = kernel_mean(kernel, x)
    whole, diagonal = float(mean.mean()), np.asarray(kernel.diagonal(x), np.float64)
    taken = np.zeros(len(x))
    indices, squared = np.zeros(k, np.int64), np.zeros(k)
    left = np.ones(len(x), bool)
    cross = within = 0.0
    padded = _pad(x)
    for number in range(k):
        score = np.where(left, mean - taken / (number + 1), -np.inf)
        pick = int(score.argmax())
        indices[number], left[pick] = pick, False
        cross, within = cross + mean[pick], within + 2 * taken[pick] + diagonal[pick]
        squared[number] = whole - 2 * cross / (number + 1) + within / (number + 1) ** 2
        taken += np.asarray(kernel(padded, x[pick : pick + 1]), np.float64)[: len(x), 0]
    return Selection(indices, np.full(k, len(x) / k), -np.diff(squared, prepend=np.nan))


def kernel_mean(kernel: Kernel, x: Float[np.ndarray, "n *d"]) -> Float[np.ndarray, " n"]:
    """μ at every row, float64; the n × n kernel matrix is never held whole."""
    padded = _pad(x)
    total = np.zeros(len(x))
    for i in range(0, len(padded), BATCH):
        block = np.asarray(tiled(kernel)(padded, padded[i : i + BATCH]))
        total += block[: len(x), : max(len(x) - i, 0)].sum(axis=1, dtype=np.float64)
    return total / len(x)


def _pad(x: np.ndarray) -> np.ndarray:
    """Rows of zeros up to a round number, so that classes of like sizes share one compiled kernel."""
    step = max(64, 2 ** (len(x).bit_length() - 4))
    return np.concatenate([x, np.zeros((-len(x) % step, *x.shape[1:]), x.dtype)])


def mmd(kernel: Kernel, x: Float[np.ndarray, "n *d"], chosen: Float[np.ndarray, "k *d"]) -> float:
    """The maximum mean discrepancy ‖1/n Σ φ(x_i) − 1/k Σ φ(c_j)‖ between rows and chosen rows.

    Source: Gretton et al. (2012), JMLR 13, eq. (3), biased (V-statistic).
    """
    within, between = (float(np.mean(np.asarray(kernel(a, chosen), np.float64))) for a in (chosen, x))
    return float(np.sqrt(max(kernel_mean(kernel, x).mean() - 2 * between + within, 0)))
