"""Kernel ridge regression and linear ridge regression as surrogates.

A(S)(x) = k(x, x_s) (k_ss + reg · tr(k_ss)/s · I)⁻¹ y_s
"""

from dataclasses import dataclass

import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.distill.surrogates.base import Pair, Surrogate
from datastill.kernels.base import Kernel
from datastill.krr import cholesky_solve, support_block


@dataclass(frozen=True)
class KernelRegression(Surrogate):
    """Kernel ridge regression, for learners of smooth functions: networks, support vector machines, KRR itself.

    Attributes:
        kernel: resolved.
        reg: as in `krr.regularise`; call under `krr.float64(True)`.
        exact: whether outputs are those of a regression, on which no temperature acts.
    """

    kernel: Kernel = None  # type: ignore[assignment]
    reg: float = 1e-2
    exact: bool = False

    def outputs(self, pair: Pair, y: Float[Array, "s c"], sharp: Float[Array, ""]) -> Float[Array, "t c"]:
        """See `Surrogate.outputs`."""
        alpha = cholesky_solve(support_block(self.kernel, pair.s, self.reg), y).astype(pair.t.dtype)
        found = self.kernel.block(pair.t, pair.s) @ alpha
        return found if self.exact else jnp.exp(sharp) * found


@dataclass(frozen=True)
class Ridge(Surrogate):
    """Linear ridge regression with an intercept that is not penalised: scikit-learn's `Ridge(alpha)`.

    w = (ZᵀZ + αI)⁻¹ Zᵀ(y − ȳ) with Z the centred rows, or the same through ZZᵀ, whichever is smaller. Weights make
    both means weighted, and multiply rows and targets by their roots.

    Attributes:
        alpha: the penalty.
        exact: as of `KernelRegression`.
    """

    scaled: bool = True
    alpha: float = 1.0
    exact: bool = False

    def outputs(self, pair: Pair, y: Float[Array, "s c"], sharp: Float[Array, ""]) -> Float[Array, "t c"]:
        """See `Surrogate.outputs`."""
        shares = pair.weights if pair.weights is not None else jnp.ones(len(y), pair.s.dtype)
        centre, middle = shares @ pair.s / shares.sum(), shares @ y / shares.sum()
        root = jnp.sqrt(shares.astype(jnp.float64))[:, None]
        z, v = root * (pair.s - centre), root * (y - middle)
        if z.shape[1] < len(z):
            weights = cholesky_solve(z.T @ z + self.alpha * jnp.eye(z.shape[1]), z.T @ v)
        else:
            weights = z.T @ cholesky_solve(z @ z.T + self.alpha * jnp.eye(len(z)), v)
        found = (pair.t - centre) @ weights.astype(pair.t.dtype) + middle.astype(pair.t.dtype)
        return found if self.exact else jnp.exp(sharp) * found
