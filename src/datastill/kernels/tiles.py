"""Work on rows or pairs of rows in tiles."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float

Tree = TypeVar("Tree")


ARRAYS = 8
"""As large as the largest that a convolutional kernel's tile holds at once, with its gradient."""


def largest(cache: int, device: int, memory: int | None, itemsize: int) -> int:
    """Numbers in the largest array of a tile.

    Args:
        cache: on a CPU, whose caches are to hold a tile.
        device: on other devices.
        memory: bytes that ARRAYS such arrays may take at most, wherever they are; None for as many as they like.
        itemsize: bytes of a number.
    """
    usual = cache if jax.default_backend() == "cpu" else device
    return usual if memory is None else min(usual, memory // (ARRAYS * itemsize))


def split_tiles(x: Array, size: int) -> Array:
    """(n, …) -> (tiles, size, …), the last tile filled up with copies of the first row."""
    short = -len(x) % size
    padded = jnp.concatenate([x, jnp.broadcast_to(x[:1], (short, *x.shape[1:]))]) if short else x
    return padded.reshape(-1, size, *x.shape[1:])


def over_pairs(
    f: Callable[[Tree, Tree], Float[Array, " b"]],
    one: Tree,
    two: Tree,
    most: int,
    arrange: Callable[[Tree], Tree] = lambda tiles: tiles,
) -> Float[Array, "n1 n2"]:
    """f(a row of one, a tile of two) for all pairs; the backward pass computes each tile again, and keeps none.

    Tile by tile, so that what belongs to a tile, its slopes among it, stays in cache.

    Args:
        f: takes one row, and b ≤ `most` others, and returns b numbers.
        one: a tree of arrays of n1 rows.
        two: a tree of arrays of n2 rows; tiles are about as large as each other.
        most: rows in a tile, 1 or more.
        arrange: what is done to all tiles, (tiles, b, …), beforehand.
    """
    (leaf, *_), (other, *_) = jax.tree.leaves(one), jax.tree.leaves(two)
    n1, n2 = len(leaf), len(other)
    if not n2:
        return jnp.zeros((n1, 0), leaf.dtype)
    size = -(-n2 // -(-n2 // max(most, 1)))
    tiles = arrange(jax.tree.map(partial(split_tiles, size=size), two))

    def column(tile: Tree) -> Array:
        return jax.lax.map(jax.checkpoint(lambda image: f(image, tile)), one)

    found = jnp.moveaxis(jax.lax.map(column, tiles), 1, 0)
    return found.reshape(n1, found.shape[1] * size)[:, :n2]


def over_tiles(
    f: Callable[[Array, Array], Float[Array, "r c"]], one: Float[Array, "n1 d"], two: Float[Array, "n2 d"], side: int
) -> Float[Array, "n1 n2"]:
    """f(one, two) in tiles of about `side` rows and columns; the backward pass computes each again, and keeps none.

    What fits in one tile is left as it is.
    """
    n1, n2 = len(one), len(two)
    if max(n1, n2) <= side or not min(n1, n2):
        return f(one, two)
    rows, columns = (split_tiles(x, -(-len(x) // -(-len(x) // side))) for x in (one, two))

    def row(part: Array) -> Array:
        found = jax.lax.map(jax.checkpoint(partial(f, part)), columns)
        return jnp.moveaxis(found, 0, 1).reshape(len(part), -1)[:, :n2]

    return jax.lax.map(row, rows).reshape(-1, n2)[:n1]
