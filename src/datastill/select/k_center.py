"""Greedy k-center: each pick is the row farthest from all picks before it.

The radius max_i min_j ‖x_i − c_j‖ is at most twice the least possible one (Gonzalez, 1985). Every pick needs the
distance of all rows to the newest centre; most of those distances are larger than what a row has already, and a
lower bound in a few principal components says so at a fraction of the cost:

    ‖x − c‖² ≥ ‖Uᵀ(x − c)‖² + (‖x_⊥‖ − ‖c_⊥‖)²        x_⊥ is what the span of U leaves out

Only the rows it does not exclude have their distance computed, in full and without cancellation; the picks are those of
the plain loop.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.utils.extmath import randomized_svd

from datastill._errors import InputError
from datastill._typing import Float
from datastill.preprocess.distances import middle, single
from datastill.select.selection import Selection, check_budget, check_rows

COMPONENTS = 128
FIT_ROWS = 2000
SLACK = 1e-4
"""Of a squared length, by which rounding may spoil the bound."""


def k_center(x: Float[np.ndarray, "n d"], k: int, first: int | Sequence[int] | None = None) -> Selection:
    """k rows so that every row is near one of them.

    Args:
        x: rows.
        k: how many.
        first: the first centre, or several that are picked before the greedy ones; the row nearest to the mean when
            left out.

    Returns:
        Distinct rows. Gains are distances to the centres before (∞ for the first): the last is the radius before the
        last pick. Weights are the numbers of rows nearest to each centre. Of rows equally far the one that comes first
        is picked; where all rows left are copies of centres, those that come first.

    Raises:
        InputError: for a budget outside 1 … n, rows that are not finite, or first centres that are no rows or repeat.
    """
    check_budget(k, len(x))
    x = single(check_rows(x))
    n = len(x)
    given = [_most_central(x)] if first is None else np.atleast_1d(first).tolist()
    if len(set(given)) != len(given) or not all(0 <= i < n for i in given) or len(given) > k:
        raise InputError(f"Got first={first!r}; expected at most {k} different row numbers from 0 to {n - 1}.")
    bound = _embedding(x)
    squares = np.einsum("nr,nr->n", bound, bound)
    least = np.full(n, np.inf, np.float32)
    nearest = np.zeros(n, np.int64)
    indices, gains = np.zeros(k, np.int64), np.zeros(k)
    for number in range(k):
        pick = given[number] if number < len(given) else int(least.argmax())
        indices[number], gains[number] = pick, np.sqrt(max(least[pick], 0))
        below = squares + squares[pick] - 2 * (bound @ bound[pick]) - SLACK * (squares + squares[pick])
        rows = np.flatnonzero(below < least)
        distance = _square_distances(x, rows, x[pick])
        closer = distance < least[rows]
        least[rows[closer]], nearest[rows[closer]] = distance[closer], number
        least[indices[: number + 1]] = -1  # a centre is not picked again
    nearest[indices] = np.arange(k)
    return Selection(indices, np.bincount(nearest, minlength=k).astype(np.float64), gains)


def _most_central(x: np.ndarray) -> int:
    """The row nearest to the mean of all."""
    return int(_square_distances(x, np.arange(len(x)), x.mean(axis=0, dtype=np.float64).astype(np.float32)).argmin())


def _embedding(x: np.ndarray) -> np.ndarray:
    """(n, r + 1): coordinates in the leading components and the norm outside them; x itself, centred, if narrow."""
    centred = x - middle(x).astype(np.float32)
    if x.shape[1] <= 2 * COMPONENTS:
        return centred
    _, _, directions = randomized_svd(centred[:: -(-len(x) // FIT_ROWS)], COMPONENTS, n_iter=1, random_state=0)
    inside = centred @ directions.T
    lost = (np.einsum("nd,nd->n", a, a, dtype=np.float64) for a in (centred, inside))
    outside = np.sqrt(np.maximum(np.subtract(*lost), 0)).astype(np.float32)
    return np.column_stack([inside, outside])


def _square_distances(x: np.ndarray, rows: np.ndarray, centre: np.ndarray, batch: int = 4096) -> np.ndarray:
    """‖x_i − centre‖² for these rows, by differences: exactly 0 for copies."""
    parts = [x[rows[i : i + batch]] - centre for i in range(0, len(rows), batch)]
    return np.concatenate([np.einsum("nd,nd->n", a, a) for a in parts]) if parts else np.zeros(0, np.float32)
