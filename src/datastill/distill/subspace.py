"""Learning in the span of the data's principal components, without approximating the kernel.

A kernel of inner products (or distances) does not change when rows are rotated. Support rows in the span of r
components have inner products with the targets that only the targets' r coordinates enter, and a target's norm is kept
by one more coordinate, the norm of what the span leaves out. So with

    target x  ->  (xU, √(‖x‖² − ‖xU‖²))        support cUᵀ  ->  (c, 0)

the Gram block of (r + 1)-dimensional rows is that of the d-dimensional ones, at r/d of the cost.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from sklearn.utils.extmath import randomized_svd

from datastill._typing import Array, ArrayLike, Float

FIT_ROWS = 5_000
BATCH = 4096


@dataclass(frozen=True, eq=False)
class Subspace:
    """The span of the columns of an orthonormal basis.

    Attributes:
        basis: (d, r) U.
        row_shape: of the rows it was fitted to.
    """

    basis: Float[np.ndarray, "d r"]
    row_shape: tuple[int, ...]

    @property
    def stretch(self) -> float:
        """Return the factor of the rows with which kernels of x·x'/d keep their value on r + 1 columns."""
        d, r = self.basis.shape
        return float(((r + 1) / d) ** 0.5)

    @classmethod
    def fit(cls, x: np.ndarray, components: int, seed: int) -> "Subspace":
        """The first principal directions (uncentred) of at most 5,000 evenly spaced rows (n, …)."""
        rows = x[:: -(-len(x) // FIT_ROWS)].reshape(-1, int(np.prod(x.shape[1:])))
        _, _, directions = randomized_svd(rows, components, n_iter=1, random_state=seed)
        return cls(np.ascontiguousarray(directions.T), x.shape[1:])

    def targets(self, x: np.ndarray) -> Float[np.ndarray, "n r1"]:
        """(n, …) rows -> (n, r + 1): coordinates in the span, and the norm outside it."""
        parts = []
        for start in range(0, len(x), BATCH):
            rows = x[start : start + BATCH].reshape(-1, len(self.basis))
            inside = rows @ self.basis
            lost = _squares(rows) - _squares(inside)
            outside = np.sqrt(np.maximum(lost, 0)).astype(rows.dtype)
            parts.append(np.column_stack([inside, outside]) * np.float32(self.stretch))
        return np.concatenate(parts)

    def coordinates(self, x: np.ndarray) -> Float[np.ndarray, "s r"]:
        """(s, …) rows -> (s, r) coordinates of their projections."""
        return x.reshape(len(x), -1) @ self.basis

    def rows(self, coordinates: ArrayLike) -> Array:
        """(s, r) coordinates -> (s, …) rows in the span."""
        return jnp.asarray(coordinates @ self.basis.T).reshape(len(coordinates), *self.row_shape)

    def support(self, coordinates: Float[Array, "s r"]) -> Float[Array, "s r1"]:
        """(s, r) coordinates -> (s, r + 1), the support as `targets` sees targets; differentiable."""
        return jnp.pad(coordinates, ((0, 0), (0, 1))) * self.stretch


def _squares(rows: np.ndarray) -> Float[np.ndarray, " n"]:
    """‖row‖² in float64, since the difference of two of them is wanted."""
    return np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
