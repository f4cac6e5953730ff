"""Random convolutional networks: finite NNGP features of images."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill._validate import check_channels_last
from datastill.features.base import FeatureMap, Weights
from datastill.features.numbers import normals
from datastill.kernels.base import flat
from datastill.preprocess.scales import mean_of_four

NORMS = ("none", "instance")
NORM_EPSILON = 1e-5
AT_ONCE = 2**26  # numbers in the largest array of a block of images


@dataclass(frozen=True)
class RandomConv(FeatureMap):
    """Features of a random ReLU network with `depth` convolutional layers of m channels.

    Each layer is a 3×3 convolution padded with zeros, ReLU, and (with pooling) the mean of 2×2 pixels, a last odd row
    or column dropped:

        h = w/√(9k) · norm(W ∗ a) + b β        a ← pool(max(h, 0))

    with k channels in, w = w_std, b = b_std, and every entry of W and β standard normal. Instance norm takes each
    channel of each image to mean 0 and variance 1 over its pixels, as networks that are judged by often do; the factor
    before it is then 1. The features are [w/√size(a) · a, b] of the last layer; without norm their inner products are
    within O(1/√m) of the NNGP kernel of the convolutional network whose last layer is flattened. F = pixels·m + 1.

    Args:
        width: m.
        depth: convolutional layers, 1 or more.
        pooling: whether each layer ends in a mean over 2×2 pixels.
        w_std: standard deviation of the weights, times the root of the fan-in.
        b_std: standard deviation of the biases.
        seed: of the network.
        norm: "none" or "instance".

    Source: Novak et al. (2019), arXiv:1810.05148; the architecture: Nguyen et al. (2021), arXiv:2107.13034.
    """

    width: int = 32
    depth: int = 3
    pooling: bool = True
    w_std: float = 2**0.5
    b_std: float = 0.1
    seed: int = 0
    norm: str = "none"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise InputError(f"Got norm={self.norm!r}; expected one of {', '.join(NORMS)}.")
        if self.width < 1 or self.depth < 1:
            raise InputError(f"Got width={self.width}, depth={self.depth}; expected 1 or more of each.")
        if not (self.w_std > 0 and self.b_std >= 0):
            raise InputError(f"Got w_std={self.w_std}, b_std={self.b_std}; expected w_std above 0 and b_std 0 or more.")

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        h, w, _ = image_shape(row)
        shrunk = 2**self.depth if self.pooling else 1
        if min(h, w) < shrunk:
            raise InputError(
                f"Got images of {h}×{w} pixels for {self.depth} layers with pooling; expected at least "
                f"{shrunk}×{shrunk}; try depth={deepest(row)} or pooling=False."
            )
        return (h // shrunk) * (w // shrunk) * self.width + 1

    def draw(self, row: tuple[int, ...]) -> Weights:
        """(W, β) for each layer: (3, 3, k, m) and (m,)."""
        channels, layers = image_shape(row)[2], []
        for layer in range(1, self.depth + 1):
            # Channels out come first in the numbers, so that a wider layer's begin with those of a narrower one.
            filters = normals(self.seed, f"conv.{layer}.weights", (self.width, 3, 3, channels))
            layers.append((filters.transpose(1, 2, 3, 0), normals(self.seed, f"conv.{layer}.biases", (self.width,))))
            channels = self.width
        return layers

    def formula(self) -> "RandomConv":
        """See `FeatureMap.formula`."""
        return replace(self, seed=0)

    def block(self, weights: Weights, x: Float[Array, "n *hwc"]) -> Float[Array, "n f"]:
        """See `FeatureMap.block`."""

        def features(images: Array) -> Array:
            a = images
            for filters, shift in weights:
                h = convolve(self.w_std / (9 * a.shape[3]) ** 0.5 * a, filters, "SAME")
                h = standardised(h, (1, 2)) if self.norm == "instance" else h
                a = jnp.maximum(h + self.b_std * shift.astype(a.dtype), 0)
                a = mean_of_four(a) if self.pooling else a
            last = flat(a)
            last = self.w_std / last.shape[1] ** 0.5 * last
            return jnp.pad(last, ((0, 0), (0, 1)), constant_values=self.b_std)

        images = with_channels(x)
        # Derivatives of convolutions in a loop are slow on CPUs: docs/decisions/0019-no-convolution-in-a-loop.md.
        if images.size // images.shape[3] * max(self.width, images.shape[3]) <= AT_ONCE:
            return features(images)
        return by_image(lambda image: features(image[None])[0], images)


def image_shape(row: tuple[int, ...]) -> tuple[int, int, int]:
    """(h, w, channels) of a row.

    Raises:
        InputError: for rows that are not images, or have their channels first.
    """
    if len(row) not in (2, 3):
        raise InputError(f"Got rows of shape {row}; expected images, (h, w) or (h, w, c); try a map for vectors.")
    check_channels_last(row)
    return row[0], row[1], row[2] if len(row) == 3 else 1


def deepest(row: tuple[int, ...]) -> int:
    """Return how many layers with pooling, each of which halves the image, a row allows."""
    return min(row[:2]).bit_length() - 1


def with_channels(x: Array) -> Array:
    """(n, h, w[, c]) -> (n, h, w, c)."""
    return x[..., None] if x.ndim == 3 else x


def by_image(f: Callable[[Array], Array], images: Array) -> Array:
    """f of each image; on a CPU one at a time, so that everything stays in cache (measured: 1.5 to 10 times faster)."""
    return jax.lax.map(f, images) if jax.default_backend() == "cpu" else jax.vmap(f)(images)


def convolve(images: Array, filters: Array, padding: str) -> Array:
    """(n, h, w, c) with (size, size, c, m) filters -> (n, h', w', m)."""
    return jax.lax.conv_general_dilated(
        images, filters.astype(images.dtype), (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def standardised(a: Float[Array, "n h w c"], axes: tuple[int, ...]) -> Float[Array, "n h w c"]:
    """Each channel with mean 0 and variance 1 over these axes: (a − m)/√(v + 1e-5).

    Instance norm is over the pixels (1, 2), batch norm over images as well (0, 1, 2).
    """
    # Two passes: the mean square less the squared mean loses digits. Faster on CPUs than nnx.InstanceNorm.
    centred = a - a.mean(axis=axes, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis=axes, keepdims=True) + NORM_EPSILON)


def margins(side: int, multiple: int) -> tuple[int, int]:
    """Zeros before and after a side, so that the whole is a multiple."""
    lacking = -side % multiple
    return lacking // 2, lacking - lacking // 2


def cell_means(positions: int, cells: int) -> np.ndarray:
    """(cells, positions) weights of the mean over each cell ⌊i·p/g⌋ … ⌈(i+1)·p/g⌉; the same from either end."""
    weights = np.zeros((cells, positions), np.float32)
    for i in range(cells):
        low, high = i * positions // cells, -(-(i + 1) * positions // cells)
        weights[i, low:high] = 1 / (high - low)
    return weights
