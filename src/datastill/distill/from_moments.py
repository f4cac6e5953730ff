"""The KIP loss from moments alone: exact over all rows, at a price that does not depend on their number.

With features Φ = φ(x_s), k_ss = ΦΦᵀ regularised, and dual coefficients α, the predictor is f(x) = φ(x)·W with W = Φᵀα:

    loss = (tr WᵀCW − 2 tr WᵀB + c) / 2n

Labels are given, α = k_ss⁻¹ y_s, or eliminated as in `objectives`, where k_tsᵀk_ts = ΦCΦᵀ and k_tsᵀy_t = ΦB.

Call these under `krr.float64(True)`, with float64 moments: what many examples can say is in directions of C that are a
millionth of the largest, which is the mean of the features (docs/decisions/0027-moments-in-float64.md).
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

from datastill._errors import DatastillWarning, InputError
from datastill._typing import Array, ArrayLike, Float
from datastill.distill.objectives import Penalties, best_coefficients
from datastill.features.base import FeatureMap, Weights
from datastill.krr import cholesky_solve, regularise
from datastill.moments.record import Totals

NOISE = 1e-7
"""Of the largest eigenvalue or entry of C: what the products in it, which are float32, may be wrong by."""


def feature_loss(weights: Float[Array, "f c"], totals: Totals, product: ArrayLike | None = None) -> Float[Array, ""]:
    """(tr WᵀCW − 2 tr WᵀB + c) / 2n of a predictor φ(x)·W, differentiable in W.

    Args:
        weights: W.
        totals: of the moments.
        product: CW, where it is known.
    """
    cw = jax.lax.stop_gradient(totals.second @ weights if product is None else product)
    # C is the larger part of the work, and symmetric: with CW held constant and counted twice, less its value once,
    # the gradient is right without a second product.
    energy = jnp.sum(weights * cw)
    quadratic = 2 * energy - jax.lax.stop_gradient(energy)
    return 0.5 * (quadratic - 2 * jnp.sum(weights * totals.cross) + totals.square) / totals.size


def label_loss(
    map: FeatureMap,
    weights: Weights,
    x_s: Float[Array, "s *d"],
    y_s: Float[Array, "s c"],
    totals: Totals,
    penalties: Penalties,
) -> Float[Array, ""]:
    """The KIP loss in (x_s, y_s): `objectives.label_loss` under the map's kernel, over all rows.

    Args:
        map: φ.
        weights: its random numbers, `drawn`.
        x_s: as φ sees them.
        y_s: label vectors.
        totals: of the moments.
        penalties: only `reg` is used.
    """
    phi, k_ss = support_features(map, weights, x_s, penalties.reg)
    return feature_loss(phi.T @ cholesky_solve(k_ss, y_s), totals)


def eliminated_loss(
    map: FeatureMap, weights: Weights, x_s: Float[Array, "s *d"], totals: Totals, penalties: Penalties
) -> tuple[Float[Array, ""], Float[Array, "s c"]]:
    """min over labels of the KIP loss + ½ ridge·m αᵀ k_ss α, and the α that attains it (float64).

    `objectives.eliminated_loss` under the map's kernel, over all rows. The gradient in x_s is exact although α is held
    constant; the labels are k_ss α.
    """
    phi, k_ss = support_features(map, weights, x_s, penalties.reg)
    fixed = jax.lax.stop_gradient(phi)
    product = totals.second @ fixed.T  # CΦᵀ: the step's only product with C
    moment, size = fixed @ totals.cross, jnp.asarray(totals.size)
    alpha, penalty = best_coefficients(k_ss, fixed @ product, moment, size, penalties.ridge)
    return feature_loss(phi.T @ alpha, totals, product @ alpha) + penalty, alpha


def predictor(
    map: FeatureMap,
    weights: Weights,
    x_s: Float[Array, "s *d"],
    y_s: Float[Array, "s c"] | None,
    totals: Totals,
    penalties: Penalties,
) -> Float[Array, "f c"]:
    """W = Φᵀα of KRR on these rows, with the labels given or, where they are None, those that are best for `totals`."""
    phi, k_ss = support_features(map, weights, x_s, penalties.reg)
    alpha = eliminated_loss(map, weights, x_s, totals, penalties)[1] if y_s is None else cholesky_solve(k_ss, y_s)
    return phi.T @ alpha


def check_support(totals: Totals, examples: int) -> None:
    """Return whether the moments have enough directions to separate the examples.

    InputError for more examples than F or n, which bound the rank of C; a warning for more than its numerical rank.
    """
    columns, rows = len(totals.second), float(totals.size)
    most = min(columns, int(np.ceil(rows)))
    if examples > most:
        raise InputError(
            f"Got {examples} examples to learn from moments of rank at most {most} ({columns} features, {rows:g} "
            "rows); expected no more; try fewer examples, or a map of more features."
        )
    rank = rank_within(np.asarray(totals.second), examples)
    if rank < examples:
        warnings.warn(
            f"Got {examples} examples to learn from moments of numerical rank {rank} ({columns} features, {rows:g} "
            f"rows): {rank} can say as much; try fewer examples, or a map that tells more rows apart.",
            DatastillWarning,
            stacklevel=2,
        )


def rank_within(second: Float[np.ndarray, "f f"], most: int) -> int:
    """Return how many of C's pivots exceed its rounding error, at most `most`.

    The pivots are those of a Cholesky factor that takes the largest diagonal entry left in every turn (Higham,
    *Accuracy and Stability of Numerical Algorithms*, 2002, section 10.3), at F·most² operations in all.
    """
    left = second.diagonal().astype(np.float64)
    factor = np.empty((most, len(left)))
    least = NOISE * left.max()
    for k in range(most):
        place = int(left.argmax())
        if left[place] <= least:
            return k
        factor[k] = (second[place] - factor[:k, place] @ factor[:k]) / np.sqrt(left[place])
        left -= factor[k] ** 2
    return most


def support_features(
    map: FeatureMap, weights: Weights, x_s: Array, reg: float
) -> tuple[Float[Array, "s f"], Float[Array, "s s"]]:
    """Φ and the regularised ΦΦᵀ, float64. However Φ was rounded, the product of itself with itself is semidefinite."""
    phi = map.block(weights, x_s).astype(jnp.float64)
    return phi, regularise(phi @ phi.T, reg)
