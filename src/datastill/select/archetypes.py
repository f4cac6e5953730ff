"""Archetypal analysis: extreme examples, of which every row is nearly a convex mixture.

    minimise ‖X − A B X‖²        A (n, k), B (k, n), rows on the simplex;  archetypes Z = B X

Means and medoids lie in the middle of a class, archetypes at its edge.

Source: Cutler, Breiman (1994), "Archetypal analysis", eq. (1)–(3); alternating projected gradient as in Mørup, Hansen
(2012), "Archetypal analysis for machine learning and data mining", with Nesterov's momentum.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from datastill._typing import Float
from datastill.select.k_center import k_center
from datastill.select.selection import check_budget

ROUNDS = 100
STEPS = 10
TOLERANCE = 1e-5


class Archetypes(NamedTuple):
    """What `archetypes` found.

    Attributes:
        mixture: (k, n) B: the archetypes as mixtures of rows; B @ X are the archetypes, B @ y their targets.
        weights: (k,) Σ_i A_ij: how many rows each accounts for.
        explained: 1 − ‖X − A B X‖² / ‖X − x̄‖².
    """

    mixture: np.ndarray
    weights: np.ndarray
    explained: float


def archetypes(x: Float[np.ndarray, "n d"], k: int, seed: int = 0) -> Archetypes:
    """k archetypes of the rows, started from a greedy k-center.

    Args:
        x: rows.
        k: how many; 1 gives the mean.
        seed: of the first centre.

    Raises:
        InputError: for a budget outside 1 … n.
    """
    check_budget(k, len(x))
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    n = len(x)
    b = np.zeros((k, n))
    if k == 1:
        return Archetypes(b + 1 / n, np.array([float(n)]), 0.0)
    b[np.arange(k), k_center(x.astype(np.float32), k, seed=seed).indices] = 1
    a = np.full((n, k), 1 / k)
    total, spread = float(np.sum(x**2)), float(np.linalg.norm(x @ x.T if n < x.shape[1] else x.T @ x, 2))
    lost = np.inf
    for _ in range(ROUNDS):
        z = b @ x
        gram, cross = z @ z.T, x @ z.T
        a = _descend(a, partial(_slope, gram, cross), _norm(gram))
        inner, outer = a.T @ a, a.T @ x
        b = _descend(b, partial(_slope_of_mixtures, inner, outer, x), _norm(inner) * spread)
        before, lost = lost, float(np.sum((x - a @ (b @ x)) ** 2))
        if before - lost <= TOLERANCE * total:
            break
    return Archetypes(b, a.sum(axis=0), 1 - lost / total if total > 0 else 0.0)


def _slope(gram: np.ndarray, cross: np.ndarray, a: np.ndarray) -> np.ndarray:
    """The gradient of ½‖X − A Z‖² in A."""
    return a @ gram - cross


def _slope_of_mixtures(inner: np.ndarray, outer: np.ndarray, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The gradient of ½‖X − A B X‖² in B."""
    return (inner @ (b @ x) - outer) @ x.T


def _norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, 2))


def _descend(start: np.ndarray, gradient: Callable[[np.ndarray], np.ndarray], bound: float) -> np.ndarray:
    """Accelerated projected gradient steps on rows of the simplex; `bound` is the gradient's Lipschitz constant."""
    if bound <= 0:
        return start
    now = ahead = start
    momentum = 1.0
    for _ in range(STEPS):
        new = project_to_simplex(ahead - gradient(ahead) / bound)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - now)
        now, momentum = new, following
    return now


def project_to_simplex(v: Float[np.ndarray, "r c"]) -> Float[np.ndarray, "r c"]:
    """The point of the simplex (entries 0 or more, sum 1) nearest to each row.

    Source: Held, Wolfe, Crowder (1974); by sorting.
    """
    falling = -np.sort(-v, axis=1)
    excess = (falling.cumsum(axis=1) - 1) / np.arange(1, v.shape[1] + 1)
    kept = np.count_nonzero(falling > excess, axis=1)
    return np.maximum(v - excess[np.arange(len(v)), kept - 1][:, None], 0)
