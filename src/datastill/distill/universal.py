"""One set for many learners: hard-labelled examples, learned through surrogates of families of learners.

    init(problem, z, y, pool)                             -> State
    step(problem)(state, x_t, y_t, some, rate, bounds, …) -> (State, loss before the step)
    support(problem, state)                               -> (examples, targets[, weights]), as they are handed out

The loss is the mean of `surrogates.losses`; of images, also that of a network of a `pool` that is trained on the set
while it is learned. Examples descend by Adam with a cosine schedule; after each step they go back to where values are
distributed as in the data (`bands`). What surrogates see are the values that will be handed out, rounded as the data
are; the gradient passes straight through the rounding (Bengio, Léonard, Courville 2013, arXiv:1308.3432).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from datastill._typing import Array, ArrayLike, Float
from datastill.data import sampling
from datastill.distill import loop
from datastill.distill import pool as pools
from datastill.distill.bands import Bands, within
from datastill.distill.kernel_objective import Targets
from datastill.distill.kip import compiled
from datastill.distill.surrogates import Pair, Surrogate, loss_of, losses
from datastill.features.conv import RandomConv
from datastill.preprocess.encoder import FeatureEncoder

SHARPNESS_RATE = 0.03
"""Of the temperatures, by Adam."""
TARGET_RATE = 0.3
"""Of targets, in times of the examples' rate."""
WEIGHT_RATE = 0.5
"""Of the logarithms of row weights, in times of the examples' rate."""
NETWORK_REG = 5e-3
"""Of the last layers of networks, as `NetworkKIP` has it."""
NETWORK_SHARP = 1.0
"""The initial logarithm of their temperature."""
AT_ONCE = 1500
"""Examples that a step trains the surrogates on; of a larger set, other ones in every step."""
CLASSES_AT_ONCE = 100
"""Classes whose examples these are, about."""


OPTIMISER = optax.adam(1.0)
"""Of everything that is learned; its moves are taken in times of a rate."""


@dataclass(frozen=True)
class Settings:
    """Say how a set is learned.

    Attributes:
        steps: of Adam.
        rate: of the first step, in standard deviations of the data; it falls by a cosine.
        rows: of the data in a step.
        band: how far the rank of a value may be from its rank in the data, in examples (see `bands`); None leaves
            values free within the data's range.
        networks: whether those of the problem take part.
    """

    steps: int = 600
    rate: float = 0.05
    rows: int = 300
    band: float | None = 1.0
    networks: bool = True

    def rate_at(self, number: int) -> float:
        """The rate of this step."""
        return self.rate * 0.5 * (1 + math.cos(math.pi * number / max(self.steps, 1)))


@dataclass(frozen=True, eq=False)
class Problem:
    """Say what is minimised.

    Attributes:
        surrogates: the families of learners.
        space: of the examples.
        levels: grey levels of images; see `FeatureEncoder.occurring`.
        targets: the least and greatest target by column, for real targets, which are learned too; None for classes.
        learned: 1 where a coordinate is learned and 0 where it stays what it was, as of `kip.corruption_mask`; None
            learns all.
        nets: the pool of networks, for images; None leaves them out.
        weighted: whether row weights are learned, for learners that take them.
    """

    surrogates: tuple[Surrogate, ...]
    space: FeatureEncoder
    levels: int | None = None
    targets: tuple[np.ndarray, np.ndarray] | None = None
    learned: np.ndarray | None = None
    nets: pools.Nets | None = None
    weighted: bool = False

    def occurring(self, z: ArrayLike) -> Array:
        """Examples as they are handed out; differentiable."""
        return self.space.occurring(z, self.levels)

    def allowed(self, z: Float[Array, "s *d"], bounds: Bands | None, before: Float[Array, "s *d"]) -> Array:
        """The nearest examples that may be."""
        inside = self.space.clip(z)
        if bounds is not None:
            inside = within(bounds, inside.reshape(len(z), -1)).reshape(z.shape)
        return inside if self.learned is None else jnp.where(self.learned == 1, inside, before)


class State(NamedTuple):
    """Hold what the next step needs.

    Attributes:
        learned: "z", the examples; "sharp", logarithms of the surrogates' temperatures, that of networks last; of real
            targets "y", the examples' targets; and, where they are learned, "weights", logarithms of row weights.
        y: label vectors or targets of the examples.
        memory: of the optimiser.
        pool: the networks, if there are any.
    """

    learned: dict[str, Array]
    y: Float[Array, "s c"]
    memory: Any
    pool: pools.Pool | None = None


def init(problem: Problem, z: np.ndarray, y: np.ndarray, pool: pools.Pool | None = None) -> State:
    """The state before the first step.

    Args:
        problem: what is minimised.
        z: (s, …) initial examples.
        y: (s, c) one-hot classes less 1/C, or standardised targets.
        pool: the networks of `problem.nets`.
    """
    vectors = jnp.asarray(y, jnp.float32)
    learned = {
        "z": jnp.asarray(z, jnp.float32),
        "sharp": jnp.asarray([*(member.sharp for member in problem.surrogates), NETWORK_SHARP], jnp.float32),
    }
    if problem.targets is not None:
        learned["y"] = vectors
    if problem.weighted:
        learned["weights"] = jnp.zeros(len(z), jnp.float32)
    return State(learned, vectors, OPTIMISER.init(learned), pool)


def step(problem: Problem) -> Callable[..., tuple[State, Float[Array, ""]]]:
    """The step (state, x_t, y_t, some, rate, bounds, formulas, drawn) -> (state, loss before the step).

    x_t are rows as kernels see them, y_t their one-hot classes or standardised targets, `some` the numbers of the
    examples that learners are trained on, `rate` and `bounds` those of the step, the others what `pool.drawn` says.
    Everything is compiled once for all rates and bounds; networks apart, since they do not take part in every run.
    """
    regression, members = problem.targets is not None, len(problem.surrogates)

    def seen(learned: dict[str, Array], y: Array, some: Array) -> tuple[Array, Array]:
        return problem.space.features(problem.occurring(learned["z"]))[some], learned.get("y", y)[some]

    def loss(learned: dict[str, Array], y: Array, some: Array, x_t: Array, y_t: Array) -> Array:
        x_s, y_s = seen(learned, y, some)
        weights = row_weights(learned["weights"][some]) if problem.weighted else None
        pair = Pair(x_s.reshape(len(x_s), -1), x_t.reshape(len(x_t), -1), weights)
        return jnp.mean(losses(problem.surrogates, learned["sharp"][:members], pair, y_s, y_t, regression))

    def network_loss(
        learned: dict[str, Array], y: Array, some: Array, formulas: tuple[RandomConv, ...], drawn: pools.Drawn
    ) -> Array:
        outputs = pools.outputs(formulas, drawn, *seen(learned, y, some), NETWORK_REG)
        outputs = outputs if regression else jnp.exp(learned["sharp"][-1]) * outputs
        return loss_of(jnp.concatenate(outputs), jnp.concatenate(drawn.y), regression)

    slope, network_slope = (
        compiled(jax.value_and_grad(loss)),
        compiled(jax.value_and_grad(network_loss), static_argnums=3),
    )

    @jax.jit
    def mean(first: Any, last: Any) -> Any:
        return jax.tree.map(lambda a, b: (members * a + b) / (members + 1), first, last)

    @jax.jit
    def moved(learned: dict[str, Array], memory: Any, gradient: Any, rate: Any, bounds: Bands | None) -> Any:
        moves, memory = OPTIMISER.update(gradient, memory)
        rates = {"z": rate, "y": TARGET_RATE * rate, "weights": WEIGHT_RATE * rate, "sharp": SHARPNESS_RATE}
        found = {name: learned[name] + rates[name] * moves[name] for name in learned}
        found["z"] = problem.allowed(found["z"], bounds, learned["z"])
        if problem.targets is not None:
            found["y"] = jnp.clip(found["y"], *problem.targets)
        return found, memory

    def advance(
        state: State,
        x_t: Array,
        y_t: Array,
        some: Array,
        rate: float,
        bounds: Bands | None = None,
        formulas: tuple[RandomConv, ...] = (),
        drawn: pools.Drawn | None = None,
    ) -> tuple[State, Array]:
        slopes = slope(state.learned, state.y, some, x_t, y_t)
        if formulas:
            slopes = mean(slopes, network_slope(state.learned, state.y, some, formulas, drawn))
        value, gradient = slopes
        learned, memory = moved(state.learned, state.memory, gradient, rate, bounds)
        return state._replace(learned=learned, memory=memory), value

    return advance


def row_weights(logarithms: Float[Array, " s"]) -> Float[Array, " s"]:
    """Row weights, 1 on average."""
    return len(logarithms) * jax.nn.softmax(logarithms)


def support(problem: Problem, state: State) -> tuple[np.ndarray, ...]:
    """The examples, their label vectors or targets, and row weights if they are learned, as they are handed out."""
    learned = state.learned
    weights = (row_weights(learned["weights"]),) if problem.weighted else ()
    return tuple(map(np.asarray, (problem.occurring(learned["z"]), learned.get("y", state.y), *weights)))


def learn(
    problem: Problem,
    advance: Callable[..., tuple[State, Array]],
    settings: Settings,
    start: tuple[np.ndarray, ...],
    targets: Targets,
    validate: Callable[..., tuple[float, float]],
    schedule: loop.Schedule,
    seed: int,
    codes: np.ndarray | None = None,
    bounds: Bands | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
    watch: loop.Watcher | None = None,
) -> loop.Progress:
    """Learn a set.

    Args:
        problem: what is minimised.
        advance: `step(problem)`, which several runs can share.
        settings: how it is learned.
        start: initial examples (s, …), grouped by class, and their label vectors or targets (s, c): one-hot classes
            less 1/C, or standardised; what follows is not used.
        targets: rows of the data, as kernels see them, and their one-hot classes or standardised targets.
        validate: (examples, label vectors[, weights]) -> (loss, score), by which the step that is kept is chosen.
        schedule: steps, validations, patience.
        seed: of the rows of each step, which are a function of it and of the step.
        codes: of the examples, in their order; None for real targets.
        bounds: of the values; None leaves them free within the data's range.
        checkpoint: file to resume from and to write to.
        identity: of the run, so that no other run's checkpoint is resumed.
        watch: told of every step.
    """
    x_all, y_all, examples = jnp.asarray(targets.x), jnp.asarray(targets.y), len(start[0])
    of_class = [] if codes is None else sampling.rows_of_classes(np.argmax(targets.y, axis=1), targets.y.shape[1])
    nets = problem.nets if settings.networks else None
    pool = None if nets is None else pools.filled(nets, targets, seed)
    renewed = None if nets is None else pools.renewal(nets, targets, seed)

    def networks(state: State, number: int, some: np.ndarray) -> tuple[State, tuple[Any, ...]]:
        """The state with its pool kept up, and the networks of the step."""
        pool = state.pool
        if nets is None or renewed is None or pool is None:
            return state, ()
        if number and number % nets.every == 0:
            x_s = problem.space.features(problem.occurring(state.learned["z"]))[some]
            pool = renewed(pool, number, x_s, state.learned.get("y", state.y)[some])
        return state._replace(pool=pool), pools.drawn(nets, pool, seed, number)

    def on_rows(state: State, number: int) -> tuple[State, Array]:
        some, classes = _some(examples, codes, seed, number)
        if classes is None:
            rows = sampling.batch(len(x_all), settings.rows, seed, number)
        else:
            among = np.concatenate([of_class[c] for c in classes])
            rows = sampling.rng(seed, 33, number).choice(among, settings.rows)
        state, drawn = networks(state, number, some)
        return advance(state, x_all[rows], y_all[rows], jnp.asarray(some), settings.rate_at(number), bounds, *drawn)

    return loop.run(
        init(problem, start[0], start[1], pool),
        on_rows,
        partial(support, problem),
        lambda state: validate(*support(problem, state)),
        schedule,
        checkpoint,
        identity,
        watch,
    )


def at_once(examples: int, classes: int) -> int:
    """Return how many examples a step trains the surrogates on."""
    return min(examples, AT_ONCE, math.ceil(examples * CLASSES_AT_ONCE / max(classes, 1)))


def _some(examples: int, codes: np.ndarray | None, seed: int, number: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw the examples of a step, and the classes that its rows are of; None for all.

    These are all examples of some classes, since a part of a class would learn to serve as a part. Where so few
    classes fit that there would be no two, they are examples of each class in proportion.
    """
    counts = sampling.class_counts(codes, examples)
    most = at_once(examples, int(np.count_nonzero(counts)))
    if most == examples:
        return np.arange(examples), None
    draw = sampling.rng(seed, 32, number)
    if codes is not None and most >= 3 * counts.max():  # the last class may be cut
        turn = draw.permutation(codes.max() + 1)[codes]
        some = np.sort(np.argsort(turn, kind="stable")[:most])
        return some, np.unique(codes[some])
    order = draw.permutation(examples)
    if codes is None:
        return np.sort(order[:most]), None
    place = np.empty(examples)
    for rows in sampling.rows_of_classes(codes[order]):
        place[order[rows]] = np.arange(len(rows)) / max(len(rows), 1)
    return np.sort(np.argsort(place, kind="stable")[:most]), None
