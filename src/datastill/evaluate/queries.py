"""Whether a weighted subset answers questions about the data as the data would: the definition of a coreset, measured.

    F(q) = Σ_i f_q(x_i)        F_S(q) = Σ_j w_j f_q(x_j)        error |F_S(q) − F(q)| / F(q)

Three families of random queries: the k-means cost of random centres, the squared loss of ridge regressors, and the
kernel mean at random rows.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from datastill._typing import Float
from datastill.data import sampling
from datastill.kernels.base import Kernel

QUERIES = 50
CENTRES = 10
RIDGE = 1e-3
BATCH = 4096


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
    """How well chosen rows with weights answer for all rows.

    Args:
        x: rows as the kernel sees them.
        y: their label vectors or targets.
        chosen: (s,) row numbers.
        weights: how many rows each stands for.
        kernel: for the kernel means.
        queries: of each family.
        seed: of the queries.
    """
    kernel, flat = kernel.resolve(x), np.asarray(x, np.float32).reshape(len(x), -1)
    draw = sampling.rng(seed, 12)
    families: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "cluster cost": _cluster_costs(flat, queries, draw),
        "ridge loss": _ridge_losses(flat, y, queries, draw),
        "kernel mean": _kernel_means(x, kernel, queries, draw),
    }
    found = []
    for family, terms in families.items():
        blocks = [np.arange(i, min(i + BATCH, len(x))) for i in range(0, len(x), BATCH)]
        whole = sum(terms(rows).sum(axis=0) for rows in blocks)
        error = abs(np.asarray(weights, np.float64) @ terms(np.asarray(chosen)) - whole) / np.maximum(
            abs(whole), np.finfo(float).tiny
        )
        found.append(QueryError(family, queries, float(error.mean()), float(error.max())))
    return found


def _cluster_costs(x: np.ndarray, queries: int, draw: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """f_q(x_i) = min_c ‖x_i − c‖², c random rows."""
    count = min(CENTRES, len(x))
    centres = np.concatenate([x[draw.choice(len(x), count, replace=False)] for _ in range(queries)])
    square = np.einsum("kd,kd->k", centres, centres)

    def terms(rows: np.ndarray) -> np.ndarray:
        part = x[rows]
        distance = square - 2 * part @ centres.T + np.einsum("nd,nd->n", part, part)[:, None]
        return np.maximum(distance, 0).reshape(len(rows), queries, count).min(axis=2).astype(np.float64)

    return terms


def _ridge_losses(
    x: np.ndarray, y: np.ndarray, queries: int, draw: np.random.Generator
) -> Callable[[np.ndarray], np.ndarray]:
    """f_q(x_i) = ‖x_iᵀ W − y_i‖², W ridge regression on a few random rows."""
    weights = []
    for _ in range(queries):
        few = draw.choice(len(x), min(len(x), 2 * x.shape[1] + 10), replace=False)
        gram = x[few].T @ x[few]
        reg = RIDGE * np.trace(gram) / len(gram) or 1.0
        weights.append(np.linalg.solve(gram.astype(np.float64) + reg * np.eye(len(gram)), x[few].T @ y[few]))
    maps = np.concatenate(weights, axis=1)

    def terms(rows: np.ndarray) -> np.ndarray:
        residual = (x[rows] @ maps).reshape(len(rows), queries, y.shape[1]) - y[rows][:, None]
        return np.sum(residual**2, axis=2)

    return terms


def _kernel_means(
    x: np.ndarray, kernel: Kernel, queries: int, draw: np.random.Generator
) -> Callable[[np.ndarray], np.ndarray]:
    """f_q(x_i) = k(x_i, q), q random rows."""
    points = x[draw.choice(len(x), queries)]
    return lambda rows: np.asarray(kernel(x[rows], points), np.float64)
