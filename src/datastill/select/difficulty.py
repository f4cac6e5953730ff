"""Difficulty of each row for a cheap model: the scores that deep learning's pruning baselines select by.

A network with one hidden layer is trained for a few epochs and asked for p(c | x_i) after each:

    margin      max_{c≠y} p_c − p_y                 after the last epoch
    entropy     −Σ_c p_c log p_c                    after the last epoch
    forgetting  how often a row that was right became wrong from one epoch to the next; never right: more than any
    el2n        ‖p − onehot(y)‖                     after a third of the epochs, mean of 3 networks

Sources: Toneva et al. (2019), arXiv:1812.05159 (forgetting); Paul et al. (2021), arXiv:2107.07075 (EL2N); Coleman et
al. (2020), arXiv:1906.11829 (margin and entropy from a proxy).
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from datastill._errors import InputError
from datastill._typing import Float, Int
from datastill.select.selection import Selection, check_budget, check_rows

MEASURES = ("margin", "entropy", "forgetting", "el2n")
EPOCHS = 12
HIDDEN = 64
NETWORKS = 3


def difficulty(x: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"], measure: str, seed: int = 0) -> np.ndarray:
    """(n,) one score a row; more is harder.

    Args:
        x: rows, standardised.
        codes: class of each row.
        measure: "margin", "entropy", "forgetting" or "el2n".
        seed: of the networks.

    Raises:
        InputError: for an unknown measure, or rows that are not finite.
    """
    if measure not in MEASURES:
        raise InputError(f"Got measure={measure!r}; expected one of {', '.join(MEASURES)}.")
    x = check_rows(x)
    if measure == "el2n":
        runs = [_probabilities(x, codes, EPOCHS // 3, seed + i)[-1] for i in range(NETWORKS)]
        truth = np.eye(runs[0].shape[1])[codes]
        return np.mean([np.linalg.norm(p - truth, axis=1) for p in runs], axis=0)
    epochs = _probabilities(x, codes, EPOCHS, seed)
    p = epochs[-1]
    if measure == "entropy":
        return -np.sum(p * np.log(np.maximum(p, np.finfo(p.dtype).tiny)), axis=1)
    if measure == "margin":
        own = np.take_along_axis(p, codes[:, None], axis=1)[:, 0]
        rest = p.copy()
        np.put_along_axis(rest, codes[:, None], -np.inf, axis=1)
        return rest.max(axis=1) - own
    right = np.stack([q.argmax(axis=1) == codes for q in epochs])
    forgotten = np.sum(right[:-1] & ~right[1:], axis=0).astype(np.float64)
    return np.where(right.any(axis=0), forgotten, EPOCHS)


def hardest(scores: Float[np.ndarray, " n"], k: int) -> Selection:
    """The k rows of largest score, the hardest first; of equal ones those that come first, each with the weight n/k.

    Raises:
        InputError: for a budget outside 1 … n, or scores that are not finite.
    """
    check_budget(k, len(scores))
    check_rows(scores)
    picks = np.argsort(-scores, kind="stable")[:k]
    return Selection(picks, np.full(k, len(scores) / k), np.full(k, np.nan))


def _probabilities(x: np.ndarray, codes: np.ndarray, epochs: int, seed: int) -> list[np.ndarray]:
    """p(c | x_i) after each epoch."""
    network = MLPClassifier((HIDDEN,), random_state=seed % 2**32, max_iter=1, warm_start=True)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(epochs):
            network.partial_fit(x, codes, classes=np.arange(codes.max() + 1))
            found.append(network.predict_proba(x))
    return found
