"""Similarity of rows: a matrix S, whose row i is something to represent and whose column j is something to pick.

Every matrix here is either dense (an array) or sparse by columns (`scipy.sparse.csc_array`), and non-negative. A dense
one of 10⁶ rows would take 4 terabytes: `explained` and `dense` are for few rows, `neighbours` keeps the nearest few.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from scipy.sparse import csc_array, issparse

from datastill._errors import InputError
from datastill._typing import Array, Float, Int
from datastill.kernels.base import Kernel, precision_of
from datastill.preprocess.distances import centred
from datastill.select.discrepancy import pad
from datastill.select.neighbours import DEFAULT_NEIGHBOURS, nearest
from datastill.select.selection import check_rows

Similarity: TypeAlias = np.ndarray | csc_array

BLOCK = 2**18
"""Entries of a dense matrix that are worked on at once: they fit in a processor's cache."""
TILE = 4096
MEMORY = 2**31
"""Bytes that a similarity may take."""


def checked(s: Any) -> Similarity:
    """The matrix (an array or scipy sparse), float32 and by columns.

    Raises:
        InputError: unless it has two dimensions and finite entries that are 0 or more.
    """
    if issparse(s):
        s = csc_array(s, dtype=np.float32)
        s.sum_duplicates()
    else:
        s = np.asarray(s, np.float32, order="F")
    entries = s.data if issparse(s) else s
    low, high = (entries.min(), entries.max()) if entries.size else (0, 0)
    if s.ndim != 2 or not (low >= 0 and high < np.inf):
        raise InputError(
            f"Got a similarity of shape {s.shape} with entries that are negative or not finite, or not a matrix; "
            "expected (rows, candidates), finite, 0 or more."
        )
    return s


class Explained(NamedTuple):
    """The result of `explained`.

    Attributes:
        medoid: the row with the least sum of squared distances to all rows: the best single pick.
        similarity: S; the column of the medoid is 0.
    """

    medoid: int
    similarity: np.ndarray


def explained(x: Float[np.ndarray, "n *d"], kernel: Kernel | None = None) -> Explained:
    """Return how much of row i's squared distance to the medoid m a pick j removes.

        S_ij = max(0, ‖φ(x_i) − φ(x_m)‖² − ‖φ(x_i) − φ(x_j)‖²)         φ: the kernel's feature map

    Facility location on S is exemplar clustering: f(A) is by how much the k-medoids cost Σ_i min_j ‖φ(x_i) − φ(x_j)‖²
    of A ∪ {m} lies below that of m alone, and greedy from m picks what it would pick on the matrix of
    c − ‖φ(x_i) − φ(x_j)‖², whatever c.

    Args:
        x: rows as the kernel sees them.
        kernel: Euclidean distances when left out.

    Raises:
        InputError: where S takes more than 2 GiB, or rows are not finite.

    Source: Gomes, Krause (2010), "Budgeted nonparametric learning from data streams", eq. (1): x_m is the phantom.
    """
    n = len(x)
    if 4 * n**2 > MEMORY:
        raise InputError(
            f"Got {n} rows, whose similarities take {4 * n**2 / 2**30:.1f} GiB; expected at most "
            f"{int((MEMORY / 4) ** 0.5)} rows; try exemplars(x, k)."
        )
    if kernel is None:
        rows, _ = centred(check_rows(x), "float32")
        by_column = rows @ rows.T
    else:
        kernel = kernel.resolve(x)
        by_column = np.empty((n, n), np.float32)
        for i in range(0, n, TILE):
            by_column[i : i + TILE] = kernel(x[i : i + TILE], x)
    diagonal = by_column.diagonal().copy()
    medoid = int(np.argmin(diagonal - 2 * by_column.mean(axis=1, dtype=np.float64)))
    offset = diagonal[medoid] - 2 * by_column[medoid]
    step = max(BLOCK // n, 1)
    for j in range(0, n, step):  # in place and in cache
        values = by_column[j : j + step]
        values *= 2
        values += offset
        values -= diagonal[j : j + step, None]
        np.maximum(values, 0, out=values)
    by_column[medoid] = 0
    return Explained(medoid, by_column.T)


def neighbours(x: Float[np.ndarray, "n *d"], kernel: Kernel, k: int = DEFAULT_NEIGHBOURS, seed: int = 0) -> csc_array:
    """k(x_i, x_j) where j is i itself or one of its k nearest rows (Euclidean), 0 elsewhere: memory grows as n·k.

    Args:
        x: rows as the kernel sees them.
        kernel: any kernel; negative values count as 0.
        k: neighbours of each row, itself included.
        seed: for the search among many rows, which is then approximate; see `nearest`.
    """
    kernel = kernel.resolve(x)
    found = nearest(x.reshape(len(x), -1), min(k, len(x)), seed)
    values = np.empty(found.shape, np.float32)
    for i in range(0, len(x), TILE):
        values[i : i + TILE] = _pairs(kernel, x[i : i + TILE], x[found[i : i + TILE]])
    pointers = np.arange(0, found.size + 1, found.shape[1])
    rows = csc_array((np.maximum(values, 0).ravel(), found.ravel(), pointers), shape=(len(x), len(x)))
    return csc_array(rows.T)


def dense(x: Float[np.ndarray, "n *d"], kernel: Kernel) -> np.ndarray:
    """max(0, k(x_i, x_j)) for all pairs, float32."""
    kernel = kernel.resolve(x)
    out = np.empty((len(x), len(x)), np.float32)
    for start in range(0, len(x), TILE):
        out[start : start + TILE] = np.maximum(np.asarray(kernel(x[start : start + TILE], x)), 0)
    return out.T


def represented(x: Float[np.ndarray, "n *d"], picks: Int[np.ndarray, " k"], kernel: Kernel) -> np.ndarray:
    """Count the rows that are nearest to each pick in the kernel's feature space; a pick is nearest to itself.

        ‖φ(x_i) − φ(x_j)‖² = k(x_i, x_i) − 2 k(x_i, x_j) + k(x_j, x_j)

    Returns:
        (k,) numbers that add up to n; of equally near picks the first counts.
    """
    kernel = kernel.resolve(x)
    chosen = x[picks]
    own, padded = np.asarray(kernel.diagonal(chosen), np.float64), pad(x)
    tiles = (np.asarray(kernel(padded[i : i + TILE], chosen), np.float64) for i in range(0, len(padded), TILE))
    owner = np.concatenate([(own - 2 * tile).argmin(axis=1) for tile in tiles])[: len(x)]
    owner[picks] = np.arange(len(picks))
    return np.bincount(owner, minlength=len(picks)).astype(np.float64)


def column(s: Similarity, j: int) -> tuple[np.ndarray | slice, np.ndarray]:
    """(rows, values) of column j that may differ from 0."""
    if isinstance(s, np.ndarray):
        return slice(None), s[:, j]
    part = slice(s.indptr[j], s.indptr[j + 1])
    return s.indices[part], s.data[part]


def column_sums(
    s: Similarity, columns: np.ndarray, term: Callable[[np.ndarray, np.ndarray | slice], np.ndarray]
) -> np.ndarray:
    """Σ_i term(S_ij, i) for these columns, float64, in bounded memory; `term` is 0 where S is."""
    out = np.zeros(len(columns))
    if isinstance(s, np.ndarray):
        by_column = s.T
        step = max(BLOCK // len(s), 1)
        for start in range(0, len(columns), step):
            block = by_column[columns[start : start + step]]
            out[start : start + step] = term(block, slice(None)).sum(axis=1, dtype=np.float64)
        return out
    lengths = (s.indptr[1:] - s.indptr[:-1])[columns].astype(np.int64)
    ends = lengths.cumsum()
    start = 0
    while start < len(columns):
        base = ends[start] - lengths[start]
        stop = max(int(np.searchsorted(ends, base + BLOCK, side="right")), start + 1)
        out[start:stop] = _sparse_sums(s, columns[start:stop], lengths[start:stop], term)
        start = stop
    return out


def _sparse_sums(s: csc_array, columns: np.ndarray, lengths: np.ndarray, term: Callable) -> np.ndarray:
    full = lengths > 0
    starts = np.concatenate([[0], lengths[full].cumsum()[:-1]]).astype(np.int64)
    if not full.any():
        return np.zeros(len(columns))
    first = s.indptr[columns[full]].astype(np.int64)
    if len(first) == 1 or (first[1:] == first[:-1] + lengths[full][:-1]).all():  # one run of entries: no copy
        places: np.ndarray | slice = slice(int(first[0]), int(first[0] + lengths.sum()))
    else:
        places = np.repeat(first - starts, lengths[full]) + np.arange(lengths.sum())
    values = term(s.data[places], s.indices[places])
    out = np.zeros(len(columns))
    out[full] = np.add.reduceat(values, starts, dtype=np.float64)
    return out


def _pairs(kernel: Kernel, x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, k) values k(x_i, others_ij)."""
    with precision_of(x):
        return np.asarray(_pairs_jitted(kernel, x, others))


@partial(jax.jit, static_argnums=0)
def _pairs_jitted(kernel: Kernel, x: Array, others: Array) -> Array:
    return jax.vmap(lambda row, near: kernel.block(row[None], near)[0])(x, others)
