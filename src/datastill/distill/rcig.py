"""RCIG: implicit gradients through a linearised network whose last layer is in closed form.

Around a network θ of a pool, with features φ, outputs move with its weights by out(x) = J(x) w, w of the body and the
last bias. Training on the set is

    g(w) = [½ ‖y_s − out_s − k a‖² + ½ l (tr aᵀ k a + ‖w‖²)] / (s C),    a = (k + l)⁻¹ (y_s − out_s),  k = φ_s φ_sᵀ

and what it is for, with f = out_t + φ_t φ_sᵀ a and a learned temperature τ,

    L = mean CE(exp(τ) f, class) − mean min(largest − second largest entry of y_s, 1/(2C)).

w comes from some steps of Adam down g from 0. The gradient of L is the direct one and, by the implicit function
theorem, −∂/∂(x_s, y_s) ⟨v, ∇g⟩ with v = (∇²g)⁻¹ ∂L/∂w, again by some steps of Adam; it is cut to the length of the
direct one. Both learning rates are tuned so that their losses fall at every step, mostly.

Source: Loo, Hasani, Lechner, Rus (2023), arXiv:2302.06755.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from datastill._errors import InputError
from datastill._typing import Array, Float
from datastill.distill import kip
from datastill.distill.model_pool import Learned, ModelPool, Objective, label_margin, support
from datastill.features.base import Weights
from datastill.krr import cholesky_solve, gram

RATE, TEMPERATURE_RATE = 3e-3, 0.03
AVERAGE, POOL_RATE = 0.99, 5e-5
FIRST_RATES = (1e-5, 5e-5)
UNTIL, BACK, MOST_RAISES = 1.2, 0.7, 60
CHECKED_EVERY, SMOOTH, ROUGH, RAISE, LOWER = 50, 0.7, 0.29, 1.05, 0.9


@dataclass(frozen=True)
class Settings:
    """Settings of the two inner problems. The defaults are the published ones.

    Attributes:
        penalty: l for each example.
        inner_steps: of Adam on g; 2 or more, as rates are tuned by whether losses fall.
        inverse_steps: of Adam on ½ vᵀ ∇²g v − vᵀ ∂L/∂w.
    """

    penalty: float = 5e-4
    inner_steps: int = 20
    inverse_steps: int = 20

    def __post_init__(self) -> None:
        if not self.penalty > 0 or min(self.inner_steps, self.inverse_steps) < 2:
            raise InputError(
                f"Got penalty={self.penalty}, inner_steps={self.inner_steps}, inverse_steps={self.inverse_steps}; "
                "expected a penalty above 0 and 2 steps or more of each."
            )


def optimiser(learning_rate: float) -> optax.GradientTransformation:
    """AdaBelief, ten times faster on the temperature, as published."""
    factors = {"z": 1.0, "y": 1.0, "temperature": TEMPERATURE_RATE / RATE}
    rules = {name: optax.adabelief(factor * learning_rate) for name, factor in factors.items()}
    return optax.multi_transform(rules, lambda parameters: {name: name for name in parameters})


def others() -> Learned:
    """Return the variables besides examples and labels: τ."""
    return {"temperature": jnp.zeros(())}


def objective(problem: kip.Problem, pool: ModelPool, settings: Settings) -> Objective:
    """The gradient above; see `model_pool.step`. It keeps both rates, and how often their losses fell throughout."""
    body = pool.body

    def moved(weights: Weights, w: Any, x: Array) -> Array:
        tangent = {"blocks": w["blocks"], "last": {"matrix": jnp.zeros_like(weights["last"]["matrix"]), **w["last"]}}
        return jax.jvp(lambda own: body.outputs(own, x), (weights,), (tangent,))[1]

    def solved(learned: Learned, weights: Weights, w: Any) -> tuple[Array, ...]:
        """φ_s, k, a and y_s − out_s."""
        x_s, y_s = support(problem, pool, learned)
        phi, left = body.features(weights, x_s), (y_s - moved(weights, w, x_s)).astype(jnp.float64)
        k = gram(phi)
        return phi, k, cholesky_solve(k + penalty(left) * jnp.eye(len(k)), left), left

    def penalty(left: Array) -> float:
        return settings.penalty * len(left)

    def inner(w: Any, learned: Learned, weights: Weights) -> Float[Array, ""]:
        _, k, a, left = solved(learned, weights, w)
        size = sum(jnp.sum(leaf.astype(jnp.float64) ** 2) for leaf in jax.tree.leaves(w))
        fit, smooth = jnp.sum((left - k @ a) ** 2), jnp.sum(a * (k @ a))
        return 0.5 * (fit + penalty(left) * (smooth + size)) / left.size

    def outer(learned: Learned, w: Any, weights: Weights, x_t: Array, y_t: Array) -> Float[Array, ""]:
        phi_s, _, a, _ = solved(learned, weights, w)
        f = moved(weights, w, x_t) + body.features(weights, x_t) @ (phi_s.T @ a.astype(phi_s.dtype))
        scores = jnp.exp(learned["temperature"]) * f
        fit = optax.softmax_cross_entropy_with_integer_labels(scores, jnp.argmax(y_t, axis=1))
        return jnp.mean(fit) - label_margin(learned["y"], 0.5 / y_t.shape[1])

    def bent(w: Any, v: Any, learned: Learned, weights: Weights) -> Any:
        """∇²g v."""
        return jax.jvp(lambda own: jax.grad(inner)(own, learned, weights), (w,), (v,))[1]

    adam = optax.scale_by_adam()

    @kip.compiled
    def inner_step(w: Any, memory: Any, rate: Array, learned: Learned, weights: Weights) -> tuple[Any, Any, Array]:
        value, gradient = jax.value_and_grad(inner)(w, learned, weights)
        moves, memory = adam.update(gradient, memory)
        return jax.tree.map(lambda p, m: p - rate * m, w, moves), memory, value

    @kip.compiled
    def inverse_step(
        v: Any, memory: Any, rate: Array, w: Any, towards: Any, learned: Learned, weights: Weights
    ) -> tuple[Any, Any, Array]:
        image = bent(w, v, learned, weights)
        value = 0.5 * _dot(v, image) - _dot(v, towards)
        moves, memory = adam.update(jax.tree.map(jnp.subtract, image, towards), memory)
        return jax.tree.map(lambda p, m: p - rate * m, v, moves), memory, value

    @kip.compiled
    def direct_slopes(
        learned: Learned, w: Any, weights: Weights, x_t: Array, y_t: Array
    ) -> tuple[Array, tuple[Learned, Any]]:
        return jax.value_and_grad(outer, (0, 1))(learned, w, weights, x_t, y_t)

    @kip.compiled
    def total(direct: Learned, learned: Learned, w: Any, v: Any, weights: Weights) -> Learned:
        def pull(learned: Learned) -> Array:
            return -_dot(v, jax.grad(inner)(w, learned, weights))

        implicit = jax.grad(pull)(learned)
        return jax.tree.map(lambda d, i: d + i * jnp.minimum(1, _length(d) / (_length(i) + 1e-30)), direct, implicit)

    def solve_inner(learned: Learned, weights: Weights, rate: float) -> tuple[Any, bool]:
        w = _nothing(weights)
        return _solve(lambda *at: inner_step(*at, rate, learned, weights), w, adam.init(w), settings.inner_steps)

    def solve_inverse(learned: Learned, weights: Weights, w: Any, towards: Any, rate: float) -> tuple[Any, bool]:
        v = _nothing(weights)
        step = lambda *at: inverse_step(*at, rate, w, towards, learned, weights)  # noqa: E731
        return _solve(step, v, adam.init(v), settings.inverse_steps)

    def start(learned: Learned, weights: Weights, x_t: Array, y_t: Array) -> dict[str, Array]:
        """Rates that are raised until the losses do not fall throughout any more, and somewhat lowered."""
        first = _tuned(FIRST_RATES[0], lambda rate: solve_inner(learned, weights, rate)[1])
        w, _ = solve_inner(learned, weights, first)
        towards = direct_slopes(learned, w, weights, x_t, y_t)[1][1]
        second = _tuned(FIRST_RATES[1], lambda rate: solve_inverse(learned, weights, w, towards, rate)[1])
        return {"rates": jnp.asarray([first, second]), "smooth": jnp.zeros(2), "steps": jnp.zeros(())}

    def slope(
        learned: Learned, weights: Weights, x_t: Array, y_t: Array, kept: dict[str, Array]
    ) -> tuple[Array, Learned, dict[str, Array]]:
        rates = np.asarray(kept["rates"])
        w, inner_fell = solve_inner(learned, weights, float(rates[0]))
        value, (direct, towards) = direct_slopes(learned, w, weights, x_t, y_t)
        v, inverse_fell = solve_inverse(learned, weights, w, towards, float(rates[1]))
        fell = jnp.asarray([inner_fell, inverse_fell], jnp.float32)
        return value, total(direct, learned, w, v, weights), _retuned(kept, fell)

    return Objective(start, slope)


def _solve(step: Callable[[Any, Any], tuple[Any, Any, Array]], at: Any, memory: Any, steps: int) -> tuple[Any, bool]:
    """Where some steps lead, and whether the values fell throughout."""
    values = []
    for _ in range(steps):  # not a loop of JAX's: in it, convolutions' derivatives are slow on CPUs
        at, memory, value = step(at, memory)
        values.append(value)
    return at, bool(np.all(np.diff(np.array(values)) < 0))


def _tuned(rate: float, falls: Callable[[float], bool]) -> float:
    for _ in range(MOST_RAISES):
        if not falls(rate):
            break
        rate *= UNTIL
    return BACK * rate


def _retuned(kept: dict[str, Array], fell: Array) -> dict[str, Array]:
    """Every 50 steps, a rate whose losses mostly fell throughout is raised, and one that often failed lowered."""
    smooth, steps = kept["smooth"] + fell, kept["steps"] + 1
    if int(steps) < CHECKED_EVERY:
        return {"rates": kept["rates"], "smooth": smooth, "steps": steps}
    share = smooth / steps
    factors = jnp.where(share >= SMOOTH, RAISE, jnp.where(1 - share >= ROUGH, LOWER, 1.0))
    return {"rates": kept["rates"] * factors, "smooth": jnp.zeros(2), "steps": jnp.zeros(())}


def _nothing(weights: Weights) -> Any:
    """w = 0: of the body, and the last bias."""
    free = {"blocks": weights["blocks"], "last": {"shift": weights["last"]["shift"]}}
    return jax.tree.map(jnp.zeros_like, free)


def _dot(a: Any, b: Any) -> Array:
    return jnp.asarray(sum(jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b))))


def _length(a: Array) -> Array:
    return jnp.sqrt(jnp.sum(a**2))
