"""Distance between the kernel mean of a few rows and that of all rows, without the matrix of all pairs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from datastill._typing import Array, Float
from datastill.kernels.base import Kernel, precision_of
from datastill.select.selection import check_rows

BATCH = 8192
ROWS, COLUMNS = 2048, 512
"""A tile of kernel values that is summed where it is made, in a processor's cache."""


def kernel_mean(kernel: Kernel, x: Float[np.ndarray, "n *d"]) -> Float[np.ndarray, " n"]:
    """μ at every row, float64; no block of the kernel matrix leaves the cache.

    Raises:
        InputError: for rows that are not finite.
    """
    x = check_rows(x)
    padded = pad(x)
    total = np.zeros(len(padded))
    with precision_of(x):
        for i in range(0, len(padded), BATCH):
            total += np.asarray(_sums(kernel, padded, padded[i : i + BATCH]), np.float64)
    spare = len(padded) - len(x)
    if spare:
        total -= spare * np.asarray(kernel(padded, np.zeros((1, *x.shape[1:]), x.dtype)), np.float64)[:, 0]
    return total[: len(x)] / len(x)


def mmd(kernel: Kernel, x: Float[np.ndarray, "n *d"], chosen: Float[np.ndarray, "k *d"]) -> float:
    """The maximum mean discrepancy ‖1/n Σ φ(x_i) − 1/k Σ φ(c_j)‖ between rows and chosen rows.

    Source: Gretton et al. (2012), JMLR 13, eq. (3), biased (V-statistic).
    """
    within, between = (float(np.mean(np.asarray(kernel(a, chosen), np.float64))) for a in (chosen, x))
    return float(np.sqrt(max(kernel_mean(kernel, x).mean() - 2 * between + within, 0)))


@partial(jax.jit, static_argnums=0)
def _sums(kernel: Kernel, x: Array, others: Array) -> Array:
    """(n,) Σ_j k(x_i, others_j), tile by tile."""
    rows, columns = min(ROWS, len(x)), min(COLUMNS, len(others))
    rows, columns = np.gcd(rows, len(x)), np.gcd(columns, len(others))
    tiles = others.reshape(-1, columns, *others.shape[1:])

    def one(part: Array) -> Array:
        def add(total: Array, tile: Array) -> tuple[Array, None]:
            return total + kernel.block(part, tile).sum(axis=1), None

        return jax.lax.scan(add, jnp.zeros(len(part), x.dtype), tiles)[0]

    return jax.lax.map(one, x.reshape(-1, rows, *x.shape[1:])).reshape(len(x))


def pad(x: np.ndarray) -> np.ndarray:
    """The rows, and zeros up to a round number, so that classes of like sizes share one compiled kernel."""
    step = min(ROWS, max(64, 2 ** (len(x).bit_length() - 4)))
    return np.concatenate([x, np.zeros((-len(x) % step, *x.shape[1:]), x.dtype)])
