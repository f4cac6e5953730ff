"""Dual activations: expectations of φ(u)φ(v) and φ'(u)φ'(v) over two jointly Gaussian pre-activations.

With k11 = Var u, k22 = Var v and k12 = Cov(u, v), both activations here have the form

    E[φ(u)φ(v)] = size₁ size₂ f(z)      E[φ'(u)φ'(v)] = size₁ unit₁ size₂ unit₂ f'(z)

    z = k12 unit₁ unit₂                 unit = unit(k), size = s · unit^lean

so that what is taken of every pair of numbers is f and its derivatives alone. That the second is the derivative of the
first in k12 is Price's theorem (1958).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from datastill._typing import Array

# Rounding leaves an error of a few ulp in a cosine, so an angle below sqrt(2 * SNAP_ULPS * eps) may as well be 0:
# 1.4e-3 rad in float32, 6e-8 rad in float64. Within that, an angle *is* 0 (or π), which makes repeated rows exact.
SNAP_ULPS = 8

# With the gap g = 1 − |cos θ| and θ = arccos |cos θ|, on [0, 1], highest power first: θ = π sqrt(g) · ANGLE(g) and
# sin θ − θ cos θ = π sqrt(g) g · LENS(g), to 9e-8 and 3e-8 in float32, and to 2e-16 in float64. A few multiply-adds and
# one root, where the library function takes most of a kernel's time. In float32 minimax polynomials by Lawson's (1961)
# reweighted least squares; in float64 the interpolants at Chebyshev's points.
ANGLE = {
    "float32": (
        8.313358327e-4, -1.167217441e-3, 2.203257775e-3, 1.892456401e-3, 8.582561596e-3, 3.749901371e-2, 0.4501585641,
    ),
    "float64": (
        2.4222154464628605e-6, -1.6631828062107084e-5, 5.44724070492598e-5, -1.0919390624263855e-4,
        1.5019896042743733e-4, -1.4684409886035556e-4, 1.0880432314973807e-4, -5.4547524452774663e-5,
        3.2318558223146044e-5, 1.309086039958728e-5, 5.0731412533351425e-5, 1.2179309995148756e-4,
        3.1474841371315293e-4, 8.547903362064491e-4, 2.512043390392477e-3, 8.440465461671388e-3,
        3.751317983990087e-2, 0.45015815807855303,
    ),
}  # fmt: skip
LENS = {
    "float32": (2.236310854e-4, -1.796682382e-4, 8.382074206e-4, 2.296368662e-3, 1.502740418e-2, 0.3001039351),
    "float64": (
        2.813695167153694e-7, -1.6148755497423985e-6, 4.51881604069071e-6, -7.541540726598919e-6,
        8.748939096378084e-6, -6.569713412240095e-6, 4.781296999801139e-6, 4.863271207255582e-7,
        6.273868204906117e-6, 1.6168495672590502e-5, 4.843370701406519e-5, 1.554153531936233e-4,
        5.582319269919874e-4, 2.4115615586107688e-3, 1.5005271935981597e-2, 0.3001054387190353,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Dual:
    """A dual activation.

    Attributes:
        unit: of a variance; 0 where that is 0 and f scales with it.
        largest: s.
        lean: the exponent of unit in size, −1 or 0.
        pair: z -> (f, f').
        second_derivative: z -> f''.
        rest: z -> (f − z f', z² f'').
    """

    unit: Callable[[Array], Array]
    largest: float
    lean: int
    pair: Callable[[Array], tuple[Array, Array]]
    second_derivative: Callable[[Array], Array]
    rest: Callable[[Array], tuple[Array, Array]]

    def size(self, unit: Array) -> Array:
        """Return the factor that a unit contributes to the sizes."""
        if self.lean == 0:
            return jnp.full_like(unit, self.largest)
        return self.largest * jnp.where(unit > 0, 1 / jnp.where(unit > 0, unit, 1), 0)

    def __call__(self, k11: Array, k22: Array, k12: Array) -> tuple[Array, Array]:
        """(E[φ(u)φ(v)], E[φ'(u)φ'(v)]) of arrays that broadcast."""
        one, two = self.unit(k11), self.unit(k22)
        f, slope = self.pair(k12 * (one * two))
        tilt = 1 if self.lean == -1 else one * two
        return f * (self.size(one) * self.size(two)), slope * (self.largest**2 * tilt)


def _relu_unit(k: Array) -> Array:
    return jnp.where(k > 0, jax.lax.rsqrt(jnp.where(k > 0, k, 1)), 0)


def _erf_unit(k: Array) -> Array:
    return jax.lax.rsqrt(0.5 + k)


def _erf_pair(z: Array) -> tuple[Array, Array]:
    return 2 / jnp.pi * _arcsin(z), 2 / jnp.pi / jnp.sqrt(_room(z))


def _erf_bend(z: Array) -> Array:
    return 2 / jnp.pi * z / _room(z) ** 1.5


def _erf_rest(z: Array) -> tuple[Array, Array]:
    f, slope = _erf_pair(z)
    return f - z * slope, z**2 * _erf_bend(z)


def _arcsin(z: Array) -> Array:
    """Return the arcsine of a cosine; at or beyond ±1, by rounding, it is ±π/2 with a derivative of 0."""
    inside = jnp.abs(z) < 1
    return jnp.where(inside, jnp.arcsin(jnp.where(inside, z, 0)), jnp.sign(z) * (jnp.pi / 2))


def _room(z: Array) -> Array:
    """1 − z², above 0."""
    return jnp.maximum((1 - z) * (1 + z), jnp.finfo(z.dtype).eps)


@jax.custom_jvp
def arc_cosines(cosine: Array) -> tuple[Array, Array]:
    """κ₁ = (sin θ + (π − θ) cos θ)/π and κ₀ = (π − θ)/π, the arc-cosine kernels of degree 1 and 0.

    Derivatives in cos θ: κ₀, and 1/(π sin θ), which is taken as 0 at θ = 0 and θ = π.
    """
    gap, precision = _gap(cosine), "float64" if cosine.dtype == jnp.float64 else "float32"
    angle = jnp.sqrt(gap) * _polynomial(ANGLE[precision], gap)
    # A root of its own: one that is shared XLA writes to memory and reads twice.
    lens = jnp.sqrt(gap * gap * gap) * _polynomial(LENS[precision], gap)
    return jnp.maximum(cosine, 0) + lens, jnp.where(cosine < 0, angle, 1 - angle)


@arc_cosines.defjvp
def _arc_cosines_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    (cosine,), (tangent,) = primals, tangents
    kappa1, kappa0 = arc_cosines(cosine)
    return (kappa1, kappa0), (kappa0 * tangent, _relu_bend(cosine) * tangent)


def _relu_bend(cosine: Array) -> Array:
    gap = _gap(cosine)
    squared = gap * (2 - gap)
    return jnp.where(squared > 0, jax.lax.rsqrt(jnp.where(squared > 0, squared, 1)) / jnp.pi, 0)


def _relu_rest(cosine: Array) -> tuple[Array, Array]:
    gap = _gap(cosine)
    sine = jnp.sqrt(gap * (2 - gap))  # not that of f'': XLA would write it to memory and read it twice
    return sine / jnp.pi, jnp.where(sine > 0, cosine**2 / jnp.where(sine > 0, jnp.pi * sine, 1), 0)


def _gap(cosine: Array) -> Array:
    """1 − |cos θ|, and 0 where that is no more than rounding."""
    gap = 1 - jnp.abs(cosine)
    return jnp.where(gap < SNAP_ULPS * jnp.finfo(cosine.dtype).eps, 0, gap)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """By Horner's rule, highest power first."""
    total = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


ACTIVATIONS: dict[str, Dual] = {
    # Cho and Saul (2009), arc-cosine kernels of degree 1 and 0, eqs. (3)–(6).
    "relu": Dual(_relu_unit, 0.5**0.5, -1, arc_cosines, _relu_bend, _relu_rest),
    # Williams (1997), eq. (11); Lee et al. (2019), arXiv:1902.06720, appendix C.
    "erf": Dual(_erf_unit, 1.0, 0, _erf_pair, _erf_bend, _erf_rest),
}
