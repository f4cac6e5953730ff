"""Kernel ridge regression as a learner, which takes label vectors as they are."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from datastill import krr
from datastill.data import sampling
from datastill.distill.label_solve import label_solve
from datastill.gram.names import as_kernels
from datastill.kernels.base import Kernel

MOST_ROWS = 10_000
INDUCING_ROWS = 2000
RIDGE = 1e-6
BATCH = 4096


class KernelRidge(BaseEstimator):
    """f(x) = k(x, x_s) k_ss⁻¹ y_s, classes by the largest entry.

    Above 10,000 rows, whose kernel matrix would take long to solve, x_s are 2,000 random ones, and y_s the labels with
    which they predict all rows best (`distill.label_solve`): the method of inducing points.

    Args:
        kernel: a kernel or its short name; settings left to the data are filled in from the rows of `fit`.
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        regression: whether `predict` gives f itself.

    Attributes:
        rows_: x_s.
        alpha_: k_ss⁻¹ y_s.
    """

    takes_vectors = True

    def __init__(self, kernel: Kernel | str = "fc1", reg: float = 1e-6, regression: bool = False) -> None:
        self.kernel = kernel
        self.reg = reg
        self.regression = regression

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Solve for the coefficients.

        Args:
            X: (s, …) rows.
            y: (s, c) label vectors or targets.

        Raises:
            SolveError: if the kernel matrix cannot be inverted.
        """
        x, vectors = np.asarray(X, np.float32), np.asarray(y, np.float64).reshape(len(X), -1)
        self.kernel_: Any = as_kernels(self.kernel)[0].resolve(x)
        self.rows_ = x
        if len(x) > MOST_ROWS:
            self.rows_ = x[sampling.rng(0, 14).choice(len(x), INDUCING_ROWS, replace=False)]
            batches = ((x[i : i + BATCH], vectors[i : i + BATCH], None) for i in range(0, len(x), BATCH))
            vectors = label_solve((self.kernel_,), self.rows_, batches, self.reg, RIDGE).y_s
        self.alpha_ = krr.fit(self.kernel_, self.rows_, vectors, self.reg)
        return self

    def scores(self, X: np.ndarray) -> np.ndarray:
        """(n, c) values of f."""
        return krr.predict(self.kernel_, np.asarray(X, np.float32), self.rows_, self.alpha_)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n,) class numbers, or (n, k) targets."""
        return self.scores(X) if self.regression else self.scores(X).argmax(axis=1)
