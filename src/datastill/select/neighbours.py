"""The nearest rows of every row: exactly among few rows, among the members of the nearest cells above that."""

from collections.abc import Iterator

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from datastill._errors import InputError
from datastill._typing import Float
from datastill.preprocess.distances import centred
from datastill.select.selection import check_rows

DEFAULT_NEIGHBOURS = 32
EXACT_ROWS = 30_000
PROBES = 4
"""Cells that are searched for the neighbours of a row, besides its own."""
TILE = 512


def nearest(
    x: Float[np.ndarray, "n d"], k: int = DEFAULT_NEIGHBOURS, seed: int = 0, exact_rows: int = EXACT_ROWS
) -> np.ndarray:
    """(n, k) the rows nearest to each row, itself first and the rest in no order; Euclidean distance.

    Above `exact_rows` rows, they are put into √n cells by k-means, and the neighbours of a row are sought in its own
    cell and the 4 whose centres are nearest to that of its own: at 10⁶ rows this costs 1/200 of comparing all pairs.

    Args:
        x: rows.
        k: neighbours, the row itself included.
        seed: for k-means.
        exact_rows: up to how many all pairs are compared.

    Raises:
        InputError: for a number of neighbours outside 1 … n, or rows that are not finite.
    """
    n = len(x)
    if not 1 <= k <= n:
        raise InputError(f"Got k={k} neighbours among {n} rows; expected 1 to {n}.")
    x, _ = centred(check_rows(x), "float32")
    out = np.empty((n, k), np.int32)
    for members, candidates in _groups(x, k, seed, exact_rows):
        others = x[candidates]
        square = np.einsum("nd,nd->n", others, others)
        for i in range(0, len(members), TILE):
            rows = members[i : i + TILE]
            distance = square - 2 * (x[rows] @ others.T)
            distance[candidates[None] == rows[:, None]] = -np.inf  # itself, also among copies
            near = np.argpartition(distance, k - 1, axis=1)[:, :k]
            first = np.argmin(np.take_along_axis(distance, near, axis=1), axis=1)
            each = np.arange(len(rows))
            near[each, first], near[:, 0] = near[:, 0].copy(), near[each, first]
            out[rows] = candidates[near]
    return out


def _groups(x: np.ndarray, k: int, seed: int, exact_rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows and those among which their neighbours are sought."""
    n = len(x)
    if n <= exact_rows:
        yield np.arange(n), np.arange(n)
        return
    cells = int(np.sqrt(n))
    model = MiniBatchKMeans(cells, n_init=1, random_state=seed, batch_size=4096, max_iter=10).fit(x)
    members = np.split(
        np.argsort(model.labels_, kind="stable"), np.bincount(model.labels_, minlength=cells).cumsum()[:-1]
    )
    centres = model.cluster_centers_
    square = np.einsum("nd,nd->n", centres, centres)
    for cell in range(cells):
        if len(members[cell]):
            order = np.argsort(square - 2 * centres @ centres[cell], kind="stable").tolist()
            near = [cell, *(other for other in order if other != cell)]
            count = PROBES + 1
            while sum(len(members[c]) for c in near[:count]) < k:
                count += 1
            yield members[cell], np.concatenate([members[c] for c in near[:count]])
