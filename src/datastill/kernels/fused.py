"""The first activation of a convolutional network's kernel on a GPU, pixel pairs kept on chip.

One program takes a square of pixel pairs (p, q), all k × k places of each: inner products of patches, f and f' of
`kernels.dual`, and their sums over places stay in registers, and only the sums, 1/k² as many, are written. Where
pooling follows the first convolution (k = 4) what is written is the smallest part of the work. The backward pass takes
the same squares, recomputes the inner products, and writes what each square adds to the derivatives of its pixels.
`maps.plain_first` and `maps.plain_first_backward` are the same in plain array operations: the reference, and what runs
wherever this cannot.
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
"""Numbers in a patch of which two squares' fit on chip: 28 channels; backwards, in the patches of all places."""
LEAST_CAPABILITY = 8.0
"""CUDA's compute capability that the compiler asks for."""


def serves(dual: Dual, dtype: jnp.dtype, d: int) -> bool:
    """Return whether the default device supports the fused kernel for these numbers and patches of d numbers.

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
    """Compute `maps.first`, with its shapes; `interpret` runs it without a GPU, slowly, for tests."""
    from jax.experimental import pallas

    k, h, w, _ = p.shape
    inputs, specs = _sides(p, size1, q, size2)
    shape = inputs[1].shape[1], inputs[3].shape[1]
    found = _call(
        partial(_square, dual, k),
        [jax.ShapeDtypeStruct(shape, p.dtype)] * (1 + ntk),
        specs,
        [pallas.BlockSpec((SIDE, SIDE), lambda i, j: (i, j))] * (1 + ntk),
        interpret,
        inputs,
    )
    return tuple(a[: h * w, : q.shape[1] * q.shape[2]].reshape(h, w, h, -1) for a in found)


def first_backward(
    dual: Dual,
    inputs: tuple[Array, ...],
    slopes: tuple[Array, ...],
    interpret: bool = False,
) -> tuple[Array, ...]:
    """Compute `maps.plain_first_backward`: derivatives in p, size1, q and size2 from those in `first`'s outputs."""
    from jax.experimental import pallas

    p, size1, q, size2 = inputs
    k, h, w, d = p.shape
    sides, specs = _sides(p, size1, q, size2)
    rows, columns, width = sides[1].shape[1], sides[3].shape[1], sides[0].shape[2]
    frame = [(0, rows - h * w), (0, columns - q.shape[1] * q.shape[2])]
    above = [jnp.pad(a.reshape(h * w, -1) / k**2, frame) for a in slopes]
    along, across = columns // SIDE, rows // SIDE  # squares whose parts a row, a column, is the sum of
    parts = [(along, k, rows, width), (along, k, rows), (across, k, columns, width), (across, k, columns)]
    of_u1, rest1, of_u2, rest2 = _call(
        partial(_square_backward, dual, k, len(slopes)),
        [jax.ShapeDtypeStruct(shape, p.dtype) for shape in parts],
        [*specs, *[pallas.BlockSpec((SIDE, SIDE), lambda i, j: (i, j))] * len(slopes)],
        [
            pallas.BlockSpec((None, k, SIDE, width), lambda i, j: (j, 0, i, 0)),
            pallas.BlockSpec((None, k, SIDE), lambda i, j: (j, 0, i)),
            pallas.BlockSpec((None, k, SIDE, width), lambda i, j: (i, 0, j, 0)),
            pallas.BlockSpec((None, k, SIDE), lambda i, j: (i, 0, j)),
        ],
        interpret,
        [*sides, *above],
    )

    def side(u: Array, size: Array, of_u: Array, rest: Array) -> tuple[Array, Array]:
        of_u = of_u.sum(axis=0)[:, : size[0].size, :d].reshape(u.shape)
        rest = rest.sum(axis=0)[:, : size[0].size].reshape(size.shape)
        return size[..., None] * of_u, jnp.sum(u * of_u, axis=-1) + rest

    return *side(p, size1, of_u1, rest1), *side(q, size2, of_u2, rest2)


def _call(kernel, out_shape, in_specs, out_specs, interpret, inputs):  # type: ignore[no-untyped-def]  # Pallas's
    """Every square of pixel pairs."""
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    return pallas.pallas_call(
        kernel,
        out_shape=out_shape,
        grid=(inputs[1].shape[1] // SIDE, inputs[3].shape[1] // SIDE),
        in_specs=in_specs,
        out_specs=out_specs,
        compiler_params=triton.CompilerParams(num_warps=8, num_stages=1),
        interpret=interpret,
        name="first_activation",
    )(*inputs)


def _sides(p: Array, size1: Array, q: Array, size2: Array):  # type: ignore[no-untyped-def]  # of Pallas
    """Pixels of both sides by place, filled up with zeros to whole squares, and which of them a program takes."""
    from jax.experimental import pallas

    k, *_, d = p.shape
    width = max(LEAST_WIDTH, 1 << (d - 1).bit_length())
    sides = [
        _padded(p.reshape(k, -1, d), width),
        _padded(size1.reshape(k, -1)),
        _padded(q.reshape(k, -1, d), width),
        _padded(size2.reshape(k, -1)),
    ]
    specs = [
        pallas.BlockSpec((k, SIDE, width), lambda i, j: (0, i, 0)),
        pallas.BlockSpec((k, SIDE), lambda i, j: (0, i)),
        pallas.BlockSpec((k, SIDE, width), lambda i, j: (0, j, 0)),
        pallas.BlockSpec((k, SIDE), lambda i, j: (0, j)),
    ]
    return sides, specs


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


def _square_backward(dual: Dual, k: int, maps: int, p, size1, q, size2, *references) -> None:  # type: ignore[no-untyped-def]
    """One program: what its pairs of pixels add to derivatives.

    Of patches, but for the factor of their own size; of sizes, but for what these have from z, the patch times its own.
    """
    from jax.experimental.pallas import triton

    product = partial(triton.dot, precision=jax.lax.Precision.HIGHEST)
    (of_f, *of_slope), out = [a[...] for a in references[:maps]], references[maps:]
    totals = [[jnp.zeros(a.shape[1:], jnp.float32) for _ in range(k)] for a in out]
    for i in range(k):
        u1, s1 = p[i], size1[i]
        sized1 = s1[:, None] * u1
        for j in range(k):
            u2, s2 = q[j], size2[j]
            z = product(u1, u2, trans_b=True)
            slope, (intercept, curve) = dual.pair(z)[1], dual.rest(z)
            of_z, rest = of_f * slope, of_f * intercept
            if of_slope:
                of_z += of_slope[0] * (slope + z * dual.second_derivative(z))
                rest -= of_slope[0] * curve
            totals[0][i] += product(of_z, s2[:, None] * u2)
            totals[1][i] += jnp.sum(rest * s2[None, :], axis=1)
            totals[2][j] += product(of_z, sized1, trans_a=True)
            totals[3][j] += jnp.sum(rest * s1[:, None], axis=0)
    for reference, places in zip(out, totals, strict=True):
        for place, total in enumerate(places):
            reference[place] = total


def _padded(a: Array, width: int = 0) -> Array:
    """(k, n, …) with n a multiple of SIDE and, for patches, `width` numbers each; zeros are added."""
    frame = [(0, 0), (0, -a.shape[1] % SIDE)]
    return jnp.pad(a, frame + ([(0, width - a.shape[2])] if width else []))
