"""Spread the rows of a Gram block over devices; one device is the trivial case."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from datastill._typing import Array
from datastill._validate import check_between
from datastill.kernels.base import Kernel, Wrapper


def sharded(kernel: Kernel, devices: int | None = None) -> Kernel:
    """The same kernel, its longer side split evenly over the first `devices` devices (all there are, when left out).

    Compose as `sharded(tiled(kernel))`: each device then works in tiles. With several processes (`jax.distributed`)
    the devices of all take part, each process must call the same with the same rows, and each receives the whole block:
    of n₁ × n₂ numbers, a process of P computes n₁/P rows and receives the others; in a derivative it also receives the
    sums of the slopes of the shorter side, once.

    Raises:
        InputError: for fewer than one device.
    """
    if devices is not None:
        check_between("devices", devices, 1)
    return Sharded(kernel, devices)


@dataclass(frozen=True)
class Sharded(Wrapper):
    """See `sharded`."""

    devices: int | None = None

    def block(self, x1: Array, x2: Array) -> Array:
        """See `Kernel.block`."""
        if len(x1) < len(x2):
            return self.block(x2, x1).T
        mesh = Mesh(jax.devices()[: self.devices], ("rows",))
        short = -len(x1) % mesh.size
        rows = jnp.concatenate([x1, jnp.broadcast_to(x1[:1], (short, *x1.shape[1:]))]) if short else x1
        split, whole = PartitionSpec("rows"), PartitionSpec()
        # Unchecked: loops in a kernel begin with constants, which the check takes for equal on all devices.
        parts = jax.shard_map(self.kernel.block, mesh=mesh, in_specs=(split, whole), out_specs=split, check_vma=False)

        # No process can read rows that are elsewhere: a block, and the slopes of its rows, are whole in all of them.
        def everywhere(x: Array) -> Array:
            several = jax.process_count() > 1
            return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, whole)) if several else x

        return everywhere(parts(everywhere(rows), everywhere(x2)))[: len(x1)]
