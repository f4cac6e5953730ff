"""Operations on maps of pairs of pixels, each with its backward pass written out.

A map is an array (h, w, b, h', w'): the pixels of one image against those of b others. Derivatives that JAX would make
of these operations are right, but many times slower on a CPU: XLA would test bounds, or take an activation anew,
for every entry.
"""

from functools import partial, reduce
from operator import add
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.kernels import fused
from datastill.kernels.dual import Dual

Maps: TypeAlias = tuple[Array, ...]
"""Σ alone, or Σ and Θ."""


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def first(
    dual: Dual,
    ntk: bool,
    p: Float[Array, "k h w d"],
    size1: Float[Array, "k h w"],
    q: Float[Array, "b k h w d"],
    size2: Float[Array, "b k h w"],
) -> Maps:
    """The first activation of inner products of patches p, q of norm 1; the mean over pairs of k places each.

    Before the first activation Θ is Σ, so that Θ becomes f' z · size size.
    """
    return (fused.first if fused.serves(dual, p.dtype, p.shape[3]) else plain_first)(dual, ntk, p, size1, q, size2)


def plain_first(dual: Dual, ntk: bool, p: Array, size1: Array, q: Array, size2: Array) -> Maps:
    """`first` in array operations."""
    k, h, w, _ = p.shape
    rows, columns = _rows(p, size1), _columns(q, size2)

    def against(row: tuple[Array, Array], column: tuple[Array, Array]) -> Maps:
        (u1, s1), (u2, s2) = row, column
        z = u1 @ u2.T
        f, slope = dual.pair(z)
        scale = s1[:, None] * s2
        return (f * scale, slope * z * scale) if ntk else (f * scale,)

    if k == 1:
        column = columns[0][0], columns[1][0]
        found = jax.lax.map(lambda row: against(row, column), rows)
    else:
        zero = (jnp.zeros((h * w, columns[0].shape[1]), p.dtype),) * (1 + ntk)

        def gather(totals: Maps, row: tuple[Array, Array]) -> tuple[Maps, None]:
            parts = [against(row, column) for column in zip(*columns, strict=True)]
            return tuple(sum(maps, total) for total, *maps in zip(totals, *parts, strict=True)), None

        found, _ = jax.lax.scan(gather, zero, rows)
    return tuple(a.reshape(h, w, len(q), h, w) / k**2 for a in found)


def _first_forward(dual: Dual, ntk: bool, *inputs: Array) -> tuple[Maps, tuple[Array, ...]]:
    return first(dual, ntk, *inputs), inputs


def _first_backward(dual: Dual, ntk: bool, inputs: tuple[Array, ...], slopes: Maps) -> tuple[Array, ...]:
    p, size1, q, size2 = inputs
    k, h, w, _ = p.shape
    rows, columns = _rows(p, size1), _columns(q, size2)
    slopes = tuple(a.reshape(h * w, -1) / k**2 for a in slopes)

    def against(row: tuple[Array, Array], column: tuple[Array, Array], slopes: Maps) -> tuple[tuple[Array, Array], ...]:
        """What follows from z·∂/∂z is summed by the products, so that f is not needed and ∂/∂z has no sizes in it."""
        (u1, s1), (u2, s2) = row, column
        z = u1 @ u2.T
        slope = dual.pair(z)[1]
        of_z, rest = slopes[0] * slope, slopes[0] * dual.intercept(z)
        if ntk:
            bent = slopes[1] * z * dual.bend(z)
            of_z += slopes[1] * slope + bent
            rest -= z * bent
        of_u1, of_u2 = of_z @ (s2[:, None] * u2), ((s1[:, None] * u1).T @ of_z).T
        return (
            (s1[:, None] * of_u1, jnp.sum(u1 * of_u1, axis=1) + rest @ s2),
            (s2[:, None] * of_u2, jnp.sum(u2 * of_u2, axis=1) + s1 @ rest),
        )

    def gather(totals: list[tuple[Array, Array]], row: Any) -> tuple[list[tuple[Array, Array]], tuple[Array, Array]]:
        *row, own = row
        own = slopes if k > 1 else own
        parts = [against(tuple(row), column, own) for column in zip(*columns, strict=True)]
        totals = jax.tree.map(jnp.add, totals, [part[1] for part in parts])
        return totals, jax.tree.map(lambda *a: sum(a), *[part[0] for part in parts])

    zero = [(jnp.zeros_like(u), jnp.zeros_like(s)) for u, s in zip(*columns, strict=True)]
    parts = None if k > 1 else tuple(a.reshape(*rows[1].shape, -1) for a in slopes)
    of_columns, of_rows = jax.lax.scan(gather, zero, (*rows, parts))
    of_q, of_size2 = (jnp.stack(a).reshape(k, len(q), h, w, -1) for a in zip(*of_columns, strict=True))
    return (
        of_rows[0].reshape(p.shape),
        of_rows[1].reshape(size1.shape),
        jnp.moveaxis(of_q, 0, 1),
        jnp.moveaxis(of_size2[..., 0], 0, 1),
    )


first.defvjp(_first_forward, _first_backward)


def _rows(p: Array, size: Array) -> tuple[Array, Array]:
    """The one image's pixels in parts: by place, or where there is one place by rows of the image."""
    k, h, _, d = p.shape
    parts = k if k > 1 else _parts(h)
    return p.reshape(parts, -1, d), size.reshape(parts, -1)


def _parts(h: int) -> int:
    """In how many parts to work: two or more, so that XLA keeps the loop, and what the loop makes.

    It would take an activation anew for each of the nine pixels that it is added to.
    """
    return next(n for n in range(2, h + 1) if h % n == 0) if h > 1 else 1


def _columns(q: Array, size: Array) -> tuple[Array, Array]:
    """The tile's pixels by place."""
    b, k, h, w, d = q.shape
    return jnp.moveaxis(q, 1, 0).reshape(k, b * h * w, d), jnp.moveaxis(size, 1, 0).reshape(k, b * h * w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def activation(dual: Dual, maps: Maps, one: Float[Array, "h w"], two: Float[Array, "b h w"]) -> Maps:
    """Σ ← E[φ(u)φ(v)], Θ ← E[φ'(u)φ'(v)] Θ, with the units of both sides."""
    units, sizes = _outer(one, two), _outer(dual.size(one), dual.size(two))
    f, slope = dual.pair(maps[0] * units)
    return (f * sizes, slope * maps[1] * (units * sizes)) if len(maps) > 1 else (f * sizes,)


def _activation_forward(dual: Dual, *inputs: Any) -> tuple[Maps, Any]:
    return activation(dual, *inputs), inputs


def _activation_backward(dual: Dual, inputs: Any, slopes: Maps) -> tuple[Maps, Array, Array]:
    """With size = s · unit^lean, all that units do to a pair of pixels is one number, d loss / d log unit, of both."""
    maps, one, two = inputs
    h, w = one.shape

    def rows(part: tuple[Maps, Maps, Array]) -> tuple[Maps, Array, Array]:
        (sigma, *theta), (of_sigma, *of_theta), own = part
        units, sizes = _outer(own, two), _outer(dual.size(own), dual.size(two))
        z = sigma * units
        slope = dual.pair(z)[1]
        found: Maps = (of_theta[0] * slope * (units * sizes),) if theta else ()
        bent = of_theta[0] * dual.bend(z) * theta[0] * (units * sizes) if theta else jnp.zeros_like(z)
        of_z = of_sigma * slope * sizes + bent
        if dual.lean == -1:
            of_units = bent * z - of_sigma * dual.intercept(z) * sizes
        else:
            of_units = of_z * z + sum(a * b for a, b in zip(found, theta, strict=True))
        of_units = of_units.reshape(own.size, two.size)
        one_by_one = of_units @ jnp.ones(two.size, z.dtype), jnp.ones(own.size, z.dtype) @ of_units
        return (of_z * units, *found), *one_by_one

    parts = _parts(h)
    found, of_one, of_two = jax.lax.map(
        rows, jax.tree.map(lambda a: a.reshape(parts, h // parts, *a.shape[1:]), (maps, slopes, one))
    )
    found = tuple(a.reshape(maps[0].shape) for a in found)
    return found, _over(of_one.reshape(h, w), one), _over(of_two.sum(axis=0).reshape(two.shape), two)


activation.defvjp(_activation_forward, _activation_backward)


def _outer(one: Float[Array, "rows w"], two: Float[Array, "b h w"]) -> Float[Array, "rows w b h w"]:
    return one[:, :, None, None, None] * two


def _over(of_log: Array, unit: Array) -> Array:
    return jnp.where(unit > 0, of_log / jnp.where(unit > 0, unit, 1), 0)


@jax.custom_vjp
def shifts(a: Array) -> Array:
    """Σ_δ a[p + δ, q + δ] over 3×3, at the pixels inside a frame that is one wide: (h + 2, …) -> (h, …)."""
    h, w = a.shape[0] - 2, a.shape[1] - 2
    return reduce(add, (a[i : i + h, j : j + w, :, i : i + h, j : j + w] for i in range(3) for j in range(3)))


shifts.defvjp(lambda a: (shifts(a), None), lambda _, slope: (shifts(framed(slope, 2)),))


@jax.custom_vjp
def spread(a: Array) -> Array:
    """Σ_δ a[p + δ, q + δ] over 3×3, zeros outside; its own transpose."""
    return shifts(framed(a))


spread.defvjp(lambda a: (spread(a), None), lambda _, slope: (spread(slope),))


def framed(a: Array, width: int = 1) -> Array:
    """With a frame of zeros around both images."""
    return jnp.pad(a, [(0 if axis == 2 else width,) * 2 for axis in range(5)])


@jax.custom_vjp
def pooled(a: Array) -> Array:
    """Means over 2×2 pixels of both images; a last odd row or column is dropped."""
    return reduce(add, windows(a, (0, 1, 3, 4))) / 16


def _pooled_backward(shape: tuple[int, ...], slope: Array) -> tuple[Array]:
    for axis in (4, 3, 1, 0):
        slope = jnp.repeat(slope, 2, axis=axis)
    return (jnp.pad(slope / 16, [(0, n - m) for n, m in zip(shape, slope.shape, strict=True)]),)


pooled.defvjp(lambda a: (pooled(a), a.shape), _pooled_backward)


def windows(a: Array, axes: tuple[int, ...]) -> list[Array]:
    """Every second entry along each axis, from 0 or 1 on, in every combination; a last odd one is dropped."""
    found = [a]
    for axis in axes:
        halves = [slice(start, a.shape[axis] // 2 * 2, 2) for start in (0, 1)]
        found = [part[(*(slice(None),) * axis, half)] for part in found for half in halves]
    return found


def same_pixel(a: Array) -> Float[Array, "b h w"]:
    """The entries with p = q."""
    h, w, b, *_ = a.shape
    pixel = jnp.arange(h * w)
    return a.reshape(h * w, b, h * w)[pixel, :, pixel].T.reshape(b, h, w)
