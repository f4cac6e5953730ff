"""Large-margin classifiers as surrogates: one class against the others, with the squared hinge.

    minimise over w:  ½ ‖w‖² + C Σ_i v_i max(0, 1 − σ_i w·z_i)²    σ_i = ±1, v_i the weight of row i,
                                                                  1 appended to z for the intercept

At the optimum only rows within the margin count. They are found by a few rounds of Newton's method, which are not
differentiated; with them known, w solves a linear system, which is.

Source: Keerthi, DeCoste (2005), "A modified finite Newton method for fast solution of large scale linear SVMs".
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from datastill._typing import Array, Float
from datastill.distill.surrogates.base import Pair, Surrogate
from datastill.kernels.base import Kernel
from datastill.krr import cholesky_solve


@dataclass(frozen=True)
class LargeMargin(Surrogate):
    """Support vector machines: with kernel None scikit-learn's `LinearSVC(C)`.

    Attributes:
        kernel: resolved; None for a linear classifier with an intercept.
        c: the weight of the errors.
        rounds: of Newton's method.
    """

    scaled: bool = True
    kernel: Kernel | None = None
    c: float = 1.0
    rounds: int = 6

    def outputs(self, pair: Pair, y: Float[Array, "s c"], sharp: Float[Array, ""]) -> Float[Array, "t c"]:
        """See `Surrogate.outputs`; call under `krr.float64(True)`."""
        signs = jnp.where(y > 0, 1.0, -1.0).astype(jnp.float64).T
        s = pair.s.astype(jnp.float64)
        v = jnp.ones(len(s)) if pair.weights is None else pair.weights.astype(jnp.float64)
        if self.kernel is None and s.shape[1] + 1 < len(s):
            return jnp.exp(sharp) * self._primal(s, pair.t, signs, v)
        if self.kernel is None:
            k_ss, k_ts = s @ s.T + 1, pair.t @ pair.s.T + 1
        else:
            k_ss, k_ts = self.kernel.block(s, s), self.kernel.block(pair.t, pair.s)
        eye = jnp.diag(1 / (2 * self.c * v))

        def solved(k: Array, sign: Array, active: Array) -> Array:
            held = active[:, None] * k * active + eye
            return cholesky_solve(held, (active * sign)[:, None])[:, 0] * active

        def one(sign: Array) -> Array:
            fixed, active = jax.lax.stop_gradient(k_ss), jnp.ones(len(s))
            for _ in range(self.rounds):
                active = (sign * (fixed @ solved(fixed, sign, active)) < 1).astype(s.dtype)
            return solved(k_ss, sign, active)

        return jnp.exp(sharp) * (k_ts @ jax.lax.map(one, signs).T.astype(k_ts.dtype))

    def _primal(self, s: Float[Array, "s d"], t: Float[Array, "t d"], signs: Float[Array, "c s"], v: Array) -> Array:
        """The outputs, through systems of as many equations as there are columns."""
        z = jnp.concatenate([s, jnp.ones((len(s), 1))], axis=1)
        eye = jnp.eye(z.shape[1]) / (2 * self.c)

        def solved(z: Array, sign: Array, active: Array) -> Array:
            return cholesky_solve((z.T * (v * active)) @ z + eye, z.T @ (v * active * sign)[:, None])[:, 0]

        def one(sign: Array) -> Array:
            fixed, active = jax.lax.stop_gradient(z), jnp.ones(len(s))
            for _ in range(self.rounds):
                active = (sign * (fixed @ solved(fixed, sign, active)) < 1).astype(s.dtype)
            return solved(z, sign, active)

        weights = jax.lax.map(one, signs).T.astype(t.dtype)
        return t @ weights[:-1] + weights[-1]

    def cost(self, examples: int, columns: int, classes: int) -> float:
        """Multiplications in one training, about."""
        side = examples if self.kernel is not None else min(examples, columns + 1)
        return float((self.rounds + 1) * classes * side**3)
