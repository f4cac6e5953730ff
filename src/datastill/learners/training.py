"""Training a learner on a small set whose labels may be soft, and saying how its labels were used.

    soft        label vectors are taken as they are (kernel ridge regression)
    hard        each example counts for the class of its largest label
    expanded    each example stands once for every class c, with weight w_i p_ic, where the learner takes weights

p are the label vectors as distributions; see `labels.probabilities`.
"""

from typing import Any, NamedTuple

import numpy as np

from datastill._errors import InputError
from datastill._typing import Float
from datastill.learners.kernel_ridge import KernelRidge
from datastill.learners.labels import probabilities
from datastill.learners.named import takes_weights

LABELS = ("hard", "expanded")


class Trained(NamedTuple):
    """A fitted learner.

    Attributes:
        estimator: the scikit-learn estimator.
        labels: "hard", "expanded", "soft" (as they are), or "targets" in regression.
        weighted: whether row weights were used.
    """

    estimator: Any
    labels: str
    weighted: bool


def train(
    estimator: Any,
    x: np.ndarray,
    vectors: Float[np.ndarray, "n c"],
    weights: Float[np.ndarray, " n"] | None = None,
    labels: str = "hard",
) -> Trained:
    """Fit a classifier on rows with label vectors; its classes are the numbers of the columns.

    Args:
        estimator: an unfitted scikit-learn classifier.
        x: (n, …) rows as numbers; images are read as vectors.
        vectors: label vectors.
        weights: of the rows; ignored, and said so, by learners that take none.
        labels: "hard", or "expanded" where the learner takes weights; one that does not gets hard labels.

    Raises:
        InputError: for another way of using labels.
    """
    if labels not in LABELS:
        raise InputError(f"Got labels={labels!r}; expected one of {', '.join(LABELS)}.")
    flat, n = x.reshape(len(x), -1), len(x)
    if isinstance(estimator, KernelRidge):
        return Trained(estimator.fit(flat, vectors), "soft", False)
    weighted = takes_weights(estimator)
    own = np.ones(n) if weights is None else weights
    if labels == "expanded" and weighted:
        p = probabilities(vectors)
        rows, classes = np.nonzero(p)
        share = own[rows] * p[rows, classes]
        return Trained(_fit(estimator, flat[rows], classes, share), "expanded", weights is not None)
    use = weighted and weights is not None
    return Trained(_fit(estimator, flat, vectors.argmax(axis=1), own if use else None), "hard", use)


def train_regressor(
    estimator: Any, x: np.ndarray, y: np.ndarray, weights: Float[np.ndarray, " n"] | None = None
) -> Trained:
    """Fit a regressor on rows with targets (n,) or (n, k)."""
    use = weights is not None and takes_weights(estimator)
    return Trained(_fit(estimator, x.reshape(len(x), -1), y, weights if use else None), "targets", use)


def _fit(estimator: Any, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> Any:
    if weights is None:
        return estimator.fit(x, y)
    name = f"{estimator.steps[-1][0]}__sample_weight" if hasattr(estimator, "steps") else "sample_weight"
    return estimator.fit(x, y, **{name: weights / weights.mean()})
