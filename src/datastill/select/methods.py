"""Every selector by name, and class by class.

A *picker* chooses rows; a *mixer* makes new ones, each a convex mixture of rows. `choose` gives every class its budget
and runs one of them on the rows of each class.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, vstack

from datastill._errors import InputError
from datastill.data import sampling
from datastill.kernels.base import Kernel
from datastill.select import sensitivity, similarity
from datastill.select.archetypes import archetypes
from datastill.select.difficulty import MEASURES, difficulty, hardest
from datastill.select.exemplars import exemplars
from datastill.select.greedy import maximise, optimum_bound
from datastill.select.herding import exchange, herding
from datastill.select.k_center import k_center
from datastill.select.kmeans import groups, kmedoids, nearest_to_centres
from datastill.select.selection import Selection, check_budget
from datastill.select.submodular import (
    FacilityLocation,
    FeatureBased,
    GraphCut,
    LogDeterminant,
    Objective,
    SaturatedCoverage,
)

DENSE_ROWS = 10_000
"""Up to how many rows all pairs are compared; above, each row and its nearest 32."""
EXEMPLAR_ROWS = 100_000
"""Up to how many rows facility location looks for exemplars by Euclidean distance; above, likewise."""
LEVERAGE_RIDGE, LEVERAGE_ROWS = 1e-3, 100_000
TARGETS = 0.5
"""Of a standardised target beside the square root of the number of standardised columns, in k-means on both."""


class Candidates(NamedTuple):
    """Rows to choose from.

    Attributes:
        x: (n, …) as the kernel sees them.
        y: (n, c) label vectors.
        codes: (n,) classes; None in regression.
        kernel: what likeness means, and what "leverage" and "herding" are about.
    """

    x: np.ndarray
    y: np.ndarray
    codes: np.ndarray | None
    kernel: Kernel

    @property
    def flat(self) -> np.ndarray:
        """(n, d)."""
        return self.x.reshape(len(self.x), -1)


class Chosen(NamedTuple):
    """The selection of a method, grouped by class.

    Attributes:
        indices: (s,) row numbers; None when the examples are new.
        mixture: (s, n) the examples as mixtures of rows; None when they are rows.
        weights: (s,) how many rows each counts for; they add up to the rows of each class, for "lightweight" and
            "leverage" in expectation.
        gains: (s,) what the objective gained by each pick; NaN where there is none.
        value: what a submodular objective reached, summed over classes; None for other methods.
        bound: what no choice with the same budgets exceeds; None where nothing is known.
    """

    indices: np.ndarray | None
    mixture: csr_array | None
    weights: np.ndarray
    gains: np.ndarray
    value: float | None = None
    bound: float | None = None


def choose(method: str, candidates: Candidates, budget: np.ndarray, seed: int, optimiser: str = "lazy") -> Chosen:
    """Choose or make examples, budget[c] for class c (one entry in regression).

    Args:
        method: one of METHODS.
        candidates: rows to choose from.
        budget: (C,) examples for each class.
        seed: of everything random.
        optimiser: of the submodular methods; see `greedy.maximise`.

    Raises:
        InputError: for an unknown method, a budget above the rows of a class, or a method that needs classes.
    """
    if method not in METHODS:
        raise InputError(f"Got method={method!r}; expected one of {', '.join(METHODS)}.")
    if method in MEASURES and candidates.codes is None:
        raise InputError(f"Got method={method!r} in regression; it needs classes; try kmeans, kcenter or herding.")
    n = len(candidates.x)
    if candidates.codes is None:
        check_budget(int(budget[0]), n)
    codes = np.zeros(n, int) if candidates.codes is None else candidates.codes
    scores = difficulty(candidates.flat, codes, method, seed) if method in MEASURES else None
    parts = []
    for c, (k, rows) in enumerate(zip(budget, sampling.rows_of_classes(codes, len(budget)), strict=True)):
        if not k:
            continue
        if k > len(rows):
            raise InputError(
                f"Got a budget of {k} rows for class number {c}, which has {len(rows)}; expected at most that many "
                f"when rows are selected; try ipc={len(rows)}."
            )
        part = Candidates(candidates.x[rows], candidates.y[rows], None, candidates.kernel)
        own_seed = int(sampling.rng(seed, 13, c).integers(2**31))
        if scores is None:
            found = _of_class(method, part, int(k), own_seed, optimiser)
        else:
            found = _chosen(hardest(scores[rows], int(k)))
        parts.append(_renumbered(found, rows, n))
    return _joined(parts)


def _of_class(method: str, part: Candidates, k: int, seed: int, optimiser: str) -> Chosen:
    """Select rows of one class with the method; indices are within the class."""
    if method in MIXERS:
        mixture, weights = MIXERS[method](part, k, seed)
        return Chosen(None, mixture, weights, np.full(k, np.nan))
    if method == "facility-location" and DENSE_ROWS < len(part.x) <= EXEMPLAR_ROWS:
        found = exemplars(part.flat, k, seed)
        return _chosen(found, float(found.gains.sum()))
    if method in SUBMODULAR:
        objective, first = SUBMODULAR[method](part)
        found = maximise(objective, k, optimiser, seed, first=first)
        found = found._replace(weights=similarity.represented(part.x, found.indices, part.kernel))
        return _chosen(found, float(found.gains.sum()), optimum_bound(objective, found.indices))
    return _chosen(PICKERS[method](part, k, seed))


def _chosen(found: Selection, value: float | None = None, bound: float | None = None) -> Chosen:
    return Chosen(found.indices, None, found.weights, found.gains, value, bound)


def _renumbered(found: Chosen, rows: np.ndarray, n: int) -> Chosen:
    """The same by the numbers of the rows among all n."""
    if found.mixture is None:
        return found._replace(indices=rows[found.indices])
    inner = found.mixture
    entries = (inner.data, rows[inner.indices], inner.indptr)
    return found._replace(mixture=csr_array(entries, shape=(inner.shape[0], n)))


def _joined(parts: list[Chosen]) -> Chosen:
    """The choices of all classes as one; a sum of which a part is unknown is unknown."""

    def together(values: list, join: Callable) -> Any:
        return None if any(v is None for v in values) else join(values)

    indices, mixtures, weights, gains, reached, bounds = map(list, zip(*parts, strict=True))
    return Chosen(
        together(indices, np.concatenate),
        together(mixtures, lambda m: csr_array(vstack(m, format="csr"))),
        np.concatenate(weights),
        np.concatenate(gains),
        together(reached, sum),
        together(bounds, sum),
    )


def _random(part: Candidates, k: int, seed: int) -> Selection:
    return _equal(len(part.x), sampling.rng(seed, 14).permutation(len(part.x))[:k])


def _stratified(part: Candidates, k: int, seed: int) -> Selection:
    """One row of each of k equal groups, by the first column of y; of a class, whose y is constant, any k rows."""
    draw = sampling.rng(seed, 14)
    order = draw.permutation(len(part.y))
    order = order[np.argsort(part.y[order, 0], kind="stable")]
    return _equal(len(order), np.array([draw.choice(group) for group in np.array_split(order, k)]))


def _equal(n: int, picks: np.ndarray) -> Selection:
    return Selection(picks, np.full(len(picks), n / len(picks)), np.full(len(picks), np.nan))


def _leverage(part: Candidates, k: int, seed: int) -> Selection:
    """In proportion to ridge leverage plus 1/n, so that every row can be drawn."""
    scores = sensitivity.leverage(part.flat, LEVERAGE_RIDGE, LEVERAGE_ROWS) + 1 / len(part.x)
    return sensitivity.draw_distinct(scores, k, seed)


def _alike(part: Candidates) -> similarity.Similarity:
    if len(part.x) <= DENSE_ROWS:
        return similarity.dense(part.x, part.kernel)
    found = similarity.neighbours(part.x, part.kernel)
    return found.maximum(found.T).tocsc()


def _facility(part: Candidates) -> tuple[Objective, Sequence[int]]:
    """Exemplar clustering from the medoid; among very many rows, coverage of each row by its neighbours."""
    if len(part.x) > DENSE_ROWS:
        return FacilityLocation(similarity.neighbours(part.x, part.kernel)), ()
    found = similarity.explained(part.x, part.kernel)
    return FacilityLocation(found.similarity), (found.medoid,)


def _features(part: Candidates) -> tuple[Objective, Sequence[int]]:
    """Every column from 0 at its least value."""
    return FeatureBased(part.flat - part.flat.min(axis=0)), ()


def _kmeans(part: Candidates, k: int, seed: int) -> tuple[csr_array, np.ndarray]:
    """Means of the rows nearest to each k-means centre."""
    return _means(part.flat, k, seed)


def _kmeans_targets(part: Candidates, k: int, seed: int) -> tuple[csr_array, np.ndarray]:
    """The same by rows and targets together, so that rows of a mean have similar targets; of a class, as `_kmeans`."""
    x, y = part.flat, part.y
    scale = TARGETS * np.sqrt(x.shape[1] / y.shape[1])
    return _means(np.concatenate([x, scale * (y - y.mean(axis=0))], axis=1, dtype=np.float32), k, seed)


def _means(rows: np.ndarray, k: int, seed: int) -> tuple[csr_array, np.ndarray]:
    owner = groups(rows, k, seed)
    counts = np.bincount(owner, minlength=k)
    order = np.argsort(owner, kind="stable")
    pointers = np.concatenate([[0], counts.cumsum()])
    mixture = csr_array((1 / counts[owner[order]], order, pointers), shape=(k, len(owner)))
    return mixture, counts.astype(np.float64)


def _archetypes(part: Candidates, k: int, seed: int) -> tuple[csr_array, np.ndarray]:
    found = archetypes(part.flat, k, seed)
    return csr_array(found.mixture), found.weights


PICKERS: dict[str, Callable[[Candidates, int, int], Selection]] = {
    "random": _random,
    "stratified": _stratified,
    "kmeans-nearest": lambda part, k, seed: nearest_to_centres(part.flat, k, seed),
    "kmedoids": lambda part, k, seed: kmedoids(part.flat, k, seed),
    "kcenter": lambda part, k, seed: k_center(part.flat, k),
    "herding": lambda part, k, seed: herding(part.x, k, part.kernel),
    "mmd": lambda part, k, seed: exchange(part.x, _random(part, k, seed).indices, part.kernel),
    "lightweight": lambda part, k, seed: sensitivity.draw_distinct(sensitivity.lightweight(part.flat), k, seed),
    "leverage": _leverage,
}
SUBMODULAR: dict[str, Callable[[Candidates], tuple[Objective, Sequence[int]]]] = {
    "facility-location": _facility,
    "saturated-coverage": lambda part: (SaturatedCoverage(_alike(part)), ()),
    "graph-cut": lambda part: (GraphCut(_alike(part)), ()),
    "feature-based": _features,
    "log-determinant": lambda part: (LogDeterminant(part.x, part.kernel), ()),
}
MIXERS: dict[str, Callable[[Candidates, int, int], tuple[csr_array, np.ndarray]]] = {
    "kmeans": _kmeans,
    "kmeans-targets": _kmeans_targets,
    "archetypes": _archetypes,
}
METHODS = (*PICKERS, *SUBMODULAR, *MEASURES, *MIXERS)
SEEDLESS = ("kcenter", "herding", *(name for name in SUBMODULAR if name != "facility-location"))
"""Methods whose choice, with the lazy optimiser, no seed changes."""
