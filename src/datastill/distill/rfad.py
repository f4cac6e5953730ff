"""RFAD: KIP under random convolutional networks, drawn afresh at every step.

    init(problem, settings, z, y)                    -> state
    step(problem, settings, targets, seed)           -> (state, number) -> (state, loss)

With M networks of features φ_m, the kernel of a step is k(x, x') = 1/M Σ φ_m(x)·φ_m(x'), in expectation the NNGP kernel
of the infinite network, at a price that grows with rows and not with pairs. With f = k_ts k_ss⁻¹ y_s the loss is

    "cross-entropy"   mean CE(exp(τ) f, class)       τ is learned beside the examples (Platt scaling)
    "square"          ½ mean ‖f − y_t‖²

The examples are X = Z A with rows Z and a matrix A that starts as the identity, both learned.

Source: Loo, Hasani, Amini, Rus (2022), arXiv:2210.12067, algorithm 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from datastill._errors import InputError
from datastill._typing import Array, Float, Key
from datastill.data import sampling
from datastill.distill import kip, loop
from datastill.distill.kernel_objective import Targets
from datastill.distill.networks import features_of, fresh, key_of, weight_shapes
from datastill.features.base import Weights
from datastill.features.conv import RandomConv
from datastill.krr import cholesky_solve, float64, regularise

VALIDATED = 2_000
EVERY = 40  # steps between validations, as published
LOSSES = ("cross-entropy", "square")


@dataclass(frozen=True)
class Settings:
    """The networks that a step draws. The defaults are the published ones.

    Attributes:
        map: the architecture; its seed does not matter.
        networks: M.
        batch: targets in a step.
        loss: "cross-entropy" or "square".
        judges: networks, always the same, that validation averages over.
    """

    map: RandomConv = RandomConv(256, 3)
    networks: int = 8
    batch: int = 5120
    loss: str = "cross-entropy"
    judges: int = 16

    def __post_init__(self) -> None:
        if min(self.networks, self.batch, self.judges) < 1:
            raise InputError(
                f"Got networks={self.networks}, batch={self.batch}, judges={self.judges}; expected 1 or more of each."
            )
        if self.loss not in LOSSES:
            raise InputError(f"Got loss={self.loss!r}; expected one of {', '.join(LOSSES)}.")


def optimiser(learning_rate: float) -> optax.GradientTransformation:
    """AdaBelief on examples and labels, slower on the matrix and faster on the temperature, as published."""
    rates = {"z": 1.0, "y": 1.0, "mixing": 0.05, "temperature": 10.0}
    rules = {name: optax.adabelief(factor * learning_rate, eps=1e-16) for name, factor in rates.items()}
    return optax.multi_transform(rules, lambda parameters: {name: name for name in parameters})


def init(problem: kip.Problem, z: np.ndarray, y: np.ndarray) -> kip.State:
    """The state before the first step."""
    others = {"mixing": jnp.eye(int(np.prod(z.shape[1:]))), "temperature": jnp.zeros(())}
    return kip.init(problem, z, y, others)


def examples(state: kip.State) -> tuple[np.ndarray, np.ndarray]:
    """X = Z A and the label vectors."""
    return np.asarray(_mixed(state.z, state.others["mixing"])), np.asarray(state.y)


def step(
    problem: kip.Problem, settings: Settings, targets: Targets, seed: int
) -> Callable[[kip.State, int], tuple[kip.State, Float[Array, ""]]]:
    """The step (state, its number) -> (state, loss before the step), a function of the seed and the number."""
    x, y = jnp.asarray(targets.x), jnp.asarray(targets.y)

    def loss(learned: dict[str, Array], networks: list[Weights], phi_t: list[Array], y_t: Array) -> Array:
        return _loss(problem, settings, learned, networks, phi_t, y_t)[0]

    advance = kip.compiled(kip.descent(problem, loss))

    def run(state: kip.State, number: int) -> tuple[kip.State, Array]:
        rows = jnp.asarray(sampling.batch(len(x), settings.batch, seed, number))
        networks = draw(settings.map, settings.networks, key_of(seed, 31, number), x.shape[1:])
        return advance(state, networks, features(settings.map, networks, x[rows]), y[rows])

    return run


def validator(problem: kip.Problem, settings: Settings, held: Targets, seed: int) -> loop.Validator:
    """State -> (loss, accuracy) on held-out rows, VALIDATED of them at most, under networks that stay the same."""
    rows = jnp.asarray(sampling.batch(len(held.x), VALIDATED, seed, 0))
    x, y = jnp.asarray(held.x)[rows], jnp.asarray(held.y)[rows]
    networks = draw(settings.map, settings.judges, key_of(seed, 32), x.shape[1:])
    phi = features(settings.map, networks, x)

    @jax.jit
    def judge(state: kip.State, networks: list[Weights], phi: list[Array], y: Array) -> tuple[Array, Array]:
        learned = {"z": state.z, "y": state.y, **state.others}
        loss, f = _loss(problem, settings, learned, networks, phi, y)
        return loss, jnp.mean(jnp.argmax(f, axis=1) == jnp.argmax(y, axis=1))

    def validate(state: kip.State) -> tuple[float, float]:
        with float64(True):
            loss, score = judge(state, networks, phi, y)
        return float(loss), float(score)

    return validate


def draw(map: RandomConv, count: int, key: Key, row: tuple[int, ...]) -> list[Weights]:
    """Fresh networks for rows of this shape."""
    shapes = weight_shapes(map, row)
    return [fresh(own, shapes) for own in jax.random.split(key, count)]


def features(map: RandomConv, networks: list[Weights], x: Float[Array, "t *d"]) -> list[Float[Array, "t f"]]:
    """Compute features of rows under each network."""
    return [features_of(map.formula(), weights, x) for weights in networks]


def mean_kernels(
    map: RandomConv, networks: list[Weights], x_s: Float[Array, "s *d"], phi_t: list[Float[Array, "t f"]]
) -> tuple[Float[Array, "s s"], Float[Array, "t s"]]:
    """k_ss and k_ts, averaged over networks, from the targets' features under each."""
    phi_s = [map.formula().block(weights, x_s) for weights in networks]
    k_ss = sum(phi @ phi.T for phi in phi_s) / len(networks)
    k_ts = sum(t @ s.T for t, s in zip(phi_t, phi_s, strict=True)) / len(networks)
    return jnp.asarray(k_ss), jnp.asarray(k_ts)


def _loss(
    problem: kip.Problem,
    settings: Settings,
    learned: dict[str, Array],
    networks: list[Weights],
    phi_t: list[Array],
    y_t: Array,
) -> tuple[Float[Array, ""], Float[Array, "t c"]]:
    """The loss, and f."""
    x_s = problem.features(_mixed(learned["z"], learned["mixing"]))
    k_ss, k_ts = mean_kernels(settings.map, networks, x_s, phi_t)
    alpha = cholesky_solve(regularise(k_ss.astype(jnp.float64), problem.penalties.reg), learned["y"])
    f = k_ts @ alpha.astype(k_ts.dtype)
    if settings.loss == "square":
        return 0.5 * jnp.mean(jnp.sum((f - y_t) ** 2, axis=1)), f
    scores = jnp.exp(learned["temperature"]) * f
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, jnp.argmax(y_t, axis=1))), f


def _mixed(z: Array, mixing: Array) -> Array:
    return (z.reshape(len(z), -1) @ mixing).reshape(z.shape)
