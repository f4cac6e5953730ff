"""Moments in one pass over batches of rows, in bounded memory."""

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg.blas

from datastill._errors import InputError
from datastill._typing import Array
from datastill.features.base import FeatureMap, Weights, drawn
from datastill.moments import triangle
from datastill.moments.batches import Batch, Blocks, RowDigest, checked
from datastill.moments.record import Moments
from datastill.moments.source import Source
from datastill.preprocess.labels import ClassLabels, Labels

LEAST_ROWS = 2048
"""In a block: with so many, adding its product to the sums costs about a tenth of the product itself."""


class Accumulator:
    """The sums over the rows that were added so far.

    Features and their products are float32, a block of rows at a time; sums over blocks are float64.
    """

    def __init__(self, source: Source, by_class: bool = False, memory: float = 2**28) -> None:
        """Without rows.

        Args:
            source: of what.
            by_class: keep Σ φφᵀ apart by class, so that classes can be reweighted; as many times the memory.
            memory: bytes for the working arrays of a block, which has 2,048 rows at least.

        Raises:
            InputError: for by_class with real targets.
        """
        self._classes = isinstance(source.labels, ClassLabels)
        if by_class and not self._classes:
            raise InputError("Got by_class=True for real targets; expected classes; try by_class=False.")
        columns, outputs = source.map.columns(source.row), source.outputs
        self._source = source
        self._second = np.zeros((outputs if by_class else 1, triangle.entries(columns)))
        self._edge = np.zeros((columns + outputs + 1, outputs + 1))
        self._size = max(LEAST_ROWS, source.map.rows_within(source.row, memory))
        self._blocks = Blocks(len(self._second), self._size)

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add checked rows, as φ sees them, and their classes or targets."""
        for block in self._blocks.push(x, y):
            self._add(*block)

    def moments(self, shards: dict[str, float]) -> Moments:
        """Return the sums of all rows added; the accumulator must not be used any more."""
        for block in self._blocks.rest():
            self._add(*block)
        columns, outputs = self._source.map.columns(self._source.row), self._source.outputs
        corner = self._edge[columns:]
        counts = corner[:outputs, -1] if self._classes else corner[-1:, -1]
        cross, first = self._edge[:columns, :-1], self._edge[:columns, -1]
        return Moments(self._source, self._second, cross, first, float(np.trace(corner[:outputs])), counts, shards)

    def _add(self, group: int, x: np.ndarray, y: np.ndarray) -> None:
        """The product of [φ t 1] with itself: its upper triangle has Σφφᵀ and, at its right edge, all other sums."""
        map, outputs = self._source.map, self._source.outputs
        t = np.eye(outputs, dtype=np.float32)[y] if self._classes else y
        edge = np.concatenate([t, np.ones((len(t), 1), np.float32)], axis=1)
        formula, weights = map.formula(), drawn(map, self._source.row)
        rows = np.asarray(_widened(formula, weights, _filled(x, self._size), _filled(edge, self._size)))[: len(x)]
        # Half the work of a full product, by the BLAS that we use elsewhere: threads of another library would still be
        # spinning. Fortran's lower triangle is our upper one.
        upper = scipy.linalg.blas.ssyrk(1.0, rows.T, lower=1).T
        if not np.isfinite(upper.diagonal()).all():  # sums of squares: if they are finite, all others are
            raise InputError("Got rows whose features are not finite; expected smaller numbers; try standardising.")
        triangle.add(self._second[group], upper[: -outputs - 1, : -outputs - 1])
        self._edge += upper[:, -outputs - 1 :]


def moments_of(
    map: FeatureMap,
    batches: Iterable[Batch],
    labels: Labels,
    preprocessing: dict[str, Any] | None = None,
    *,
    by_class: bool = False,
    named: bool = True,
    memory: float = 2**28,
) -> Moments:
    """The moments of all rows of the batches.

    Besides the sums themselves, memory is bounded by `memory` and by a batch (by class: by a block of rows for each),
    however many batches there are.

    Args:
        map: φ, resolved.
        batches: (x, y) with x (b, …) rows as φ sees them, and y (b,) numbers of the classes in `labels`, or (b, k)
            standardised targets.
        labels: the classes in their order, or how the targets were standardised.
        preprocessing: what led to x, as plain values and arrays; moments are added only where it is the same.
        by_class: see `Accumulator`.
        named: record the digest of the rows as a shard. False for rows that are part of another shard, so that they
            can be subtracted from its moments.
        memory: see `Accumulator`.

    Raises:
        InputError: for rows, classes or targets that cannot be used, with the number of the row.
    """
    rows = checked(batches, labels)
    first = next(rows, None)
    if first is None:
        raise InputError("Got no rows to take moments of; expected at least one batch of (x, y).")
    sums = Accumulator(Source(map, first[0].shape[1:], labels, preprocessing or {}), by_class, memory)
    digest = RowDigest()
    for x, y in chain([first], rows):
        if named:
            digest.add(x, y)
        sums.add(x, y)
    return sums.moments({digest.hexdigest(): 1.0} if named else {})


@partial(jax.jit, static_argnums=0)
def _widened(map: FeatureMap, weights: Weights, x: Array, edge: Array) -> Array:
    """Features, and columns beside them."""
    return jnp.concatenate([map.block(weights, x), edge], axis=1)


def _filled(rows: np.ndarray, size: int) -> Array:
    """The last block is filled up with zeros to a half, quarter, … of the others: few shapes are compiled."""
    while len(rows) <= -(-size // 2) < size:
        size = -(-size // 2)
    short = size - len(rows)
    return jnp.asarray(np.concatenate([rows, np.zeros((short, *rows.shape[1:]), rows.dtype)]) if short else rows)
