"""The kernel of a feature map: inner products of its features."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from datastill._typing import Array
from datastill.features.base import FeatureMap, drawn
from datastill.kernels.base import Kernel


def kernel_of(map: FeatureMap) -> Kernel:
    """k(x, x') = φ(x)·φ(x'), a kernel like any other."""
    return FeatureKernel(map)


@dataclass(frozen=True)
class FeatureKernel(Kernel):
    """See `kernel_of`."""

    map: FeatureMap

    def block(self, x1: Array, x2: Array) -> Array:
        """See `Kernel.block`."""
        return self._features(x1) @ self._features(x2).T

    def self_block(self, x: Array) -> Array:
        """See `Kernel.self_block`."""
        return jnp.sum(self._features(x) ** 2, axis=1)

    def resolve(self, x: np.ndarray) -> "FeatureKernel":
        """See `Kernel.resolve`."""
        return FeatureKernel(self.map.resolve(x))

    def _features(self, x: Array) -> Array:
        return self.map.block(drawn(self.map, x.shape[1:]), x)
