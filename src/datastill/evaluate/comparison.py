"""Compare a small set with random rows, k-means centres, all rows and the constant prediction, under one kernel."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from datastill import tuning
from datastill._errors import SolveError
from datastill.data import sampling
from datastill.data.dataset import Rows
from datastill.distill import kernel_objective, moments_objective
from datastill.distill.moments_objective import Sums
from datastill.evaluate.constant import CONSTANT, WORDS
from datastill.evaluate.draws import draws_of
from datastill.evaluate.intervals import NOT_MEASURED
from datastill.evaluate.judge import Judge
from datastill.evaluate.scores import OWN_KERNEL, Role, Score
from datastill.evaluate.verdicts import Duel
from datastill.kernels.base import Kernel
from datastill.select.kmeans import kmeans_centres, owners

RANDOM_DRAWS = 5
EXACT_ROWS = 5000
INDUCING_ROWS = 1000
WORK = 1e11
"""Activations of the figure for all rows: minutes on two cores."""

Predictions = list[np.ndarray]


class Compared(NamedTuple):
    """A set beside its rivals.

    Attributes:
        scores: of the reported set, its rivals, all rows and the constant prediction.
        duel: the set against the best of the random rows; None where there are none.
    """

    scores: list[Score]
    duel: Duel | None


def compare(judge: Judge, name: str, predicted: np.ndarray, budget: np.ndarray, rows: Rows, seed: int) -> Compared:
    """Compare the reported set with rivals of the same size under the same learner, and with all rows.

    Random rows are drawn with the budget of the set, and in proportion to the classes where these differ much. Each
    kind is judged with labels of its own, and with solved ones if the set's are not fixed. The best one is the rival.

    Args:
        judge: what judges them all.
        name: of the reported set.
        predicted: its predictions for the test rows.
        budget: (C,) its rows for each class (one entry for regression).
        rows: the training rows, in the user's space.
        seed: for the random rows and k-means.
    """
    targets, size = judge.targets, int(budget.sum())
    result = Score(name, size, *judge.score([predicted]), judge.metric, "result")
    ends = [_everything(judge), _constant(judge)]
    if not len(targets.x):  # moments alone: there are no rows to draw
        return Compared([result, *ends], None)
    codes = np.zeros(len(targets.x), int) if targets.codes is None else targets.codes
    solved = _how_solved(judge, size)
    kinds: dict[str, tuple[int, Predictions]] = {}
    for kind, wanted in draws_of(codes, budget).items():
        drawn = _random_rows(judge, codes, wanted, seed, bool(solved))
        for how, predictions in zip(([f"{kind}{solved}"] if solved else []) + [_own(kind, solved)], drawn, strict=True):
            kinds[how] = int(wanted.sum()), predictions
    scores = [_score(judge, kind, n, predictions) for kind, (n, predictions) in kinds.items()]
    scores, duel = _rival(judge, scores, [p for _, p in kinds.values()], predicted)
    budget = sampling.of_classes_with_rows(codes, budget)
    centres = _kmeans(judge, rows, codes, budget, seed, bool(solved))
    return Compared(
        [result, *scores, _score(judge, f"k-means centres{solved}", int(budget.sum()), centres), *ends], duel
    )


def measures_all(kernel: Kernel, shape: tuple[int, ...], rows: int, test_rows: int) -> bool:
    """Return whether the figure for all rows is within reach of the kernel."""
    return kernel.activations(shape) * _pairs_of_all(rows, test_rows) <= WORK


def _pairs_of_all(rows: int, test_rows: int) -> int:
    """Return the pairs of rows in the figure for all rows."""
    return min(rows, INDUCING_ROWS if rows > EXACT_ROWS else rows) * (rows + test_rows)


def _how_solved(judge: Judge, size: int) -> str:
    """Return how labels of rivals are solved, in words; empty where labels are fixed."""
    if judge.problem.labels == "fixed":
        return ""
    few = judge.label_rows(size)
    return ", labels solved" + (f" on {few:,} rows" if few < len(judge.targets.x) else "")


def _own(kind: str, solved: str) -> str:
    return f"{kind}, own labels" if solved else kind


def _random_rows(judge: Judge, codes: np.ndarray, budget: np.ndarray, seed: int, solve: bool) -> list[Predictions]:
    """Return the predictions of several draws: with solved labels, if asked for, and with the rows' own."""
    x, y = judge.targets.x, judge.targets.y
    drawn = [sampling.rows_per_class(codes, budget, seed + i + 1, replace=True) for i in range(RANDOM_DRAWS)]
    parts = [_tried(lambda: [judge.solved(x[rows], seed) for rows in drawn])] if solve else []
    parts.append(_tried(lambda: [judge.own(x[rows], y[rows]) for rows in drawn]))
    known = [alphas for alphas in parts if alphas]
    found = [judge.predict(x[rows], *of_draw) for rows, of_draw in zip(drawn, zip(*known, strict=True), strict=False)]
    by_way = iter(zip(*found, strict=True))
    return [list(next(by_way)) if alphas else [] for alphas in parts]


def _rival(
    judge: Judge, scores: list[Score], predictions: list[Predictions], predicted: np.ndarray
) -> tuple[list[Score], Duel | None]:
    """Return the scores with the role of the rival given to the best of them, and the set's duel with it."""
    values = np.array([score.value for score in scores])
    if np.isnan(values).all():
        return [replace(scores[0], role="random"), *scores[1:]], None
    best = int(np.nanargmax(values))
    scores = [replace(score, role="random") if i == best else score for i, score in enumerate(scores)]
    gains = judge.losses(predictions[best]) - judge.losses([predicted])
    return scores, Duel(OWN_KERNEL, judge.score([predicted]).value - values[best], gains)


def _tried(solve: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """Return what `solve` does; nothing where a kernel matrix cannot be inverted."""
    with suppress(SolveError):
        return solve()
    return []


def _score(judge: Judge, name: str, size: int, predictions: Predictions, role: Role = "other") -> Score:
    """Return the score of a rival, or none where nothing could be predicted."""
    if not predictions:
        name = f"{name} (no figure: their kernel matrix is singular)"
    return Score(name, size, *judge.score(predictions), judge.metric, role)


def _constant(judge: Judge) -> Score:
    name = f"{CONSTANT} ({WORDS[judge.regression]})"
    return Score(name, 0, *judge.score([judge.constant()]), judge.metric, "constant")


def _kmeans(judge: Judge, rows: Rows, codes: np.ndarray, budget: np.ndarray, seed: int, solve: bool) -> Predictions:
    """Return the predictions of k-means centres of each class with its label; in regression, with mean targets."""
    z = judge.space.encode(rows)
    centres = judge.space.encode_features(judge.space.decode(kmeans_centres(z, codes, budget, seed), in_range=False))
    if judge.targets.codes is None:
        vectors = _cluster_means(judge.targets, centres)
    else:
        vectors = judge.labels.encode(np.repeat(judge.labels.classes, budget))  # type: ignore[union-attr]
    return _tried(lambda: judge.predict(centres, judge.solved(centres, seed) if solve else judge.own(centres, vectors)))


def _cluster_means(targets: kernel_objective.Targets, centres: np.ndarray) -> np.ndarray:
    """Return the mean target of the rows nearest to each centre."""
    flat, middle = targets.x.reshape(len(targets.x), -1), centres.reshape(len(centres), -1)
    nearest = owners(flat, middle)
    sums = np.zeros((len(middle), targets.y.shape[1]))
    np.add.at(sums, nearest, targets.y)
    return sums / np.maximum(np.bincount(nearest, minlength=len(middle)), 1)[:, None]


def _everything(judge: Judge) -> Score:
    """Return the score of all training rows: by moments where there are some, else KRR, its reg chosen on these rows.

    Above 5,000 rows it is that of 1,000 random ones with labels solved on all, and is named so.
    It is not measured where the kernel is too expensive for it.
    """
    targets, sums, n = judge.targets, judge.sums, len(judge.targets.x)
    if sums is not None:
        found = _tried(lambda: [_ridge(judge, sums)])
        return _score(judge, "all rows (ridge on all features)", round(float(sums.train.size)), found, "all")
    if not measures_all(judge.kernel, judge.x_test.shape[1:], n, len(judge.x_test)):
        pairs = _pairs_of_all(n, len(judge.x_test))
        return Score(f"all rows (not measured: {pairs:,} pairs of rows)", n, *NOT_MEASURED, judge.metric, "all")
    if n <= EXACT_ROWS:
        found = _tried(lambda: judge.predict(targets.x, judge.own(targets.x, targets.y)))
        return _score(judge, "all rows", n, found, "all")
    rows = sampling.rng(0, 7).choice(n, INDUCING_ROWS, replace=False)
    x_s = targets.x[rows]
    found = _tried(lambda: judge.predict(x_s, tuning.through(judge.kernel, x_s, targets.x, targets.y)))
    return _score(judge, f"{INDUCING_ROWS:,} rows with labels solved on all {n:,}", INDUCING_ROWS, found, "inducing")


def _ridge(judge: Judge, sums: Sums) -> np.ndarray:
    """Return what ridge regression on all features predicts."""
    weights = moments_objective.ridge(sums)
    blocks = [np.asarray(block, np.float64) @ weights for block in sums.map.blocks(judge.x_test)]
    return judge.labels.decode(np.concatenate(blocks))
