"""Multinomial logistic regression as a surrogate.

In the span of the set's rows z_i (with 1 appended for the intercept), W = Σ_i z_i α_iᵀ, and the optimum of
‖W‖²/2C + Σ_i v_i cross-entropy is where α = C V (Y − softmax(Kα)), K = ZZᵀ, V the rows' weights. Steps toward it are
accelerated (Nesterov 1983) in the geometry of K, and are differentiated as they are.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.distill.surrogates.base import Pair, Surrogate

POWERS = 8
"""Products by which the largest eigenvalue of K is bounded."""
MARGIN = 1.1


@dataclass(frozen=True)
class Logistic(Surrogate):
    """Logistic regression: scikit-learn's `LogisticRegression(C)` as steps go on, but for its intercept's penalty.

    Attributes:
        c: the inverse of the penalty.
        steps: toward the optimum.
        intercept: the constant that is appended to every row; the larger, the less the intercept is penalised.
    """

    scaled: bool = True
    sharp: float = 0.0
    c: float = 1.0
    steps: int = 60
    intercept: float = 3.0

    def outputs(self, pair: Pair, y: Float[Array, "s c"], sharp: Float[Array, ""]) -> Float[Array, "t c"]:
        """See `Surrogate.outputs`; the temperature has no part, since the loss is the learner's own."""
        s, one = pair.s, self.intercept**2
        hot = y - y.min(axis=1, keepdims=True)
        v = jnp.ones((len(s), 1), s.dtype) if pair.weights is None else pair.weights[:, None]
        few = s.shape[1] < len(s)
        gram = None if few else s @ s.T

        def across(a: Float[Array, "s c"]) -> Float[Array, "s c"]:
            product = s @ (s.T @ a) if gram is None else gram @ a
            return product + one * a.sum(axis=0)

        vector = jnp.ones((len(s), 1), s.dtype)
        largest = jnp.ones((), s.dtype)
        for _ in range(POWERS):
            vector = across(vector)
            largest = jnp.linalg.norm(vector)
            vector = vector / jnp.maximum(largest, jnp.finfo(s.dtype).tiny)
        rate = 1 / (MARGIN * 0.5 * jax.lax.stop_gradient(largest * v.max()) + 1 / self.c)

        def step(state: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
            a, b, momentum = state
            moved = b - rate * (b / self.c + v * (jax.nn.softmax(across(b), axis=1) - hot))
            later = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
            return (moved, moved + (momentum - 1) / later * (moved - a), later), None

        zero = jnp.zeros_like(hot)
        (alpha, _, _), _ = jax.lax.scan(step, (zero, zero, jnp.ones((), s.dtype)), None, self.steps)
        return pair.t @ (s.T @ alpha) + one * alpha.sum(axis=0)
