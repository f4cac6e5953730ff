"""Whether a weighted subset answers questions about the data as the data would: the definition of a coreset, measured.

    F(q) = Σ_i f_q(x_i)        F_S(q) = Σ_j w_j f_q(x_j)        error |F_S(q) − F(q)| / F(q)

Three families of random queries: the k-means cost of random centres, the squared loss of ridge regressors, and the
kernel mean at random rows. What a family costs grows as the numbers in the data, and is bounded: of large data fewer
queries are asked, and of a kernel under which even a few take long, none.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from datastill._typing import Float
from datastill.data import sampling
from datastill.kernels.base import Kernel

QUERIES, FEWEST = 50, 5
CENTRES = 10
RIDGE = 1e-3
POOL = 128
"""Of rows, on halves of which, or fewer, is regressed."""
BATCH = 4096
WORK = 1e11
"""Multiplications that a family of queries may take: seconds."""


@dataclass(frozen=True)
class QueryError:
    """Relative errors of one family of queries.

    Attributes:
        family: "cluster cost", "ridge loss" or "kernel mean".
        queries: how many were asked.
        mean: mean relative error.
        worst: the largest.
    """

    family: str
    queries: int
    mean: float
    worst: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def query_errors(
    x: Float[np.ndarray, "n *d"],
    y: Float[np.ndarray, "n c"],
    chosen: np.ndarray,
    weights: Float[np.ndarray, " s"],
    kernel: Kernel,
    queries: int = QUERIES,
    seed: int = 0,
) -> list[QueryError]:
    """Ask random questions of all rows and of the chosen ones, with their weights, and compare the answers.

    Args:
        x: rows as the kernel sees them.
        y: their label vectors or targets.
        chosen: (s,) row numbers.
        weights: how many rows each stands for.
        kernel: for the kernel means.
        queries: of each family, at most; see WORK.
        seed: of the queries.
    """
    kernel, flat = kernel.resolve(x), np.asarray(x, np.float32).reshape(len(x), -1)
    draw = sampling.rng(seed, 12)
    asked = int(min(queries, max(WORK // (CENTRES * flat.size), FEWEST)))
    families: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
        "cluster cost": (asked, _cluster_costs(flat, asked, draw)),
        "ridge loss": (asked, _ridge_losses(flat, y, asked, draw)),
    }
    means = min(queries, kernel.rows_within(WORK, x.shape[1:], len(x)))
    if means >= min(queries, FEWEST):
        families["kernel mean"] = (means, _kernel_means(x, kernel, means, draw))
    counted = np.stack([np.ones(len(x)), np.bincount(chosen, weights, minlength=len(x))])
    found = []
    for family, (count, terms) in families.items():
        blocks = [np.arange(i, min(i + BATCH, len(x))) for i in range(0, len(x), BATCH)]
        whole, subset = sum(counted[:, rows] @ terms(rows) for rows in blocks)
        error = abs(subset - whole) / np.maximum(abs(whole), np.finfo(float).tiny)
        found.append(QueryError(family, count, float(error.mean()), float(error.max())))
    return found


def _cluster_costs(x: np.ndarray, queries: int, draw: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """f_q(x_i) = min_c ‖x_i − c‖², c random rows."""
    count = min(CENTRES, len(x))
    drawn = np.concatenate([draw.choice(len(x), count, replace=False) for _ in range(queries)])
    distinct, places = np.unique(drawn, return_inverse=True)
    mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
    centres = x[distinct] - mean
    square = np.einsum("kd,kd->k", centres, centres)

    def terms(rows: np.ndarray) -> np.ndarray:
        part = x[rows] - mean
        distance = square - 2 * part @ centres.T + np.einsum("nd,nd->n", part, part)[:, None]
        each = np.maximum(distance, 0)[:, places].reshape(len(rows), queries, count)
        return each.min(axis=2).astype(np.float64)

    return terms


def _ridge_losses(
    x: np.ndarray, y: np.ndarray, queries: int, draw: np.random.Generator
) -> Callable[[np.ndarray], np.ndarray]:
    """f_q(x_i) = (x_iᵀ w − y_iᵀ v)², w ridge regression of yᵀ v on a few random rows, v random signs.

    All are solved in the dual, from one matrix of inner products of a pool of rows.
    """
    n, d = x.shape
    signs = draw.choice([-1.0, 1.0], (y.shape[1], queries)).astype(np.float32)
    pool = draw.choice(n, min(n, POOL), replace=False)
    gram, wanted = (x[pool] @ x[pool].T).astype(np.float64), (y[pool] @ signs).astype(np.float64)
    few = max(min(len(pool) // 2, 2 * d + 10), 1)
    dual = np.zeros((len(pool), queries))
    for query in range(queries):
        own = draw.choice(len(pool), few, replace=False)
        inner = gram[np.ix_(own, own)]
        reg = RIDGE * np.trace(inner) / d or 1.0
        dual[own, query] = np.linalg.solve(inner + reg * np.eye(few), wanted[own, query])
    maps = x[pool].T @ dual.astype(np.float32)

    def terms(rows: np.ndarray) -> np.ndarray:
        return np.square(x[rows] @ maps - y[rows] @ signs, dtype=np.float64)

    return terms


def _kernel_means(
    x: np.ndarray, kernel: Kernel, queries: int, draw: np.random.Generator
) -> Callable[[np.ndarray], np.ndarray]:
    """f_q(x_i) = k(x_i, q), q random rows."""
    points = x[draw.choice(len(x), queries)]
    return lambda rows: np.asarray(kernel(x[rows], points), np.float64)
