"""k-means centres, class by class: the classic learned summary, through scikit-learn."""

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans

MINI_BATCH_ABOVE = 20_000


def kmeans_centres(z: np.ndarray, codes: np.ndarray, budget: np.ndarray, seed: int) -> np.ndarray:
    """(Σ budget, …) centres of the rows of each class, grouped by class.

    Args:
        z: (n, …) rows as numbers.
        codes: (n,) class of each row.
        budget: (C,) centres for each class; a class with fewer rows repeats its rows.
        seed: for k-means++.
    """
    rows = z.reshape(len(z), -1)
    centres = [_cluster(rows[codes == c], int(k), seed) for c, k in enumerate(budget)]
    return np.concatenate(centres).reshape(-1, *z.shape[1:]).astype(z.dtype)


def _cluster(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    distinct = np.unique(rows, axis=0) if len(rows) <= 4 * k else rows
    if len(distinct) <= k:
        return distinct[np.arange(k) % len(distinct)]
    method = MiniBatchKMeans if len(rows) > MINI_BATCH_ABOVE else KMeans
    return method(n_clusters=k, n_init=1, random_state=seed).fit(rows).cluster_centers_
