"""Convolutional networks in their ordinary parametrisation, with a dense last layer: what a pool of models is made of.

    block      [batch norm, except in the first; 3×3 convolution; activation; mean of 2×2 pixels], channels doubling
    f(x)       = φ(x) V + c, with φ(x) the last block's output as a vector

Weights are normal with variance 1/fan-in, biases 0. Batch norm takes mean and variance of each channel over the batch
at hand. Sides are filled up with zeros to a multiple of 2^depth.

Source: the architecture of Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719; without norm and with softplus, of Loo,
Hasani, Lechner, Rus (2023), arXiv:2302.06755.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from datastill import _moved
from datastill._errors import InputError
from datastill._typing import Array, Float, Key
from datastill.features.base import Weights
from datastill.features.conv import convolve, image_shape, margins, standardised, with_channels
from datastill.preprocess.scales import mean_of_four

SHARPNESS = 60.0
ACTIVATIONS = ("relu", "softplus")


@dataclass(frozen=True)
class FiniteConvNet:
    """A network of this kind.

    Attributes:
        width: channels of the first block; each of the others has twice as many as the one before.
        depth: blocks.
        activation: "relu", or "softplus", log(1 + exp(60 h))/60, which has second derivatives.
        normalised: with batch norm.
    """

    width: int = 128
    depth: int = 3
    activation: str = "relu"
    normalised: bool = False

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise InputError(f"Got width={self.width}, depth={self.depth}; expected 1 or more of each.")
        if self.activation not in ACTIVATIONS:
            raise InputError(f"Got activation={self.activation!r}; expected one of {', '.join(ACTIVATIONS)}.")

    def draw(self, key: Key, row: tuple[int, ...], outputs: int) -> Weights:
        """Fresh weights, a tree with "blocks" and "last"."""
        h, w, channels = image_shape(row)
        keys, width = jax.random.split(key, self.depth + 1), self.width
        blocks: list[Weights] = []
        for own in keys[:-1]:
            block = {"filters": _normal(own, (3, 3, channels, width), 9 * channels), "shift": jnp.zeros(width)}
            if self.normalised and blocks:
                block |= {"gain": jnp.ones(channels), "offset": jnp.zeros(channels)}
            blocks.append(block)
            channels, width = width, 2 * width
        side = 2**self.depth
        columns = -(-h // side) * -(-w // side) * channels
        last = {"matrix": _normal(keys[-1], (columns, outputs), columns), "shift": jnp.zeros(outputs)}
        return {"blocks": blocks, "last": last}

    def features(self, weights: Weights, x: Float[Array, "n *hwc"]) -> Float[Array, "n f"]:
        """φ(x)."""
        a = with_channels(x)
        a = jnp.pad(a, ((0, 0), *(margins(side, 2**self.depth) for side in a.shape[1:3]), (0, 0)))
        for block in weights["blocks"]:
            if "gain" in block:
                a = standardised(a, (0, 1, 2)) * block["gain"] + block["offset"]
            h = convolve(a, block["filters"], "SAME") + block["shift"]
            smooth = self.activation == "softplus"
            a = mean_of_four(jax.nn.softplus(SHARPNESS * h) / SHARPNESS if smooth else jnp.maximum(h, 0))
        return a.reshape(len(a), -1)

    def outputs(self, weights: Weights, x: Float[Array, "n *hwc"]) -> Float[Array, "n c"]:
        """f(x)."""
        return self.features(weights, x) @ weights["last"]["matrix"] + weights["last"]["shift"]


def _normal(key: Key, shape: tuple[int, ...], fan_in: int) -> Array:
    return jax.random.normal(key, shape, jnp.float32) / fan_in**0.5


if not TYPE_CHECKING:
    __getattr__ = _moved.renamed(__name__, {"Body": "FiniteConvNet"})
