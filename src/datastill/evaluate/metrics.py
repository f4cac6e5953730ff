"""Metrics of predictions on held-out rows, by name."""

import numpy as np

from datastill._typing import Float, Int
from datastill.evaluate.intervals import r2

BINS = 15
LEAST = 1e-15
"""Probabilities are kept this far from 0 in the log-loss."""


def of_classes(codes: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"]) -> dict[str, float]:
    """Accuracy, and its mean over the classes that occur."""
    right = predicted == codes
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[codes == c].mean() for c in np.unique(codes)])),
    }


def of_probabilities(codes: Int[np.ndarray, " n"], p: Float[np.ndarray, "n c"]) -> dict[str, float]:
    """Log-loss −mean ln p_iy, Brier score mean ‖p_i − onehot(y_i)‖², and the expected calibration error.

        ece = Σ_bins |bin|/n · |accuracy of the bin − mean confidence of the bin|

    over the bins of `reliability`.

    Source: Brier (1950); Guo et al. (2017), arXiv:1706.04599, eq. (3).
    """
    own = p[np.arange(len(p)), codes]
    counts, confidence, accuracy = reliability(codes, p).T
    return {
        "log_loss": float(-np.log(np.maximum(own, LEAST)).mean()),
        "brier": float(brier_losses(codes, p).mean()),
        "ece": float(np.sum(counts / len(p) * abs(accuracy - confidence))),
    }


def brier_losses(codes: Int[np.ndarray, " n"], p: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """‖p_i − onehot(y_i)‖² of each row, from 0 to 2."""
    return np.sum((p - np.eye(p.shape[1])[codes]) ** 2, axis=1)


def reliability(codes: Int[np.ndarray, " n"], p: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "bins three"]:
    """(rows, mean confidence, accuracy) of each of 15 bins of equal width in the confidence max_c p_ic."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == codes
    which = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(which, minlength=BINS)
    sums = [np.bincount(which, of, BINS) for of in (confidence, right)]
    return np.stack([counts, *(s / np.maximum(counts, 1) for s in sums)], axis=1)


def losses(y: np.ndarray, predicted: np.ndarray, regression: bool) -> Float[np.ndarray, " n"]:
    """(n,) what each row costs: 1 for a wrong class; in regression the squared error averaged over columns. float32."""
    if not regression:
        return (predicted != y).astype(np.float32)
    y, predicted = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (y, predicted))
    return np.mean((y - predicted) ** 2, axis=1).astype(np.float32)


def of_targets(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Root mean squared error, mean absolute error and R², each averaged over columns."""
    y, predicted = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (y, predicted))
    return {
        "rmse": float(np.sqrt(((y - predicted) ** 2).mean(axis=0)).mean()),
        "mae": float(abs(y - predicted).mean()),
        "r2": r2(y, predicted),
    }
