"""How a small set does on test rows beside random rows, k-means centres and all the data, under one kernel."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from datastill import krr
from datastill._errors import SolveError
from datastill.data import sampling
from datastill.data.dataset import Rows
from datastill.distill import fit as distil
from datastill.distill import fit_moments, kip
from datastill.distill.fit_moments import Sums
from datastill.evaluate import intervals
from datastill.evaluate.scores import Role, Score
from datastill.kernels.base import Kernel
from datastill.preprocess.labels import ClassLabels, Labels
from datastill.preprocess.space import Space
from datastill.select.kmeans import kmeans_centres, owners

RANDOM_DRAWS = 5
EXACT_ROWS = 5000
INDUCING_ROWS = 1000
WORK = 1e11
"""Activations of the figure for all rows: minutes on two cores."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Kernel ridge regression under one kernel, and the test rows it is judged on.

    Attributes:
        problem: the kernel and penalties; unless its labels are fixed, every rival gets solved labels, so that all
            differ in their rows alone.
        space: where rows become numbers.
        labels: where labels become vectors.
        targets: the training rows as the kernel sees them.
        x_test: test rows as the kernel sees them.
        y_test: (n,) labels or (n,) or (n, k) targets.
        sums: what stands for all training rows under the kernel of a feature map; None where `targets` are all of them.
    """

    problem: kip.Problem
    space: Space
    labels: Labels
    targets: distil.Targets
    x_test: np.ndarray
    y_test: np.ndarray
    sums: Sums | None = None

    def predict(self, x_s: np.ndarray, *vectors: np.ndarray) -> list[np.ndarray]:
        """What KRR trained on these rows, as the kernel sees them, says of the test rows, for each set of labels."""
        kernel, reg = self.problem.kernels[0], self.problem.penalties.reg
        alpha = krr.fit(kernel, x_s, np.concatenate(vectors, axis=1), reg)
        found = krr.predict(kernel, self.x_test, x_s, alpha)
        return [self.labels.decode(part) for part in np.split(found, len(vectors), axis=1)]

    def own_or_solved(self, x_s: np.ndarray, vectors: np.ndarray, seed: int) -> np.ndarray:
        """The label vectors a rival is judged with: its own where the reported method's are fixed, else solved ones."""
        if self.problem.labels == "fixed":
            return vectors
        return self.solved(x_s, seed)

    def solved(self, x_s: np.ndarray, seed: int) -> np.ndarray:
        """The label vectors of these rows that predict all training rows best, or some where the kernel is dear."""
        if self.sums is not None:
            return fit_moments.solve_labels(self.sums, x_s, self.problem.penalties).y_s
        return distil.solve_labels(self.problem, x_s, self.targets, seed, self.label_rows(len(x_s))).y_s

    def label_rows(self, size: int) -> int:
        """On how many training rows the labels of so many rows are solved."""
        n = len(self.targets.x)
        return n if self.sums is not None else distil.label_rows(size, self.problem.kernels, self.x_test.shape[1:], n)

    def judge(self, *predictions: np.ndarray) -> tuple[float, float, float]:
        """(score, low, high), 95 %: accuracy or R², the mean over the draws when there are several predictions.

        The interval is over the test rows (Clopper–Pearson, or a bootstrap for R²) and, for several draws, over them.
        """
        draws = np.array([self.value(predicted) for predicted in predictions])
        n, classes = len(self.y_test), isinstance(self.labels, ClassLabels)
        if len(draws) > 1:
            return intervals.mean_score(draws, n, classes)
        if classes:
            return float(draws[0]), *intervals.proportion(round(draws[0] * n), n)
        return float(draws[0]), *intervals.r_squared(self.y_test, predictions[0])

    def value(self, predicted: np.ndarray) -> float:
        """Accuracy, or R² averaged over columns."""
        if isinstance(self.labels, ClassLabels):
            return float(np.mean(predicted == self.y_test))
        return intervals.r2(self.y_test, predicted)

    @property
    def metric(self) -> str:
        """The name of the score."""
        return "accuracy" if isinstance(self.labels, ClassLabels) else "R²"


def compare(judge: Judge, name: str, predicted: np.ndarray, budget: np.ndarray, rows: Rows, seed: int) -> list[Score]:
    """Scores of the reported set and of its rivals with the same budget, labels and learner, and of all rows.

    Args:
        judge: what judges them all.
        name: of the reported set.
        predicted: its predictions for the test rows.
        budget: (C,) its rows for each class (one entry for regression).
        rows: the training rows, in the user's space.
        seed: for the random rows and k-means.
    """
    targets, size = judge.targets, int(budget.sum())
    codes = np.zeros(len(targets.x), int) if targets.codes is None else targets.codes
    few = judge.label_rows(size)
    solved = "" if judge.problem.labels == "fixed" else ", labels solved"
    solved += f" on {few:,} rows" if solved and few < len(targets.x) else ""

    scores = [Score(name, size, *judge.judge(predicted), judge.metric, "result")]
    if not len(targets.x):  # moments alone: there are no rows to draw
        return [*scores, _everything(judge, seed)]
    budget = sampling.of_classes_with_rows(codes, budget)
    size = int(budget.sum())

    def random_rows(draw: int) -> list[np.ndarray]:
        chosen = sampling.rows_per_class(codes, budget, seed + draw + 1, replace=True)
        x_s, vectors = targets.x[chosen], targets.y[chosen]
        return judge.predict(x_s, vectors, judge.own_or_solved(x_s, vectors, seed))

    draws = _tried(lambda: [random_rows(draw) for draw in range(RANDOM_DRAWS)])
    scores.append(_score(judge, f"random rows{solved}", size, [given for _, given in draws], "random"))
    if solved:
        scores.append(_score(judge, "random rows, own labels", size, [own for own, _ in draws]))
    centres = _tried(lambda: _kmeans(judge, rows, codes, budget, seed))
    return [*scores, _score(judge, f"k-means centres{solved}", size, centres), _everything(judge, seed)]


def _tried(predictions: Callable[[], list[Any]]) -> list[Any]:
    """What a rival predicts; nothing where its kernel matrix cannot be inverted."""
    with suppress(SolveError):
        return predictions()
    return []


def _score(judge: Judge, name: str, size: int, predictions: Sequence[np.ndarray], role: Role = "other") -> Score:
    """Of a rival, or none where nothing could be predicted."""
    if not predictions:
        return Score(
            f"{name} (no figure: their kernel matrix is singular)", size, np.nan, metric=judge.metric, role=role
        )
    return Score(name, size, *judge.judge(*predictions), judge.metric, role)


def measures_all(kernel: Kernel, shape: tuple[int, ...], rows: int, test_rows: int) -> bool:
    """Whether the figure for all rows is within reach of the kernel."""
    return kernel.activations(shape) * _pairs_of_all(rows, test_rows) <= WORK


def _pairs_of_all(rows: int, test_rows: int) -> int:
    """Pairs of rows in the figure for all rows."""
    return min(rows, INDUCING_ROWS if rows > EXACT_ROWS else rows) * (rows + test_rows)


def _kmeans(judge: Judge, rows: Rows, codes: np.ndarray, budget: np.ndarray, seed: int) -> list[np.ndarray]:
    """What k-means centres of each class with its label predict; in regression, of all rows with mean targets."""
    z = judge.space.encode(rows)
    centres = judge.space.encode_features(judge.space.decode(kmeans_centres(z, codes, budget, seed), in_range=False))
    if judge.targets.codes is None:
        vectors = _cluster_means(judge.targets, centres)
    else:
        vectors = judge.labels.encode(np.repeat(judge.labels.classes, budget))  # type: ignore[union-attr]
    return judge.predict(centres, judge.own_or_solved(centres, vectors, seed))


def _cluster_means(targets: distil.Targets, centres: np.ndarray) -> np.ndarray:
    """The mean target of the rows nearest to each centre."""
    flat, middle = targets.x.reshape(len(targets.x), -1), centres.reshape(len(centres), -1)
    nearest = owners(flat, middle)
    sums = np.zeros((len(middle), targets.y.shape[1]))
    np.add.at(sums, nearest, targets.y)
    return sums / np.maximum(np.bincount(nearest, minlength=len(middle)), 1)[:, None]


def _everything(judge: Judge, seed: int) -> Score:
    """KRR on every training row: by moments where there are some, else above 5,000 rows on 1,000 random ones.

    The latter have labels solved on all rows. Not measured where the kernel is too dear for it.
    """
    targets, sums, n = judge.targets, judge.sums, len(judge.targets.x)
    if sums is not None:
        name, n = "all rows (ridge on all features)", round(float(sums.train.size))
        found = _tried(lambda: [_ridge(judge, sums)])
    elif not measures_all(judge.problem.kernels[0], judge.x_test.shape[1:], n, len(judge.x_test)):
        pairs = _pairs_of_all(n, len(judge.x_test))
        return Score(f"all rows (not measured: {pairs:,} pairs of rows)", n, np.nan, metric=judge.metric, role="all")
    elif n <= EXACT_ROWS:
        name, found = "all rows", _tried(lambda: judge.predict(targets.x, targets.y))
    else:
        name = f"all rows (labels of {INDUCING_ROWS:,} solved on all)"
        chosen = sampling.rng(seed, 7).choice(n, INDUCING_ROWS, replace=False)
        found = _tried(lambda: judge.predict(targets.x[chosen], judge.solved(targets.x[chosen], seed)))
    return _score(judge, name, n, found, "all")


def _ridge(judge: Judge, sums: Sums) -> np.ndarray:
    """What ridge regression on all features predicts."""
    weights = fit_moments.ridge(sums)
    blocks = [np.asarray(block, np.float64) @ weights for block in sums.map.blocks(judge.x_test)]
    return judge.labels.decode(np.concatenate(blocks))


def nearest_rows(z: np.ndarray, codes: np.ndarray, support: np.ndarray, support_codes: np.ndarray) -> np.ndarray:
    """(s,) index of the real row of the same class nearest to each support row, in standardised units."""
    rows, points = z.reshape(len(z), -1), support.reshape(len(support), -1)
    found = np.zeros(len(points), int)
    for c in np.unique(support_codes):
        own = np.flatnonzero(codes == c)
        distance = np.sum(rows[own] ** 2, axis=1) - 2 * points[support_codes == c] @ rows[own].T
        found[support_codes == c] = own[np.argmin(distance, axis=1)]
    return found


def class_means(rows: Rows, codes: np.ndarray, classes: int) -> Rows:
    """One row per class: means of numbers, the commonest category of the rest; in the user's own space."""
    if not isinstance(rows, pd.DataFrame):
        means = np.stack([rows[codes == c].mean(axis=0, dtype=np.float64) for c in range(classes)])
        return np.round(means).astype(rows.dtype) if rows.dtype.kind in "iu" else means.astype(rows.dtype)
    columns = {}
    for name in rows.columns:
        column = rows[name]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        of_class = [column[codes == c] for c in range(classes)]
        columns[name] = [
            part.mean() if numeric else (part.mode(dropna=False).iloc[0] if len(part) else None) for part in of_class
        ]
    return pd.DataFrame(columns)
