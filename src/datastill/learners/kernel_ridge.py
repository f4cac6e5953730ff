"""Kernel ridge regression as a learner, which takes label vectors as they are."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from datastill import krr
from datastill._errors import InputError
from datastill.kernels.base import Kernel
from datastill.kernels.names import as_kernels

MOST_ROWS = 10_000


class KernelRidge(BaseEstimator):
    """f(x) = k(x, x_s) k_ss⁻¹ y_s, classes by the largest entry.

    Args:
        kernel: a kernel or its short name; settings left to the data are filled in from the rows of `fit`.
        reg: added to the diagonal of k_ss, as a fraction of its mean.
        regression: whether `predict` gives f itself.
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
            InputError: above 10,000 rows, whose kernel matrix would be solved in full.
            SolveError: if the kernel matrix cannot be inverted.
        """
        if len(X) > MOST_ROWS:
            raise InputError(
                f"Got {len(X)} rows for krr, which solves their whole matrix; expected at most {MOST_ROWS}."
            )
        self.rows_ = np.asarray(X, np.float32)
        self.kernel_: Any = as_kernels(self.kernel)[0].resolve(self.rows_)
        vectors = np.asarray(y, np.float64).reshape(len(X), -1)
        self.alpha_ = krr.fit(self.kernel_, self.rows_, vectors, self.reg)
        return self

    def scores(self, X: np.ndarray) -> np.ndarray:
        """(n, c) values of f."""
        return krr.predict(self.kernel_, np.asarray(X, np.float32), self.rows_, self.alpha_)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n,) class numbers, or (n, k) targets."""
        return self.scores(X) if self.regression else self.scores(X).argmax(axis=1)
