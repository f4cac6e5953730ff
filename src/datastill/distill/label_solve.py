"""Label Solve: the closed-form labels for a fixed support, streamed over all targets.

    y_s* = (k_ts k_ss⁻¹)⁺ y_t

the least-norm minimiser of the KIP loss in y_s (Nguyen, Chen, Lee, 2021, arXiv:2011.00050;
Nguyen et al., 2021, arXiv:2107.13034, eq. (2)). With a ridge,
the minimiser of ½/t ‖k_ts k_ss⁻¹ y_s − y_t‖² + ½ ridge·m y_sᵀ k_ss⁻¹ y_s, m being the mean diagonal of k_ss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from datastill._errors import SolveError
from datastill._typing import Float
from datastill.kernels.base import Kernel
from datastill.krr import regularise, solve

ROUNDING = 1.0
"""Units in the last place by which an entry of a kernel block may be wrong."""

Batch = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class LabelSolution:
    """Labels in closed form.

    Attributes:
        y_s: (s, c) label vectors, float64.
        rank: numerical rank of k_ts k_ss⁻¹; below s, the labels are the least-norm ones.
        loss: ½ mean ‖f(x_t) − y_t‖² over the targets, without the ridge term.
    """

    y_s: np.ndarray
    rank: int
    loss: float


def label_solve(
    kernels: Kernel | Sequence[Kernel],
    x_s: Float[np.ndarray, "s *d"],
    targets: Iterable[Batch],
    reg: float = 1e-6,
    ridge: float = 0.0,
) -> LabelSolution:
    """The best labels for these support rows; with several kernels, the best for their mean loss.

    Streams: the running state is one triangular factor of (s + c) columns, updated by QR (so the condition number
    is not squared, as it would be by normal equations), and targets are seen once.

    Args:
        kernels: one kernel, or several that share the labels.
        x_s: support rows as the kernel sees them.
        targets: batches (x_t, y_t, weights): target rows as the kernel sees them, their (t, c) label vectors, and
            their (t,) weights in the mean (None for 1 each).
        reg: fraction of the mean diagonal added to k_ss.
        ridge: weight of the norm, per target; 0 is Label Solve as published.

    Raises:
        SolveError: if k_ss cannot be inverted, with the reg to try.
    """
    kernels = [kernels] if isinstance(kernels, Kernel) else list(kernels)
    s = len(x_s)
    blocks = [np.asarray(kernel(np.asarray(x_s, np.float64))) for kernel in kernels]
    inverses = [solve(block, np.eye(s), reg).unwrap() for block in blocks]
    factor, n, eps = None, 0, 0.0
    for x_t, y_t, weights in targets:
        n += len(x_t)
        for kernel, inverse in zip(kernels, inverses, strict=True):
            k_ts = np.asarray(kernel(x_t, x_s))
            eps = max(eps, float(np.finfo(k_ts.dtype).eps))
            rows = np.concatenate([k_ts.astype(np.float64) @ inverse, y_t], axis=1)
            factor = _stack(factor, rows if weights is None else rows * np.sqrt(weights)[:, None])
    if factor is None:
        raise SolveError("Got no targets; expected at least one row to solve the labels from.")
    data = factor
    if ridge > 0:
        # y_sᵀ k_ss⁻¹ y_s = ‖L⁻¹ y_s‖² with k_ss = L Lᵀ: rows of zeros on the right to be met by L⁻¹ y_s.
        for block in blocks:
            weight = ridge * np.trace(block) / s * n
            root = np.linalg.cholesky(regularise(block, reg))
            root = scipy.linalg.solve_triangular(root, np.eye(s), lower=True)
            zeros = np.zeros((s, factor.shape[1] - s))
            factor = _stack(factor, np.concatenate([weight**0.5 * root, zeros], axis=1))
    a, b = factor[:s, :s], factor[:s, s:]
    u, singular, vt = np.linalg.svd(a, full_matrices=False)
    # k_ss⁻¹ magnifies the rounding of k_ts, most of all between repeated rows; what is no larger than that is 0.
    magnified = [np.trace(block) / s * inverse @ vt.T for block, inverse in zip(blocks, inverses, strict=True)]
    noise = ROUNDING * eps * n**0.5 * np.linalg.norm(np.concatenate(magnified), axis=0)
    kept = singular > np.maximum(noise, max(n, s) * np.finfo(np.float64).eps * singular[0])
    y_s = vt[kept].T @ ((u.T[kept] @ b) / singular[kept, None])
    residual = np.sum((data[:, :s] @ y_s - data[:, s:]) ** 2)
    return LabelSolution(y_s, int(kept.sum()), float(0.5 * residual / (n * len(kernels))))


def _stack(factor: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """The triangular factor of the old one with more rows below it."""
    return np.asarray(np.linalg.qr(rows if factor is None else np.concatenate([factor, rows]), mode="r"))
