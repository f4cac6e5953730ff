"""Kernel ridge regression: regularise, solve in float64, predict, and the loss that KIP minimises.

    k_ss ← k(x_s, x_s) + reg · tr(k(x_s, x_s))/s · I        reg is a fraction of the mean diagonal
    α    = k_ss⁻¹ y_s                                       the dual coefficients
    f(x) = k(x, x_s) α

Everything here that solves runs in float64, whatever the precision of the kernel or of JAX as a whole.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
import scipy.linalg

from datastill._errors import SolveError
from datastill._typing import Array, ArrayLike, Float
from datastill.gram.features import FeatureKernel
from datastill.kernels.base import Kernel

float64 = jax.enable_x64
"""`with float64(True):` is how the modules above ask for float64 solves around a traced computation."""


def regularise(k_ss: Any, reg: float) -> Any:
    """k_ss + reg · tr(k_ss)/s · I of an (s, s) block, an array of either library."""
    eye = jnp.eye if isinstance(k_ss, jax.Array) else np.eye
    return k_ss + reg * k_ss.trace() / len(k_ss) * eye(len(k_ss), dtype=k_ss.dtype)


def support_block(kernel: Kernel, x_s: Float[Array, "s *d"], reg: float) -> Float[Array, "s s"]:
    """The regularised k_ss, computed in float64 from the rows on: in float32, one outlying row can make it indefinite.

    Differentiable. Call under `float64(True)`.
    """
    rows = x_s.astype(jnp.float64)
    return jnp.asarray(regularise(kernel.block(rows, rows), reg))


def gram(phi: Float[Array, "s f"]) -> Float[Array, "s s"]:
    """ΦΦᵀ, float64 and positive semidefinite; rounded afterwards it need not be. Call under `float64(True)`."""
    wide = phi.astype(jnp.float64)
    return wide @ wide.T


def cholesky_solve(a: Float[Array, "s s"], b: Float[Array, "s c"]) -> Float[Array, "s c"]:
    """a⁻¹ b for a positive definite `a`, in float64; NaN where `a` is not positive definite.

    Differentiable, by more solves with the same factor: the derivative of the factorisation itself costs ten times as
    much. Call under `float64(True)`; the result is float64.
    """
    wide = a.astype(jnp.float64)
    factor = jax.lax.stop_gradient(jnp.linalg.cholesky(wide))

    def solved(_: Any, right: Array) -> Array:
        return jax.scipy.linalg.cho_solve((factor, True), right)

    return jax.lax.custom_linear_solve(lambda x: wide @ x, b.astype(jnp.float64), solved, symmetric=True)


def loss(
    kernel: Kernel,
    x_s: Float[Array, "s *d"],
    y_s: Float[Array, "s c"],
    x_t: Float[Array, "t *d"],
    y_t: Float[Array, "t c"],
    reg: float,
) -> Float[Array, ""]:
    """½ mean over targets of ‖k_ts k_ss⁻¹ y_s − y_t‖², in one piece: the reference that faster paths must equal.

    Source: Nguyen, Chen, Lee (2021), arXiv:2011.00050.
    """
    k_ss = support_block(kernel, x_s, reg)
    k_ts = kernel.block(x_t, x_s)
    residual = k_ts @ cholesky_solve(k_ss, y_s).astype(k_ts.dtype) - y_t
    return 0.5 * jnp.mean(jnp.sum(residual**2, axis=1))


class Outcome(Enum):
    """The outcome of a solve; the value is the sentence to show."""

    SUCCESS = "solved"
    NON_FINITE = "the kernel has non-finite entries: are the rows finite and of moderate size?"
    REPEATED_ROWS = "two rows are the same to the kernel, so its matrix is singular"
    ILL_CONDITIONED = "the kernel matrix is too ill-conditioned for the regularisation"


@dataclass(frozen=True)
class Solution:
    """The result of `solve`.

    Attributes:
        alpha: (s, c) dual coefficients, float64; NaN unless the outcome is SUCCESS.
        outcome: how it ended.
        condition: the ratio of the largest to the smallest eigenvalue of the regularised matrix (∞ if singular).
        reg_to_try: a regularisation that would give a condition number of 1e12, if this one failed.
    """

    alpha: np.ndarray
    outcome: Outcome
    condition: float
    reg_to_try: float

    def unwrap(self) -> np.ndarray:
        """The coefficients.

        Raises:
            SolveError: if the solve failed, with the cause and the reg to try.
        """
        if self.outcome is Outcome.SUCCESS:
            return self.alpha
        advice = f"; try reg={self.reg_to_try:.0e}" if np.isfinite(self.reg_to_try) else ""
        raise SolveError(f"Got condition number {self.condition:.1e}: {self.outcome.value}{advice}.")


def solve(k_ss: ArrayLike, y_s: ArrayLike, reg: float) -> Solution:
    """Solve (k_ss + reg · tr(k_ss)/s · I) α = y_s by Cholesky in float64, and diagnose a failure.

    Args:
        k_ss: (s, s) kernel block, not yet regularised.
        y_s: (s, c) labels.
        reg: fraction of the mean diagonal.
    """
    k_ss, y_s = np.asarray(k_ss, np.float64), np.asarray(y_s, np.float64)
    s = len(k_ss)
    failed = np.full_like(y_s, np.nan)
    if not np.isfinite(k_ss).all():
        return Solution(failed, Outcome.NON_FINITE, np.inf, np.nan)
    mean_diagonal = np.trace(k_ss) / s
    regularised = regularise(k_ss, reg)
    try:
        factor = scipy.linalg.cho_factor(regularised, lower=True)
        pivots = np.diag(factor[0])
        if pivots.min() ** 2 > s * np.finfo(np.float64).eps * pivots.max() ** 2:
            estimate = float((pivots.max() / pivots.min()) ** 2)
            return Solution(scipy.linalg.cho_solve(factor, y_s), Outcome.SUCCESS, estimate, reg)
    except np.linalg.LinAlgError:
        pass
    eigenvalues = np.linalg.eigvalsh(regularised)
    condition = eigenvalues[-1] / eigenvalues[0] if eigenvalues[0] > 0 else np.inf
    wanted = (eigenvalues[-1] / 1e12 - eigenvalues[0]) / mean_diagonal + reg if mean_diagonal > 0 else np.nan
    scale = np.sqrt(np.maximum(np.diag(k_ss), np.finfo(np.float64).tiny))
    cosine = k_ss / np.outer(scale, scale)
    repeated = s > 1 and (np.abs(cosine[np.triu_indices(s, 1)]) > 1 - 1e-7).any()
    cause = Outcome.REPEATED_ROWS if repeated else Outcome.ILL_CONDITIONED
    return Solution(failed, cause, float(condition), float(wanted))


def fit(kernel: Kernel, x_s: np.ndarray, y_s: np.ndarray, reg: float) -> np.ndarray:
    """The dual coefficients (s, c) of KRR on these rows and label vectors.

    Raises:
        SolveError: if the regularised matrix is not positive definite, with the cause and the reg to try.
    """
    return solve(kernel(np.asarray(x_s, np.float64)), y_s, reg).unwrap()


def predict(kernel: Kernel, x: np.ndarray, x_s: np.ndarray, alpha: np.ndarray, batch: int = 4096) -> np.ndarray:
    """f(x) = k(x, x_s) α for the rows of `x`, a batch at a time, summed in float64: (n, c).

    Under the kernel of a feature map, φ(x)·W with W = φ(x_s)ᵀα.
    """
    if isinstance(kernel, FeatureKernel):
        weights = np.asarray(kernel.map(x_s), np.float64).T @ alpha
        blocks = [np.asarray(block, np.float64) @ weights for block in kernel.map.blocks(x)]
    else:
        starts = range(0, len(x), batch)
        blocks = [np.asarray(kernel(x[i : i + batch], x_s), np.float64) @ alpha for i in starts]
    return np.concatenate(blocks) if blocks else np.zeros((0, alpha.shape[1]))
