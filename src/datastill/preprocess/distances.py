"""Distances between rows: typical ones, which length scales are measured in, and rows whose squares are worth taking.

‖x − c‖² is computed as ‖x‖² − 2 x·c + ‖c‖², whose terms cancel where rows are far from the origin and near each other.
Distances do not change when all rows are moved, so rows are moved first to where most of them are.
"""

import numpy as np
from scipy.spatial.distance import pdist

from datastill._validate import check_squares

MEDIAN_ROWS = 1000
"""At most so many rows are compared, all pairs of them."""
PRECISE = 2**27
"""Numbers, of which as many are held in float64 for the sake of their squares; more are in float32."""
SAME = 1e-12
"""Of the squared lengths of two rows, up to which their squared distance may be nothing but rounding."""


def middle(x: np.ndarray) -> np.ndarray:
    """Return where most rows are: the medians of the columns, of at most 1,000 evenly spaced rows, float64.

    A mean would be drawn away by a few numbers that are very large, such as those that stand in for missing ones.
    """
    return np.median(_thinned(x), axis=0)


def centred(x: np.ndarray, precision: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, d) rows moved to their middle, and that.

    Args:
        x: (n, …) rows.
        precision: "float32" or "float64"; by default the latter for up to PRECISE numbers.

    Raises:
        InputError: for numbers whose squares are infinite.
    """
    flat, centre = x.reshape(len(x), -1), middle(x)
    moved = np.empty(flat.shape, precision or ("float64" if x.size <= PRECISE else "float32"))
    with np.errstate(over="ignore"):
        np.subtract(flat, centre, out=moved, casting="same_kind")
    check_squares(moved)
    return moved, centre


def single(x: np.ndarray) -> np.ndarray:
    """Return (n, d) rows in float32 for their differences: as they are where it holds them, else centred."""
    with np.errstate(over="ignore"):
        near = x.astype(np.float32)
    return near if (near == x).all() else centred(x, "float32")[0]


def median_square(x: np.ndarray) -> float:
    """The median of ‖x − x'‖² over pairs of distinct rows, of at most 1,000 evenly spaced; 2 without such a pair."""
    rows, _ = centred(_thinned(x))
    gram = rows @ rows.T
    lengths = np.diag(gram)[:, None] + np.diag(gram)[None, :]
    square = lengths - 2 * gram
    distinct = square[(square > SAME * lengths) & np.triu(np.ones(gram.shape, bool), 1)]
    return float(np.median(distinct)) if len(distinct) else 2.0


def median_city_block(x: np.ndarray) -> float:
    """The median of Σ|x − x'| over pairs of distinct rows, of at most 1,000 evenly spaced; 1 without such a pair."""
    distances = pdist(_thinned(x), "cityblock")
    distinct = distances[distances > 0]
    return float(np.median(distinct)) if len(distinct) else 1.0


def _thinned(x: np.ndarray) -> np.ndarray:
    return np.asarray(x[:: -(-len(x) // MEDIAN_ROWS)], np.float64).reshape(-1, int(np.prod(x.shape[1:])))
