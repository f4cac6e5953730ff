"""Dual activations: expectations of φ(u)φ(v) and φ'(u)φ'(v) over two jointly Gaussian pre-activations.

Each function takes the covariance of (u, v) as three arrays that broadcast, k11 = Var u, k22 = Var v,
k12 = Cov(u, v), and returns the pair (E[φ(u)φ(v)], E[φ'(u)φ'(v)]).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from datastill._typing import Array

Dual = Callable[[Array, Array, Array], tuple[Array, Array]]

# Rounding leaves an error of a few ulp in a cosine, so angles below sqrt(2 * SNAP_ULPS * eps) cannot be told from 0:
# 1.4e-3 rad in float32, 6e-8 rad in float64. Within that, an angle *is* 0 (or π), which makes repeated rows exact.
SNAP_ULPS = 8

# arccos x = sqrt(1 - x) · p(x) on [0, 1] to 2e-8, highest power first: a few multiply-adds where the library function
# takes most of a kernel's time. Source: Abramowitz and Stegun (1964), 4.4.46.
ARCCOS = (
    -0.0012624911, 0.0066700901, -0.0170881256, 0.0308918810, -0.0501743046, 0.0889789874, -0.2145988016, 1.5707963050,
)  # fmt: skip


def relu(k11: Array, k22: Array, k12: Array) -> tuple[Array, Array]:
    """ReLU: sqrt(k11 k22)·κ₁(cos θ)/2 and κ₀(cos θ)/2, cos θ = k12 / sqrt(k11 k22).

    Source: Cho and Saul (2009), arc-cosine kernels of degree 1 and 0, eqs. (3)–(6).
    """
    norms = _safe_sqrt(k11 * k22)
    cosine = jnp.where(norms > 0, k12 / jnp.where(norms > 0, norms, 1), 0)
    return 0.5 * norms * kappa1(cosine), 0.5 * kappa0(cosine)


def erf(k11: Array, k22: Array, k12: Array) -> tuple[Array, Array]:
    """erf: (2/π) asin(2 k12 / sqrt(m)) and (4/π) / sqrt(m − 4 k12²), m = (1 + 2 k11)(1 + 2 k22).

    Source: Williams (1997), eq. (11); Lee et al. (2019), arXiv:1902.06720, appendix C.
    """
    m = (1 + 2 * k11) * (1 + 2 * k22)
    return (
        2 / jnp.pi * jnp.arcsin(2 * k12 / jnp.sqrt(m)),
        4 / jnp.pi / jnp.sqrt(m - 4 * k12**2),
    )


@jax.custom_jvp
def kappa0(cosine: Array) -> Array:
    """κ₀ = (π − θ)/π, the arc-cosine kernel of degree 0; its derivative is taken as 0 at θ = 0 and θ = π."""
    _sine, rest = _sine_and_rest(cosine)
    return rest / jnp.pi


@kappa0.defjvp
def _kappa0_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (cosine,), (tangent,) = primals, tangents
    sine, rest = _sine_and_rest(cosine)
    slope = jnp.where(sine > 0, 1 / (jnp.pi * jnp.where(sine > 0, sine, 1)), 0)
    return rest / jnp.pi, slope * tangent


@jax.custom_jvp
def kappa1(cosine: Array) -> Array:
    """κ₁ = (sin θ + (π − θ) cos θ)/π, the arc-cosine kernel of degree 1; dκ₁/dcos θ = κ₀."""
    sine, rest = _sine_and_rest(cosine)
    return (sine + rest * jnp.clip(cosine, -1, 1)) / jnp.pi


@kappa1.defjvp
def _kappa1_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (cosine,), (tangent,) = primals, tangents
    return kappa1(cosine), kappa0(cosine) * tangent


def _sine_and_rest(cosine: Array) -> tuple[Array, Array]:
    """sin θ and π − θ, exact where |cos θ| is 1 to within rounding."""
    snapped = 1 - jnp.abs(cosine) < SNAP_ULPS * jnp.finfo(cosine.dtype).eps
    c = jnp.where(snapped, jnp.sign(cosine), cosine)
    if c.dtype != jnp.float32:
        sine = jnp.sqrt((1 - c) * (1 + c))
        return sine, jnp.arctan2(sine, -c)
    size = jnp.abs(c)
    root = jnp.sqrt(1 - size)
    angle = root * jnp.polyval(jnp.array(ARCCOS, c.dtype), size)
    return root * jnp.sqrt(1 + size), jnp.where(c < 0, angle, jnp.pi - angle)


def _safe_sqrt(x: Array) -> Array:
    """sqrt with derivative 0 at 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0)


ACTIVATIONS: dict[str, Dual] = {"relu": relu, "erf": erf}
