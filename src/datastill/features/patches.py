"""Features from a dictionary of the data's own patches: one convolutional layer that is drawn, not trained."""

import math
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, ArrayLike, Float
from datastill.features.base import FeatureMap, Weights
from datastill.features.conv import by_image, cell_means, image_shape, with_channels
from datastill.features.dictionary import CONTRAST, Dictionary, sample_patches, words_of
from datastill.preprocess.affine import Ranges

THRESHOLD_IMAGES = 200
THRESHOLD_NUMBERS = 2**27  # responses, at most, that the threshold is found from
SCALE_IMAGES = 2000
LEAST_SPREAD = 0.1  # of the mean deviation, added to every feature's


@dataclass(frozen=True)
class PatchConv(FeatureMap):
    """Responses of K words, whitened patches of the data, pooled over a grid of g × g cells.

    For each patch p of an image, q = (p − mean p)/√(var p + 0.05), and for each word k

        r = word_k · W(q − mean q)        a = [max(r − t, 0), max(−r − t, 0)]

    with W the ZCA of patches and t a threshold. The features are the means of a over the cells, each standardised and
    divided by √(F − 1), and a constant 1. F = 2Kg² + 1. Cells that overlap reach into their neighbours: means are
    weighted by max(0, 1 − |distance from the middle|/side) along either axis, so that a part that moves a little
    changes them a little.

    Words, whitening, threshold and scales come from rows: `resolve` them first. They depend on the rows, and to
    rounding on the linear algebra of the machine; the state of the map holds them.

    Args:
        words: K.
        size: of a patch, in pixels.
        active: the fraction of responses above t, on each side.
        grid: g.
        overlap: whether cells overlap.
        mirrored: whether the features are means over the image and its mirror image, so that both are the same. The
            predictor that is best for rows and their mirror images is in the span of such features: half as many do.
        seed: of the patches.
        dictionary: what `resolve` found.

    Source: Coates, Lee and Ng (2011), "An analysis of single-layer networks in unsupervised feature learning";
    Coates and Ng (2011), "The importance of encoding versus training with sparse coding and vector quantization".
    """

    words: int = 512
    size: int = 6
    active: float = 0.35
    grid: int = 3
    overlap: bool = False
    mirrored: bool = False
    seed: int = 0
    dictionary: Dictionary | None = None

    def __post_init__(self) -> None:
        if min(self.words, self.grid) < 1 or self.size < 2 or not 0 < self.active < 0.5:
            raise InputError(
                f"Got words={self.words}, size={self.size}, active={self.active}, grid={self.grid}; expected words and "
                "grid 1 or more, size 2 or more, active above 0 and below 0.5."
            )

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        h, w, _ = image_shape(row)
        if min(h, w) - self.size + 1 < self.grid:
            raise InputError(
                f"Got images of {h}×{w} pixels for patches of {self.size}×{self.size} on a grid of {self.grid}; "
                "expected larger images; try a smaller size."
            )
        return 2 * self.words * self.grid**2 + 1

    def draw(self, row: tuple[int, ...]) -> Weights:
        """The dictionary's arrays; nothing is drawn once it is there."""
        if self.dictionary is None:
            raise InputError("Got PatchConv without a dictionary; expected one; try .resolve(x) first.")
        if self.dictionary.filters.shape[2] != image_shape(row)[2]:
            raise InputError(
                f"Got rows of shape {row} for a dictionary of {self.dictionary.filters.shape[2]} channels; "
                "expected images like those it was made from."
            )
        found = self.dictionary
        return found.filters, found.offsets, np.asarray(found.threshold, np.float32), found.mean, found.scale

    def formula(self) -> "PatchConv":
        """See `FeatureMap.formula`."""
        return replace(self, seed=0, dictionary=None)

    def block(self, weights: Weights, x: Float[Array, "n *hwc"]) -> Float[Array, "n f"]:
        """See `FeatureMap.block`."""
        filters, offsets, threshold, mean, scale = (w.astype(x.dtype) for w in weights)
        pooled = self._pooled(filters, offsets, threshold, x)
        standard = (pooled - mean) / (scale * pooled.shape[1] ** 0.5)
        return jnp.concatenate([standard, jnp.ones((len(x), 1), x.dtype)], axis=1)

    def resolve(self, x: np.ndarray) -> "PatchConv":
        """With a dictionary of patches of the images `x`; they should be standardised."""
        if self.dictionary is not None:
            return self
        self.columns(x.shape[1:])
        images = x[..., None] if x.ndim == 3 else x
        patches = sample_patches(images, self.size, self.seed)
        filters, offsets = words_of(patches, self.words, images.shape[3])
        places = math.prod(_places(images.shape[1:], self.size))
        wanted = max(min(THRESHOLD_IMAGES, THRESHOLD_NUMBERS // (places * self.words)), 1)
        some = jnp.asarray(images[:: -(-len(images) // wanted)], jnp.float32)
        responses = np.asarray(by_image(lambda a: _responses(filters, offsets, a), some))
        both = np.concatenate([responses.ravel(), -responses.ravel()])
        threshold = np.asarray(np.quantile(both, 1 - self.active), np.float32)
        some = jnp.asarray(images[:: -(-len(images) // SCALE_IMAGES)], jnp.float32)
        ranges = Ranges.of(np.asarray(self._pooled(filters, offsets, threshold, some)))
        mean, spread = ranges.mean, ranges.std
        scale = spread + LEAST_SPREAD * spread.mean() if spread.any() else np.ones_like(spread)
        found = Dictionary(filters, offsets, float(threshold), mean.astype(np.float32), scale.astype(np.float32))
        return replace(self, dictionary=found)

    def _pooled(self, filters: ArrayLike, offsets: ArrayLike, threshold: ArrayLike, x: Array) -> Array:
        """(n, 2Kg²) means of the two-sided responses over the cells: row, column, side, word."""

        def of(image: Array) -> Array:
            r = _responses(filters, offsets, image)
            means = jnp.asarray(_grid_means(*_places(image.shape, self.size), self.grid, self.overlap), r.dtype)
            sides = [means @ jnp.maximum(side * r - threshold, 0) for side in (1, -1)]
            return jnp.stack(sides, axis=1).ravel()

        # The backward pass computes the responses again: they are in cache, and kept they would not be.
        @jax.checkpoint
        def features(image: Array) -> Array:
            return (of(image) + of(image[:, ::-1])) / 2 if self.mirrored else of(image)

        return by_image(features, with_channels(x))


def _responses(filters: ArrayLike, offsets: ArrayLike, image: Array) -> Array:
    """(places, K) r of every patch of one image, row by row. The filters sum to zero, so no mean is subtracted."""
    size, _, channels, words = filters.shape
    height, width = _places(image.shape, size)
    shifted = [image[i : i + height, j : j + width] for i in range(size) for j in range(size)]
    patches = jnp.stack(shifted, axis=2).reshape(height * width, size * size * channels)
    mean = patches.mean(axis=1, keepdims=True)
    variance = jnp.maximum(jnp.mean(patches**2, axis=1, keepdims=True) - mean**2, 0)
    return patches / jnp.sqrt(variance + CONTRAST) @ jnp.asarray(filters).reshape(-1, words) - offsets


def _places(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Rows and columns of places for a patch in an image."""
    return shape[0] - size + 1, shape[1] - size + 1


def _grid_means(height: int, width: int, grid: int, overlap: bool) -> np.ndarray:
    """(g², places) weights of the means over the cells of a grid, row by row."""
    means = _overlapping_means if overlap else cell_means
    rows, columns = means(height, grid), means(width, grid)
    return np.einsum("ip,jq->ijpq", rows, columns).reshape(grid**2, height * width)


def _overlapping_means(length: int, cells: int) -> np.ndarray:
    """(cells, length) weights of means that fall linearly from the middle of a cell to those of its neighbours."""
    side = length / cells
    middles = side * (np.arange(cells) + 0.5) - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(length) - middles[:, None]) / side)
    return weights / weights.sum(axis=1, keepdims=True)
