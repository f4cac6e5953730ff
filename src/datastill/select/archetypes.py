"""Archetypal analysis: extreme examples, of which every row is nearly a convex mixture.

    minimise ‖X − A B X‖²        A (n, k), B (k, n), rows on the simplex;  archetypes Z = B X

Means and medoids lie in the middle of a class, archetypes at its edge.

Source: Cutler, Breiman (1994), "Archetypal analysis", section 3: weights and archetypes in turn.
"""

from typing import NamedTuple

import numpy as np

from datastill._typing import Float
from datastill.data import sampling
from datastill.select.k_center import k_center
from datastill.select.selection import check_budget, check_rows

ROUNDS = 200
STEPS = 10
TOLERANCE = 1e-6


class Archetypes(NamedTuple):
    """The result of `archetypes`.

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
        InputError: for a budget outside 1 … n, or rows that are not finite.
    """
    check_budget(k, len(x))
    x = check_rows(x)
    x = (x - x.mean(axis=0, dtype=np.float64)).astype(np.float32)
    n, total = len(x), float(np.sum(x**2, dtype=np.float64))
    if k == 1:
        return Archetypes(np.full((1, n), 1 / n), np.array([float(n)]), 0.0)
    b = np.zeros((k, n))
    b[np.arange(k), k_center(x, k, first=int(sampling.rng(seed, 8).integers(n))).indices] = 1
    a = np.full((n, k), 1 / k)
    lost = np.inf
    for _ in range(ROUNDS):
        z = b @ x
        a = _weigh(a, z @ z.T, (x @ z.T.astype(np.float32)).astype(np.float64))
        inner, outer = a.T @ a, (a.T.astype(np.float32) @ x).astype(np.float64)
        for pick in np.flatnonzero(np.diag(inner) > 0):
            wanted = z[pick] + (outer[pick] - inner[pick] @ z) / inner[pick, pick]
            z[pick] = _pull(b[pick], x, z[pick], wanted)
        before, lost = lost, total - 2 * float(np.sum(outer * z)) + float(np.sum(inner * (z @ z.T)))
        if before - lost <= TOLERANCE * total:
            break
    return Archetypes(b, a.sum(axis=0), 1 - lost / total if total > 0 else 0.0)


def _weigh(a: np.ndarray, gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """A few accelerated projected gradient steps on ½‖X − A Z‖² in A; `gram` is Z Zᵀ and `cross` X Zᵀ."""
    bound = float(np.linalg.norm(gram, 2))
    if bound <= 0:
        return a
    now = ahead = a
    momentum = 1.0
    for _ in range(STEPS):
        new = project_to_simplex(ahead - (ahead @ gram - cross) / bound)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - now)
        now, momentum = new, following
    return now


def _pull(b: np.ndarray, x: np.ndarray, z: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Move the mixture z = bᵀ x towards `wanted` within the rows' convex hull: steps of pairwise Frank–Wolfe.

    Each takes weight from the row of the mixture that lies most against the direction and gives it to the one that lies
    most along it. Changes b; returns z.

    Source: Lacoste-Julien, Jaggi (2015), arXiv:1511.05932, algorithm 2.
    """
    for _ in range(STEPS):
        slope = (x @ (z - wanted).astype(np.float32)).astype(np.float64)
        used = np.flatnonzero(b)
        gain, loss = int(slope.argmin()), int(used[slope[used].argmax()])
        direction = (x[gain] - x[loss]).astype(np.float64)
        length = float(direction @ direction)
        if slope[loss] - slope[gain] <= 0 or length == 0:
            break
        step = min((slope[loss] - slope[gain]) / length, float(b[loss]))
        b[gain] += step
        b[loss] -= step
        z = z + step * direction
    return z


def project_to_simplex(v: Float[np.ndarray, "r c"]) -> Float[np.ndarray, "r c"]:
    """The point of the simplex (entries 0 or more, sum 1) nearest to each row.

    Source: Held, Wolfe, Crowder (1974); by sorting.
    """
    falling = -np.sort(-v, axis=1)
    excess = (falling.cumsum(axis=1) - 1) / np.arange(1, v.shape[1] + 1)
    kept = np.count_nonzero(falling > excess, axis=1)
    return np.maximum(v - excess[np.arange(len(v)), kept - 1][:, None], 0)
