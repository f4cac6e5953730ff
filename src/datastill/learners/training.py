"""Training a learner on a small set whose labels may be soft, and saying how its labels were used.

    soft        label vectors as they are, by learners that take them (KRR, networks); hard for the others
    hard        each example counts for the one class that it stands for, for every learner
    expanded    as soft, but each example stands once for every class c, with weight w_i p_ic, where a learner takes
                weights and no label vectors

p are the label vectors as distributions; see `labels.probabilities`.
"""

import inspect
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from datastill._errors import InputError
from datastill._typing import Float, Int
from datastill.learners.labels import probabilities
from datastill.learners.named import takes_weights

LABELS = ("soft", "hard", "expanded")


class Trained(NamedTuple):
    """A fitted learner.

    Attributes:
        estimator: the learner.
        labels: how labels were used: one of LABELS, or "targets" in regression.
        weighted: whether row weights were used.
    """

    estimator: Any
    labels: str
    weighted: bool


def use_of_labels(estimator: Any, labels: str) -> str:
    """Return how this learner uses labels when it is asked to use them so.

    Raises:
        InputError: for another way of using labels.
    """
    if labels not in LABELS:
        raise InputError(f"Got labels={labels!r}; expected one of {', '.join(LABELS)}.")
    if labels == "hard":
        return "hard"
    if takes_vectors(estimator):
        return "soft"
    return "expanded" if labels == "expanded" and takes_weights(estimator) else "hard"


def takes_vectors(estimator: Any) -> bool:
    """Return whether it learns from label vectors and from rows in their own shape, as KRR and networks do."""
    return bool(getattr(estimator, "takes_vectors", False))


def train(
    estimator: Any,
    x: np.ndarray,
    vectors: Float[np.ndarray, "n c"],
    weights: Float[np.ndarray, " n"] | None = None,
    labels: str = "soft",
    codes: Int[np.ndarray, " n"] | None = None,
    learned: bool = False,
) -> Trained:
    """Fit a classifier whose classes are the column numbers of `vectors`.

    Args:
        estimator: unfitted; fitted in place.
        x: (n, …) rows; flattened for learners of vectors.
        vectors: label vectors.
        weights: row weights; left out, and said so, by learners that take none.
        labels: see the top of this module.
        codes: the class that each example stands for, which learned label vectors need not point to; by default that
            of the largest label.
        learned: whether the rows or their labels were learned, for learners that must know.
    """
    use, weighted = use_of_labels(estimator, labels), takes_weights(estimator)
    used = weighted and weights is not None
    codes = vectors.argmax(axis=1) if codes is None else codes
    if takes_vectors(estimator):
        c = vectors.shape[1]
        given = vectors if use == "soft" else (np.eye(c) - 1 / c)[codes]
        return Trained(_fit(estimator, x, given, weights if used else None, learned), use, used)
    flat = x.reshape(len(x), -1)
    if use == "expanded":
        p = probabilities(vectors)
        rows, classes = np.nonzero(p)
        share = p[rows, classes] if weights is None else weights[rows] * p[rows, classes]
        return Trained(_fit(estimator, flat[rows], classes, share), use, used)
    return Trained(_fit(estimator, flat, codes, weights if used else None), use, used)


def train_regressor(
    estimator: Any,
    x: np.ndarray,
    y: np.ndarray,
    weights: Float[np.ndarray, " n"] | None = None,
    learned: bool = False,
) -> Trained:
    """Fit a regressor on rows with targets (n,) or (n, k); a single column is read as (n,).

    Args:
        estimator: unfitted; fitted in place.
        x: (n, …) rows.
        y: targets.
        weights: row weights, for learners that take them.
        learned: whether the rows or their targets were learned, for learners that must know.
    """
    used = weights is not None and takes_weights(estimator)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    return Trained(_fit(estimator, as_seen(estimator, x), y, weights if used else None, learned), "targets", used)


def as_seen(estimator: Any, x: np.ndarray) -> np.ndarray:
    """Rows as this learner takes them: in their own shape, or flat."""
    return x if takes_vectors(estimator) else x.reshape(len(x), -1)


def label_vectors(estimator: Any, x: np.ndarray, classes: int) -> Float[np.ndarray, "n c"]:
    """Predict label vectors with a fitted classifier: its scores, its probabilities − 1/C, or its classes.

    With them a teacher labels a set: knowledge distillation (Hinton, Vinyals, Dean (2015), arXiv:1503.02531).
    """
    seen = as_seen(estimator, x)
    if takes_vectors(estimator) and not hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.scores(seen), np.float64)
    if hasattr(estimator, "predict_proba"):
        return class_probabilities(estimator, seen, classes) - 1 / classes
    return np.eye(classes)[estimator.predict(seen)] - 1 / classes


def class_probabilities(estimator: Any, x: np.ndarray, classes: int) -> Float[np.ndarray, "n c"]:
    """Its probabilities with a column for every class, 0 for those that it was not shown.

    Args:
        estimator: fitted, with `predict_proba`.
        x: rows as it sees them; see `as_seen`.
        classes: C.
    """
    p = np.zeros((len(x), classes))
    p[:, getattr(estimator, "classes_", np.arange(classes))] = estimator.predict_proba(x)
    return p


def _fit(estimator: Any, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None, learned: bool = False) -> Any:
    name = f"{estimator.steps[-1][0]}__sample_weight" if isinstance(estimator, Pipeline) else "sample_weight"
    given: dict[str, Any] = {} if weights is None else {name: weights / weights.mean()}
    if "learned" in inspect.signature(estimator.fit).parameters:
        given["learned"] = learned
    with warnings.catch_warnings():  # one example for each class is what we are for
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
        return estimator.fit(x, y, **given)
