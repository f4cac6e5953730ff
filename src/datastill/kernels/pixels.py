"""Covariances between the pixels of two images in an infinitely wide convolutional network with pooling.

For images x and x', Σ[p, q] is the covariance of a channel at pixel p of x and pixel q of x', and Θ[p, q] that of its
gradients. Layer by layer, with w² and b² of the weights and biases,

    convolution   Σ ← w²/9 Σ_δ Σ[p + δ, q + δ] + b²      Θ ← Σ_new + w²/9 Σ_δ Θ[p + δ, q + δ]      δ over 3×3, zeros outside
    activation    Σ ← E[φ(u)φ(v)]                        Θ ← E[φ'(u)φ'(v)] Θ                       (see `kernels.dual`)
    pooling       means over 2×2 pixels p and 2×2 pixels q; a last odd row or column is dropped

and at the end the mean over p = q ("flatten") or over all p, q ("mean"), times w², plus b².

The first convolution is a product of patches, scaled so that it gives cosines. Where pooling follows it at once, the
16 pairs of places in a window are summed one by one, so that no array has the size of all pairs of pixels. Pairs of
images are worked through in tiles that stay in cache; the backward pass computes each tile again.

Source: Arora et al. (2019), arXiv:1904.11955; Novak et al. (2019), arXiv:1810.05148; pooling: Shankar et al. (2020),
arXiv:2003.02237.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.kernels.dual import ACTIVATIONS, Scales


CACHE = 160_000
"""Numbers in one array of a tile on a CPU."""
DEVICE_MEMORY = 2**27
"""The same on other devices."""

Covariances: TypeAlias = tuple[Array, ...]
"""Σ alone, or Σ and Θ: (h, w, b, h', w') for one image and a tile of b others."""


@dataclass(frozen=True)
class Network:
    """An architecture: convolutions with activation in stages that end in pooling, a head, and the weights' scales.

    Attributes:
        stages: convolutions in each stage.
        head: "flatten" or "mean".
        activation: "relu" or "erf".
        w2: variance of the weights, times the fan-in.
        b2: variance of the biases.
        ntk: whether Θ is wanted, or Σ alone.
    """

    stages: tuple[int, ...]
    head: str
    activation: str
    w2: float
    b2: float
    ntk: bool


class Side(NamedTuple):
    """What is known of each image by itself.

    Attributes:
        patches: (n, places, h, w, d) of the first convolution, such that inner products are covariances, bias and all,
            divided by the norms. Where the first stage is one layer, (h, w) are its windows, each with 4 places;
            else one place and all pixels.
        scales: of each activation, (n, places, h, w) of the first and (n, h, w) of the others.
    """

    patches: Array
    scales: tuple[Scales, ...]


def block(network: Network, x1: Float[Array, "n1 h w c"], x2: Float[Array, "n2 h w c"]) -> Float[Array, "n1 n2"]:
    """The kernel's block."""
    one, two = _sides(network, x1), _sides(network, x2)
    tiles = jax.tree.map(partial(split_tiles, size=_tile(one.patches.shape, len(x2))), two)

    def row(image: Side) -> Array:
        return jax.lax.map(jax.checkpoint(partial(_pairs, network, image)), tiles).reshape(-1)[: len(x2)]

    return jax.lax.map(row, one)


def diagonal(network: Network, x: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """The values k(x_i, x_i)."""
    return jax.lax.map(jax.checkpoint(lambda image: _alone(network, image)[0]), _first(network, x))


def _sides(network: Network, x: Array) -> Side:
    sigma_only = replace(network, ntk=False)
    return jax.lax.map(jax.checkpoint(lambda image: _alone(sigma_only, image)[1]), _first(network, x))


def _first(network: Network, x: Array) -> Side:
    """What is known before the first activation."""
    n, h, w, c = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    weighted = (network.w2 / (9 * c)) ** 0.5 * jnp.concatenate(shifted, axis=3)
    patches = jnp.concatenate([weighted, jnp.full((n, h, w, 1), network.b2**0.5, x.dtype)], axis=3)
    patches = jnp.stack(_windows(patches, (1, 2)) if network.stages[0] == 1 else [patches], axis=1)
    scales = ACTIVATIONS[network.activation].scales(jnp.sum(patches**2, axis=4))
    first = Side(patches * scales.unit[..., None], (scales,))
    if network.stages[0] == 1:
        return first
    return jax.tree.map(lambda a: jnp.pad(a, [(0, 0), (0, 0), (1, 1), (1, 1)] + [(0, 0)] * (a.ndim - 4)), first)


def _pairs(network: Network, image: Side, tile: Side) -> Float[Array, " b"]:
    """The kernel of one image and each of a tile."""
    return _walk(network, image, tile, lambda layer, sigma: (image.scales[layer], tile.scales[layer]))


def _alone(network: Network, image: Side) -> tuple[Float[Array, ""], Side]:
    """The kernel of an image with itself, and the image with the scales of every activation."""
    found = list(image.scales)

    def scales(layer: int, sigma: Array) -> tuple[Scales, Scales]:
        found.append(ACTIVATIONS[network.activation].scales(_same_pixel(sigma)[0]))
        return found[layer], _as_tile(found[layer])

    value = _walk(network, image, _as_tile(image), scales)[0]
    return value, Side(image.patches, tuple(found))


def _walk(
    network: Network, image: Side, tile: Side, scales: Callable[[int, Array], tuple[Scales, Scales]]
) -> Float[Array, " b"]:
    """From the patches to the head; `scales` gives those of a layer, once its Σ is known."""
    maps, layer = _start(network, image, tile), 1
    for stage, layers in enumerate(network.stages):
        for _ in range(layers - (stage == 0)):
            maps = _convolution(network, maps if layer == 1 and stage == 0 else tuple(_framed(a) for a in maps))
            maps = _activation(network, maps, *scales(layer, maps[0]))
            layer += 1
        if stage > 0 or layers > 1:
            maps = tuple(sum(_windows(a, (0, 1, 3, 4))) / 16 for a in maps)
    if network.head == "flatten":
        means = [jnp.mean(_same_pixel(a), axis=(1, 2)) for a in maps]
    else:
        means = [jnp.mean(a, axis=(0, 1, 3, 4)) for a in maps]
    return network.w2 * sum(means[1:], means[0]) + network.b2


def _start(network: Network, image: Side, tile: Side) -> Covariances:
    """The first convolution and activation, and the pooling if it follows at once. Before the activation Θ is Σ."""
    b, places, h, w, d = tile.patches.shape
    pair = ACTIVATIONS[network.activation].pair
    columns = [jnp.moveaxis(tile.patches, 1, 0).reshape(places, b * h * w, d)]
    columns += [jnp.moveaxis(a, 1, 0).reshape(places, b * h * w) for a in _lifts(tile.scales[0])]
    rows = image.patches, *(a[..., None] for a in _lifts(image.scales[0]))

    def against(row: tuple[Array, ...], column: tuple[Array, ...]) -> Covariances:
        (p, *lifts1), (q, *lifts2) = row, column
        z = p @ q.T
        f, g = pair(z)
        return tuple(a * (l1 * l2) for a, l1, l2 in zip((f, g * z)[: 1 + network.ntk], lifts1, lifts2, strict=False))

    if places == 1:
        # In blocks of rows, by a loop: XLA would take the activation anew for each pixel that it is added to.
        blocks = next(k for k in range(2, h + 1) if h % k == 0)
        whole, column = [a.reshape(blocks, h // blocks * w, -1) for a in rows], [a[0] for a in columns]
        maps = jax.lax.map(jax.checkpoint(lambda row: against(row, column)), whole)
        return tuple(a.reshape(h, w, b, h, w) for a in maps)

    @jax.checkpoint
    def add(totals: Covariances, row: tuple[Array, ...]) -> tuple[Covariances, None]:
        for column in zip(*columns, strict=True):
            totals = tuple(a + part for a, part in zip(totals, against(row, column), strict=True))
        return totals, None

    zero = (jnp.zeros((h * w, b * h * w), tile.patches.dtype),) * (1 + network.ntk)
    totals, _ = jax.lax.scan(add, zero, [a.reshape(places, h * w, -1) for a in rows])
    return tuple(a.reshape(h, w, b, h, w) / places**2 for a in totals)


def _lifts(scales: Scales) -> tuple[Array, Array]:
    """What f and g·z of the first activation are multiplied by."""
    return scales.size, scales.slope * scales.norm


def _activation(network: Network, maps: Covariances, s1: Scales, s2: Scales) -> Covariances:
    s1 = jax.tree.map(lambda a: a[:, :, None, None, None], s1)
    f, g = ACTIVATIONS[network.activation].pair(maps[0] * (s1.unit * s2.unit))
    sigma = f * (s1.size * s2.size)
    return (sigma, g * maps[1] * (s1.slope * s2.slope)) if network.ntk else (sigma,)


def _convolution(network: Network, maps: Covariances) -> Covariances:
    sums = [network.w2 / 9 * _shifts(a) for a in maps]
    sigma = sums[0] + network.b2
    return (sigma, sigma + sums[1]) if network.ntk else (sigma,)


def _framed(a: Array) -> Array:
    return jnp.pad(a, [(1, 1), (1, 1), (0, 0), (1, 1), (1, 1)])


def _shifts(a: Array) -> Array:
    """Σ_δ a[p + δ, q + δ] over 3×3, at the pixels that are not in the frame of zeros around them."""
    h, w = a.shape[0] - 2, a.shape[1] - 2
    return sum(a[i : i + h, j : j + w, :, i : i + h, j : j + w] for i in range(3) for j in range(3))


def _windows(a: Array, axes: tuple[int, ...]) -> list[Array]:
    """Every second entry along each axis, from 0 or 1 on, in every combination; a last odd one is dropped."""
    found = [a]
    for axis in axes:
        halves = [slice(start, a.shape[axis] // 2 * 2, 2) for start in (0, 1)]
        found = [part[(*(slice(None),) * axis, half)] for part in found for half in halves]
    return found


def _same_pixel(a: Array) -> Float[Array, "b h w"]:
    """The entries with p = q."""
    h, w, b, *_ = a.shape
    pixel = jnp.arange(h * w)
    return a.reshape(h * w, b, h * w)[pixel, :, pixel].T.reshape(b, h, w)


def _as_tile(image: Any) -> Any:
    return jax.tree.map(lambda a: a[None], image)


def _tile(shape: tuple[int, ...], n2: int) -> int:
    """Images of a tile, so that its arrays stay in cache, and all tiles are about as large."""
    most = (CACHE if jax.default_backend() == "cpu" else DEVICE_MEMORY) // (shape[2] * shape[3]) ** 2
    tiles = -(-n2 // max(most, 1))
    return -(-n2 // tiles)


def split_tiles(x: Array, size: int) -> Array:
    """(n, …) -> (tiles, size, …), the last tile filled up with copies of the first row."""
    short = -len(x) % size
    padded = jnp.concatenate([x, jnp.broadcast_to(x[:1], (short, *x.shape[1:]))]) if short else x
    return padded.reshape(-1, size, *x.shape[1:])
