"""Kernel ridge regression under one kernel as the judge of a set and of its rivals, each with a fair penalty.

Rows with labels of their own get the reg that leaving out one of them at a time chooses (`tuning.chosen_reg`), whatever
the reported set was learned with. Label vectors that were solved on the training rows are the best ones for the
problem's own reg and ridge, and are judged with these. No choice is made on test rows.
"""

from dataclasses import dataclass

import numpy as np

from datastill import krr, tuning
from datastill.distill import kernel_objective, kip, moments_objective
from datastill.distill.moments_objective import Sums
from datastill.evaluate import intervals, metrics
from datastill.evaluate.constant import constant_of
from datastill.evaluate.intervals import Measured
from datastill.kernels.base import Kernel
from datastill.preprocess.encoder import FeatureEncoder
from datastill.preprocess.labels import ClassLabels, Labels


@dataclass(frozen=True, eq=False)
class Judge:
    """Kernel ridge regression under one kernel, and the test rows it is judged on.

    Attributes:
        problem: the kernel and penalties; unless its labels are fixed, rivals get solved labels as well as their own.
        space: where rows become numbers.
        labels: where labels become vectors.
        targets: the training rows as the kernel sees them.
        x_test: test rows as the kernel sees them.
        y_test: (n,) labels or (n,) or (n, k) targets.
        sums: what stands for all training rows under the kernel of a feature map; None where `targets` are all of them.
    """

    problem: kip.Problem
    space: FeatureEncoder
    labels: Labels
    targets: kernel_objective.Targets
    x_test: np.ndarray
    y_test: np.ndarray
    sums: Sums | None = None

    @property
    def kernel(self) -> Kernel:
        """The kernel that judges, the first of the problem's."""
        return self.problem.kernels[0]

    @property
    def regression(self) -> bool:
        """True for real targets, False for classes."""
        return not isinstance(self.labels, ClassLabels)

    @property
    def metric(self) -> str:
        """The name of the score."""
        return "R²" if self.regression else "accuracy"

    def own(self, x_s: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return α of rows with labels of their own, (s, c), its reg chosen by cross-validation on these rows."""
        return krr.fit(self.kernel, x_s, vectors, tuning.chosen_reg(self.kernel, x_s, vectors))

    def solved(self, x_s: np.ndarray, seed: int) -> np.ndarray:
        """Return α of rows whose labels are solved on all training rows, or on some where the kernel is expensive."""
        if self.sums is not None:
            vectors = moments_objective.solve_labels(self.sums, x_s, self.problem.penalties).y_s
        else:
            rows = self.label_rows(len(x_s))
            vectors = kernel_objective.solve_labels(self.problem, x_s, self.targets, seed, rows).y_s
        return krr.fit(self.kernel, x_s, vectors, self.problem.penalties.reg)

    def label_rows(self, size: int) -> int:
        """Return on how many training rows the labels of so many rows are solved."""
        n = len(self.targets.x)
        return (
            n
            if self.sums is not None
            else kernel_objective.label_rows(size, self.problem.kernels, self.x_test.shape[1:], n)
        )

    def predict(self, x_s: np.ndarray, *alphas: np.ndarray) -> list[np.ndarray]:
        """Return the predictions for the test rows of regressions on the same rows x_s, one for each α."""
        found = krr.predict(self.kernel, self.x_test, x_s, np.concatenate(alphas, axis=1))
        return [self.labels.decode(part) for part in np.split(found, len(alphas), axis=1)]

    def constant(self) -> np.ndarray:
        """Return the constant prediction: of the training rows, where they are at hand, else of the test rows."""
        vectors = self.targets.y if len(self.targets.y) else self.labels.encode(self.y_test)
        answer = constant_of(vectors, self.regression)
        if isinstance(self.labels, ClassLabels):
            return np.full(len(self.y_test), self.labels.classes[int(answer)])
        return self.labels.decode(np.broadcast_to(answer, (len(self.y_test), len(answer))))

    def losses(self, predictions: list[np.ndarray]) -> np.ndarray:
        """Return (draws, n) errors of the predictions of several draws, or squared errors averaged over columns."""
        return np.array([metrics.losses(self.y_test, found, self.regression) for found in predictions], np.float64)

    def score(self, predictions: list[np.ndarray]) -> Measured:
        """Return accuracy or R², the mean where there are several draws, with the 95 % interval over rows and draws."""
        if not predictions:
            return intervals.NOT_MEASURED
        if not self.regression:
            return intervals.of_errors(self.losses(predictions))
        values = [intervals.r2(self.y_test, found) for found in predictions]
        if len(values) == 1:
            return Measured(values[0], *intervals.r_squared(self.y_test, predictions[0]))
        return intervals.of_squares(self.losses(predictions), float(np.mean(values)))
