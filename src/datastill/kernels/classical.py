"""The classical kernels: linear, polynomial and radial basis function."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.kernels.base import Kernel, flat
from datastill.preprocess.distances import median_square


@dataclass(frozen=True)
class Polynomial(Kernel):
    """k(x, x') = (x·x'/d + bias)^degree.

    Args:
        degree: 1 or more.
        bias: added before the power, 0 or more.
    """

    degree: int = 2
    bias: float = 1.0

    def __post_init__(self) -> None:
        if self.degree < 1 or self.bias < 0:
            raise InputError(
                f"Got degree={self.degree}, bias={self.bias}; expected degree 1 or more and bias 0 or more."
            )

    def block(self, x1: Float[Array, "n1 *d"], x2: Float[Array, "n2 *d"]) -> Float[Array, "n1 n2"]:
        """See `Kernel.block`."""
        x1, x2 = flat(x1), flat(x2)
        return (x1 @ x2.T / x1.shape[1] + self.bias) ** self.degree

    def self_block(self, x: Float[Array, "n *d"]) -> Float[Array, " n"]:
        """See `Kernel.self_block`."""
        x = flat(x)
        return (jnp.sum(x * x, axis=1) / x.shape[1] + self.bias) ** self.degree

    def embedded(self, d: int, width: int) -> "Polynomial":
        """See `Kernel.embedded`: only x·x'/d enters."""
        return self


@dataclass(frozen=True)
class Linear(Polynomial):
    """k(x, x') = x·x'/d + bias."""

    degree: int = 1


@dataclass(frozen=True)
class RBF(Kernel):
    """k(x, x') = exp(−‖x − x'‖² / (2 length_scale²)).

    Args:
        length_scale: in the units of the rows; None takes the median heuristic when the kernel meets data:
            half the median squared distance between distinct rows is length_scale² (Garreau et al., 2017,
            arXiv:1707.07269).
        factor: multiplies the median heuristic's length scale; used only with length_scale=None.
    """

    length_scale: float | None = None
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.length_scale is not None and not self.length_scale > 0:
            raise InputError(
                f"Got length_scale={self.length_scale}; expected a number above 0, or None for the median heuristic."
            )

    def block(self, x1: Float[Array, "n1 *d"], x2: Float[Array, "n2 *d"]) -> Float[Array, "n1 n2"]:
        """See `Kernel.block`."""
        if self.length_scale is None:
            raise InputError("Got RBF(length_scale=None); expected a number; try RBF().resolve(x) first.")
        x1, x2 = flat(x1), flat(x2)
        # Centring leaves distances alone and keeps the squares small, so less is cancelled below.
        centre = jnp.mean(x2, axis=0)
        x1, x2 = x1 - centre, x2 - centre
        norms = jnp.sum(x1 * x1, axis=1)[:, None] + jnp.sum(x2 * x2, axis=1)[None, :]
        square = norms - 2 * x1 @ x2.T
        # A square that rounding alone could leave is 0, so that k(x, x) is 1; its gradient is right and stays.
        noise = 16 * jnp.finfo(square.dtype).eps * norms
        square -= jax.lax.stop_gradient(jnp.where(square <= noise, square, 0))
        return jnp.exp(-square / (2 * self.length_scale**2))

    def self_block(self, x: Float[Array, "n *d"]) -> Float[Array, " n"]:
        """See `Kernel.self_block`."""
        return jnp.ones(len(x), x.dtype)

    def embedded(self, d: int, width: int) -> "RBF":
        """See `Kernel.embedded`: distances are scaled, so the length scale is."""
        return self if self.length_scale is None else replace(self, length_scale=self.length_scale * (width / d) ** 0.5)

    def resolve(self, x: np.ndarray) -> "RBF":
        """With the median heuristic's length scale, from at most 1,000 evenly spaced rows."""
        if self.length_scale is not None:
            return self
        return replace(self, length_scale=self.factor * (median_square(x) / 2) ** 0.5)
