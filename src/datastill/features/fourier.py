"""Random Fourier features of shift-invariant kernels."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.features.base import FeatureMap, Weights
from datastill.features.numbers import normals
from datastill.kernels.base import flat
from datastill.preprocess.distances import median_city_block, median_square

KERNELS = ("rbf", "laplace")

# cos 2πt and (sin 2πt)/t as polynomials in t² on |t| ≤ ½ to 2e-10, highest power first (interpolated at Chebyshev's
# points): a few multiply-adds where the library functions take most of the pass's time.
COSINE = (
    -1.452987492, 7.800022165, -26.4046306, 60.24212493, -85.45665775, 64.93938905, -19.73920874, 0.9999999999,
)  # fmt: skip
SINE = (
    -0.6207367778, 3.781282164, -15.08655263, 42.05775186, -76.70580003, 81.60524741, -41.34170222, 6.283185307,
)  # fmt: skip


@dataclass(frozen=True)
class RandomFourier(FeatureMap):
    """φ(x) = [cos(ω₁·x/ℓ), …, sin(ω₁·x/ℓ), …] / √m, with m random frequencies ω and ℓ the length scale.

        rbf       ω ~ N(0, I)            k(x, x') = exp(−‖x − x'‖² / (2ℓ²))
        laplace   ω ~ Cauchy, by entry   k(x, x') = exp(−Σ|x − x'| / ℓ)

    φ(x)·φ(x') is unbiased and within O(1/√m) of the kernel; φ(x)·φ(x) = 1. F = 2m.

    Args:
        frequencies: m.
        kernel: "rbf" or "laplace".
        length_scale: in the units of the rows; None takes the median heuristic when the map meets data: √(half the
            median squared distance) for rbf, the median of Σ|x − x'| for laplace.
        factor: multiplies the median heuristic's length scale; used only with length_scale=None.
        seed: of the frequencies.

    Source: Rahimi and Recht (2007), "Random features for large-scale kernel machines", algorithm 1 and figure 1;
    cosines and sines rather than phases: Sutherland and Schneider (2015), arXiv:1506.02785.
    """

    frequencies: int = 1024
    kernel: str = "rbf"
    length_scale: float | None = None
    factor: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frequencies < 1:
            raise InputError(f"Got frequencies={self.frequencies}; expected 1 or more; try 1024.")
        if self.kernel not in KERNELS:
            raise InputError(f"Got kernel={self.kernel!r}; expected one of {', '.join(KERNELS)}.")
        if self.length_scale is not None and not self.length_scale > 0:
            raise InputError(
                f"Got length_scale={self.length_scale}; expected a number above 0, or None for the median heuristic."
            )

    def columns(self, row: tuple[int, ...]) -> int:
        """See `FeatureMap.columns`."""
        return 2 * self.frequencies

    def draw(self, row: tuple[int, ...]) -> Weights:
        """(m, d) frequencies for a length scale of 1; a Cauchy number is the ratio of two normal ones."""
        shape = (self.frequencies, int(np.prod(row)))
        omega = normals(self.seed, f"fourier.{self.kernel}", shape)
        return omega if self.kernel == "rbf" else omega / normals(self.seed, "fourier.laplace.scale", shape)

    def formula(self) -> "RandomFourier":
        """See `FeatureMap.formula`."""
        return replace(self, seed=0)

    def block(self, weights: Weights, x: Float[Array, "n *d"]) -> Float[Array, "n f"]:
        """See `FeatureMap.block`."""
        if self.length_scale is None:
            raise InputError("Got RandomFourier(length_scale=None); expected a number; try .resolve(x) first.")
        turns = flat(x / (2 * np.pi * self.length_scale)) @ weights.T.astype(x.dtype)
        return jnp.concatenate(cosine_and_sine(turns), axis=1) / self.frequencies**0.5

    def resolve(self, x: np.ndarray) -> "RandomFourier":
        """With the median heuristic's length scale, from at most 1,000 evenly spaced rows."""
        if self.length_scale is not None:
            return self
        scale = (median_square(x) / 2) ** 0.5 if self.kernel == "rbf" else median_city_block(x)
        return replace(self, length_scale=self.factor * scale)


def cosine_and_sine(turns: Array) -> tuple[Array, Array]:
    """cos 2πt and sin 2πt, within 1e-6 in float32 (rounding; for large t, that of t besides)."""
    if turns.dtype != jnp.float32:
        return jnp.cos(2 * jnp.pi * turns), jnp.sin(2 * jnp.pi * turns)
    t = turns - jnp.round(turns)
    square = t * t
    cosine, sine = (jnp.polyval(jnp.array(terms, t.dtype), square) for terms in (COSINE, SINE))
    return cosine, t * sine
