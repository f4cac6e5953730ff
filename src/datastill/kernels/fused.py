"""The first activation of a convolutional network's kernel on a GPU, pixel pairs kept on chip.

One program takes a square of pixel pairs (p, q), all k × k places of each: inner products of patches, f and f' of
`kernels.dual`, and their sums over places stay in registers, and only the sums, 1/k² as many, are written. Where
pooling follows the first convolution (k = 4) what is written is the smallest part of the work. `maps.plain_first` is
the same in plain array operations: the reference, and what runs wherever this cannot.
"""

from functools import partial

import jax
import jax.numpy as jnp

from datastill._typing import Array
from datastill.kernels.dual import ACTIVATIONS, Dual

SIDE = 64
"""Pixels on each side of a program's square."""
LEAST_WIDTH = 16
"""Numbers in a patch that a product needs on the chip's matrix units."""
MOST_WIDTH = 256
"""Numbers in a patch of which two squares' fit on chip: 28 channels."""
LEAST_CAPABILITY = 8.0
"""CUDA's compute capability that the compiler asks for."""


def serves(dual: Dual, dtype: jnp.dtype, d: int) -> bool:
    """Whether this machine's default device and these numbers can have it, patches of d numbers among them.

    It is made for float32 and ReLU on a recent NVIDIA GPU.
    """
    if jax.default_backend() != "gpu" or dtype != jnp.float32 or dual is not ACTIVATIONS["relu"] or d > MOST_WIDTH:
        return False
    try:
        from jax.experimental.pallas import triton  # noqa: F401  # what JAX has under experimental may move

        return float(jax.devices()[0].compute_capability) >= LEAST_CAPABILITY
    except (ImportError, AttributeError, ValueError):  # or a GPU of another maker
        return False


def first(
    dual: Dual, ntk: bool, p: Array, size1: Array, q: Array, size2: Array, interpret: bool = False
) -> tuple[Array, ...]:
    """As `maps.first`, with its shapes; `interpret` runs it without a GPU, slowly, for tests."""
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    k, h, w, d = p.shape
    width = max(LEAST_WIDTH, 1 << (d - 1).bit_length())
    rows, columns = (_padded(a.reshape(k, -1, d), width) for a in (p, q))
    of_rows, of_columns = (_padded(a.reshape(k, -1)) for a in (size1, size2))
    shape = rows.shape[1], columns.shape[1]
    found = pallas.pallas_call(
        partial(_square, dual, k),
        out_shape=[jax.ShapeDtypeStruct(shape, p.dtype)] * (1 + ntk),
        grid=(shape[0] // SIDE, shape[1] // SIDE),
        in_specs=[
            pallas.BlockSpec((k, SIDE, width), lambda i, j: (0, i, 0)),
            pallas.BlockSpec((k, SIDE), lambda i, j: (0, i)),
            pallas.BlockSpec((k, SIDE, width), lambda i, j: (0, j, 0)),
            pallas.BlockSpec((k, SIDE), lambda i, j: (0, j)),
        ],
        out_specs=[pallas.BlockSpec((SIDE, SIDE), lambda i, j: (i, j))] * (1 + ntk),
        compiler_params=triton.CompilerParams(num_warps=8, num_stages=1),
        interpret=interpret,
        name="first_activation",
    )(rows, of_rows, columns, of_columns)
    return tuple(a[: h * w, : q.shape[1] * q.shape[2]].reshape(h, w, h, -1) for a in found)


def _square(dual: Dual, k: int, p, size1, q, size2, *out) -> None:  # type: ignore[no-untyped-def]  # references
    """One program: Σ over places of f(z) size size, and of f'(z) z size size."""
    from jax.experimental.pallas import triton

    totals = [jnp.zeros((SIDE, SIDE), jnp.float32) for _ in out]
    for i in range(k):
        for j in range(k):
            z = triton.dot(p[i], q[j], trans_b=True, precision=jax.lax.Precision.HIGHEST)
            f, slope = dual.pair(z)
            scale = size1[i][:, None] * size2[j][None, :]
            parts = (f * scale, slope * z * scale)
            totals = [total + part for total, part in zip(totals, parts, strict=False)]
    for reference, total in zip(out, totals, strict=True):
        reference[...] = total / k**2


def _padded(a: Array, width: int = 0) -> Array:
    """(k, n, …) with n a multiple of SIDE and, for patches, `width` numbers each; zeros are added."""
    frame = [(0, 0), (0, -a.shape[1] % SIDE)]
    return jnp.pad(a, frame + ([(0, width - a.shape[2])] if width else []))
