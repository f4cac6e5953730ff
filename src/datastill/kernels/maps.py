"""Operations on maps of pairs of pixels, each with its backward pass written out.

A map is an array (h, w, h, w·b): the pixels of one image against those of a tile of b others, whose columns of pixels
are handled b at a time, so that neighbouring numbers are long enough for vectors. One image is a tile of b = 1.
Derivatives that JAX would make of these operations are right, but many times slower on a CPU: XLA would test bounds, or
recompute an activation for every entry.
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
    q: Float[Array, "k h wb d"],
    size2: Float[Array, "k h wb"],
) -> Maps:
    """The first activation of inner products of patches p, q of norm 1; the mean over pairs of k places each.

    Before the first activation Θ is Σ, so that Θ becomes f' z · size size.
    """
    own = fused.serves(dual, p.dtype, p.shape[3])
    return (fused.first if own else plain_first)(dual, ntk, p, size1, q, size2)


def plain_first(dual: Dual, ntk: bool, p: Array, size1: Array, q: Array, size2: Array) -> Maps:
    """`first` in array operations."""
    k, h, w, _ = p.shape
    rows, columns = _by_parts(p, size1), _flat(q, size2)

    def against(row: tuple[Array, Array], column: tuple[Array, Array]) -> Maps:
        (u1, s1), (u2, s2) = row, column
        z = u1 @ u2.T
        f, slope = dual.pair(z)
        scale = s1[:, None] * s2
        return (f * scale, slope * z * scale) if ntk else (f * scale,)

    if k == 1:
        found = jax.lax.map(lambda row: against(row, (columns[0][0], columns[1][0])), rows)
    else:
        zero = (jnp.zeros((h * w, columns[0].shape[1]), p.dtype),) * (1 + ntk)

        def gather(totals: Maps, row: tuple[Array, Array]) -> tuple[Maps, None]:
            found = [against(row, column) for column in zip(*columns, strict=True)]
            return tuple(sum(maps, total) for total, *maps in zip(totals, *found, strict=True)), None

        found, _ = jax.lax.scan(gather, zero, rows)
    return tuple(a.reshape(h, w, h, -1) / k**2 for a in found)


def _first_forward(dual: Dual, ntk: bool, *inputs: Array) -> tuple[Maps, tuple[Array, ...]]:
    return first(dual, ntk, *inputs), inputs


def _first_backward(dual: Dual, _: bool, inputs: tuple[Array, ...], slopes: Maps) -> tuple[Array, ...]:
    p = inputs[0]
    own = fused.serves(dual, p.dtype, p.shape[0] * p.shape[3])  # a program keeps the slopes of all places
    return (fused.first_backward if own else plain_first_backward)(dual, inputs, slopes)


def plain_first_backward(dual: Dual, inputs: tuple[Array, ...], slopes: Maps) -> tuple[Array, ...]:
    """Derivatives in p, size1, q, size2 from those in what `first` gives, in array operations."""
    p, size1, q, size2 = inputs
    k, h, w, _ = p.shape
    (u1, s1), (u2, s2) = _by_parts(p, size1), _flat(q, size2)
    rows = u1, s1, jnp.swapaxes(u1 * s1[..., None], 1, 2)
    columns = u2, s2, jnp.swapaxes(u2, 1, 2)
    if k > 1:
        slopes = tuple(jax.lax.map(lambda row: row / k**2, a).reshape(h * w, -1) for a in slopes)

    def against(row: tuple[Array, ...], column: tuple[Array, ...], slopes: Maps) -> tuple[tuple[Array, Array], ...]:
        """Sum what follows from z·∂/∂z by the products, so that f is not needed and ∂/∂z has no sizes in it."""
        (u1, s1, sized1), (u2, s2, u2t) = row, column
        z = u1 @ u2.T
        slope, (intercept, curve) = dual.pair(z)[1], dual.rest(z)
        of_z, rest = slopes[0] * slope, slopes[0] * intercept
        if len(slopes) == 2:
            of_z += slopes[1] * slope + slopes[1] * z * dual.second_derivative(z)
            rest -= slopes[1] * curve
        of_u1, of_u2t = of_z @ (s2[:, None] * u2), sized1 @ of_z
        return (
            (s1[:, None] * of_u1, jnp.sum(u1 * of_u1, axis=1) + rest @ s2),
            (s2 * of_u2t, jnp.sum(u2t * of_u2t, axis=0) + s1 @ rest),
        )

    def gather(totals: list[tuple[Array, Array]], row: Any) -> tuple[list[tuple[Array, Array]], tuple[Array, Array]]:
        *row, own = row
        own = slopes if k > 1 else tuple(a.reshape(a.shape[0] * w, -1) for a in own)
        found = [against(tuple(row), column, own) for column in zip(*columns, strict=True)]
        totals = jax.tree.map(jnp.add, totals, [pair[1] for pair in found])
        return totals, jax.tree.map(lambda *a: sum(a), *[pair[0] for pair in found])

    zero = [(jnp.zeros_like(u), jnp.zeros_like(s)) for u, s in zip(columns[2], s2, strict=True)]
    of_columns, of_rows = jax.lax.scan(gather, zero, (*rows, None if k > 1 else _in_parts(slopes)))
    of_q, of_size2 = (jnp.stack(a) for a in zip(*of_columns, strict=True))
    return (
        of_rows[0].reshape(p.shape),
        of_rows[1].reshape(size1.shape),
        jnp.swapaxes(of_q, 1, 2).reshape(q.shape),
        of_size2.reshape(size2.shape),
    )


first.defvjp(_first_forward, _first_backward)


def _by_parts(p: Array, size: Array) -> tuple[Array, Array]:
    """The one image's pixels in parts: by place, or where there is one place by rows of the image."""
    k, h, _, d = p.shape
    parts = k if k > 1 else _parts(h)
    return p.reshape(parts, -1, d), size.reshape(parts, -1)


def _flat(q: Array, size: Array) -> tuple[Array, Array]:
    """The tile's pixels by place."""
    k, *_, d = q.shape
    return q.reshape(k, -1, d), size.reshape(k, -1)


def _in_parts(tree: Any) -> Any:
    """Arrays (h, …) -> (parts, h / parts, …)."""
    return jax.tree.map(lambda a: a.reshape(_parts(len(a)), -1, *a.shape[1:]), tree)


def _parts(h: int) -> int:
    """In how many parts to work: two or more, so that XLA keeps the loop, and what the loop makes; four stay in cache.

    It would recompute an activation for each of the nine pixels that it is added to.
    """
    return next(n for n in range(min(4, h), h + 1) if h % n == 0)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def activation(dual: Dual, maps: Maps, one: Float[Array, "h w"], two: Float[Array, "h wb"]) -> Maps:
    """(Σ, Θ − Σ) -> (E[φ(u)φ(v)], E[φ'(u)φ'(v)] Θ), with the units of both sides."""

    def rows(part: tuple[Maps, Array]) -> Maps:
        (sigma, *rest), own = part
        units, sizes = _outer(own, two), _outer(dual.size(own), dual.size(two))
        f, slope = dual.pair(sigma * units)
        return (f * sizes, slope * (sigma + rest[0]) * (units * sizes)) if rest else (f * sizes,)

    found = jax.lax.map(rows, _in_parts((maps, one)))
    return tuple(a.reshape(maps[0].shape) for a in found)


def _activation_forward(dual: Dual, *inputs: Any) -> tuple[Maps, Any]:
    return activation(dual, *inputs), inputs


def _activation_backward(dual: Dual, inputs: Any, slopes: Maps) -> tuple[Maps, Array, Array]:
    """With size = s · unit^lean, all that units do to a pair of pixels is one number, d loss / d log unit, of both."""
    maps, one, two = inputs
    h, w = one.shape

    def rows(part: tuple[Maps, Maps, Array]) -> tuple[Maps, Array, Array]:
        (sigma, *rest), (of_sigma, *of_theta), own = part
        theta = [sigma + a for a in rest]
        units, sizes = _outer(own, two), _outer(dual.size(own), dual.size(two))
        z = sigma * units
        slope = dual.pair(z)[1]
        found: Maps = (of_theta[0] * slope * (units * sizes),) if theta else ()
        bent = of_theta[0] * dual.second_derivative(z) * theta[0] * (units * sizes) if theta else jnp.zeros_like(z)
        of_z = of_sigma * slope * sizes + bent
        if dual.lean == -1:
            of_units = bent * z - of_sigma * dual.rest(z)[0] * sizes
        else:
            of_units = of_z * z + sum(a * b for a, b in zip(found, theta, strict=True))
        of_units = of_units.reshape(own.size, two.size)
        one_by_one = of_units @ jnp.ones(two.size, z.dtype), jnp.ones(own.size, z.dtype) @ of_units
        return (sum(found, of_z * units), *found), *one_by_one

    found, of_one, of_two = jax.lax.map(rows, _in_parts((maps, slopes, one)))
    found = tuple(a.reshape(maps[0].shape) for a in found)
    return found, _over(of_one.reshape(h, w), one), _over(of_two.sum(axis=0).reshape(two.shape), two)


activation.defvjp(_activation_forward, _activation_backward)


def _outer(one: Float[Array, "rows w"], two: Float[Array, "h wb"]) -> Float[Array, "rows w h wb"]:
    return one[:, :, None, None] * two


def _over(of_log: Array, unit: Array) -> Array:
    return jnp.where(unit > 0, of_log / jnp.where(unit > 0, unit, 1), 0)


@jax.custom_vjp
def spread(a: Array) -> Array:
    """Σ_δ a[p + δ, q + δ] over 3×3, zeros outside; its own transpose."""
    h, w, b = a.shape[0], a.shape[1], _images(a)
    a = jnp.pad(a, [(1, 1), (1, 1), (1, 1), (b, b)])
    return reduce(add, (a[i : i + h, j : j + w, i : i + h, j * b : (j + w) * b] for i in range(3) for j in range(3)))


spread.defvjp(lambda a: (spread(a), None), lambda _, slope: (spread(slope),))


@jax.custom_vjp
def pooled(a: Array) -> Array:
    """Means over 2×2 pixels of both images; a last odd row or column is dropped."""
    h, w, b = a.shape[0] // 2, a.shape[1] // 2, _images(a)

    def row(pair: Float[Array, "two w h wb"]) -> Float[Array, "half_w half_h half_wb"]:
        found = reduce(add, windows(pair[..., : 2 * w * b], (0, 1, 2)))[0] / 16
        found = found.reshape(*found.shape[:2], w, 2, b)
        return (found[..., 0, :] + found[..., 1, :]).reshape(*found.shape[:2], w * b)

    return jax.lax.map(row, a[: 2 * h].reshape(h, 2, *a.shape[1:]))


def _pooled_backward(shape: tuple[int, ...], slope: Array) -> tuple[Array]:
    h, w, *_ = slope.shape
    b = _images(slope)
    twice = jnp.broadcast_to((slope / 16).reshape(h, w, h, w, 1, b), (h, w, h, w, 2, b)).reshape(h, w, h, -1)

    def rows(part: Float[Array, "w h wb"]) -> Float[Array, "two w two h two wb"]:
        return jnp.broadcast_to(part[None, :, None, :, None], (2, w, 2, h, 2, part.shape[-1]))

    found = jax.lax.map(rows, twice).reshape(2 * h, 2 * w, 2 * h, -1)
    return (jnp.pad(found, [(0, n - m) for n, m in zip(shape, found.shape, strict=True)]),)


pooled.defvjp(lambda a: (pooled(a), a.shape), _pooled_backward)


def windows(a: Array, axes: tuple[int, ...]) -> list[Array]:
    """Every second entry along each axis, from 0 or 1 on, in every combination; a last odd one is dropped."""
    found = [a]
    for axis in axes:
        halves = [slice(start, a.shape[axis] // 2 * 2, 2) for start in (0, 1)]
        found = [part[(*(slice(None),) * axis, half)] for part in found for half in halves]
    return found


def same_pixel(a: Array) -> Float[Array, "h wb"]:
    """The entries with p = q."""
    h, w, *_ = a.shape
    pixel = jnp.arange(h * w)
    return a.reshape(h * w, h * w, -1)[pixel, pixel].reshape(h, -1)


def over_pixels(a: Array) -> Float[Array, " b"]:
    """The mean over all pairs of pixels."""
    return _by_image(a).mean(axis=(0, 1, 2, 3))


def _images(a: Array) -> int:
    """b."""
    return a.shape[3] // a.shape[1]


def _by_image(a: Array) -> Float[Array, "h w h w b"]:
    h, w, *_ = a.shape
    return a.reshape(h, w, h, w, -1)


def _merged(a: Float[Array, "h w h w b"]) -> Array:
    return a.reshape(*a.shape[:3], -1)
