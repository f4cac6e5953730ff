"""Gradient descent of a network on a small set, as its preset says, and its outputs afterwards.

    g = ∇ loss(θ; batch) + λ(θ − θ₀)       θ ← θ − η_t · momentum or Adam of g

The loss and λ are those of `Preset`. Each pass over a set that is larger than a batch is a fresh permutation, cut into
⌈n / batch⌉ parts of one size; the last is filled up from the permutation's start. Everything is float32, and the same
seed gives the same network on the same machine.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from datastill._errors import SolveError
from datastill._typing import Array, Float, Key
from datastill.learners.augmentation import transform
from datastill.learners.networks import network
from datastill.learners.presets import Preset

STEPS_A_CALL = 100
"""Of training in one compiled loop; on CPUs 1, for XLA runs convolutions inside a loop 20 to 100 times slower there."""

STABILITY_ROWS = 50
POWER_STEPS = 20


class Examples(NamedTuple):
    """The training data on the device.

    Attributes:
        x: (n, d) or (n, h, w, ch) rows.
        y: (n, c) distributions for cross-entropy, else vectors.
        weights: (n,) of mean 1.
    """

    x: Array
    y: Array
    weights: Array


class Weights(NamedTuple):
    """The parameters θ of a network, and θ₀ where they started."""

    now: Any
    start: Any


class Program(NamedTuple):
    """The functions compiled once for a preset and the shape of its rows.

    Attributes:
        forward: (weights, x) -> outputs, in units of the labels.
        init: θ -> the optimiser's memory.
        advance: (weights, memory, examples, key, rows of each step, rates, step numbers) -> (weights, memory, losses).
        stretch: (weights, x, v) -> J Jᵀ v, with J the derivative of the outputs by θ.
    """

    forward: Any
    init: Any
    advance: Any
    stretch: Any


def descend(how: Preset, examples: Examples, seed: int, steps: int) -> Weights:
    """Train a network from fresh weights.

    Raises:
        SolveError: when the loss or a parameter stops being finite.
    """
    made = network(how.architecture, examples.x.shape[1:], examples.y.shape[1], seed)
    start = jax.tree.map(jnp.asarray, nnx.state(made))
    weights = Weights(start, start)
    run = program(how, examples.x.shape[1:], examples.y.shape[1])
    rate = how.learning_rate
    if how.stable:
        rate *= stable_rate(how, weights, examples.x, examples.y.shape[1], seed)
    rates = (rate * how.rates(steps)).astype(np.float32)
    memory, key = run.init(start), jax.random.key(seed)
    order = batches(len(examples.x), how.batch, seed)
    call = 1 if jax.default_backend() == "cpu" else STEPS_A_CALL
    for done in range(0, steps, call):
        numbers = np.arange(done, min(done + call, steps))
        rows = np.stack(list(islice(order, len(numbers))))
        weights, memory, losses = run.advance(weights, memory, examples, key, rows, rates[numbers], numbers)
        if not np.isfinite(losses).all():
            break
    if not (np.isfinite(losses).all() and all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(weights.now))):
        raise SolveError(
            f"Got a non-finite loss by step {numbers[-1] + 1} of {steps} of a network; expected a number; try rows of "
            "mean 0 and variance 1, or another preset."
        )
    return weights


def outputs(
    how: Preset, weights: Weights, x: Float[np.ndarray, "n ..."], count: int, size: int
) -> Float[np.ndarray, "n c"]:
    """f(x), or f(x) − f₀(x), in units of the labels.

    Args:
        how: the preset that was trained.
        weights: of the network.
        x: rows of the shape that was trained on.
        count: c.
        size: rows at a time.
    """
    forward, found = program(how, x.shape[1:], count).forward, [np.zeros((0, count), np.float32)]
    size = min(size, max(len(x), 1))
    for first in range(0, len(x), size):
        part = x[first : first + size]
        whole = np.concatenate([part, np.zeros((size - len(part), *x.shape[1:]), np.float32)])
        found.append(np.asarray(forward(weights, whole))[: len(part)])
    return np.concatenate(found)


def stable_rate(how: Preset, weights: Weights, x: Array, count: int, seed: int) -> float:
    """The largest learning rate at which plain gradient descent on the linearised network shrinks every error.

    The loss is ½ the mean over m rows and c outputs, so errors e change by −η J Jᵀ e / (m c) a step, and η may be
    2 m c / λ_max; λ_max of the empirical NTK J Jᵀ by power iteration on at most STABILITY_ROWS rows, evenly spaced.
    Novak et al. (2020, arXiv:1912.02803), `max_learning_rate`.
    """
    rows = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), STABILITY_ROWS)).astype(int))]
    stretch = program(how, x.shape[1:], count).stretch
    vector, size = jax.random.normal(jax.random.key(seed), (len(rows), count)), 1.0
    for _ in range(POWER_STEPS):
        vector = stretch(weights, rows, vector / jnp.linalg.norm(vector))
        size = float(jnp.linalg.norm(vector))
    return 2 * vector.size / size


def batches(rows: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each step, without end."""
    parts = math.ceil(rows / batch)
    size = math.ceil(rows / parts)
    draw = np.random.default_rng(seed)
    while True:
        order = draw.permutation(rows) if parts > 1 else np.arange(rows)
        yield from np.resize(order, (parts, size))


@lru_cache(maxsize=16)
def program(how: Preset, shape: tuple[int, ...], count: int) -> Program:
    """The compiled functions for rows of a shape and a number of outputs."""
    graph = nnx.split(nnx.eval_shape(lambda: network(how.architecture, shape, count, 0)))[0]
    memory_of = optax.trace(how.momentum) if how.optimiser == "sgd" else optax.scale_by_adam()

    def forward(weights: Weights, x: Array) -> Array:
        found = nnx.merge(graph, weights.now)(x)
        if how.centred:
            found = found - nnx.merge(graph, weights.start)(x)
        return found / how.label_scale

    def loss(now: Any, start: Any, x: Array, y: Array, w: Array) -> Array:
        found = forward(Weights(now, start), x)
        if how.loss == "cross-entropy":
            return -jnp.mean(w * (y * jax.nn.log_softmax(found)).sum(axis=1))
        return jnp.mean(w * ((found - y) ** 2).mean(axis=1)) / 2

    def step(examples: Examples, start: Any, key: Key, carry: Any, batch: Any) -> Any:
        (now, memory), (rows, rate, number) = carry, batch
        x = examples.x[rows]
        if how.transforms is not None:
            x = transform(jax.random.fold_in(key, number), x, how.transforms)
        value, slope = jax.value_and_grad(loss)(now, start, x, examples.y[rows], examples.weights[rows])
        if how.weight_decay:
            from_where = start if how.centred else jax.tree.map(jnp.zeros_like, now)
            slope = jax.tree.map(lambda g, p, p0: g + how.weight_decay * (p - p0), slope, now, from_where)
        move, memory = memory_of.update(slope, memory)
        return (jax.tree.map(lambda p, m: p - rate * m, now, move), memory), value

    def advance(
        weights: Weights, memory: Any, examples: Examples, key: Key, rows: Array, rates: Array, numbers: Array
    ) -> tuple[Weights, Any, Array]:
        carry, several = (weights.now, memory), (rows, rates, numbers)
        if len(rates) == 1:
            carry, losses = step(examples, weights.start, key, carry, (rows[0], rates[0], numbers[0]))
        else:
            carry, losses = jax.lax.scan(lambda c, b: step(examples, weights.start, key, c, b), carry, several)
        return Weights(carry[0], weights.start), carry[1], losses

    def stretch(weights: Weights, x: Array, v: Array) -> Array:
        def by_parameters(now: Any) -> Array:
            return nnx.merge(graph, now)(x) / how.label_scale

        slope = jax.vjp(by_parameters, weights.now)[1](v)
        return jax.jvp(by_parameters, (weights.now,), slope)[1]

    return Program(jax.jit(forward), memory_of.init, jax.jit(advance), jax.jit(stretch))
