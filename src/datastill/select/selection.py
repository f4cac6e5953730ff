"""The result of every selector: the rows, their weights, and the gain of each when it was picked."""

from typing import NamedTuple

import numpy as np

from datastill._errors import InputError
from datastill._validate import check_finite, check_squares

SMALLEST = 1e-18
"""Below this, squares are 0 in float32."""


class Selection(NamedTuple):
    """Rows of a dataset, in the order in which they were picked.

    Attributes:
        indices: (k,) row numbers.
        weights: (k,) non-negative: how many rows of the data each stands for (in expectation, where it was drawn).
        gains: (k,) what the objective gained by each pick, in the selector's own unit; NaN where nothing is gained.
    """

    indices: np.ndarray
    weights: np.ndarray
    gains: np.ndarray


def check_budget(k: int, n: int) -> None:
    """InputError unless 1 ≤ k ≤ n."""
    if not 1 <= k <= n:
        raise InputError(f"Got a budget of {k} rows of {n}; expected 1 to {n}; try {min(max(k, 1), n)}.")


def check_rows(x: np.ndarray) -> np.ndarray:
    """Return the rows as floats, contiguous, so that integers do not wrap around and equal rows have equal sums.

    Raises:
        InputError: for NaN, infinity, what are not real numbers, or numbers whose squares are infinite or 0.
    """
    x = np.asarray(x)
    check_finite(x)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype.itemsize <= 2 else np.float64)
    check_squares(x)
    largest = float(np.abs(x).max(initial=0))
    if 0 < largest < SMALLEST:
        raise InputError(f"Got numbers of at most {largest:.1e}, whose squares are 0; try standardising the rows.")
    return np.ascontiguousarray(x)
