"""Typical distances between rows: what length scales are measured in."""

import numpy as np
from scipy.spatial.distance import pdist

MEDIAN_ROWS = 1000
"""At most so many rows are compared, all pairs of them."""


def median_square(x: np.ndarray) -> float:
    """The median of ‖x − x'‖² over pairs of distinct rows, of at most 1,000 evenly spaced; 2 without such a pair."""
    rows = _thinned(x)
    rows = rows - rows.mean(axis=0)
    gram = rows @ rows.T
    square = np.diag(gram)[:, None] + np.diag(gram)[None, :] - 2 * gram
    distinct = square[np.triu_indices(len(rows), 1)]
    distinct = distinct[distinct > 1e-9 * np.trace(gram) / len(rows)]
    return float(np.median(distinct)) if len(distinct) else 2.0


def median_city_block(x: np.ndarray) -> float:
    """The median of Σ|x − x'| over pairs of distinct rows, of at most 1,000 evenly spaced; 1 without such a pair."""
    distances = pdist(_thinned(x), "cityblock")
    distinct = distances[distances > 0]
    return float(np.median(distinct)) if len(distinct) else 1.0


def _thinned(x: np.ndarray) -> np.ndarray:
    return np.asarray(x[:: -(-len(x) // MEDIAN_ROWS)], np.float64).reshape(-1, int(np.prod(x.shape[1:])))
