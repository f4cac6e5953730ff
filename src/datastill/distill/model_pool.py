"""A pool of networks that are trained on the set while it is learned: the loop that FRePo and RCIG share.

    init(problem, pool, objective, z, y, targets, seed, others)  -> State
    step(problem, pool, objective, targets, seed)(state, number) -> (state, loss)

A step takes one network θ of the pool and a batch of targets, moves the examples down the gradient of the objective,
then trains θ for some steps of Adam on ½ mean ‖f_θ(x_s) − y_s‖², or draws it afresh if it is old.

Source: Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719, algorithm 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.data import sampling
from datastill.distill import kip
from datastill.distill.finite_convnet import FiniteConvNet
from datastill.distill.kernel_objective import Targets
from datastill.distill.networks import adam, key_of
from datastill.features.base import Weights

Learned = dict[str, Array]


@dataclass(frozen=True)
class ModelPool:
    """The settings of a pool of models: their number and their renewal.

    Attributes:
        body: the architecture.
        size: networks.
        batch: targets in a step.
        oldest: training steps after which a network is drawn afresh; at the start ages are spread below it.
        trained: least and most training steps of a network after a step.
        rate: of Adam, which trains them.
        average: of the examples and labels that are handed out, an exponential mean with this decay; 0 takes the last.
        flip: put every example's mirror image beside it, with the same label, wherever the set is used.
    """

    body: FiniteConvNet
    size: int = 10
    batch: int = 1024
    oldest: int = 100
    trained: tuple[int, int] = (1, 1)
    rate: float = 3e-4
    average: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        if min(self.size, self.batch, self.oldest) < 1 or not 0 <= self.trained[0] <= self.trained[1]:
            raise InputError(
                f"Got a pool of {self.size} networks, {self.batch} targets, drawn afresh after {self.oldest} steps, "
                f"trained for {self.trained[0]} to {self.trained[1]}; expected 1 or more of each, and 0 or more of "
                "training, the least first."
            )
        if not 0 <= self.average < 1:
            raise InputError(f"Got average={self.average}; expected a decay of at least 0 and below 1, such as 0.99.")


class Member(NamedTuple):
    """A network, its optimiser's memory, and training steps behind it."""

    weights: Weights
    memory: Any
    age: Array


class State(NamedTuple):
    """Examples with their labels and optimiser, the means of both, the networks, and what the objective keeps."""

    learned: kip.State
    mean_z: Float[Array, "s *d"]
    mean_y: Float[Array, "s c"]
    members: tuple[Member, ...]
    kept: Any


class Objective(NamedTuple):
    """Return the loss of a step.

    Attributes:
        start: (learned, weights, x_t, y_t) -> what the objective keeps between steps.
        slope: (learned, weights, x_t, y_t, kept) -> (value, gradient in `learned`, kept).
    """

    start: Callable[[Learned, Weights, Array, Array], Any]
    slope: Callable[[Learned, Weights, Array, Array, Any], tuple[Array, Learned, Any]]


def init(
    problem: kip.Problem,
    pool: ModelPool,
    objective: Objective,
    z: np.ndarray,
    y: np.ndarray,
    targets: Targets,
    seed: int,
    others: Learned | None = None,
) -> State:
    """The state before the first step: fresh networks."""
    if problem.labels not in ("gradient", "fixed"):
        raise InputError(f"Got labels={problem.labels!r} with a pool of models; expected gradient or fixed.")
    ages = [m * pool.oldest // pool.size for m in range(pool.size)]
    members = tuple(_member(pool, targets, seed, m, 0, age) for m, age in enumerate(ages))
    learned = kip.init(problem, z, y, others)
    rows = sampling.batch(len(targets.x), pool.batch, seed, 0)
    x_t, y_t = jnp.asarray(targets.x[rows]), jnp.asarray(targets.y[rows])
    kept = objective.start(kip.by_name(learned), members[0].weights, x_t, y_t)
    return State(learned, learned.z, learned.y, members, kept)


def step(
    problem: kip.Problem, pool: ModelPool, objective: Objective, targets: Targets, seed: int
) -> Callable[[State, int], tuple[State, Float[Array, ""]]]:
    """The step (state, its number) -> (state, loss before the step), a function of the seed and the number."""
    x, y = jnp.asarray(targets.x), jnp.asarray(targets.y)
    move, train = jax.jit(kip.mover(problem)), _trainer(problem, pool)

    @jax.jit
    def averaged(mean: Array, now: Array) -> Array:
        return pool.average * mean + (1 - pool.average) * now

    def run(state: State, number: int) -> tuple[State, Array]:
        draw = sampling.rng(seed, 41, number)
        m, count = int(draw.integers(pool.size)), int(draw.integers(pool.trained[0], pool.trained[1] + 1))
        rows = jnp.asarray(sampling.batch(len(x), pool.batch, seed, number))
        member = state.members[m]
        value, gradient, kept = objective.slope(
            kip.by_name(state.learned), member.weights, x[rows], y[rows], state.kept
        )
        learned = move(state.learned, gradient)
        if int(member.age) >= pool.oldest:
            member = _member(pool, targets, seed, m, number + 1, 0)
        else:
            member = train(member, learned, count)
        members = (*state.members[:m], member, *state.members[m + 1 :])
        means = averaged(state.mean_z, learned.z), averaged(state.mean_y, learned.y)
        return State(learned, *means, members, kept), value

    return run


def examples(state: State) -> tuple[np.ndarray, np.ndarray]:
    """The examples and label vectors that are handed out."""
    return np.asarray(state.mean_z), np.asarray(state.mean_y)


def support(problem: kip.Problem, pool: ModelPool, learned: Learned) -> tuple[Array, Array]:
    """(x_s, y_s) as networks see the set, mirror images included."""
    x, y = problem.features(learned["z"]), learned["y"]
    return (jnp.concatenate([x, x[:, :, ::-1]]), jnp.concatenate([y, y])) if pool.flip else (x, y)


def label_margin(y: Float[Array, "s c"], most: float) -> Float[Array, ""]:
    """Mean over examples of min(largest − second largest entry, most)."""
    best = jax.lax.top_k(y, 2)[0]
    return jnp.mean(jnp.minimum(best[:, 0] - best[:, 1], most))


def _member(pool: ModelPool, targets: Targets, seed: int, m: int, turn: int, age: int) -> Member:
    weights = pool.body.draw(key_of(seed, 42, m, turn), targets.x.shape[1:], targets.y.shape[1])
    return Member(weights, optax.adam(pool.rate).init(weights), jnp.asarray(age))


def _trainer(problem: kip.Problem, pool: ModelPool) -> Callable[[Member, kip.State, int], Member]:
    """(member, set, steps) -> the member after so many steps of training."""
    _, step = adam(pool.body.outputs, pool.rate)
    seen = jax.jit(lambda learned: support(problem, pool, kip.by_name(learned)))

    def train(member: Member, learned: kip.State, count: int) -> Member:
        x_s, y_s = seen(learned)
        weights, memory = member.weights, member.memory
        for _ in range(count):
            weights, memory = step(weights, memory, x_s, y_s)
        return Member(weights, memory, member.age + count)

    return train
