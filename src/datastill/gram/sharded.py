"""Spread the rows of a Gram block over devices; one device is the trivial case."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from datastill._typing import Array
from datastill.kernels.base import Kernel


def sharded(kernel: Kernel, devices: int | None = None) -> Kernel:
    """The same kernel, its longer side split evenly over the first `devices` devices (all, when left out).

    Compose as `sharded(tiled(kernel))`: each device then works in tiles.
    """
    available = len(jax.devices())
    return Sharded(kernel, min(devices or available, available))


@dataclass(frozen=True)
class Sharded(Kernel):
    """See `sharded`."""

    kernel: Kernel
    devices: int

    def block(self, x1: Array, x2: Array) -> Array:
        """See `Kernel.block`."""
        if len(x1) < len(x2):
            return self.block(x2, x1).T
        short = -len(x1) % self.devices
        rows = jnp.concatenate([x1, jnp.broadcast_to(x1[:1], (short, *x1.shape[1:]))]) if short else x1
        mesh = Mesh(jax.devices()[: self.devices], ("rows",))
        split, whole = PartitionSpec("rows"), PartitionSpec()
        block = jax.shard_map(self.kernel.block, mesh=mesh, in_specs=(split, whole), out_specs=split)
        return block(rows, x2)[: len(x1)]

    def self_block(self, x: Array) -> Array:
        """See `Kernel.self_block`."""
        return self.kernel.self_block(x)

    def resolve(self, x: np.ndarray) -> "Sharded":
        """See `Kernel.resolve`."""
        return Sharded(self.kernel.resolve(x), self.devices)

    def embedded(self, d: int, width: int) -> "Sharded | None":
        """See `Kernel.embedded`."""
        inner = self.kernel.embedded(d, width)
        return None if inner is None else Sharded(inner, self.devices)
