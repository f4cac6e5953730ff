"""Covariances between the pixels of two images in an infinitely wide convolutional network with pooling.

For images x and x', Σ[p, q] is the covariance of a channel at pixel p of x and pixel q of x', and Θ[p, q] that of its
gradients. Layer by layer, with w² and b² of the weights and biases,

    convolution   Σ ← w²/9 Σ_δ Σ[p + δ, q + δ] + b²      Θ ← Σ_new + w²/9 Σ_δ Θ[p + δ, q + δ]      zeros outside
    activation    Σ ← E[φ(u)φ(v)]                        Θ ← E[φ'(u)φ'(v)] Θ
    pooling       means over 2×2 pixels p and 2×2 pixels q; a last odd row or column is dropped

with δ over 3×3 and expectations of `kernels.dual`, and at the end the mean over p = q ("flatten") or over all p, q
("mean"), times w², plus b².

The first convolution is a product of patches, scaled so that it gives cosines. Where pooling follows it at once, the
16 pairs of places in a window are summed one by one, so that no array has the size of all pairs of pixels. Pairs of
images are worked through in tiles that stay in cache; the backward pass computes each tile again.

Source: Arora et al. (2019), arXiv:1904.11955; Novak et al. (2019), arXiv:1810.05148; pooling: Shankar et al. (2020),
arXiv:2003.02237.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.kernels.maps import Maps, activation, first, over_pixels, pooled, same_pixel, spread, windows
from datastill.kernels.network import Network
from datastill.kernels.tiles import largest, over_pairs

CACHE = 160_000
"""Numbers in one array of a tile on a CPU."""
DEVICE_MEMORY = 2**27
"""The same on other devices."""


class Side(NamedTuple):
    """The self-covariances of one image, or of the b images of a tile.

    Attributes:
        patches: (places, h, w·b, d) of the first convolution, such that inner products are covariances, bias and all,
            divided by the norms. Where the first stage is one layer, (h, w) are its windows, each with 4 places;
            else one place and all pixels.
        sizes: of the first activation, (places, h, w·b).
        units: of the others, (h, w·b).
    """

    patches: Array
    sizes: Array
    units: tuple[Array, ...]


def block(
    network: Network, x1: Float[Array, "n1 h w c"], x2: Float[Array, "n2 h w c"], memory: int | None = None
) -> Float[Array, "n1 n2"]:
    """The kernel's block; a tile takes `memory` bytes at most, or a pair of images."""
    one, two = _sides(network, x1), _sides(network, x2)
    *_, h, w, _ = one.patches.shape
    most = largest(CACHE, DEVICE_MEMORY, memory, x1.dtype.itemsize) // (h * w) ** 2

    def pairs(image: Side, tile: Side) -> Array:
        return _walk(network, image, tile, lambda layer, _: (image.units[layer], tile.units[layer]))

    return over_pairs(pairs, one, two, most, _tiles)


def _tiles(images: Side) -> Side:
    """(tiles, b, …, h, w, …) -> (tiles, …, h, w·b, …)."""

    def merged(a: Array, w: int) -> Array:
        a = jnp.moveaxis(a, 1, w)
        return a.reshape(*a.shape[: w - 1], -1, *a.shape[w + 1 :])

    patches, sizes, units = images
    return Side(merged(patches, 4), merged(sizes, 4), tuple(merged(a, 3) for a in units))


def diagonal(network: Network, x: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """The values k(x_i, x_i)."""
    return jax.lax.map(jax.checkpoint(lambda image: _alone(network, image)[0]), _first(network, x))


def _sides(network: Network, x: Array) -> Side:
    return jax.lax.map(jax.checkpoint(lambda image: _alone(network.nngp, image)[1]), _first(network, x))


def _first(network: Network, x: Array) -> Side:
    """The covariances before the first activation."""
    n, h, w, c = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    weighted = (network.w2 / (9 * c)) ** 0.5 * jnp.concatenate(shifted, axis=3)
    patches = jnp.concatenate([weighted, jnp.full((n, h, w, 1), network.b2**0.5, x.dtype)], axis=3)
    patches = jnp.stack(windows(patches, (1, 2)) if network.stages[0] == 1 else [patches], axis=1)
    unit = network.dual.unit(jnp.sum(patches**2, axis=4))
    return Side(patches * unit[..., None], network.dual.size(unit), ())


def _alone(network: Network, image: Side) -> tuple[Float[Array, ""], Side]:
    """The kernel of an image with itself, and the image with the units of every activation."""
    found: list[Array] = []

    def units(layer: int, sigma: Array) -> tuple[Array, Array]:
        found.append(network.dual.unit(same_pixel(sigma)))
        return found[layer], found[layer]

    value = _walk(network, image, image, units)[0]
    return value, image._replace(units=tuple(found))


def _walk(
    network: Network, image: Side, tile: Side, units: Callable[[int, Array], tuple[Array, Array]]
) -> Float[Array, " b"]:
    """From the patches to the head; `units` gives those of both sides, once Σ is known before an activation."""
    maps = first(network.dual, network.ntk, image.patches, image.sizes, tile.patches, tile.sizes)
    layer = 0
    for stage, layers in enumerate(network.stages):
        for _ in range(stage == 0, layers):
            maps = _convolution(network, maps)
            maps = activation(network.dual, maps, *units(layer, maps[0]))
            layer += 1
        last = stage == len(network.stages) - 1
        if (stage > 0 or layers > 1) and not (last and network.head == "mean"):
            maps = tuple(pooled(a) for a in maps)
    total = sum(maps[1:], maps[0])
    if network.head == "mean":
        mean = over_pixels(total)
    else:
        h, w, *_ = total.shape
        mean = same_pixel(total).reshape(h * w, -1).mean(axis=0)
    return network.w2 * mean + network.b2


def _convolution(network: Network, maps: Maps) -> Maps:
    """(Σ, Θ) -> (Σ, Θ − Σ)."""
    sigma, *rest = (network.w2 / 9 * spread(a) for a in maps)
    return (sigma + network.b2, *rest)
