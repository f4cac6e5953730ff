"""Choose the regularisation of kernel ridge regression by cross-validation on the rows that it is trained on.

One row at a time is left out, in closed form.

With λ = reg · tr(k_ss)/s and G = (k_ss + λI)⁻¹, the row i left out is missed by

    y_i − f₋ᵢ(x_i) = [G y]_i / G_ii

so one eigendecomposition k_ss = QΛQᵀ gives the error of every reg: G = Q(Λ + λI)⁻¹Qᵀ. The chosen reg has the least mean
square over rows and columns. It is the same for rows in another order and for targets on another scale.

Many rows x_t are learned from through a few of them, x_s, at a cost that grows with their number and not its square:

    f(x) = k(x, x_s) α,   (k_tsᵀ k_ts + reg · tr(k_ss)/s · k_ss) α = k_tsᵀ y_t

which is kernel ridge regression on all rows if x_s are all of them. Five folds of the rows choose the reg from the same
grid: the sums k_tsᵀ k_ts and k_tsᵀ y_t of each fold are all that is needed of it.

Source: Golub, Heath and Wahba (1979), "Generalized cross-validation as a method for choosing a good ridge parameter";
Rasmussen and Williams (2006), "Gaussian processes for machine learning", section 5.3, eq. (5.12), and
section 8.3.1 (the subset of regressors).
"""

import numpy as np
import scipy.linalg

from datastill import krr
from datastill._typing import Float
from datastill.data import sampling
from datastill.kernels.base import Kernel

REGS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""The one grid from which the reg of every rival is chosen, as fractions of the mean diagonal of k_ss."""
USUAL = 1e-3
"""The middle of the grid, where there is nothing to choose by."""
LEAST_ROWS = 5
FOLDS, BATCH = 5, 4096
TUNED_ROWS = 2000
"""Rows that are left out one by one; of more, as many random ones, since an eigendecomposition costs about 9 s³."""


def chosen_reg(kernel: Kernel, x_s: Float[np.ndarray, "s *d"], y_s: Float[np.ndarray, "s c"]) -> float:
    """Return the reg of the grid under which rows that are left out are predicted best by the others.

    The label vectors must be those that the rows came with: vectors that were solved or learned for one reg are no
    observations, and leaving one out says nothing of new rows. With fewer than five rows, or where each row is the only
    one with its label vector, nothing can be left out, and the middle of the grid is returned.

    Args:
        kernel: of the regression.
        x_s: rows as the kernel sees them.
        y_s: their own label vectors or targets.
    """
    if len(x_s) < LEAST_ROWS or _alone(y_s):
        return USUAL
    if len(x_s) > TUNED_ROWS:
        rows = sampling.rng(0, 15).choice(len(x_s), TUNED_ROWS, replace=False)
        x_s, y_s = x_s[rows], y_s[rows]
    k_ss = np.asarray(kernel(np.asarray(x_s, np.float64)), np.float64)
    if not np.isfinite(k_ss).all():
        return USUAL
    missed = np.mean(left_out(k_ss, np.asarray(y_s, np.float64), REGS) ** 2, axis=(1, 2))
    return REGS[int(np.argmin(np.where(np.isfinite(missed), missed, np.inf)))]


def left_out(
    k_ss: Float[np.ndarray, "s s"], y_s: Float[np.ndarray, "s c"], regs: tuple[float, ...]
) -> Float[np.ndarray, "r s c"]:
    """Return y_i − f₋ᵢ(x_i) of every row for every reg; λ is that of all rows.

    Args:
        k_ss: the kernel matrix, not regularised.
        y_s: label vectors or targets.
        regs: fractions of the mean diagonal of k_ss.
    """
    eigenvalues, q = scipy.linalg.eigh(k_ss)
    rotated, squares, mean = q.T @ y_s, q**2, np.trace(k_ss) / len(k_ss)
    found = []
    for reg in regs:
        shrunk = 1 / (np.maximum(eigenvalues, 0) + reg * mean)
        found.append(q @ (shrunk[:, None] * rotated) / (squares @ shrunk)[:, None])
    return np.stack(found)


def through(
    kernel: Kernel,
    x_s: Float[np.ndarray, "s *d"],
    x_t: Float[np.ndarray, "t *d"],
    y_t: Float[np.ndarray, "t c"],
) -> Float[np.ndarray, "s c"]:
    """Return α of kernel ridge regression on all rows x_t through the rows x_s, its reg chosen by five folds of x_t.

    Args:
        kernel: of the regression.
        x_s: distinct rows as the kernel sees them.
        x_t: all rows.
        y_t: their label vectors or targets.

    Raises:
        SolveError: if k_ss is not finite or cannot be inverted.
    """
    k_ss = np.asarray(kernel(np.asarray(x_s, np.float64)), np.float64)
    krr.solve(k_ss, np.zeros((len(k_ss), 1)), REGS[0]).unwrap()
    mean = np.trace(k_ss) / len(k_ss)
    root = np.linalg.cholesky(krr.regularise(k_ss, REGS[0]))
    fold = sampling.rng(0, 16).permutation(len(x_t)) % FOLDS
    grams = np.zeros((FOLDS, len(x_s), len(x_s)))
    moments, squares = np.zeros((FOLDS, len(x_s), y_t.shape[1])), np.zeros(FOLDS)
    for start in range(0, len(x_t), BATCH):
        part = slice(start, start + BATCH)
        k_ts = np.asarray(kernel(x_t[part], x_s), np.float64)
        white = scipy.linalg.solve_triangular(root, k_ts.T, lower=True).T
        for f in range(FOLDS):
            own, y = white[fold[part] == f], y_t[part][fold[part] == f].astype(np.float64)
            grams[f] += own.T @ own
            moments[f] += own.T @ y
            squares[f] += np.sum(y**2)
    gram, moment, missed = grams.sum(axis=0), moments.sum(axis=0), np.zeros(len(REGS))
    for f in range(FOLDS):
        for i, reg in enumerate(REGS):
            beta = _ridge(gram - grams[f], moment - moments[f], reg * mean)
            missed[i] += np.sum(beta * (grams[f] @ beta)) - 2 * np.sum(beta * moments[f]) + squares[f]
    beta = _ridge(gram, moment, REGS[int(np.argmin(missed))] * mean)
    return scipy.linalg.solve_triangular(root, beta, lower=True, trans=1)


def _ridge(gram: np.ndarray, moment: np.ndarray, weight: float) -> np.ndarray:
    """Return (gram + weight·I)⁻¹ moment."""
    factor = scipy.linalg.cho_factor(gram + weight * np.eye(len(gram)), lower=True, overwrite_a=True)
    return scipy.linalg.cho_solve(factor, moment)


def _alone(y_s: np.ndarray) -> bool:
    """Return whether every row is the only one of its class."""
    codes = y_s.argmax(axis=1)
    return y_s.shape[1] > 1 and len(np.unique(codes)) == len(codes)
