"""k-means and k-medoids: centres that are means of rows, and centres that are rows."""

import warnings

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from datastill._typing import Float, Int
from datastill.data import sampling
from datastill.preprocess.distances import centred
from datastill.select.selection import Selection, check_budget, check_rows

MINI_BATCH_ABOVE = 20_000
BATCH = 4096
MAX_ROUNDS = 100


def kmeans_centres(z: np.ndarray, codes: np.ndarray, budget: np.ndarray, seed: int) -> np.ndarray:
    """(Σ budget, …) centres of the rows of each class, grouped by class.

    Args:
        z: (n, …) rows as numbers.
        codes: (n,) class of each row.
        budget: (C,) centres for each class; a class with fewer rows repeats its rows.
        seed: for k-means++.
    """
    rows = z.reshape(len(z), -1)
    of_class = sampling.rows_of_classes(codes, len(budget))
    found = [kmeans(rows[of_class[c]], int(k), seed) for c, k in enumerate(budget) if k]
    return np.concatenate(found).reshape(-1, *z.shape[1:]).astype(z.dtype)


def kmeans(x: Float[np.ndarray, "n d"], k: int, seed: int = 0) -> Float[np.ndarray, "k d"]:
    """k centres, float64, by scikit-learn's k-means, above 20,000 rows its mini-batch version.

    Few distinct rows are repeated.

    Raises:
        InputError: for rows that are not finite.
    """
    rows, middle = centred(check_rows(x))
    return _centres(rows, k, seed) + middle


def nearest_to_centres(x: Float[np.ndarray, "n d"], k: int, seed: int = 0) -> Selection:
    """The row nearest to each k-means centre; a row that is taken goes to the centre that comes first.

    Returns:
        Distinct rows. Weights are the numbers of rows nearest to each; gains are NaN.

    Raises:
        InputError: for a budget outside 1 … n, or rows that are not finite.
    """
    check_budget(k, len(x))
    rows, _ = centred(check_rows(x))
    return _weighted(rows, _snap(rows, _centres(rows, k, seed)))


def kmedoids(x: Float[np.ndarray, "n d"], k: int, seed: int = 0) -> Selection:
    """k rows of small Σ_i min_j ‖x_i − c_j‖², from the rows nearest to the k-means centres.

    Each round gives every row to its nearest medoid and takes as medoids the rows nearest to their groups' means, which
    of all rows of a group have the least sum of squared distances to it; it ends when the sum stops falling.

    Returns:
        Distinct rows. Weights are the numbers of rows nearest to each; gains are NaN.

    Raises:
        InputError: for a budget outside 1 … n, or rows that are not finite.

    Source: Park, Jun (2009), "A simple and fast algorithm for K-medoids clustering", with squared distances.
    """
    check_budget(k, len(x))
    rows, _ = centred(check_rows(x))
    medoids = _snap(rows, _centres(rows, k, seed))
    cost = np.inf
    for _ in range(MAX_ROUNDS):
        owner, distance = _assign(rows, rows[medoids])
        if not distance.sum() < cost:
            break
        best, cost = medoids, float(distance.sum())
        sums = np.zeros((k, rows.shape[1]))
        np.add.at(sums, owner, rows)
        counts = np.bincount(owner, minlength=k)
        medoids = _snap(rows, np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], rows[medoids]))
    return _weighted(rows, best)


def owners(x: Float[np.ndarray, "n d"], centres: Float[np.ndarray, "k d"]) -> np.ndarray:
    """(n,) which centre is nearest to each row; the first of equally near ones."""
    return _assign(x, centres)[0]


def groups(x: Float[np.ndarray, "n d"], k: int, seed: int = 0) -> Int[np.ndarray, " n"]:
    """(n,) which of k k-means centres is nearest to each row.

    A centre that no row is nearest to is given the row that is farthest from its own, so that every group has rows.

    Raises:
        InputError: for a budget outside 1 … n, or rows that are not finite.
    """
    check_budget(k, len(x))
    rows, _ = centred(check_rows(x))
    owner, distance = _assign(rows, _centres(rows, k, seed))
    counts = np.bincount(owner, minlength=k)
    empty = np.flatnonzero(counts == 0).tolist()
    for row in np.argsort(-distance, kind="stable").tolist() if empty else ():
        if counts[owner[row]] > 1:
            counts[owner[row]] -= 1
            owner[row] = empty.pop(0)
            if not empty:
                break
    return owner


def _centres(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """(k, d) centres of centred rows."""
    distinct = np.unique(rows, axis=0) if len(rows) <= 4 * k else rows
    if len(distinct) <= k:
        return distinct[np.arange(k) % len(distinct)]
    method = MiniBatchKMeans if len(rows) > MINI_BATCH_ABOVE else KMeans
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer than k distinct rows: some centres are equal
        return method(n_clusters=k, n_init=1, random_state=seed).fit(rows).cluster_centers_


def _weighted(rows: np.ndarray, picks: np.ndarray) -> Selection:
    owner, _ = _assign(rows, rows[picks])
    owner[picks] = np.arange(len(picks))
    weights = np.bincount(owner, minlength=len(picks)).astype(np.float64)
    return Selection(picks, weights, np.full(len(picks), np.nan))


def _assign(x: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) which centre is nearest to each row, and the squared distance to it; in float64, a batch at a time."""
    shift = np.median(centres, axis=0).astype(np.float64)
    moved = centres - shift
    square = np.einsum("kd,kd->k", moved, moved)
    owner, distance = np.empty(len(x), np.int64), np.empty(len(x))
    for i in range(0, len(x), BATCH):
        rows = x[i : i + BATCH] - shift
        table = square - 2 * rows @ moved.T
        owner[i : i + BATCH] = table.argmin(axis=1)
        distance[i : i + BATCH] = table.min(axis=1) + np.einsum("nd,nd->n", rows, rows)
    return owner, np.maximum(distance, 0)


def _snap(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(k,) distinct rows, each the nearest to its centre of those that are left."""
    square = np.einsum("nd,nd->n", rows, rows)
    left = np.zeros(len(rows))
    picks = []
    for centre in centres.astype(rows.dtype):
        picks.append(int(np.argmin(square - 2 * rows @ centre + left)))
        left[picks[-1]] = np.inf
    return np.array(picks)
