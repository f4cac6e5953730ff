"""The KIP loss as sums over tiles of targets, for labels that are fixed, learned, or eliminated.

All three share one form: with dual coefficients α, the loss is ½/t · Σ over targets of ‖k(x_t, x_s) α − y_t‖².
They differ in where α comes from.

    fixed, learned   α = k_ss⁻¹ y_s                                      differentiated through the solve
    eliminated       α = argmin of the loss + ½ ridge·m αᵀ k_ss α        constant in the gradient (envelope theorem)

where m is the mean diagonal of k_ss. Eliminating the labels is variable projection (Golub and Pereyra, 1973):
the gradient at the best labels for the current examples, at the price of one (s, s) solve.

Call these under `krr.float64(True)`.
"""

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from datastill._typing import Array, Float
from datastill.gram.tiled import sum_tiles, tile_rows
from datastill.kernels.base import Kernel
from datastill.krr import cholesky_solve, support_block

Count: TypeAlias = int | Float[Array, ""]


@dataclass(frozen=True)
class Penalties:
    """The two regularisers, both fractions of the mean diagonal of k_ss.

    Attributes:
        reg: added to the diagonal of k_ss before it is inverted.
        ridge: weight of the squared norm αᵀ k_ss α, per target, when labels are eliminated or solved for.
    """

    reg: float = 1e-6
    ridge: float = 1e-6


def normal_equations(
    kernel: Kernel,
    x_s: Float[Array, "s *d"],
    x_t: Float[Array, "t *d"],
    y_t: Float[Array, "t c"],
    memory: int,
    root_weights: Float[Array, "t 1"] | None = None,
) -> tuple[Float[Array, "s s"], Float[Array, "s c"]]:
    """G = k_tsᵀ w k_ts and R = k_tsᵀ w y_t, summed over tiles that fit in `memory` bytes, float64.

    `root_weights` is √w, one for each target; all 1 when left out.
    """
    root = jnp.ones((len(x_t), 1), x_t.dtype) if root_weights is None else root_weights

    def tile(x: Array, y: Array, root: Array, mask: Array) -> tuple[Array, Array]:
        scale = (root * mask[:, None]).astype(jnp.float64)
        k = kernel.block(x, x_s) * scale
        return k.T @ k, k.T @ (y * scale)

    return sum_tiles(tile, (x_t, y_t, root), tile_rows(len(x_t), len(x_s), x_t.dtype.itemsize, memory))


def data_loss(
    kernel: Kernel,
    x_s: Float[Array, "s *d"],
    alpha: Float[Array, "s c"],
    x_t: Float[Array, "t *d"],
    y_t: Float[Array, "t c"],
    memory: int,
) -> Float[Array, ""]:
    """½/t · Σ ‖k(x_t, x_s) α − y_t‖², summed over tiles that fit in `memory` bytes."""
    alpha = alpha.astype(x_t.dtype)

    def tile(x: Array, y: Array, mask: Array) -> Array:
        residual = kernel.block(x, x_s) @ alpha - y
        return jnp.sum(mask[:, None] * residual**2)

    total = sum_tiles(tile, (x_t, y_t), tile_rows(len(x_t), len(x_s), x_t.dtype.itemsize, memory))
    return 0.5 * total / len(x_t)


def label_loss(
    kernel: Kernel,
    x_s: Float[Array, "s *d"],
    y_s: Float[Array, "s c"],
    x_t: Float[Array, "t *d"],
    y_t: Float[Array, "t c"],
    penalties: Penalties,
    memory: int,
) -> Float[Array, ""]:
    """The KIP loss in (x_s, y_s). Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050."""
    k_ss = support_block(kernel, x_s, penalties.reg)
    return data_loss(kernel, x_s, cholesky_solve(k_ss, y_s), x_t, y_t, memory)


def eliminated_loss(
    kernel: Kernel,
    x_s: Float[Array, "s *d"],
    x_t: Float[Array, "t *d"],
    y_t: Float[Array, "t c"],
    penalties: Penalties,
    memory: int,
) -> tuple[Float[Array, ""], Float[Array, "s c"]]:
    """min over labels of the KIP loss + ½ ridge·m αᵀ k_ss α, and the α that attains it (float64).

    The gradient in x_s is exact although α is held constant.
    """
    k_ss = support_block(kernel, x_s, penalties.reg)
    if tile_rows(len(x_t), len(x_s), x_t.dtype.itemsize, memory) < len(x_t):
        gram, moment = normal_equations(kernel, *jax.lax.stop_gradient((x_s, x_t, y_t)), memory)
        alpha, penalty = best_coefficients(k_ss, gram, moment, len(x_t), penalties.ridge)
        return data_loss(kernel, x_s, alpha, x_t, y_t, memory) + penalty, alpha
    # In one tile the block that α is solved from is that of the loss.
    k_ts = kernel.block(x_t, x_s)
    fixed = jax.lax.stop_gradient(k_ts).astype(jnp.float64)
    alpha, penalty = best_coefficients(k_ss, fixed.T @ fixed, fixed.T @ y_t, len(x_t), penalties.ridge)
    return 0.5 * jnp.sum((k_ts @ alpha.astype(k_ts.dtype) - y_t) ** 2) / len(x_t) + penalty, alpha


def best_coefficients(
    k_ss: Float[Array, "s s"], gram: Float[Array, "s s"], moment: Float[Array, "s c"], targets: Count, ridge: float
) -> tuple[Float[Array, "s c"], Float[Array, ""]]:
    """The α that minimises the loss + ½ ridge·m αᵀ k_ss α, constant in gradients, and that penalty, which is not.

    Args:
        k_ss: regularised.
        gram: k_tsᵀ k_ts.
        moment: k_tsᵀ y_t.
        targets: t, or the sum of their weights.
        ridge: see `Penalties`.
    """
    weight = ridge * jnp.trace(k_ss) / len(k_ss)
    # Solved for β = Lᵀα, with k_ss = LLᵀ: G alone has the square of the condition of k_ss, and rounding would decide.
    fixed, g, r, w = jax.lax.stop_gradient((k_ss, gram, moment, targets * weight))
    root = jnp.linalg.cholesky(fixed)
    whitened = solve_triangular(root, solve_triangular(root, g, lower=True).T, lower=True)
    beta = cholesky_solve(whitened + w * jnp.eye(len(fixed)), solve_triangular(root, r, lower=True))
    alpha = solve_triangular(root, beta, lower=True, trans="T")
    return alpha, 0.5 * weight * jnp.sum(alpha * (k_ss @ alpha))
