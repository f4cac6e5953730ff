"""Kernel ridge regression as a learner, which takes label vectors as they are."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from datastill import krr, tuning
from datastill.data import sampling
from datastill.gram.names import as_kernels
from datastill.kernels.base import Kernel

MOST_ROWS = 10_000
INDUCING_ROWS = 2000
LEARNED_REG = 1e-6
"""For what was learned: the reg of the distillers, and all but interpolation."""


class KernelRidge(BaseEstimator):
    """f(x) = k(x, x_s) k_ss⁻¹ y_s, classes by the largest entry.

    Its reg is chosen by leaving out one row at a time (`tuning.chosen_reg`), from one grid for all sets and sizes.
    Learned examples and label vectors are no sample of the data, in which one can be left out; they are interpolated.

    Above 10,000 rows, whose kernel matrix would take long to solve, all rows are learned from through 2,000 random ones
    (`tuning.through`).

    Args:
        kernel: a kernel or its short name; settings left to the data are filled in from the rows of `fit`.
        reg: added to the diagonal of k_ss, as a fraction of its mean; None to choose it from the rows.
        regression: whether `predict` gives f itself.

    Attributes:
        rows_: x_s.
        reg_: the reg; None where all rows are learned from through some.
        alpha_: k_ss⁻¹ y_s.
    """

    takes_vectors = True

    def __init__(self, kernel: Kernel | str = "fc1", reg: float | None = None, regression: bool = False) -> None:
        self.kernel = kernel
        self.reg = reg
        self.regression = regression

    def fit(self, X: np.ndarray, y: np.ndarray, learned: bool = False) -> Self:
        """Solve for the coefficients.

        Args:
            X: (s, …) rows.
            y: (s, c) label vectors or targets.
            learned: whether the rows, or y, were learned.

        Raises:
            SolveError: if the kernel matrix cannot be inverted.
        """
        x, vectors = np.asarray(X, np.float32), np.asarray(y, np.float64).reshape(len(X), -1)
        self.kernel_: Any = as_kernels(self.kernel)[0].resolve(x)
        self.rows_, self.reg_ = x, None
        if len(x) > MOST_ROWS:
            self.rows_ = x[sampling.rng(0, 14).choice(len(x), INDUCING_ROWS, replace=False)]
            self.alpha_ = tuning.through(self.kernel_, self.rows_, x, vectors)
            return self
        self.reg_ = self.reg
        if self.reg_ is None:
            self.reg_ = LEARNED_REG if learned else tuning.chosen_reg(self.kernel_, x, vectors)
        self.alpha_ = krr.fit(self.kernel_, x, vectors, self.reg_)
        return self

    def scores(self, X: np.ndarray) -> np.ndarray:
        """(n, c) values of f."""
        return krr.predict(self.kernel_, np.asarray(X, np.float32), self.rows_, self.alpha_)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n,) class numbers, or (n, k) targets."""
        return self.scores(X) if self.regression else self.scores(X).argmax(axis=1)
