"""Held-out rows that were among the training rows, or all but were: what voids any figure measured on them.

distance(z, z') = √(mean_j (z_j − z'_j)²)      in standardised units: 0 for equal rows, about 1.4 for unrelated ones
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datastill import _moved
from datastill._typing import Float, Int

BLOCK = 2048
ROUNDING = 1e-5
"""Of squared distances from products in float32, relative to the squared norms."""

NEAR_IMAGES, NEAR_ROWS = 0.05, 1e-3
"""Distances within which rows count as the same: what recompressing a picture changes; what rounding a number does."""


class Overlap(NamedTuple):
    """Numbers of held-out rows.

    Attributes:
        equal: in every number to a training row.
        near: within the distance of one, but not equal.
    """

    equal: Int[np.ndarray, " e"]
    near: Int[np.ndarray, " m"]


def overlap(held: Float[np.ndarray, "n *d"], train: Float[np.ndarray, "m *d"], distance: float = 0.0) -> Overlap:
    """Compare every held-out row with every training row.

    Args:
        held: (n, …) standardised rows.
        train: (m, …) standardised rows.
        distance: rows nearer than this to a training row are near; 0 looks for equal rows alone.
    """
    a, b = (np.asarray(rows, np.float32).reshape(len(rows), -1) for rows in (held, train))
    known = {row.tobytes() for row in b + np.float32(0)}
    equal = np.array([row.tobytes() in known for row in a + np.float32(0)], bool)
    near = np.zeros(len(a), bool)
    if distance > 0:
        nearest = nearest_rows(a, b)
        near = np.sqrt(np.mean((a - b[nearest]) ** 2, axis=1)) <= distance
    return Overlap(np.flatnonzero(equal), np.flatnonzero(near & ~equal))


def typical_distance(rows: np.ndarray) -> float:
    """NEAR_IMAGES or NEAR_ROWS, by the shape of the rows."""
    return NEAR_IMAGES if rows.ndim > 2 else NEAR_ROWS


def nearest_rows(a: np.ndarray, b: np.ndarray, different: bool = False) -> np.ndarray:
    """Return, for each row of a, the number of the row of b nearest to it, a block of products at a time.

    Args:
        a: (n, d) rows.
        b: (m, d) rows.
        different: whether rows of b that equal the row, up to rounding, are passed over.
    """
    squares, found = np.einsum("nd,nd->n", b, b), np.zeros(len(a), int)
    for start in range(0, len(a), BLOCK):
        rows = a[start : start + BLOCK]
        own = np.einsum("nd,nd->n", rows, rows)[:, None]
        best, owner = np.full(len(rows), np.inf, np.float32), np.zeros(len(rows), int)
        for at in range(0, len(b), BLOCK):
            near = squares[at : at + BLOCK] - 2 * rows @ b[at : at + BLOCK].T
            if different:
                near[near + own <= ROUNDING * (own + squares[at : at + BLOCK])] = np.inf
            closest = near.argmin(axis=1)
            value = near[np.arange(len(rows)), closest]
            owner = np.where(value < best, at + closest, owner)
            best = np.minimum(value, best)
        found[start : start + BLOCK] = owner
    return found


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"usual_distance": "typical_distance"})
