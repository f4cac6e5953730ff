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
        self._cross, self._first, self._square = np.zeros((columns, outputs)), np.zeros(columns), 0.0
        self._counts = np.zeros(outputs if self._classes else 1)
        self._size = max(LEAST_ROWS, source.map.rows_within(source.row, memory))
        self._blocks = Blocks(len(self._second), self._size)

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add checked rows, as φ sees them, and their classes or targets."""
        for block in self._blocks.push(x, y):
            self._add(*block)

    def moments(self, shards: dict[str, float]) -> Moments:
        """Of all rows that were added; the accumulator is not used any more."""
        for block in self._blocks.rest():
            self._add(*block)
        return Moments(self._source, self._second, self._cross, self._first, self._square, self._counts, shards)

    def _add(self, group: int, x: np.ndarray, y: np.ndarray) -> None:
        map = self._source.map
        t = np.eye(self._source.outputs, dtype=np.float32)[y] if self._classes else y
        found = _features(map.formula(), drawn(map, self._source.row), _filled(x, self._size))
        phi = np.asarray(found)[: len(x)]
        # Both products by the BLAS of SciPy: threads of another library, JAX's or NumPy's, would still be spinning.
        ones = np.ones((len(t), 1), np.float32)
        products = scipy.linalg.blas.sgemm(1.0, phi.T, np.concatenate([t, ones], axis=1))
        if not np.isfinite(products).all():
            raise InputError("Got rows whose features are not finite; expected smaller numbers; try standardising.")
        triangle.add_product(self._second[group], phi)
        self._cross += products[:, :-1]
        self._first += products[:, -1]
        self._square += float(np.sum(t.astype(np.float64) ** 2))
        self._counts += t.sum(axis=0) if self._classes else len(t)


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
def _features(map: FeatureMap, weights: Weights, x: Array) -> Array:
    return map.block(weights, x)


def _filled(rows: np.ndarray, size: int) -> Array:
    """The last block is filled up with zeros to a half, quarter, … of the others: few shapes are compiled."""
    while len(rows) <= -(-size // 2) < size:
        size = -(-size // 2)
    short = size - len(rows)
    return jnp.asarray(np.concatenate([rows, np.zeros((short, *rows.shape[1:]), rows.dtype)]) if short else rows)
