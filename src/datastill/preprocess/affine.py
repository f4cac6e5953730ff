"""Invertible affine maps of rows: standardise, and regularised ZCA whitening."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float

BATCH = 1024
SINGLE = 1e18
"""The largest number that float32 holds the square of, about; and the smallest, turned over."""
SMALL = 1e-140
"""A range of numbers whose squares float64 does not hold."""


class Ranges(NamedTuple):
    """Mean, standard deviation, least and greatest value, per channel of images or per column of vectors, float64."""

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """Where nothing varies: a constant column keeps a spread of a few ulp of its value, which is rounding."""
        return np.asarray(self.std <= 64 * np.finfo(np.float64).eps * np.maximum(np.abs(self.mean), 1e-300))

    def check_single(self) -> None:
        """InputError where float32 does not tell the numbers of a column apart, or does not hold their squares."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        lost = ~self.constant & (self.std < np.maximum(np.finfo(np.float32).eps * largest, 1 / SINGLE))
        lost |= largest > SINGLE
        if lost.any():
            place = int(np.argmax(lost))
            raise InputError(
                f"Got numbers around {self.mean.flat[place]:.6g} that differ by {self.std.flat[place]:.1g}, in column "
                f"or channel {place}, which is more than float32 holds; expected numbers of a size near 1; try "
                'preprocess="standardise".'
            )

    @classmethod
    def of(cls, x: np.ndarray) -> "Ranges":
        """Compute those of (n, d) vectors by column, or of (n, h, w[, c]) images by channel, a few rows at a time."""
        found = cls._in_units(x, 1.0)
        spread = found.high - found.low
        small = (spread > 0) & (spread < SMALL)
        return cls._in_units(x, np.where(small, spread, 1.0)) if small.any() else found

    @classmethod
    def _in_units(cls, x: np.ndarray, unit: np.ndarray | float) -> "Ranges":
        """Compute `of` with squares in these units, in which they are not too small for float64."""
        shift = x[0].astype(np.float64)
        total, square = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
        low, high = shift, shift
        for start in range(0, len(x), BATCH):
            rows = x[start : start + BATCH].astype(np.float64, order="C")
            low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
            rows -= shift
            rows /= unit
            total += rows.sum(axis=0)
            square += np.einsum("n...,n...->...", rows, rows)
        # Per coordinate first, shifted by the first row against cancellation; then pooled over the pixels.
        mean = total / len(x)
        variance = np.maximum(square / len(x) - mean**2, 0)
        mean = shift / unit + mean
        axes = () if x.ndim == 2 else (0, 1)
        pooled = mean.mean(axis=axes)
        spread = (variance + (mean - pooled) ** 2).mean(axis=axes)
        found = (pooled * unit, np.sqrt(spread) * unit, low.min(axis=axes), high.max(axis=axes))
        return cls(*(np.asarray(values) for values in found))


@dataclass(frozen=True, eq=False)
class Standardise:
    """z = (x − mean) / scale, with the moments per channel of images or per column of vectors.

    Attributes:
        mean: broadcasts against a row.
        scale: the same shape; 1 where the data is constant.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, ranges: "Ranges") -> "Standardise":
        """The moments of the training rows."""
        return cls(ranges.mean, np.where(ranges.constant, 1.0, ranges.std))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x in the user's units -> z, float32."""
        z = np.empty(x.shape, np.float32)
        for start in range(0, len(x), BATCH):
            z[start : start + BATCH] = (x[start : start + BATCH] - self.mean) / self.scale
        return z

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """z -> x in the user's units, float64."""
        return np.asarray(z, np.float64) * self.scale + self.mean


@dataclass(frozen=True, eq=False)
class Whiten:
    """Regularised ZCA: x ↦ x W with W = (C + 0.1·tr(C)/d · I)^(−1/2), C = XᵀX/n the uncentred covariance.

    With `unit_norm`, each image first loses its mean and is divided by its Euclidean norm; `inverse` then gives
    the image up to that mean and norm.

    Attributes:
        matrix: (d, d) W.
        inverse_matrix: (d, d) W⁻¹.
        unit_norm: whether each row is first centred and scaled to norm 1.

    Source: Nguyen et al. (2021), arXiv:2107.13034, section 4 and its released code (reg 0.1, unit norm);
    Shankar et al. (2020), arXiv:2003.02237 (regularised ZCA).
    """

    matrix: Float[np.ndarray, "d d"]
    inverse_matrix: Float[np.ndarray, "d d"]
    unit_norm: bool = False

    @classmethod
    def fit(cls, z: np.ndarray, reg: float = 0.1, unit_norm: bool = False) -> "Whiten":
        """From standardised images (n, …); reg is a fraction of the mean eigenvalue of C."""
        rows = z.reshape(len(z), -1)
        covariance = np.zeros((rows.shape[1],) * 2)
        for start in range(0, len(rows), 10_000):
            block = rows[start : start + 10_000]
            block = np.asarray(_unit_norm(jnp.asarray(block))) if unit_norm else block
            covariance += block.T @ block
        covariance /= len(rows)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        shifted = eigenvalues + reg * np.trace(covariance) / len(covariance)
        floor = np.finfo(np.float64).eps * shifted[-1] or 1.0  # equal images have no directions: they stay as they are
        root = np.maximum(shifted, floor) ** 0.5
        matrix, inverse = ((vectors * scale) @ vectors.T for scale in (1 / root, root))
        return cls(matrix.astype(np.float32), inverse.astype(np.float32), unit_norm)

    def forward(self, z: Float[Array, "n *d"]) -> Float[Array, "n *d"]:
        """Whitened rows, in the shape they came in; differentiable."""
        rows = _flat(z)
        rows = _unit_norm(rows) if self.unit_norm else rows
        return (rows @ jnp.asarray(self.matrix, rows.dtype)).reshape(z.shape)

    def inverse(self, x: Array) -> Array:
        """The rows that `forward` maps to `x` (with unit_norm: up to each row's mean and norm); differentiable."""
        return (_flat(x) @ self.inverse_matrix).reshape(x.shape)


def _flat(z: Float[Array, "n *d"]) -> Float[Array, "n d"]:
    """Each row as a vector; of no rows as well."""
    return z.reshape(len(z), math.prod(z.shape[1:]))


@jax.jit
def _unit_norm(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    squares = jnp.sum(centred**2, axis=1, keepdims=True)
    return centred / jnp.sqrt(jnp.where(squares > 0, squares, 1))
