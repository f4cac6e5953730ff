"""Finite networks in flax.nnx: dense, and the ConvNet that dataset distillation is judged by.

    ConvNet   with a stem [3×3 convolution, ReLU]; for each width [3×3 convolution, norm, ReLU, 2×2 average pooling];
              flatten, dense
    norm      γ_c (x − m_c) / √(v_c + 1e-5) + β_c with mean m_c and variance v_c of channel c over one image's pixels,
              which is GroupNorm with one group a channel

Gidaris and Komodakis (2018, arXiv:1804.09458), as adapted by Zhao et al. (2021, arXiv:2006.05929): width 128 and three
blocks on 32×32×3 images with 10 classes have 320,010 parameters. Images are (n, h, w, ch), numbers float32.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from datastill._typing import Array, Float
from datastill.features.conv import margins, standardised
from datastill.learners.presets import Architecture

Initialisers = tuple[Callable[..., Array], Callable[..., Array]]


def _torch(fan_in: int) -> Initialisers:
    def uniform(key: Array, shape: Any, dtype: Any = jnp.float32, *_: Any) -> Array:
        return jax.random.uniform(key, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)

    return uniform, uniform


INITIALISATIONS: dict[str, Callable[[int], Initialisers]] = {
    "torch": _torch,
    "lecun": lambda fan_in: (jax.nn.initializers.lecun_normal(), jax.nn.initializers.zeros),
    "he": lambda fan_in: (jax.nn.initializers.normal((2 / fan_in) ** 0.5), jax.nn.initializers.normal(0.1)),
}
"""Name -> fan-in -> initialisers of weights and biases: uniform ±1/√fan_in for both, PyTorch's default; normal with
variance 1/fan_in and zero biases, flax's default; normal with variance 2/fan_in and biases of deviation 0.1."""


class InstanceNorm(nnx.Module):
    """Each channel of each image to mean 0 and variance 1, then scaled and moved by learned γ and β."""

    def __init__(self, channels: int) -> None:
        self.gamma = nnx.Param(jnp.ones(channels))
        self.beta = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "n h w ch"]) -> Float[Array, "n h w ch"]:
        """Normalise each image."""
        return standardised(x, (1, 2)) * self.gamma[...] + self.beta[...]


class MLP(nnx.Module):
    """Dense layers with ReLU between them; images are read as vectors."""

    def __init__(self, inputs: int, outputs: int, what: Architecture, rngs: nnx.Rngs) -> None:
        sizes = pairwise((inputs, *what.widths, outputs))
        self.layers = nnx.List([_dense(a, b, what.initialisation, rngs) for a, b in sizes])

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "n c"]:
        """The outputs f(x)."""
        *hidden, last = self.layers
        x = x.reshape(len(x), -1)
        for layer in hidden:
            x = nnx.relu(layer(x))
        return last(x)


class ConvNet(nnx.Module):
    """Blocks of convolution, norm, ReLU and pooling, then one dense layer."""

    def __init__(self, shape: tuple[int, int, int], outputs: int, what: Architecture, rngs: nnx.Rngs) -> None:
        h, w, channels = shape
        blocks, init = len(what.widths), what.initialisation
        self.margins = tuple(margins(side, 2**blocks if what.padded else 1) for side in (h, w))
        stem = what.widths[:1] if what.stem else ()
        self.stem = nnx.List([_convolution(channels, width, init, rngs) for width in stem])
        sizes = pairwise(((*stem, channels)[0], *what.widths))
        self.convolutions = nnx.List([_convolution(a, b, init, rngs) for a, b in sizes])
        self.norms = nnx.List([InstanceNorm(width) for width in what.widths if what.norm == "instance"])
        h, w = ((side + sum(margin)) // 2**blocks for side, margin in zip((h, w), self.margins, strict=True))
        self.head = _dense(h * w * what.widths[-1], outputs, init, rngs)

    def __call__(self, x: Float[Array, "n h w ch"]) -> Float[Array, "n c"]:
        """The outputs f(x)."""
        x = jnp.pad(x, ((0, 0), *self.margins, (0, 0)))
        for convolution in self.stem:
            x = nnx.relu(convolution(x))
        norms: list[Callable[[Array], Array]] = list(self.norms) or [lambda z: z] * len(self.convolutions)
        for convolution, norm in zip(self.convolutions, norms, strict=True):
            x = nnx.avg_pool(nnx.relu(norm(convolution(x))), (2, 2), (2, 2))
        return self.head(x.reshape(len(x), -1))


def network(what: Architecture, shape: tuple[int, ...], outputs: int, seed: int) -> nnx.Module:
    """A network with fresh weights for rows of this shape, (d,) or (h, w, ch)."""
    rngs = nnx.Rngs(seed)
    if what.convolutional:
        h, w, channels = shape
        return ConvNet((h, w, channels), outputs, what, rngs)
    return MLP(math.prod(shape), outputs, what, rngs)


def _convolution(inputs: int, outputs: int, initialisation: str, rngs: nnx.Rngs) -> nnx.Conv:
    weights, biases = INITIALISATIONS[initialisation](9 * inputs)
    return nnx.Conv(inputs, outputs, (3, 3), kernel_init=weights, bias_init=biases, rngs=rngs)


def _dense(inputs: int, outputs: int, initialisation: str, rngs: nnx.Rngs) -> nnx.Linear:
    weights, biases = INITIALISATIONS[initialisation](inputs)
    return nnx.Linear(inputs, outputs, kernel_init=weights, bias_init=biases, rngs=rngs)
