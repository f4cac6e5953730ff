"""KIP under a pool of networks that are trained on the set while it is learned, so that it teaches networks.

    init(problem, nets, z, y, targets, seed)         -> State
    step(problem, nets, targets, seed)(state, number) -> (State, loss)

A fixed kernel makes sets that suit that kernel alone. Here the kernel of a step is that of the last hidden layer of a
few networks drawn from a pool, each with features of some target rows, kept until it is renewed: in turn, a network is
trained some more on the current set, or drawn afresh when it is old, and is used with other targets. The pool may have
networks of several architectures (docs/decisions/0029-two-kinds-of-networks-in-a-pool.md). With φ a network's features,
its part of the loss is

    ½ mean ‖φ(x_t) φ(x_s)ᵀ α − y_t‖²    with α = (φ(x_s) φ(x_s)ᵀ regularised)⁻¹ y_s

Source: a pool of networks trained on the set, with the last layer in closed form: Zhou, Nezhadarya, Ba (2022),
arXiv:2206.00719; random networks as kernels: Loo et al. (2022), arXiv:2210.12067. Here networks stay for several
steps with their targets' features, so that a step costs little more than the support set's own features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import InputError
from datastill._typing import Array, Float, Int, Key
from datastill.data import sampling
from datastill.distill import kip
from datastill.distill.from_moments import support_features
from datastill.distill.kernel_objective import Targets
from datastill.distill.networks import adam, features_of, fresh, key_of, weight_shapes
from datastill.features.base import Weights
from datastill.features.conv import RandomConv
from datastill.krr import cholesky_solve


@dataclass(frozen=True)
class Nets:
    """Say what the pool is made of, and how it is renewed.

    Attributes:
        maps: architectures, all with weights of the same shapes; those of networks 0, 1, … in turn. Seeds do not
            matter.
        size: networks in the pool.
        at_once: networks whose losses a step averages.
        every: steps between two renewals, each of one network.
        trained: training steps on the set at a renewal; 0 draws every network afresh.
        oldest: training steps after which a network is drawn afresh.
        rate: of Adam, which trains them; entries of the weights have standard deviation 1.
        targets: rows whose features a network keeps.
    """

    maps: tuple[RandomConv, ...]
    size: int = 10
    at_once: int = 2
    every: int = 6
    trained: int = 80
    oldest: int = 800
    rate: float = 0.01
    targets: int = 2000

    def __post_init__(self) -> None:
        if not (1 <= self.at_once <= self.size and self.every >= 1 and self.targets >= 1 and self.trained >= 0):
            raise InputError(
                f"Got a pool of {self.size} networks, {self.at_once} at once, renewed every {self.every} steps by "
                f"{self.trained} of training, with {self.targets} targets; expected 1 or more of each, no more at once "
                "than there are, and 0 or more of training."
            )
        if not 1 <= len(self.maps) <= self.size:
            raise InputError(
                f"Got a pool of {self.size} networks of {len(self.maps)} kinds; expected at least one of each; try "
                "networks=10, or norm='none'."
            )

    def formula(self, member: int) -> RandomConv:
        """The architecture of this network."""
        return self.maps[member % len(self.maps)].formula()

    def shapes(self, row: tuple[int, ...]) -> Any:
        """Return the shapes of any network's weights."""
        return weight_shapes(self.maps[0], row)


class Pool(NamedTuple):
    """The networks, stacked.

    Attributes:
        weights: of each.
        ages: training steps that each has behind it.
        phi: features of each one's targets.
        y: label vectors of these.
    """

    weights: Weights
    ages: Int[Array, " m"]
    phi: Float[Array, "m t f"]
    y: Float[Array, "m t c"]


class State(NamedTuple):
    """Examples with their labels and optimiser, and the pool."""

    learned: kip.State
    pool: Pool


def init(problem: kip.Problem, nets: Nets, z: np.ndarray, y: np.ndarray, targets: Targets, seed: int) -> State:
    """The state before the first step."""
    return State(kip.init(problem, z, y), filled(nets, targets, seed))


def filled(nets: Nets, targets: Targets, seed: int) -> Pool:
    """A pool of fresh networks, whose ages are spread so that they are renewed in turn."""
    met, shapes = _meeting(nets, targets, seed), nets.shapes(targets.x.shape[1:])
    members = []
    for m in range(nets.size):
        weights = fresh(key_of(seed, m, 0), shapes)
        members.append((weights, *met(weights, m, 0)))
    weights, phi, chosen = jax.tree.map(lambda *parts: jnp.stack(parts), *members)
    ages = jnp.arange(nets.size, dtype=jnp.int32) * (nets.oldest // nets.size)
    return Pool(weights, ages, phi, chosen)


def renewal(nets: Nets, targets: Targets, seed: int) -> Callable[[Pool, int, Array, Array], Pool]:
    """(pool, step, x_s, y_s) -> the pool after a step at which a network is renewed, in turn.

    Args:
        nets: the pool.
        targets: what networks meet.
        seed: of networks and targets.
    """
    met, shapes = _meeting(nets, targets, seed), nets.shapes(targets.x.shape[1:])
    trainers = {formula: _trainer(formula, nets) for formula in (map.formula() for map in nets.maps)}

    def renewed(pool: Pool, number: int, x_s: Array, y_s: Array) -> Pool:
        m, turn = number // nets.every % nets.size, number // nets.every + 1
        age, key = int(pool.ages[m]) + nets.trained, key_of(seed, m, turn)
        if nets.trained and age <= nets.oldest:
            own = jax.tree.map(lambda w: w[m], pool.weights)
            weights = trainers[nets.formula(m)](own, key, x_s, y_s)
        else:
            age, weights = 0, fresh(key, shapes)
        phi, y = met(weights, m, turn)
        return _put(pool, m, Pool(weights, jnp.asarray(age, jnp.int32), phi, y))

    return renewed


class Drawn(NamedTuple):
    """The networks of a step: their weights, stacked, and the features and label vectors of their targets."""

    weights: Weights
    phi: Float[Array, "k t f"]
    y: Float[Array, "k t c"]


def drawn(nets: Nets, pool: Pool, seed: int, number: int) -> tuple[tuple[RandomConv, ...], Drawn]:
    """The architectures and networks of this step."""
    some = _drawn(nets, sampling.rng(seed, 21, number))
    return tuple(map(nets.formula, some.tolist())), _taken(pool, some)


@jax.jit
def _taken(pool: Pool, some: Array) -> Drawn:
    return jax.tree.map(lambda all: all[some], Drawn(pool.weights, pool.phi, pool.y))


@jax.jit
def _put(pool: Pool, m: Any, member: Pool) -> Pool:
    """The pool with another network in place m."""
    return jax.tree.map(lambda all, own: all.at[m].set(own), pool, member)


def step(
    problem: kip.Problem, nets: Nets, targets: Targets, seed: int
) -> Callable[[State, int], tuple[State, Float[Array, ""]]]:
    """The step (state, its number) -> (state, loss before the step), a function of the seed and the number.

    Args:
        problem: `labels` must be "gradient" or "fixed"; its kernels, augmentation and memory are not used.
        nets: the pool.
        targets: what the examples must predict.
        seed: of networks and targets.
    """
    if problem.labels not in ("gradient", "fixed"):
        raise InputError(f"Got labels={problem.labels!r} with a pool of networks; expected gradient or fixed.")
    renewed = renewal(nets, targets, seed)

    def loss(learned: dict[str, Array], formulas: tuple[RandomConv, ...], some: Drawn) -> Array:
        x_s, y = problem.features(learned["z"]), learned["y"]
        residuals = outputs(formulas, some, x_s, y, problem.penalties.reg) - some.y
        return 0.5 * jnp.mean(jnp.sum(residuals**2, axis=2))

    advance = kip.compiled(kip.descent(problem, loss), static_argnums=1)

    def run(state: State, number: int) -> tuple[State, Array]:
        pool = state.pool
        if number % nets.every == 0 and number:
            pool = renewed(pool, number, problem.features(state.learned.z), state.learned.y)
        learned, value = advance(state.learned, *drawn(nets, pool, seed, number))
        return State(learned, pool), value

    return run


def _drawn(nets: Nets, generator: np.random.Generator) -> Int[np.ndarray, " k"]:
    """Networks of a step: at random, as evenly over the architectures as can be, and in the order of these."""
    members, kinds = generator.permutation(nets.size), len(nets.maps)
    turns = [int(np.sum(members[:place] % kinds == m % kinds)) for place, m in enumerate(members)]
    some = members[np.argsort(turns, kind="stable")][: nets.at_once]
    return some[np.lexsort((some, some % kinds))]


def outputs(
    formulas: tuple[RandomConv, ...], some: Drawn, x_s: Float[Array, "s *d"], y_s: Float[Array, "s c"], reg: float
) -> Float[Array, "k t c"]:
    """φ_t φ_sᵀ (φ_s φ_sᵀ + reg)⁻¹ y_s of each network; call under `krr.float64(True)`."""
    found = []
    for m, formula in enumerate(formulas):
        phi_s, k_ss = support_features(formula, jax.tree.map(lambda w, m=m: w[m], some.weights), x_s, reg)
        found.append(some.phi[m] @ (phi_s.T @ cholesky_solve(k_ss, y_s)).astype(some.phi.dtype))
    return jnp.stack(found)


def _meeting(nets: Nets, targets: Targets, seed: int) -> Callable[[Weights, int, int], tuple[Array, Array]]:
    """(weights, member, turn) -> features and label vectors of the targets that this network meets at this turn."""
    x, y = jnp.asarray(targets.x), jnp.asarray(targets.y)

    def met(weights: Weights, member: int, turn: int) -> tuple[Array, Array]:
        number = 1_000_000 + turn * nets.size + member
        rows = jnp.asarray(sampling.batch(len(x), nets.targets, seed, number))
        return features_of(nets.formula(member), weights, x[rows]), y[rows]

    return met


def _trainer(formula: RandomConv, nets: Nets) -> Callable[[Weights, Key, Array, Array], Weights]:
    """(weights, key, x_s, y_s) -> weights after some steps of Adam on ½ mean ‖φ(x_s)V − y_s‖², V a fresh last layer."""
    remember, step = adam(lambda parameters, x: formula.block(parameters[0], x) @ parameters[1], nets.rate)

    def train(weights: Weights, key: Key, x_s: Array, y_s: Array) -> Weights:
        parameters = weights, jax.random.normal(key, (formula.columns(x_s.shape[1:]), y_s.shape[1]), x_s.dtype)
        memory = remember(parameters)
        for _ in range(nets.trained):
            parameters, memory = step(parameters, memory, x_s, y_s)
        return parameters[0]

    return train
