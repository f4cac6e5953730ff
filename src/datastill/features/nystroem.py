"""Features of an infinite kernel from rows of the data: its projection onto what they span."""

from dataclasses import dataclass, replace
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from scipy.linalg import cholesky, solve_triangular

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.features.base import FeatureMap, Weights
from datastill.features.numbers import uniforms
from datastill.features.values import Values
from datastill.kernels.base import Kernel
from datastill.kernels.dense import FullyConnected

JITTER = 1e-5  # of the mean of the landmarks' diagonal, added to it: float32 products carry no less
STRIPS = 8  # of a triangular matrix, in a product with it: 9/16 of the work of the full one


@dataclass(frozen=True, eq=False, repr=False)
class Landmarks(Values):
    """Rows that a kernel is projected onto. Landmarks of equal values are equal.

    Attributes:
        rows: (m, …) float32.
    """

    rows: Float[np.ndarray, "m *row"]


@dataclass(frozen=True)
class Nystroem(FeatureMap):
    """Features whose inner products are a kernel's, projected onto m rows of the data.

    With landmarks z₁ … z_m and R R' = K_zz + 1e-5 · tr K_zz/m · I (Cholesky),

        φ(x) = R⁻¹ k(z, x)        φ(x)·φ(x') = k(x, z) (K_zz + …)⁻¹ k(z, x')

    which is k itself on the landmarks (to the jitter), and never more than k: k(x, x) − φ(x)·φ(x) is what of x no
    combination of landmarks can say. F = m.

    The landmarks come from rows: `resolve` the map first. The state of the map holds them as they are, rows of data.

    Args:
        landmarks: m.
        kernel: k; the default is the infinite ReLU network of one hidden layer.
        seed: of the choice of rows; on another map they are evenly spaced, and the seed gives their order alone.
        chosen: what `resolve` found.

    Source: Williams and Seeger (2001), "Using the Nyström method to speed up kernel machines"; against random features:
    Yang et al. (2012), "Nyström method vs random Fourier features".
    """

    landmarks: int = 2048
    kernel: Kernel = FullyConnected(kind="nngp")
    seed: int = 0
    chosen: Landmarks | None = None

    def __post_init__(self) -> None:
        if self.landmarks < 1:
            raise InputError(f"Got landmarks={self.landmarks}; expected 1 or more.")

    @property
    def wanted(self) -> int:
        """See `FeatureMap.wanted`."""
        return self.landmarks

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        return self.landmarks

    def draw(self, row: tuple[int, ...]) -> Weights:
        """The landmarks and R⁻¹': nothing is drawn once they are there."""
        if self.chosen is None:
            raise InputError("Got Nystroem without landmarks; expected rows; try .resolve(x) first.")
        rows = self.chosen.rows
        if rows.shape[1:] != tuple(row):
            raise InputError(f"Got rows of shape {row} for landmarks of shape {rows.shape[1:]}; expected one shape.")
        gram = np.array(self.kernel(rows.astype(np.float64)))
        gram[np.diag_indices_from(gram)] += JITTER * np.trace(gram) / len(gram)
        root = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        inverse = solve_triangular(root, np.eye(len(gram)), lower=True, overwrite_b=True, check_finite=False)
        return rows, np.asarray(inverse.T, np.float32, order="C")

    def formula(self) -> "Nystroem":
        """See `FeatureMap.formula`."""
        return replace(self, seed=0, chosen=None)

    def block(self, weights: Weights, x: Float[Array, "n *row"]) -> Float[Array, "n f"]:
        """See `FeatureMap.block`."""
        rows, inverse = (w.astype(x.dtype) for w in weights)
        return _times_upper(self.kernel.block(x, rows), inverse)

    def resolve(self, x: np.ndarray) -> "Nystroem":
        """With landmarks from the rows `x`, drawn without replacement, and the kernel's settings from them."""
        if self.chosen is not None:
            return self
        if len(x) < self.landmarks:
            raise InputError(
                f"Got {len(x):,} rows to choose {self.landmarks:,} landmarks from; expected as many or more; try fewer "
                "landmarks, or more rows."
            )
        order = np.argsort(uniforms(self.seed, "nystroem.rows", (len(x),)), kind="stable")
        return replace(
            self, kernel=self.kernel.resolve(x), chosen=Landmarks(np.asarray(x[order[: self.landmarks]], np.float32))
        )


def _times_upper(a: Float[Array, "n m"], upper: Float[Array, "m m"]) -> Float[Array, "n m"]:
    """The product with an upper triangular matrix, whose zeros are left out a strip of columns at a time."""
    m = len(upper)
    edges = [round(m * i / STRIPS) for i in range(STRIPS + 1)]
    strips = [a[:, :end] @ upper[:end, start:end] for start, end in pairwise(edges) if end > start]
    return jnp.concatenate(strips, axis=1)
