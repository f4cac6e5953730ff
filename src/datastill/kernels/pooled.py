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
from datastill.kernels.maps import Maps, activation, first, pooled, same_pixel, shifts, spread, windows
from datastill.kernels.network import Network
from datastill.kernels.tiles import over_pairs

CACHE = 160_000
"""Numbers in one array of a tile on a CPU."""
DEVICE_MEMORY = 2**27
"""The same on other devices."""


class Side(NamedTuple):
    """What is known of each image by itself.

    Attributes:
        patches: (n, places, h, w, d) of the first convolution, such that inner products are covariances, bias and all,
            divided by the norms. Where the first stage is one layer, (h, w) are its windows, each with 4 places;
            else one place and all pixels.
        sizes: of the first activation, (n, places, h, w).
        units: of the others, (n, h, w).
    """

    patches: Array
    sizes: Array
    units: tuple[Array, ...]


def block(network: Network, x1: Float[Array, "n1 h w c"], x2: Float[Array, "n2 h w c"]) -> Float[Array, "n1 n2"]:
    """The kernel's block."""
    one, two = _sides(network, x1), _sides(network, x2)
    *_, h, w, _ = one.patches.shape
    most = (CACHE if jax.default_backend() == "cpu" else DEVICE_MEMORY) // (h * w) ** 2

    def pairs(image: Side, tile: Side) -> Array:
        return _walk(network, image, tile, lambda layer, sigma: (image.units[layer], tile.units[layer]))

    return over_pairs(pairs, one, two, most)


def diagonal(network: Network, x: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """The values k(x_i, x_i)."""
    return jax.lax.map(jax.checkpoint(lambda image: _alone(network, image)[0]), _first(network, x))


def _sides(network: Network, x: Array) -> Side:
    return jax.lax.map(jax.checkpoint(lambda image: _alone(network.nngp, image)[1]), _first(network, x))


def _first(network: Network, x: Array) -> Side:
    """What is known before the first activation."""
    n, h, w, c = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    weighted = (network.w2 / (9 * c)) ** 0.5 * jnp.concatenate(shifted, axis=3)
    patches = jnp.concatenate([weighted, jnp.full((n, h, w, 1), network.b2**0.5, x.dtype)], axis=3)
    patches = jnp.stack(windows(patches, (1, 2)) if network.stages[0] == 1 else [patches], axis=1)
    unit = network.dual.unit(jnp.sum(patches**2, axis=4))
    patches, sizes = patches * unit[..., None], network.dual.size(unit)
    if network.stages[0] > 1:  # framed by zeros
        patches, sizes = (
            jnp.pad(a, [(1, 1) if axis in (2, 3) else (0, 0) for axis in range(a.ndim)]) for a in (patches, sizes)
        )
    return Side(patches, sizes, ())


def _alone(network: Network, image: Side) -> tuple[Float[Array, ""], Side]:
    """The kernel of an image with itself, and the image with the units of every activation."""
    found: list[Array] = []

    def units(layer: int, sigma: Array) -> tuple[Array, Array]:
        found.append(network.dual.unit(same_pixel(sigma)[0]))
        return found[layer], found[layer][None]

    value = _walk(network, image, jax.tree.map(lambda a: a[None], image), units)[0]
    return value, image._replace(units=tuple(found))


def _walk(
    network: Network, image: Side, tile: Side, units: Callable[[int, Array], tuple[Array, Array]]
) -> Float[Array, " b"]:
    """From the patches to the head; `units` gives those of both sides, once Σ is known before an activation."""
    maps = first(network.dual, network.ntk, image.patches, image.sizes, tile.patches, tile.sizes)
    layer = 0
    for stage, layers in enumerate(network.stages):
        for place in range(stage == 0, layers):
            maps = _convolution(network, maps, shifts if layer == 0 and place else spread)
            maps = activation(network.dual, maps, *units(layer, maps[0]))
            layer += 1
        last = stage == len(network.stages) - 1
        if (stage > 0 or layers > 1) and not (last and network.head == "mean"):
            maps = tuple(pooled(a) for a in maps)
    means = [same_pixel(a).mean(axis=(1, 2)) if network.head == "flatten" else a.mean(axis=(0, 1, 3, 4)) for a in maps]
    return network.w2 * sum(means[1:], means[0]) + network.b2


def _convolution(network: Network, maps: Maps, sums_over: Callable[[Array], Array]) -> Maps:
    """With `shifts` of maps that have a frame, else with `spread`."""
    sums = [network.w2 / 9 * sums_over(a) for a in maps]
    sigma = sums[0] + network.b2
    return (sigma, sigma + sums[1]) if network.ntk else (sigma,)
