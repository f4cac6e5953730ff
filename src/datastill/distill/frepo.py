"""FRePo: the last layer of a network in closed form, its body from a pool of networks trained on the set.

With φ the features of a network of the pool, k = φφᵀ and f = k_ts (k_ss + reg)⁻¹ y_s, the loss is

    ½ mean ‖f − y_t‖² − mean min(largest − second largest entry of y_s, 1/C)

Source: Zhou, Nezhadarya, Ba (2022), arXiv:2206.00719; the label margin is in the authors' settings.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from datastill._typing import Array
from datastill.distill import kip
from datastill.distill.model_pool import Learned, ModelPool, Objective, label_margin, support
from datastill.features.base import Weights
from datastill.krr import cholesky_solve, gram, regularise

RATE, FLOOR = 3e-4, 0.1


def optimiser(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """LAMB on examples and labels, with a cosine to a tenth."""
    return optax.lamb(optax.cosine_decay_schedule(learning_rate, max(steps, 1), FLOOR))


def first_labels(y: np.ndarray) -> np.ndarray:
    """Label vectors of classes less 1/C, over √(C/10), as published."""
    return np.asarray(y / (y.shape[1] / 10) ** 0.5, np.float32)


def objective(problem: kip.Problem, pool: ModelPool) -> Objective:
    """The loss above under one network; see `model_pool.step`."""

    def loss(learned: Learned, weights: Weights, phi_t: Array, y_t: Array) -> Array:
        x_s, y_s = support(problem, pool, learned)
        phi_s = pool.body.features(weights, x_s)
        k_ss = regularise(gram(phi_s), problem.penalties.reg)
        f = phi_t @ (phi_s.T @ cholesky_solve(k_ss, y_s).astype(phi_s.dtype))
        return 0.5 * jnp.mean(jnp.sum((f - y_t) ** 2, axis=1)) - label_margin(learned["y"], 1 / y_t.shape[1])

    slope, features = kip.compiled(jax.value_and_grad(loss)), jax.jit(pool.body.features)

    def sloped(learned: Learned, weights: Weights, x_t: Array, y_t: Array, kept: Any) -> tuple[Array, Learned, Any]:
        return (*slope(learned, weights, features(weights, x_t), y_t), kept)

    return Objective(lambda *_: {}, sloped)
