"""Random fully connected ReLU networks: finite NNGP and NTK features of any depth."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.features.base import FeatureMap, Weights
from datastill.features.numbers import normals
from datastill.kernels.base import flat


@dataclass(frozen=True)
class RandomDense(FeatureMap):
    """Features of a random ReLU network with `depth` hidden layers of m units.

    With a⁰ = x, w = w_std, b = b_std, and every entry of W, β and R standard normal, layer l of fan-in k maps

        h = w/√k · W a + b β        a ← max(h, 0)

    kind "nngp" is σ = [w/√m · a, b] of the last layer. kind "ntk" is θ of the last layer, from θ⁰ = [w/√d · x, b] by

        θ ← [w/√m · a, b, w/√m · (h > 0) ⊙ R θ]

    whose three parts give the terms of Θ ← Σ + w² E[φ'(u)φ'(v)] Θ; R stands in for the tensor product. Inner products
    are within O(1/√m) of the infinite network's kernel, `FullyConnected` with the same settings. F = m + 1, or 2m + 1.

    Images are flattened. The derivative of the NTK's features in x is that of their smooth pieces: (h > 0) jumps, and
    its jumps, which the infinite kernel's derivative has averages of, are left out.

    Args:
        width: m.
        depth: hidden layers, 0 or more; without any, the features are those of a linear map.
        w_std: standard deviation of the weights, times the root of the fan-in.
        b_std: standard deviation of the biases.
        kind: "nngp" or "ntk".
        seed: of the network.

    Source: Cho and Saul (2009); Lee et al. (2018), arXiv:1711.00165; products of features in place of gradients:
    Zandieh et al. (2021), arXiv:2104.01351, with random signs' Gaussian counterpart for the sketch.
    """

    width: int = 1024
    depth: int = 1
    w_std: float = 2**0.5
    b_std: float = 0.1
    kind: str = "nngp"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 0:
            raise InputError(f"Got width={self.width}, depth={self.depth}; expected width 1 or more, depth 0 or more.")
        if self.kind not in ("ntk", "nngp"):
            raise InputError(f'Got kind={self.kind!r}; expected "nngp" or "ntk".')
        if not (self.w_std > 0 and self.b_std >= 0):
            raise InputError(f"Got w_std={self.w_std}, b_std={self.b_std}; expected w_std above 0 and b_std 0 or more.")

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        if self.depth == 0:
            return int(np.prod(row)) + 1
        return (1 + (self.kind == "ntk")) * self.width + 1

    def draw(self, row: tuple[int, ...]) -> Weights:
        """(W, β, R) for each layer: (m, k), (m,) and, for the NTK, (m, columns of θ)."""
        fan_in, theta, layers = int(np.prod(row)), int(np.prod(row)) + 1, []
        for layer in range(1, self.depth + 1):
            matrix = normals(self.seed, f"dense.{layer}.weights", (self.width, fan_in))
            layers.append([matrix, normals(self.seed, f"dense.{layer}.biases", (self.width,))])
            if self.kind == "ntk":
                layers[-1].append(normals(self.seed, f"dense.{layer}.sketch", (self.width, theta)))
            fan_in, theta = self.width, 2 * self.width + 1
        return layers

    def formula(self) -> "RandomDense":
        """See `FeatureMap.formula`."""
        return replace(self, seed=0)

    def block(self, weights: Weights, x: Float[Array, "n *d"]) -> Float[Array, "n f"]:
        """See `FeatureMap.block`."""
        a = flat(x)
        bias = jnp.full((len(x), 1), self.b_std, x.dtype)
        theta = jnp.concatenate([self.w_std / a.shape[1] ** 0.5 * a, bias], axis=1)
        for matrix, shift, *sketch in weights:
            h = self.w_std / a.shape[1] ** 0.5 * a @ matrix.T.astype(x.dtype) + self.b_std * shift.astype(x.dtype)
            a = jnp.maximum(h, 0)
            scale = self.w_std / self.width**0.5
            parts = [scale * a, bias]
            if sketch:
                parts.append(scale * jnp.where(h > 0, theta @ sketch[0].T.astype(x.dtype), 0))
            theta = jnp.concatenate(parts, axis=1)
        return theta
