"""NNGP and NTK of infinitely wide fully connected networks, by recursion over the layers."""

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.kernels.base import Kernel, flat
from datastill.kernels.dual import ACTIVATIONS
from datastill.kernels.network import check_settings
from datastill.kernels.tiles import over_tiles

SIDE = 512
"""Rows and columns of a tile on a CPU."""
DEVICE_SIDE = 2**14
"""The same on other devices."""
UNROLLED = 3
"""Layers that are compiled together; those beyond are the rounds of a loop."""

State: TypeAlias = tuple[Array, Array, Array, Array | None]
"""Σ of the rows, of the others and of the pairs, and Θ of the pairs, where it is wanted."""


@dataclass(frozen=True)
class FullyConnected(Kernel):
    """The kernel of a fully connected network with `depth` hidden layers and one linear output.

    With Σ⁰ = w² x·x'/d + b² and Θ⁰ = Σ⁰, each hidden layer maps

        Σ ← w² E[φ(u)φ(v)] + b²        Θ ← Σ + w² E[φ'(u)φ'(v)] Θ        (u, v) ~ N(0, Σ_old)

    where w = w_std and b = b_std. kind "nngp" is Σ, kind "ntk" is Θ ("ntk" parameterisation). Images are flattened.

    Args:
        depth: hidden layers, 0 or more.
        activation: "relu" or "erf".
        w_std: standard deviation of the weights, times the root of the fan-in.
        b_std: standard deviation of the biases.
        kind: "ntk" or "nngp".

    Source: Lee et al. (2018), arXiv:1711.00165, eq. (5); Jacot et al. (2018), arXiv:1806.07572, theorem 1.
    """

    depth: int = 1
    activation: str = "relu"
    w_std: float = 2**0.5
    b_std: float = 0.1
    kind: str = "ntk"

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise InputError(f"Got depth={self.depth}; expected 0 or more hidden layers; try depth=1.")
        check_settings(self.activation, self.kind, self.w_std, self.b_std)

    def block(self, x1: Float[Array, "n1 *d"], x2: Float[Array, "n2 *d"]) -> Float[Array, "n1 n2"]:
        """See `Kernel.block`."""

        def tile(a: Array, b: Array) -> Array:
            return self._layers(_mean_square(a)[:, None], _mean_square(b)[None, :], a @ b.T / a.shape[1])

        return over_tiles(tile, flat(x1), flat(x2), SIDE if jax.default_backend() == "cpu" else DEVICE_SIDE)

    def self_block(self, x: Float[Array, "n *d"]) -> Float[Array, " n"]:
        """See `Kernel.self_block`."""
        square = _mean_square(flat(x))
        return self._layers(square, square, square)

    def embedded(self, d: int, width: int) -> "FullyConnected":
        """See `Kernel.embedded`: only x·x'/d enters."""
        return self

    def _layers(self, k11: Array, k22: Array, k12: Array) -> Array:
        """The recursion, from the input's second moments to the output's Σ or Θ."""
        dual = ACTIVATIONS[self.activation]
        w2, b2 = self.w_std**2, self.b_std**2

        def layer(state: State, _: None = None) -> tuple[State, None]:
            k11, k22, k12, ntk = state
            phi12, slope12 = dual(k11, k22, k12)
            k11, k22, k12 = (w2 * k + b2 for k in (dual(k11, k11, k11)[0], dual(k22, k22, k22)[0], phi12))
            return (k11, k22, k12, None if ntk is None else k12 + w2 * slope12 * ntk), None

        k11, k22, k12 = (w2 * k + b2 for k in (k11, k22, k12))
        state: State = (k11, k22, k12, k12 if self.kind == "ntk" else None)
        for _ in range(min(self.depth, UNROLLED)):
            state, _ = layer(state)
        if self.depth > UNROLLED:  # compiled once: compiling a long chain of layers takes longer than its square
            state, _ = jax.lax.scan(layer, state, None, self.depth - UNROLLED)
        _, _, nngp, ntk = state
        return nngp if ntk is None else ntk


def _mean_square(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    return jnp.sum(x * x, axis=1) / x.shape[1]
