"""From moments to learned examples: `fit` without the rows, at a price that does not depend on their number."""

from collections.abc import Callable
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.linalg

from datastill import krr
from datastill._errors import InputError
from datastill._typing import Array
from datastill.distill import kip, loop
from datastill.distill.from_moments import NOISE, eliminated_loss, feature_loss, label_loss, predictor
from datastill.distill.kernel_objective import Targets
from datastill.distill.label_solve import LabelSolution
from datastill.distill.objectives import Penalties
from datastill.features.base import FeatureMap, Weights, drawn
from datastill.moments import Collected, Moments, Sample, Totals, moments_of
from datastill.preprocess.labels import ClassLabels, TargetScaler

RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
CHECKED_ROWS = 2_000


class Sums(NamedTuple):
    """The sums that replace the rows.

    Attributes:
        map: the feature map.
        row: the shape of a row as the map sees it.
        train: of the rows to learn from.
        held: of the rows to judge by; None where there are none.
        checks: some of the latter, as the map sees them, by which examples are scored; may be none.
    """

    map: FeatureMap
    row: tuple[int, ...]
    train: Totals
    held: Totals | None
    checks: Targets | None = None

    @property
    def weights(self) -> Weights:
        """The map's random numbers."""
        return drawn(self.map, self.row)


def sums_of(map: FeatureMap, targets: Targets, held: Targets | None) -> Sums:
    """The sums over target rows that are at hand."""
    row = targets.x.shape[1:]
    if held is None:
        return Sums(map, row, _totals(map, targets), None)
    thin = np.arange(0, len(held.x), -(-len(held.x) // CHECKED_ROWS))
    return Sums(map, row, _totals(map, targets), _totals(map, held), held.take(thin))


def sums_in(collected: Collected, balanced: bool = False, hold_out: bool = True) -> Sums:
    """The sums that a pass left; without `hold_out`, of all rows to learn from; with `balanced`, classes count alike.

    Raises:
        InputError: for balanced sums of moments that are not kept apart by class.
    """
    source = collected.recipe.source

    def totals(side: Moments) -> Totals:
        return side.totals(side.balanced() if balanced else None)

    rows = collected.train if hold_out else collected.whole
    if not rows.count:
        raise InputError("Got moments of no training rows; expected at least one; try adding a shard.")
    if not hold_out:
        return Sums(source.map, source.row, totals(rows), None)
    held = totals(collected.held) if collected.held.count else None
    checks = as_targets(collected, collected.checks) if len(collected.checks.z) else None
    return Sums(source.map, source.row, totals(rows), held, checks)


def as_targets(collected: Collected, sample: Sample) -> Targets:
    """Sampled rows as the map sees them, with their label vectors."""
    labels, space = collected.recipe.source.labels, collected.recipe.space
    x = np.asarray(space.features(sample.z))
    if isinstance(labels, ClassLabels):
        return Targets(x, labels.encode(labels.classes[sample.y]), sample.y)
    return Targets(x, sample.y)


def learn(
    problem: kip.Problem,
    z: np.ndarray,
    y: np.ndarray,
    sums: Sums,
    schedule: loop.Schedule,
    checkpoint: Path | None = None,
    identity: str = "",
    watch: loop.Watcher | None = None,
) -> loop.Progress:
    """Run KIP on moments from initial examples z (s, …) and label vectors y (s, c); see `fit.learn`.

    Every step sees all rows, and nothing in it is random.

    Args:
        problem: what is minimised, and how; its kernels, augmentation and memory are not used.
        z: initial examples.
        y: initial label vectors.
        sums: the moments of the rows.
        schedule: steps, validations, patience.
        checkpoint: file to resume from and write to.
        identity: of the run.
        watch: told of every step.
    """
    formula, weights = sums.map.formula(), sums.weights
    train, held = on_device(sums.train), None if sums.held is None else on_device(sums.held)

    def loss(learned: dict[str, Array], weights: Weights, totals: Totals) -> Array:
        x_s = problem.features(learned["z"])
        if problem.labels == "solve":
            return eliminated_loss(formula, weights, x_s, totals, problem.penalties)[0]
        return label_loss(formula, weights, x_s, learned["y"], totals, problem.penalties)

    advance = kip.compiled(kip.descent(problem, loss))

    def judge(z: Array, y: Array, weights: Weights, train: Totals, held: Totals) -> tuple[Array, Array]:
        labels = None if problem.labels == "solve" else y
        found = predictor(formula, weights, problem.features(z), labels, train, problem.penalties)
        return feature_loss(found, held), found

    judged = kip.compiled(judge)

    score = scorer(sums)

    def validate(state: kip.State) -> tuple[float, float]:
        value, found = judged(state.z, state.y, weights, train, held)
        return float(value), score(np.asarray(found))

    return loop.run(
        kip.init(problem, z, y),
        lambda state, _: advance(state, weights, train),
        lambda state: (np.asarray(state.z), np.asarray(state.y)),
        None if held is None else validate,
        schedule,
        checkpoint,
        identity,
        watch,
    )


def scorer(sums: Sums) -> Callable[[np.ndarray], float]:
    """W -> accuracy, or R² averaged over columns, of φ(x)·W on the rows kept for it; NaN where there are none."""
    checks = sums.checks
    if checks is None:
        return lambda _: np.nan
    phi, y = np.asarray(sums.map(checks.x)), checks.y

    def score(weights: np.ndarray) -> float:
        predicted = phi @ weights
        if checks.codes is not None:
            return float(np.mean(predicted.argmax(axis=1) == checks.codes))
        spread, missed = y.var(axis=0), np.mean((predicted - y) ** 2, axis=0)
        return float(np.mean(1 - missed / np.where(spread > 0, spread, np.nan)))

    return score


def solve_labels(sums: Sums, x_s: np.ndarray, penalties: Penalties) -> LabelSolution:
    """The label vectors of these rows that predict the rows to learn from best, of least norm where several do.

    With k_ss = LLᵀ, G = ΦCΦᵀ/n, R = ΦB/n and w the weight of the predictor's norm, y_s = L(L⁻¹GL⁻ᵀ + wI)⁺ L⁻¹R;
    eigenvalues that are no larger than the rounding of C's float32 products count as 0.

    Args:
        sums: the moments of the rows.
        x_s: rows as the map sees them.
        penalties: `reg` and `ridge`.

    Raises:
        SolveError: if k_ss cannot be inverted, with the reg to try.
    """
    totals = sums.train
    phi = np.asarray(sums.map(x_s), np.float64)
    k_ss = phi @ phi.T
    krr.solve(k_ss, np.zeros((len(phi), 1)), penalties.reg).unwrap()
    root = np.linalg.cholesky(krr.regularise(k_ss, penalties.reg))
    whitened = scipy.linalg.solve_triangular(root, phi, lower=True)
    second, n = np.asarray(totals.second), float(totals.size)
    eigenvalues, vectors = np.linalg.eigh(whitened @ second @ whitened.T / n)
    weight = penalties.ridge * float(np.trace(root @ root.T)) / len(phi)
    kept = eigenvalues > NOISE * eigenvalues[-1]
    inside = vectors[:, kept].T @ (whitened @ totals.cross / n)
    beta = vectors[:, kept] @ (inside / (eigenvalues[kept] + weight)[:, None])
    w = whitened.T @ beta
    loss = (np.sum(w * (second @ w)) - 2 * np.sum(w * totals.cross) + totals.square) / (2 * n)
    return LabelSolution(root @ beta, int(kept.sum()), float(loss))


def ridge(sums: Sums) -> np.ndarray:
    """(F, c) W of ridge regression on all rows to learn from: what the features can do at all.

    W = (C + λ·tr(C)/F·I)⁻¹B, with the λ of `RIDGES` whose loss on the held-out rows is least; the middle one where none
    are held out.

    Raises:
        SolveError: if C is too ill-conditioned for every λ.
    """
    held, least = sums.held, np.inf
    best: np.ndarray | None = None
    for reg in RIDGES if held is not None else RIDGES[len(RIDGES) // 2 :][:1]:
        w = _ridge(sums.train, reg)
        if w is None:
            continue
        loss = 0.0 if held is None else float(np.sum(w * (held.second @ w)) - 2 * np.sum(w * held.cross))
        if best is None or loss < least:
            best, least = w, loss
    return krr.solve(sums.train.second, sums.train.cross, RIDGES[-1]).unwrap() if best is None else best


def _ridge(totals: Totals, reg: float) -> np.ndarray | None:
    """W for one λ; None where C is too ill-conditioned for it."""
    matrix = np.array(totals.second, np.float64)
    matrix[np.diag_indices(len(matrix))] += reg * np.trace(matrix) / len(matrix)
    try:
        factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(scipy.linalg.cho_solve(factor, totals.cross, check_finite=False))


def on_device(totals: Totals) -> Totals:
    """Return the sums as JAX arrays in float64."""
    with krr.float64(True):
        return Totals(*map(jnp.asarray, totals))


def _totals(map: FeatureMap, targets: Targets) -> Totals:
    """Over rows at hand; their label vectors are taken as they are."""
    c = targets.y.shape[1]
    labels = TargetScaler(np.zeros(c), np.ones(c), flat=False)

    def of(rows: Any) -> Moments:
        return moments_of(map, [(targets.x[rows], targets.y[rows])], labels, named=False)

    weights = targets.weights
    if weights is None or targets.codes is None:
        return of(slice(None)).totals()
    members = (np.flatnonzero(targets.codes == k) for k in np.unique(targets.codes))
    return reduce(add, (float(weights[rows[0]]) * of(rows) for rows in members)).totals()
