"""Rows that a report shows beside examples: the mean of each class, and the real row nearest to each example."""

import numpy as np
import pandas as pd

from datastill.data.dataset import Rows
from datastill.data.dtypes import rounded
from datastill.select.kmeans import owners


def nearest_rows(z: np.ndarray, codes: np.ndarray, support: np.ndarray, support_codes: np.ndarray) -> np.ndarray:
    """Return, for each support row, the number of the real row of its class nearest to it, in standardised units."""
    rows, points = z.reshape(len(z), -1), support.reshape(len(support), -1)
    found = np.zeros(len(points), int)
    for c in np.unique(support_codes):
        own = np.flatnonzero(codes == c)
        found[support_codes == c] = own[owners(points[support_codes == c], rows[own])]
    return found


def class_means(rows: Rows, codes: np.ndarray, classes: int) -> Rows:
    """One row per class: means of numbers, the commonest category of the rest; in the user's own space."""
    if not isinstance(rows, pd.DataFrame):
        means = np.stack([rows[codes == c].mean(axis=0, dtype=np.float64) for c in range(classes)])
        return rounded(means, rows.dtype) if rows.dtype.kind in "iu" else means.astype(rows.dtype)
    columns = {}
    for name in rows.columns:
        column = rows[name]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        of_class = [column[codes == c] for c in range(classes)]
        columns[name] = [
            part.mean() if numeric else (part.mode(dropna=False).iloc[0] if len(part) else None) for part in of_class
        ]
    return pd.DataFrame(columns)
