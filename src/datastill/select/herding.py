"""Kernel herding, and exchanging rows: selections whose mean in feature space follows the data's.

    μ(x) = 1/n Σ_j k(x, x_j)        MMD² = 1/n Σ μ(x_i) − 2/k Σ_{picks s} μ(x_s) + 1/k² Σ_{picks s,t} k(x_s, x_t)

Sources: Chen, Welling, Smola (2010), arXiv:1203.3472, eq. (8), herding; Dwivedi, Mackey (2021), arXiv:2105.05842,
algorithm 1b (KT-SWAP), one sweep of exchanges.
"""

from collections.abc import Callable

import numpy as np

from datastill._errors import InputError
from datastill._typing import Float, Int
from datastill.kernels.base import Kernel
from datastill.select.discrepancy import kernel_mean, pad
from datastill.select.selection import Selection, check_budget, check_rows

SWEEPS = 10
DENSE_ROWS = 8192


def herding(x: Float[np.ndarray, "n *d"], k: int, kernel: Kernel) -> Selection:
    """k rows: pick t+1 maximises μ(x) − 1/(t+1) Σ_{picks s} k(x, x_s).

    Args:
        x: rows as the kernel sees them.
        k: how many.
        kernel: any kernel; settings left to the data are filled in from `x`.

    Returns:
        Distinct rows with equal weights that add up to n. Gains are the fall of the squared MMD between picks and data
        (NaN for the first): negative where a pick made it worse. Of equally good rows the first is picked.

    Raises:
        InputError: for a budget outside 1 … n, or rows that are not finite.
    """
    check_budget(k, len(x))
    x = check_rows(x)
    kernel = kernel.resolve(x)
    mean, column = _mean_and_columns(x, kernel)
    picks, columns = np.zeros(k, np.int64), np.empty((k, len(x)), x.dtype)
    taken = np.zeros(len(x))
    for number in range(k):
        score = mean - taken / (number + 1)
        score[picks[:number]] = -np.inf
        picks[number] = score.argmax()
        found = column(int(picks[number]))
        columns[number] = found
        taken += found
    return _measured(picks, columns, mean)


def exchange(
    x: Float[np.ndarray, "n *d"], picks: Int[np.ndarray, " k"], kernel: Kernel, sweeps: int = SWEEPS
) -> Selection:
    """Give every pick in turn for the row that brings the MMD down most, until none is given away.

    From random rows this ends at a smaller MMD than herding does, and than herding refined does.

    Args:
        x: rows as the kernel sees them.
        picks: distinct row numbers to start from.
        kernel: any kernel; settings left to the data are filled in from `x`.
        sweeps: over all picks, at most.

    Returns:
        As `herding`.

    Raises:
        InputError: for picks that repeat or are no rows, or rows that are not finite.
    """
    picks, k = np.array(picks, np.int64), len(picks)
    check_budget(k, len(x))
    if len(np.unique(picks)) < k or picks.min() < 0 or picks.max() >= len(x):
        raise InputError(f"Got picks that repeat or lie outside 0 … {len(x) - 1}; expected different row numbers.")
    x = check_rows(x)
    kernel = kernel.resolve(x)
    mean, column = _mean_and_columns(x, kernel)
    own = np.asarray(kernel.diagonal(x), np.float64) / k - 2 * mean
    columns = np.stack([column(int(pick)) for pick in picks])
    taken = columns.sum(axis=0, dtype=np.float64)
    for _ in range(sweeps):
        before = picks.copy()
        for number in range(k):
            rest = taken - columns[number]
            cost = own + 2 / k * rest
            cost[np.delete(picks, number)] = np.inf
            best = int(cost.argmin())
            if cost[best] < cost[picks[number]]:
                picks[number], columns[number] = best, column(best)
                taken = rest + columns[number]
        if (picks == before).all():
            break
    return _measured(picks, columns, mean)


def _mean_and_columns(x: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    """μ at every row, and k(x, x_j) for one j at a time: from the whole matrix where it is small, else when asked."""
    padded = pad(x)
    if len(x) <= DENSE_ROWS:
        whole = np.asarray(kernel(padded, padded))[: len(x), : len(x)]
        return whole.mean(axis=1, dtype=np.float64), lambda j: whole[j]
    return kernel_mean(kernel, x), lambda j: np.asarray(kernel(padded, x[j : j + 1]))[: len(x), 0]


def _measured(picks: np.ndarray, columns: np.ndarray, mean: np.ndarray) -> Selection:
    """The picks with the fall of the squared MMD at each."""
    gram, counts = columns[:, picks].astype(np.float64), np.arange(1, len(picks) + 1)
    within = (2 * np.tril(gram, -1).sum(axis=1) + np.diag(gram)).cumsum() / counts**2
    squared = mean.mean() - 2 * mean[picks].cumsum() / counts + within
    return Selection(picks, np.full(len(picks), len(mean) / len(picks)), -np.diff(squared, prepend=np.nan))
