"""Moments in one pass over batches of rows, in bounded memory."""

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array
from datastill.features.base import FeatureMap, Weights, drawn
from datastill.moments import triangle
from datastill.moments.batches import Batch, RowDigest, checked, regrouped
from datastill.moments.record import Moments
from datastill.moments.source import Source
from datastill.preprocess.labels import ClassLabels, Labels

LEAST_ROWS = 256
"""In a block: with fewer, adding its product to the sums costs as much as the product itself."""


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

    Features and their products are float32, a block of rows at a time; sums over blocks are float64. Besides the sums
    themselves, memory is bounded by `memory` and by a batch (by class: by a block of rows for each), however many
    batches there are.

    Args:
        map: φ, resolved.
        batches: (x, y) with x (b, …) rows as φ sees them, and y (b,) numbers of the classes in `labels`, or (b, k)
            standardised targets.
        labels: the classes in their order, or how the targets were standardised.
        preprocessing: what led to x, as plain values and arrays; moments are added only where it is the same.
        by_class: keep Σ φφᵀ apart by class, so that classes can be reweighted; as many times the memory.
        named: record the digest of the rows as a shard. False for rows that are part of another shard, so that they
            can be subtracted from its moments.
        memory: bytes for the working arrays of a block, which has 256 rows at least.

    Raises:
        InputError: for rows, classes or targets that cannot be used, with the number of the row.
    """
    rows = checked(batches, labels)
    first = next(rows, None)
    if first is None:
        raise InputError("Got no rows to take moments of; expected at least one batch of (x, y).")
    classes = isinstance(labels, ClassLabels)
    if by_class and not classes:
        raise InputError("Got by_class=True for real targets; expected classes; try by_class=False.")
    source = Source(map, first[0].shape[1:], labels, preprocessing or {})
    columns, outputs = map.columns(source.row), source.outputs
    second = np.zeros((outputs if by_class else 1, triangle.entries(columns)))
    cross, total, square = np.zeros((columns, outputs)), np.zeros(columns), 0.0
    counts = np.zeros(outputs if classes else 1)
    weights, size = drawn(map, source.row), max(LEAST_ROWS, map.rows_within(source.row, memory))
    digest, one_hot = RowDigest(), np.eye(outputs, dtype=np.float32)
    stream = chain([first], rows)
    for group, x, y in regrouped(digest.watch(stream) if named else stream, len(second), size):
        t = one_hot[y] if classes else y
        ones = np.ones((len(t), 1), np.float32)
        found = _features(map.formula(), weights, _filled(x, size), _filled(np.concatenate([t, ones], axis=1), size))
        phi, products = np.asarray(found[0])[: len(x)], np.asarray(found[1])
        if not np.isfinite(products).all():
            raise InputError("Got rows whose features are not finite; expected smaller numbers; try standardising.")
        triangle.add_product(second[group], phi)
        cross += products[:, :-1]
        total += products[:, -1]
        square += float(np.sum(t.astype(np.float64) ** 2))
        counts += t.sum(axis=0) if classes else len(t)
    return Moments(source, second, cross, total, square, counts, {digest.hexdigest(): 1.0} if named else {})


@partial(jax.jit, static_argnums=0)
def _features(map: FeatureMap, weights: Weights, x: Array, t: Array) -> tuple[Array, Array]:
    """φ and φᵀt. The second here too: every change between JAX's threads and those of BLAS is waited for."""
    phi = map.block(weights, x)
    return phi, jnp.matmul(phi.T, t, precision="highest")


def _filled(rows: np.ndarray, size: int) -> Array:
    """The last block is filled up with zeros, so that all have one shape and are compiled once."""
    short = size - len(rows)
    return jnp.asarray(np.concatenate([rows, np.zeros((short, *rows.shape[1:]), rows.dtype)]) if short else rows)
