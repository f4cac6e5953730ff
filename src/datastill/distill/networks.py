"""Finite networks as kernels: weights drawn by a key, and features."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from datastill._typing import Array, Float, Key
from datastill.features.base import Weights
from datastill.features.conv import RandomConv

ROWS = 256  # whose features are taken at once


def weight_shapes(map: RandomConv, row: tuple[int, ...]) -> Any:
    """Return the L2 penalty of a network's weights."""
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


def adam(
    outputs: Callable[[Any, Array], Array], rate: float
) -> tuple[Callable[[Any], Any], Callable[[Any, Any, Array, Array], tuple[Any, Any]]]:
    """Training on a set by Adam: parameters -> memory, and (parameters, memory, x_s, y_s) -> both after one step.

    What descends is ½ mean ‖outputs(parameters, x_s) − y_s‖². Steps are called one by one, not in a loop of JAX's, in
    which derivatives of convolutions are slow on CPUs (docs/decisions/0019-no-convolution-in-a-loop.md).
    """
    optimiser = optax.adam(rate)

    def loss(parameters: Any, x_s: Array, y_s: Array) -> Array:
        return 0.5 * jnp.mean(jnp.sum((outputs(parameters, x_s) - y_s) ** 2, axis=1))

    @jax.jit
    def step(parameters: Any, memory: Any, x_s: Array, y_s: Array) -> tuple[Any, Any]:
        moves, memory = optimiser.update(jax.grad(loss)(parameters, x_s, y_s), memory)
        return optax.apply_updates(parameters, moves), memory

    return optimiser.init, step
