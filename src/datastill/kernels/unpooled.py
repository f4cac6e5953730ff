"""Covariances of each pixel of two images in an infinitely wide convolutional network without pooling.

Where nothing is pooled and the head is "flatten", only pairs of the same pixel p matter. Layer by layer

    convolution   Σ ← w²/9 Σ_δ Σ[p + δ] + b²      Θ ← Σ_new + w²/9 Σ_δ Θ[p + δ]      δ over 3×3, zeros outside
    activation    Σ ← E[φ(u)φ(v)]                 Θ ← E[φ'(u)φ'(v)] Θ                (see `kernels.dual`)

and at the end the mean over p, times w², plus b². The sums over δ are products with a tridiagonal matrix of ones along
the rows of an image, whose numbers are next to each other, and shifted sums along its columns.

Source: Novak et al. (2019), arXiv:1810.05148, section 3.1 ("CNN w/o pooling").
"""

from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from datastill._typing import Array, Float
from datastill.kernels.network import Network
from datastill.kernels.tiles import largest, over_pairs

CACHE = 100_000
"""Numbers in one array of a tile on a CPU."""
DEVICE_MEMORY = 2**25
"""The same on other devices."""

Side: TypeAlias = tuple[Array, tuple[Array, ...]]
"""Images (n, h, w, c), and the units of each activation, (n, h, w)."""


def block(
    network: Network, x1: Float[Array, "n1 h w c"], x2: Float[Array, "n2 h w c"], memory: int | None = None
) -> Float[Array, "n1 n2"]:
    """The kernel's block; a tile takes `memory` bytes at most, or a pair of images."""
    _, h, w, _ = x1.shape
    most = largest(CACHE, DEVICE_MEMORY, memory, x1.dtype.itemsize) // (h * w)
    return over_pairs(partial(_walk, network), _sides(network, x1), _sides(network, x2), most, _rows_first)


def diagonal(network: Network, x: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """The values k(x_i, x_i)."""

    def alone(side: Side) -> Array:
        return _walk(network, side, jax.tree.map(lambda a: a[:, None], side))[0]

    return jax.lax.map(jax.checkpoint(alone), _sides(network, x))


def _rows_first(tiles: Side) -> Side:
    """(tiles, b, h, …) -> (tiles, h, b, …)."""
    return jax.tree.map(lambda a: jnp.moveaxis(a, 1, 2), tiles)


def _sides(network: Network, x: Array) -> Side:
    variance, found = jnp.mean(x**2, axis=3), []
    for _ in range(network.layers):
        variance = network.w2 / 9 * _box(variance.transpose(1, 0, 2)).transpose(1, 0, 2) + network.b2
        found.append(network.dual.unit(variance))
        variance = network.dual(variance, variance, variance)[0]
    return x, tuple(found)


def _walk(network: Network, image: Side, tile: Side) -> Float[Array, " b"]:
    """From the images to the head, in maps (h, b, w)."""
    (x, one), (others, two) = image, tile
    theta = sigma = jnp.mean(x[:, None] * others, axis=3)
    for layer, (u1, u2) in enumerate(zip(one, two, strict=True)):
        u1 = u1[:, None]
        units, sizes = u1 * u2, network.dual.size(u1) * network.dual.size(u2)
        sigma = network.w2 / 9 * _box(sigma) + network.b2
        theta = sigma + network.w2 / 9 * _box(theta) if layer else sigma
        f, slope = network.dual.pair(sigma * units)
        sigma, theta = f * sizes, slope * theta * (units * sizes)
    h, b, w = sigma.shape
    total = (sigma + theta if network.ntk else sigma).reshape(h, b * w)
    mean = jnp.full(h, 1 / h, x.dtype) @ total  # by products: XLA is slow at sums over such axes
    return network.w2 * (mean.reshape(b, w) @ jnp.full(w, 1 / w, x.dtype)) + network.b2


@jax.custom_vjp
def _box(a: Float[Array, "h b w"]) -> Float[Array, "h b w"]:
    """Sums over 3×3 pixels, zeros outside; its own transpose."""
    h, b, w = a.shape
    columns = jnp.asarray(np.tri(w, k=1) - np.tri(w, k=-2), a.dtype)
    framed = jnp.pad((a.reshape(h * b, w) @ columns).reshape(h, b, w), ((1, 1), (0, 0), (0, 0)))
    return framed[:-2] + framed[1:-1] + framed[2:]


_box.defvjp(lambda a: (_box(a), None), lambda _, slope: (_box(slope),))
