"""L-BFGS within bounds as an optax transformation, one evaluation of the loss a step: for losses without noise.

With pairs s = z' − z and y = g' − g of the last moves, d = −Hg is found by the two-loop recursion, over the coordinates
that are free to move (Bertsekas, 1982: the others are at a bound and pushed outwards). The next point is z + t·d with
t = 1; if its loss does not fall as far as Armijo asks, it is z + t·d with the t that a parabola suggests.

Source: Nocedal and Wright (2006), "Numerical Optimization", algorithms 3.1 and 7.4; bounds: Bertsekas (1982),
"Projected Newton methods for optimization problems with simple constraints"; Kim, Sra, Dhillon (2010), "Tackling
box-constrained optimization via a new projected quasi-Newton approach".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from datastill._typing import Array, Bool, Float, Int

PAIRS = 20
ENOUGH = 1e-4  # of the fall that the slope promises (Armijo)
SHORTEST = 1e-3  # a shorter t: the pairs are forgotten, and the next move is down the gradient


class Memory(NamedTuple):
    """Where the search is.

    Attributes:
        point: the best point so far, n numbers.
        value: its loss.
        gradient: there.
        direction: d.
        length: t of the point that is evaluated next.
        moves: s of the last pairs, in a ring.
        turns: y of these; both are 0 where there is none.
        pairs: how many there have been.
        steps: how many evaluations.
    """

    point: Float[Array, " n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    direction: Float[Array, " n"]
    length: Float[Array, ""]
    moves: Float[Array, "m n"]
    turns: Float[Array, "m n"]
    pairs: Int[Array, ""]
    steps: Int[Array, ""]


def lbfgs(learning_rate: float, steps: int) -> optax.GradientTransformationExtraArgs:
    """The transformation; `update` wants `value`, the loss, and `free`, true where a coordinate may move.

    Parameters are where the loss is evaluated next, the best point so far only after the last step. They may be moved
    to within bounds after each update.

    Args:
        learning_rate: root mean square of the first move.
        steps: after which the parameters are the best point.
    """

    def init(parameters: Any) -> Memory:
        flat = ravel_pytree(parameters)[0]
        none = jnp.zeros((PAIRS, flat.size), flat.dtype)
        zero, nothing = jnp.zeros((), jnp.int32), jnp.zeros_like(flat)
        worst = jnp.asarray(jnp.inf, jnp.float32)
        return Memory(flat, worst, nothing, nothing, jnp.ones((), flat.dtype), none, none, zero, zero)

    def update(gradient: Any, memory: Memory, parameters: Any, *, value: Array, free: Any, **_: Any) -> Any:
        z, restore = ravel_pytree(parameters)
        g, may = ravel_pytree(gradient)[0], ravel_pytree(free)[0]
        value = value.astype(memory.value.dtype)
        moved = z - memory.point
        fell = value <= memory.value + ENOUGH * (memory.gradient @ moved)
        rate = jnp.float32(learning_rate)
        memory = jax.lax.cond(
            fell, lambda m: _accept(m, z, value, g, may, rate), lambda m: _shorten(m, z, value, rate), memory
        )
        memory = memory._replace(steps=memory.steps + 1)
        there = memory.point + jnp.where(memory.steps < steps, memory.length, 0) * memory.direction
        return restore(there - z), memory

    return optax.GradientTransformationExtraArgs(init, update)


def _accept(memory: Memory, z: Array, value: Array, g: Array, free: Array, rate: Array) -> Memory:
    """The point evaluated is the best: its pair is kept if the loss curves upwards along it, and d is a new one."""
    move, turn = z - memory.point, g - memory.gradient
    curved = (memory.steps > 0) & (move @ turn > 0)
    slot = memory.pairs % PAIRS
    moves = memory.moves.at[slot].set(jnp.where(curved, move, memory.moves[slot]))
    turns = memory.turns.at[slot].set(jnp.where(curved, turn, memory.turns[slot]))
    pairs = memory.pairs + curved
    direction = jnp.where(pairs > 0, newton(g, free, moves, turns, pairs), steepest(g, rate))
    return Memory(z, value, g, direction, jnp.ones_like(memory.length), moves, turns, pairs, memory.steps)


def _shorten(memory: Memory, z: Array, value: Array, rate: Array) -> Memory:
    """The point evaluated is too high: t of the parabola's lowest point, or down the gradient if that is too short."""
    slope = memory.gradient @ (z - memory.point)
    above = value - memory.value - slope
    length = memory.length * jnp.clip(-slope / (2 * above), 0.1, 0.5).astype(memory.length.dtype)
    shorter = memory._replace(length=length)
    down = steepest(memory.gradient, rate)
    afresh = shorter._replace(
        direction=down,
        length=jnp.ones_like(length),
        moves=0 * memory.moves,
        turns=0 * memory.turns,
        pairs=0 * memory.pairs,
    )
    return jax.tree.map(lambda a, b: jnp.where(length < SHORTEST, a, b), afresh, shorter)


def steepest(g: Float[Array, " n"], rate: Float[Array, ""]) -> Float[Array, " n"]:
    """Down the gradient, with `rate` as the root mean square; bounds may cut it off."""
    return -rate * g / jnp.maximum(jnp.sqrt(jnp.mean(g**2)), jnp.finfo(g.dtype).tiny)


def newton(
    g: Float[Array, " n"],
    free: Bool[Array, " n"],
    moves: Float[Array, "m n"],
    turns: Float[Array, "m n"],
    pairs: Int[Array, ""],
) -> Float[Array, " n"]:
    """−Hg by the two-loop recursion, on the free coordinates alone."""
    moves, turns = jnp.where(free, moves, 0), jnp.where(free, turns, 0)
    curvature = jnp.sum(moves * turns, axis=1)
    used = curvature > 0
    weight = jnp.where(used, 1 / jnp.where(used, curvature, 1), 0)
    order = (pairs - 1 - jnp.arange(len(moves))) % len(moves)  # latest first

    def down(q: Array, i: Array) -> tuple[Array, Array]:
        along = weight[i] * (moves[i] @ q)
        return q - along * turns[i], along

    def up(r: Array, both: tuple[Array, Array]) -> tuple[Array, None]:
        i, along = both
        return r + moves[i] * (along - weight[i] * (turns[i] @ r)), None

    q, along = jax.lax.scan(down, jnp.where(free, g, 0), order)
    latest = order[jnp.argmax(used[order])]
    square = jnp.sum(turns[latest] ** 2)
    scale = jnp.where(square > 0, curvature[latest] / jnp.where(square > 0, square, 1), 1)
    return -jax.lax.scan(up, scale * q, (order[::-1], along[::-1]))[0]
