"""Compute a Gram block by row tiles, so that its working memory stays within a budget."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp

from datastill._errors import InputError
from datastill._typing import Array
from datastill.kernels.base import Kernel, Wrapper
from datastill.kernels.tiles import split_tiles

Tree = TypeVar("Tree")

# Arrays of the block's size alive at once in a kernel and its gradient, measured with XLA's own accounting
# (tests/test_gram.py holds the kernels to it).
WORKING_ARRAYS = 12


def tiled(kernel: Kernel, memory: float = 2**28) -> Kernel:
    """The same kernel, computed in tiles of rows whose working arrays fit in `memory` bytes.

    The result itself is dense. Gradients recompute each tile instead of storing its intermediates, so the
    backward pass keeps to the budget too. The last tile is padded.

    Args:
        kernel: any kernel.
        memory: bytes for one tile's working arrays; one row is computed at a time if not even that fits.
    """
    if not memory > 0:
        raise InputError(f"Got memory={memory}; expected a number of bytes above 0, such as 2**28.")
    return Tiled(kernel, int(memory))


@dataclass(frozen=True)
class Tiled(Wrapper):
    """See `tiled`."""

    memory: int

    def block(self, x1: Array, x2: Array) -> Array:
        """See `Kernel.block`."""
        if len(x1) < len(x2):
            return self.block(x2, x1).T
        size = tile_rows(len(x1), len(x2), x1.dtype.itemsize, self.memory)
        kernel = self.kernel.within(self.memory)
        return map_tiles(lambda tile: kernel.block(tile, x2), x1, size)

    def within(self, memory: int) -> "Tiled":
        """See `Kernel.within`."""
        return Tiled(self.kernel, min(self.memory, memory))


def tile_rows(n1: int, n2: int, itemsize: int, memory: int) -> int:
    """Rows per tile such that WORKING_ARRAYS arrays of (rows, n2) fit in `memory` bytes; between 1 and n1."""
    return max(1, min(n1, memory // (WORKING_ARRAYS * max(n2, 1) * itemsize)))


def map_tiles(f: Callable[[Array], Array], x: Array, size: int) -> Array:
    """f over tiles of rows, rows in and rows out, keeping only the results for the backward pass."""
    if size >= len(x):
        return f(x)
    tiles = jax.lax.map(jax.checkpoint(f), split_tiles(x, size))
    return tiles.reshape(-1, *tiles.shape[2:])[: len(x)]


def sum_tiles(f: Callable[..., Tree], rows: tuple[Array, ...], size: int) -> Tree:
    """Σ over tiles of f(*tile, mask), keeping only the running sum; mask is 0 where rows were summed before.

    Args:
        f: takes a tile of each array and a (size,) mask, and returns a tree of arrays to be summed.
        rows: arrays with n rows each.
        size: rows in a tile.
    """
    n = len(rows[0])
    if size >= n:
        return f(*rows, jnp.ones(n, rows[0].dtype))

    def tile(number: Array) -> tuple[Array, ...]:
        # The last tile starts early enough to be whole, and its mask leaves out the rows that were counted before.
        start = jnp.minimum(number * size, n - size)
        fresh = start + jnp.arange(size) >= number * size
        parts = [jax.lax.dynamic_slice_in_dim(x, start, size) for x in rows]
        return (*parts, fresh.astype(rows[0].dtype))

    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(f, *tile(jnp.asarray(0))))

    # The tile is cut inside the checkpoint: what the backward pass keeps is its number, not a copy of its rows.
    part = jax.checkpoint(lambda number: f(*tile(number)))

    def add(total: Tree, number: Array) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, part(number)), None

    return jax.lax.scan(add, zero, jnp.arange(-(-n // size)))[0]
