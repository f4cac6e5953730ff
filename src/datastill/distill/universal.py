"""One set for many learners: hard-labelled examples, learned through surrogates of families of learners.

    init(problem, z, y)                    -> State
    step(problem)(state, x_t, y_t, some)   -> (State, loss before the step)
    support(problem, state)                -> (examples, targets), as they are handed out

The loss is the mean of `surrogates.losses`. Examples descend by Adam with a cosine schedule; after each step they go
back to where values are distributed as in the data (`bands`). What surrogates see are the values that will be handed
out, rounded as the data are; the gradient passes straight through the rounding (Bengio, Léonard, Courville 2013,
arXiv:1308.3432).
"""

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
from datastill.distill.bands import Bands, within
from datastill.distill.kip import compiled
from datastill.distill.surrogates import Pair, Surrogate, losses
from datastill.preprocess.space import Space

SHARPNESS_RATE = 0.03
"""Of the temperatures, by Adam."""
TARGET_RATE = 0.3
"""Of targets, in times of the examples' rate."""
AT_ONCE = 600
"""Examples that a step trains the surrogates on; of a larger set, other ones in every step."""


@dataclass(frozen=True)
class Settings:
    """Say how a set is learned.

    Attributes:
        steps: of Adam.
        rate: of the first step, in standard deviations of the data; it falls by a cosine.
        rows: of the data in a step.
        band: how far the rank of a value may be from its rank in the data, in examples (see `bands`); None leaves
            values free within the data's range.
    """

    steps: int = 600
    rate: float = 0.05
    rows: int = 300
    band: float | None = 1.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Say what is minimised, and how.

    Attributes:
        settings: how.
        surrogates: the families of learners.
        space: of the examples.
        levels: grey levels of images; see `Space.occurring`.
        bounds: of the values; None leaves them free within the data's range.
        targets: the least and greatest target by column, for real targets, which are learned too; None for classes.
        learned: 1 where a coordinate is learned and 0 where it stays what it was, as of `kip.corruption_mask`; None
            learns all.
    """

    settings: Settings
    surrogates: tuple[Surrogate, ...]
    space: Space
    levels: int | None = None
    bounds: Bands | None = None
    targets: tuple[np.ndarray, np.ndarray] | None = None
    learned: np.ndarray | None = None

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Return the optimiser of everything that is learned."""
        steps, rate = max(self.settings.steps, 1), self.settings.rate
        rules = {
            "z": optax.adam(optax.cosine_decay_schedule(rate, steps)),
            "y": optax.adam(optax.cosine_decay_schedule(TARGET_RATE * rate, steps)),
            "sharp": optax.adam(SHARPNESS_RATE),
        }
        return optax.multi_transform(rules, lambda learned: {name: name for name in learned})

    def occurring(self, z: ArrayLike) -> Array:
        """Examples as they are handed out; differentiable."""
        return self.space.occurring(z, self.levels)

    def allowed(self, z: Float[Array, "s *d"], y: Float[Array, "s c"]) -> tuple[Array, Array]:
        """The nearest examples and targets that may be."""
        inside = self.space.clip(z)
        if self.bounds is not None:
            inside = within(self.bounds, inside.reshape(len(z), -1)).reshape(z.shape)
        return inside, y if self.targets is None else jnp.clip(y, *self.targets)


class State(NamedTuple):
    """Hold what the next step needs: examples, label vectors or targets, temperatures, the optimiser's memory."""

    z: Float[Array, "s *d"]
    y: Float[Array, "s c"]
    sharp: Float[Array, " m"]
    memory: Any


def init(problem: Problem, z: np.ndarray, y: np.ndarray) -> State:
    """The state before the first step.

    Args:
        problem: what is minimised.
        z: (s, …) initial examples.
        y: (s, c) one-hot classes less 1/C, or standardised targets.
    """
    sharp = jnp.asarray([member.sharp for member in problem.surrogates], jnp.float32)
    state = State(jnp.asarray(z, jnp.float32), jnp.asarray(y, jnp.float32), sharp, None)
    return state._replace(memory=problem.optimiser.init(_learned(problem, state)))


def step(problem: Problem) -> Callable[..., tuple[State, Float[Array, ""]]]:
    """The step (state, x_t, y_t, some) -> (state, loss before the step), to be traced under `krr.float64(True)`.

    x_t are rows as kernels see them, y_t their one-hot classes or standardised targets, `some` the numbers of the
    examples that surrogates are trained on.
    """
    regression = problem.targets is not None

    def loss(learned: dict[str, Array], state: State, x_t: Array, y_t: Array, some: Array) -> Array:
        x_s = problem.space.features(problem.occurring(learned["z"]))[some]
        pair = Pair(x_s.reshape(len(x_s), -1), x_t.reshape(len(x_t), -1))
        y_s = learned.get("y", state.y)[some]
        return jnp.mean(losses(problem.surrogates, learned["sharp"], pair, y_s, y_t, regression))

    def advance(state: State, x_t: Array, y_t: Array, some: Array) -> tuple[State, Array]:
        learned = _learned(problem, state)
        value, gradient = jax.value_and_grad(loss)(learned, state, x_t, y_t, some)
        updates, memory = problem.optimiser.update(gradient, state.memory)
        moved: Any = optax.apply_updates(learned, updates)
        z, y = problem.allowed(moved["z"], moved.get("y", state.y))
        if problem.learned is not None:
            z = jnp.where(problem.learned == 1, z, state.z)
        return State(z, y, moved["sharp"], memory), value

    return advance


def support(problem: Problem, state: State) -> tuple[np.ndarray, np.ndarray]:
    """The examples and their label vectors or targets, as they are handed out."""
    return np.asarray(problem.occurring(state.z)), np.asarray(state.y)


def learn(
    problem: Problem,
    z: np.ndarray,
    y: np.ndarray,
    x_t: np.ndarray,
    y_t: np.ndarray,
    validate: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    schedule: loop.Schedule,
    seed: int,
    codes: np.ndarray | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
    watch: loop.Watcher | None = None,
) -> loop.Progress:
    """Learn a set from initial examples z (s, …) and label vectors or targets y (s, c).

    Args:
        problem: what is minimised, and how.
        z: initial examples, grouped by class.
        y: one-hot classes less 1/C, or standardised targets.
        x_t: rows of the data, as kernels see them.
        y_t: their one-hot classes, or standardised targets.
        validate: (examples, label vectors) -> (loss, score), by which the step that is kept is chosen.
        schedule: steps, validations, patience.
        seed: of the rows of each step, which are a function of it and of the step.
        codes: of the examples, as `z`; None for real targets.
        checkpoint: file to resume from and write to.
        identity: of the run, so that no other run's checkpoint is resumed.
        watch: told of every step.
    """
    advance = compiled(step(problem))
    x_all, y_all = jnp.asarray(x_t), jnp.asarray(y_t)

    def on_rows(state: State, number: int) -> tuple[State, Array]:
        rows = jnp.asarray(sampling.batch(len(x_t), problem.settings.rows, seed, number))
        some = jnp.asarray(_some(len(z), codes, seed, number))
        return advance(state, x_all[rows], y_all[rows], some)

    return loop.run(
        init(problem, z, y),
        on_rows,
        partial(support, problem),
        lambda state: validate(*support(problem, state)),
        schedule,
        checkpoint,
        identity,
        watch,
    )


def at_once(examples: int, classes: int) -> int:
    """How many examples a step trains the surrogates on: one of each class at least."""
    return min(examples, max(AT_ONCE, classes))


def _some(examples: int, codes: np.ndarray | None, seed: int, number: int) -> np.ndarray:
    """Draw the examples of a step: all, or AT_ONCE of more, of each class in proportion, and one at least."""
    most = at_once(examples, 1 if codes is None else len(np.unique(codes)))
    if most == examples:
        return np.arange(examples)
    order = sampling.rng(seed, 32, number).permutation(examples)
    if codes is None:
        return np.sort(order[:most])
    place = np.empty(examples)
    for rows in sampling.rows_of_classes(codes[order]):
        place[order[rows]] = np.arange(len(rows)) / max(len(rows), 1)
    return np.sort(np.argsort(place, kind="stable")[:most])


def _learned(problem: Problem, state: State) -> dict[str, Array]:
    targets = {} if problem.targets is None else {"y": state.y}
    return {"z": state.z, "sharp": state.sharp, **targets}
