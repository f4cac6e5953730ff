"""Kernel Inducing Points: gradient descent on the support so that KRR on it predicts the targets.

    init(problem, z, y)                      -> state
    step(problem)(state, x_t, y_t, …)        -> (state, loss)

Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050; sampled kernels: Nguyen, Novak, Xiao, Lee (2021),
arXiv:2107.13034, section 3.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from datastill._errors import InputError
from datastill._typing import Array, Bool, Float, Key
from datastill.distill import lbfgs
from datastill.distill.objectives import Penalties, eliminated_loss, label_loss
from datastill.kernels.base import Kernel
from datastill.krr import float64
from datastill.preprocess.augment import Augmentation, augment

LABELS = ("solve", "gradient", "fixed")
LABEL_RATE = 0.1


def anywhere(z: Array) -> Array:
    """The projection where everything is allowed."""
    return z


@dataclass(frozen=True, eq=False)
class Problem:
    """The problem of KIP: its objective, its variables and its optimiser.

    Attributes:
        kernels: one is drawn for each step.
        features: z -> what the kernels see; differentiable.
        labels: "solve" eliminates them at every step, "gradient" learns them beside z, "fixed" leaves them.
        optimiser: an optax transformation.
        project: z -> the nearest z that is allowed, after each step.
        learned: 1 where z may change and 0 where it is frozen noise; None learns everything.
        penalties: the regularisers.
        augmentation: of the target images, on what the kernels see.
        memory: bytes for the working arrays of one tile, of targets or within a kernel.
    """

    kernels: tuple[Kernel, ...]
    features: Callable[[Array], Array]
    labels: str
    optimiser: optax.GradientTransformation
    project: Callable[[Array], Array] = anywhere
    learned: np.ndarray | None = None
    penalties: Penalties = Penalties()
    augmentation: Augmentation = Augmentation()
    memory: int = 2**30


def optimiser(learning_rate: float, steps: int, rule: str = "muon") -> optax.GradientTransformation:
    """The rule that moves examples and label vectors.

    "muon" (Jordan et al., 2024; the examples, read as an (s, d) matrix, all move by as much, each its own way) and
    "adam" have Adam for label vectors and fall by a cosine to zero; "lbfgs" moves all together. Updates have root mean
    square `learning_rate`, the first one only with "lbfgs".

    Chosen by measurement: "muon" where the loss is of batches (`docs/decisions/0003-optimiser.md`), "lbfgs" where it is
    exact and smooth (0028), "adam" where it is exact and has jumps.
    """
    if rule == "lbfgs":
        return lbfgs.lbfgs(learning_rate, steps)
    schedule = optax.cosine_decay_schedule(learning_rate, max(steps, 1))
    slower = optax.cosine_decay_schedule(LABEL_RATE * learning_rate, max(steps, 1))
    of_examples = optax.adam(schedule) if rule == "adam" else optax.contrib.muon(schedule, consistent_rms=1.0)
    rules = {"z": of_examples, "y": optax.adam(slower)}
    return optax.multi_transform(rules, lambda parameters: {name: name for name in parameters})


class State(NamedTuple):
    """The state of a run: examples, label vectors, the optimiser's state, and the other variables."""

    z: Float[Array, "s *d"]
    y: Float[Array, "s c"]
    optimiser: Any
    others: dict[str, Array] = {}  # noqa: RUF012


def init(problem: Problem, z: np.ndarray, y: np.ndarray, others: dict[str, Array] | None = None) -> State:
    """The state before the first step, from initial examples (s, …) and label vectors (s, c)."""
    if problem.labels not in LABELS:
        raise InputError(f"Got labels={problem.labels!r}; expected one of {', '.join(LABELS)}.")
    state = State(jnp.asarray(z, jnp.float32), jnp.asarray(y, jnp.float32), None, others or {})
    return state._replace(optimiser=problem.optimiser.init(_parameters(problem, state)))


def step(problem: Problem) -> Callable[..., tuple[State, Float[Array, ""]]]:
    """`update`, compiled, with float64 solves."""
    return compiled(update(problem), static_argnums=5)


def compiled(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """A function under `jit` that is traced and called with float64 solves."""
    fast = jax.jit(function, **settings)

    def run(*arguments: Any) -> Any:
        with float64(True):
            return fast(*arguments)

    return run


def update(problem: Problem) -> Callable[..., tuple[State, Float[Array, ""]]]:
    """The step (state, x_all, y_all, rows, key, kernel number) -> (state, loss before the step), to be traced.

    `x_all`, `y_all` are the whole target set on the device and `rows` the batch's indices (None for all), so that a
    step moves no data from the host.
    """

    def loss(learned: dict[str, Array], x_t: Array, y_t: Array, kernel: Kernel) -> Array:
        x_s = problem.features(learned["z"])
        if problem.labels == "solve":
            return eliminated_loss(kernel, x_s, x_t, y_t, problem.penalties, problem.memory)[0]
        return label_loss(kernel, x_s, learned["y"], x_t, y_t, problem.penalties, problem.memory)

    advance = descent(problem, loss)

    def on_batch(
        state: State, x_all: Array, y_all: Array, rows: Array | None, key: Key, number: int
    ) -> tuple[State, Array]:
        x_t, y_t = (x_all, y_all) if rows is None else (x_all[rows], y_all[rows])
        if problem.augmentation:
            x_t = augment(key, x_t, problem.augmentation)
        return advance(state, x_t, y_t, problem.kernels[number].within(problem.memory))

    return on_batch


def descent(problem: Problem, loss: Callable[..., Array]) -> Callable[..., tuple[State, Float[Array, ""]]]:
    """The step (state, *data) -> (state, loss before the step) down any loss(learned, *data), to be traced.

    `learned` is what `by_name` makes of a state.
    """
    move = mover(problem)

    def advance(state: State, *data: Any) -> tuple[State, Array]:
        value, gradient = jax.value_and_grad(loss)(by_name(state), *data)
        return move(state, gradient, value), value

    return advance


def by_name(state: State) -> dict[str, Array]:
    """The examples z, the label vectors y, and the state's others, by name."""
    return {"z": state.z, "y": state.y, **state.others}


def mover(problem: Problem) -> Callable[..., State]:
    """The step (state, gradient, loss) -> state of the problem's optimiser, to be traced; gradients as in `by_name`.

    The loss is for L-BFGS.
    """
    rule = optax.with_extra_args_support(problem.optimiser)

    def move(state: State, gradient: dict[str, Array], value: Array | None = None) -> State:
        parameters, shape = _parameters(problem, state), state.z.shape
        own = {name: gradient[name].reshape(parameters[name].shape) for name in parameters}
        if problem.learned is not None:
            own["z"] = own["z"] * problem.learned.reshape(len(state.z), -1)
        free = {name: jnp.ones(own[name].shape, bool) for name in own} | {"z": _free(problem, state.z, own["z"])}
        updates, memory = rule.update(own, state.optimiser, parameters, value=value, free=free)
        moved: Any = optax.apply_updates(parameters, updates)
        z = problem.project(moved["z"].reshape(shape))
        if problem.learned is not None:
            z = jnp.where(problem.learned == 1, z, state.z)
        return State(z, moved.get("y", state.y), memory, {name: moved[name] for name in state.others})

    return move


def corruption_mask(shape: tuple[int, ...], rho: float, generator: np.random.Generator) -> np.ndarray:
    """(s, …) of 1 where a coordinate is learned and 0 where it is noise: round(ρ·d) of each example's d."""
    if not 0 <= rho < 1:
        raise InputError(f"Got corruption={rho}; expected a fraction at least 0 and below 1.")
    d = int(np.prod(shape[1:]))
    order = generator.permuted(np.tile(np.arange(d), (shape[0], 1)), axis=1)
    return (order >= round(rho * d)).astype(np.float32).reshape(shape)


def _free(problem: Problem, z: Array, gradient: Array) -> Bool[Array, "s d"]:
    """Return the mask (s, d) of coordinates that may move against the gradient: neither frozen nor held by a bound."""
    down = z - jnp.sign(gradient.reshape(z.shape))  # far enough not to be rounded away
    return (problem.project(down) != z).reshape(gradient.shape)


def _parameters(problem: Problem, state: State) -> dict[str, Array]:
    """Return the optimiser's variables: examples as a matrix, labels if learned by gradient, and the others."""
    labels = {"y": state.y} if problem.labels == "gradient" else {}
    return {"z": state.z.reshape(len(state.z), -1), **labels, **state.others}
