"""Finite networks as kernels: weights drawn by a key, and features."""

from typing import Any

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float, Key
from datastill.features.base import Weights
from datastill.features.conv import RandomConv

ROWS = 256  # whose features are taken at once


def weight_shapes(map: RandomConv, row: tuple[int, ...]) -> Any:
    """Of a network's weights."""
    return jax.eval_shape(lambda: jax.tree.map(jnp.asarray, map.draw(row)))


def fresh(key: Key, shapes: Any) -> Weights:
    """Standard normal weights."""
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [jax.random.normal(k, s.shape, s.dtype) for k, s in zip(keys, leaves, strict=True)])


def key_of(seed: int, *numbers: int) -> Key:
    """A key that is a function of the seed and of some numbers."""
    key = jax.random.key(seed)
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key


def features_of(formula: RandomConv, weights: Weights, x: Array) -> Float[Array, "n f"]:
    """The features of rows under a network, some rows at a time."""
    blocks = [formula.compiled(weights, x[start : start + ROWS]) for start in range(0, len(x), ROWS)]
    return jnp.concatenate(blocks)
